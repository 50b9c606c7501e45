"""A linear layer and the cross-entropy of its outputs, without ever holding all logits."""

from __future__ import annotations

from torch import Tensor

from recurra.engines.cross_entropy import Reduction, Settings, cross_entropy


def linear_cross_entropy(
    features: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    *,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """The cross-entropy of the logits ``features Wᵀ + b``, as `torch.nn.functional.cross_entropy` has it.

    For a large vocabulary the logits take most of a language model's memory, and their softmax a good part of its time.
    Here they are made for some hundred rows at a time, and in training their gradient at once, while they are in the
    caches. Rows to be ignored cost nothing.

    The native library serves float32 on the CPU. Everything else is served by torch: other types and devices,
    derivatives of derivatives, transforms of ``torch.func``, ``torch.compile`` and autocast. Which one it is goes to
    the log ``recurra.engines``.

    Args:
        features: the rows, ``[N, H]``.
        weight: ``[V, H]``.
        bias: ``[V]``, or None.
        targets: the class of each row, int64 ``[N]``.
        ignore_index: rows with this target are left out: their loss is 0, and the mean does not count them.
        label_smoothing: share of each target that is spread evenly over all classes (Szegedy et al. 2015).
        reduction: "mean" over the rows that are not ignored (NaN if there are none), "sum", or "none".

    Returns:
        The loss in nats: a scalar, or ``[N]`` for "none".

    Raises:
        ValueError: shapes that do not fit, or a setting out of its range.
        TypeError: targets that are not int64.
        IndexError: a target that is neither a class nor `ignore_index`.
    """
    return cross_entropy(features, weight, bias, targets, Settings(ignore_index, label_smoothing, reduction))
