"""The cross-entropy of a linear layer's outputs, run by the native library on CPU in float32, elsewhere by torch.

It takes the features instead of the logits. Logits are made for some rows at a time, and in training their gradient at
once, so that memory for them does not grow with the number of rows.
"""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from recurra.engines import library, memory
from recurra.engines.linear import address, check_bias, empty_like, is_native, obstacle
from recurra.engines.native import have_no_memory, wants_gradient

Reduction = Literal["mean", "sum", "none"]
REDUCTIONS = ("mean", "sum", "none")
# Logits that torch makes at once where no gradient is wanted.
_TORCH_LOGITS = 1 << 22


@dataclass(frozen=True)
class Settings:
    """What `torch.nn.functional.cross_entropy` calls by the same names."""

    ignore_index: int = -100
    label_smoothing: float = 0.0
    reduction: Reduction = "mean"


class _LossCall(ctypes.Structure):
    """`rc_linear_loss_call` of csrc/linear.h."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("threads", ctypes.c_int32),
        ("kernels", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("rows", "inputs", "outputs")),
        *((name, ctypes.c_void_p) for name in ("x", "weight", "bias", "targets")),
        ("ignored", ctypes.c_int64),
        ("smoothing", ctypes.c_double),
        ("mean", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("row_scale", "loss", "dx", "dweight", "dbias", "work")),
        ("counted", ctypes.c_int64),
        ("total", ctypes.c_double),
    )


def cross_entropy(features: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, settings: Settings) -> Tensor:
    """The cross-entropy of the logits ``features Wᵀ + b``.

    Args:
        features: ``[N, H]``.
        weight: ``[V, H]``.
        bias: ``[V]``.
        targets: int64 ``[N]``.
        settings: as for torch's cross-entropy.

    Returns:
        A scalar, or ``[N]`` for the reduction "none".
    """
    _check_loss(features, weight, targets, settings)
    check_bias(weight, bias)
    if not is_native("a linear layer with its cross-entropy", obstacle(features, weight, bias)):
        return _torch_cross_entropy(features, weight, bias, targets, settings)
    if wants_gradient(features, weight, bias):
        return cast(Tensor, _CrossEntropy.apply(features, weight, bias, targets, settings))  # pyright: ignore[reportUnknownMemberType]
    return _Loss(features, weight, bias, targets, settings).run(())


# -- checks ------------------------------------------------------------------------------------------------------------


def _check_loss(features: Tensor, weight: Tensor, targets: Tensor, settings: Settings) -> None:
    if features.dim() != 2 or weight.dim() != 2 or features.shape[1] != weight.shape[1]:
        raise ValueError(
            f"the features have shape {list(features.shape)} and the weight {list(weight.shape)}; "
            "expected [N, H] and [V, H]: flatten batch and time into N"
        )
    if targets.shape != features.shape[:1]:
        raise ValueError(
            f"the targets have shape {list(targets.shape)}; expected [{features.shape[0]}], one for each row"
        )
    if targets.dtype is not torch.int64:
        raise TypeError(f"the targets are {targets.dtype}; expected torch.int64, the number of a class for each row")
    if targets.device != features.device:
        raise ValueError(f"the targets are on {targets.device} and the features on {features.device}; move the targets")
    if settings.reduction not in REDUCTIONS:
        raise ValueError(f"the reduction is {settings.reduction!r}; expected one of {', '.join(REDUCTIONS)}")
    if not 0.0 <= settings.label_smoothing <= 1.0:
        raise ValueError(f"label_smoothing is {settings.label_smoothing}; expected a share from 0 to 1")


# -- torch -------------------------------------------------------------------------------------------------------------


def _torch_cross_entropy(
    features: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, settings: Settings
) -> Tensor:
    """Where a gradient is wanted torch keeps all logits anyway; else they are made for some rows at a time."""
    rows = max(1, _TORCH_LOGITS // max(1, weight.shape[0]))
    if wants_gradient(features, weight, bias) or len(features) <= rows:
        return _torch_rows(features, weight, bias, targets, settings)
    each = Settings(settings.ignore_index, settings.label_smoothing, "none")
    parts = zip(torch.split(features, rows), torch.split(targets, rows), strict=True)
    losses = torch.cat([_torch_rows(f, weight, bias, t, each) for f, t in parts])
    if settings.reduction == "none":
        return losses
    return losses.sum() if settings.reduction == "sum" else losses.sum() / (targets != settings.ignore_index).sum()


def _torch_rows(features: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, settings: Settings) -> Tensor:
    return F.cross_entropy(
        F.linear(features, weight, bias),
        targets,
        ignore_index=settings.ignore_index,
        label_smoothing=settings.label_smoothing,
        reduction=settings.reduction,
    )


# -- the native library ------------------------------------------------------------------------------------------------


class _Loss:
    """One computation of the loss, with the gradients that are wanted."""

    def __init__(
        self, features: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, settings: Settings
    ) -> None:
        self.features, self.weight, self.targets = memory.plain(features), memory.plain(weight), targets.contiguous()
        self.bias = None if bias is None else memory.plain(bias)
        self.settings = settings
        self.gradients: tuple[Tensor | None, ...] = (None, None, None)

    def run(self, wanted: tuple[bool, ...], row_scale: Tensor | None = None) -> Tensor:
        """The loss as `settings.reduction` has it. `gradients` then holds those wanted, of features, weight and bias.

        They are the gradients of the returned number; for the reduction "none", those of the losses' sum weighted by
        `row_scale` ``[N]``.
        """
        losses = torch.empty(len(self.features), **memory.NUMBERS)
        if wanted:
            kinds = zip(wanted, (self.features, self.weight, self.bias), strict=True)
            self.gradients = tuple(empty_like(w, t) for w, t in kinds)
        call = self._call(losses, row_scale)
        work = memory.take(int(library.load().rc_linear_loss_floats(ctypes.byref(call))))
        call.work = work.address
        self._check(int(library.load().rc_linear_loss(ctypes.byref(call))))
        if self.settings.reduction == "none":
            return losses
        counted, total = int(call.counted), float(call.total)
        if self.settings.reduction == "mean":
            total = total / counted if counted else math.nan
        return torch.tensor(total, **memory.NUMBERS)

    def _call(self, losses: Tensor, row_scale: Tensor | None) -> _LossCall:
        features, weight, gradients = self.features, self.weight, self.gradients
        return _LossCall(
            size=ctypes.sizeof(_LossCall), threads=torch.get_num_threads(),
            kernels=ctypes.addressof(library.kernels()), rows=features.shape[0], inputs=features.shape[1],
            outputs=weight.shape[0], x=address(features), weight=address(weight), bias=address(self.bias),
            targets=address(self.targets), ignored=self.settings.ignore_index,
            smoothing=self.settings.label_smoothing, mean=self.settings.reduction == "mean",
            row_scale=address(row_scale), loss=address(losses), dx=address(gradients[0]),
            dweight=address(gradients[1]), dbias=address(gradients[2]),
        )  # fmt: skip

    def _check(self, code: int) -> None:
        if code == -2:
            raise RuntimeError("the native library is of another version than these Python files; install recurra anew")
        if code >= 0:
            raise IndexError(
                f"target {int(self.targets[code])} of row {code} is out of bounds; expected a class from 0 to "
                f"{len(self.weight) - 1}, or ignore_index={self.settings.ignore_index}"
            )


class _CrossEntropy(torch.autograd.Function):
    """The cross-entropy of a linear layer as one node of autograd's graph."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, settings: Settings
    ) -> Tensor:
        ctx.save_for_backward(features, weight, bias, targets)
        ctx.settings, ctx.gradients = settings, None
        loss = _Loss(features, weight, bias, targets, settings)
        if settings.reduction == "none":
            return loss.run(())
        # While the logits are at hand. Backward has only to scale them.
        result = loss.run(ctx.needs_input_grad[:3])
        ctx.gradients = loss.gradients
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        tensors = cast(tuple[Tensor, Tensor, Tensor | None, Tensor], ctx.saved_tensors)
        if torch.is_grad_enabled() or have_no_memory([gradient]):
            return (*_differentiable(ctx, tensors, gradient), None, None)
        # Handed out once, for whoever gets them may change them; another backward computes them anew.
        found, ctx.gradients = ctx.gradients, None
        if found is None:
            loss = _Loss(*tensors, ctx.settings)
            by_row = memory.plain(gradient) if ctx.settings.reduction == "none" else None
            loss.run(ctx.needs_input_grad[:3], by_row)
            found = loss.gradients
        if ctx.settings.reduction != "none" and (factor := gradient.item()) != 1.0:
            for tensor in found:
                if tensor is not None:
                    tensor.mul_(factor)
        return (*found, None, None)


def _differentiable(
    ctx: Any, tensors: tuple[Tensor, Tensor, Tensor | None, Tensor], gradient: Tensor
) -> list[Tensor | None]:
    """The gradients as a graph of their own, for derivatives of derivatives: torch computes the loss again."""
    differentiable = torch.is_grad_enabled()
    with torch.enable_grad():
        features, weight, bias = (None if t is None else t.view_as(t) for t in tensors[:3])  # one given twice is two
        loss = _torch_rows(cast(Tensor, features), cast(Tensor, weight), bias, tensors[3], ctx.settings)
    wanted = [t if n else None for t, n in zip((features, weight, bias), ctx.needs_input_grad[:3], strict=True)]
    found = torch.autograd.grad(loss, [t for t in wanted if t is not None], gradient, create_graph=differentiable)
    rest = iter(found)
    return [t if t is None else next(rest) for t in wanted]
