"""What decoding knows of a model: a step, and a choice among the rows of its state."""

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

ATTENTION = "attention"
"""The name in the extras of a step of its attention weights [B, S]: each at least 0, 0 on padding."""


class Step(Protocol):
    """One step of a model: tokens int64 [B] and a state give logits [B, V], the next state, and further results."""

    def __call__(self, tokens: Tensor, state: Any, /) -> tuple[Tensor, Any, Mapping[str, Tensor]]: ...


class Select(Protocol):
    """The state of some rows int64 [N] of a state of B rows, in that order; a row may be repeated or left out."""

    def __call__(self, state: Any, rows: Tensor, /) -> Any: ...


def log_probabilities(logits: Tensor) -> Tensor:
    """The log-softmax [B, V] of logits [B, V], at least in float32, in memory of its own.

    Raises:
        ValueError: a logit is NaN or ∞, or all of a row are -∞.
    """
    scores = torch.log_softmax(logits if logits.dtype == torch.float64 else logits.float(), -1)
    # Each of these makes the sum of the row NaN, and so the whole row: its first column tells.
    if torch.isnan(scores[:, :1]).any():
        raise not_finite()
    return scores


def not_finite() -> ValueError:
    """What is said of logits that are no distribution."""
    return ValueError("the model's logits are not finite: training diverged; train with a smaller learning rate")


def nothing_fits(sentence: int, length: int) -> ValueError:
    """What is said where the constraints leave no token with a probability above 0."""
    return ValueError(
        f"sentence {sentence}: no token that the constraints allow after {length} tokens has a probability above 0: "
        "loosen the constraints"
    )
