"""What comes back of the output of a cell whose output is one of its states."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from recurra.equations import Cell
from recurra.equations.rewrite import fed_back, noisy_feedback, scheduled_sampling, teacher_forcing

_REWRITES: Mapping[str, Callable[[Cell, str], Cell]] = {
    "noise": noisy_feedback,
    "teach": scheduled_sampling,
    "true": teacher_forcing,
}


@dataclass(frozen=True)
class Feedback:
    """Feeds back another output than the predicted one, into the state that is the output (y of ``jordan``).

    The state that a call returns is what the next step would have read, so that the call after it goes on from there.
    In a stack this concerns the top layer.

    Attributes:
        true: chance with which the true output of a step feeds back while training, in place of the predicted one,
            drawn for every row and step: 1 is teacher forcing (Williams & Zipser 1989), less is scheduled sampling
            (Bengio et al. 2015). A call while training then needs the true outputs. In evaluation a call that is given
            them feeds back all of them, and one that is not runs on what it predicts.
        noise: standard deviation of normal noise around the predicted output: what feeds back is a sample, while
            training and in evaluation.
    """

    true: float = 0.0
    noise: float = 0.0

    def check(self, cell: Cell) -> None:
        """Raise ValueError if a number cannot be meant, or if the output of the cell is none of its states."""
        if not 0.0 <= self.true <= 1.0:
            raise ValueError(f"feedback: true is {self.true}; expected a chance from 0 to 1")
        if not 0.0 <= self.noise < float("inf"):
            raise ValueError(f"feedback: noise is {self.noise}; expected a standard deviation, 0 or above")
        fed_back(cell)

    def kinds(self, *, training: bool, taught: bool) -> tuple[str, ...]:
        """What :func:`rewrite` needs to know of a call: whether it trains, and is given the true outputs."""
        if taught and (self.true == 1.0 or not training):
            return ("true",)
        return (*(["noise"] if self.noise else []), *(["teach"] if taught else []))

    def inputs(
        self, kinds: tuple[str, ...], cell: Cell, like: Tensor, width: int, teacher: Tensor | None
    ) -> dict[str, Tensor]:
        """What the rewritten cell reads beside its own inputs, by name.

        Args:
            kinds: as :meth:`kinds` gives them.
            cell: the cell before it was rewritten.
            like: the input ``[T, B, I]``, for its steps, rows, dtype and device.
            width: O, columns of the output.
            teacher: the true outputs ``[T, B, O]``, or None.
        """
        state, lead = fed_back(cell), like.shape[:2]
        found: dict[str, Tensor] = {}
        if "noise" in kinds:
            found[f"noise_{state}"] = like.new_empty(*lead, width).normal_(std=self.noise)
        if "teach" in kinds:
            found[f"teach_{state}"] = like.new_empty(*lead, 1).bernoulli_(self.true)
        if teacher is not None:
            found[f"true_{state}"] = teacher
        return found


def rewrite(cell: Cell, kinds: tuple[str, ...]) -> Cell:
    """The cell with what feeds back as further inputs of it."""
    state = fed_back(cell) if kinds else ""
    for kind in kinds:
        cell = _REWRITES[kind](cell, state)
    return cell
