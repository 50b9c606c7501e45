"""What a call says of its rows beside their input: where each ends, where it starts anew, what is fed all along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recurra.layers.attention import Memory


@dataclass(frozen=True)
class Rows:
    """The rows of one call.

    Attributes:
        input: time first, ``[T, B, I]``.
        lengths: steps of each row, int64 ``[B]`` on the CPU; None is T for all.
        resets: where a row starts anew, bool ``[T, B]``; None is nowhere.
        static: what is fed at every step, ``[B, S]``, or None.
        teacher: the true outputs, ``[T, B, O]``, or None.
        memory: what is attended to, or None.
    """

    input: Tensor
    lengths: Tensor | None
    resets: Tensor | None
    static: Tensor | None
    teacher: Tensor | None
    memory: Memory | None = None

    @property
    def alive(self) -> Tensor | None:
        """Which steps rows have, bool ``[T, B, 1]``; None is all."""
        if self.lengths is None:
            return None
        steps = torch.arange(self.input.shape[0], device=self.input.device)
        return (steps[:, None] < self.lengths.to(self.input.device))[..., None]

    def marks(self, *, reverse: bool) -> Tensor | None:
        """The resets as the engine reads them, ``[T, B, 1]`` in the input's dtype: 1 where a state starts anew.

        An episode that starts at step t ends at t − 1, which is where a row that runs backwards enters it.
        """
        if self.resets is None:
            return None
        marks = self.resets[..., None]
        if reverse:
            marks = marks if self.alive is None else marks & self.alive
            marks = torch.cat([marks[1:], torch.zeros_like(marks[:1])])
        return marks.to(self.input.dtype)


def rows(
    x: Tensor,
    lengths: Tensor | Sequence[int] | None,
    resets: Tensor | None,
    static: Tensor | None,
    teacher: Tensor | None = None,
) -> Rows:
    """Checks what a call gives, batch first, beside its input ``[B, T, I]``.

    Raises:
        ValueError: lengths are not B whole numbers from 0 to T, or resets are not bool ``[B, T]``.
        TypeError: lengths are no numbers, or resets no tensor.
    """
    batch, steps = x.shape[:2]
    if lengths is not None:
        lengths = lengths if isinstance(lengths, Tensor) else _numbers(lengths)
        kind = str(lengths.dtype).removeprefix("torch.")
        if lengths.dtype is not torch.int64 or not lengths.is_cpu or list(lengths.shape) != [batch]:
            raise ValueError(
                f"lengths are {kind} {list(lengths.shape)} on {lengths.device}; expected int64 [B] = [{batch}] on cpu"
            )
        # In a compiled graph the engine looks at the numbers, once they are there.
        low, high = (0, 0) if torch.compiler.is_compiling() else (int(lengths.min()), int(lengths.max()))
        if low < 0 or high > steps:
            raise ValueError(f"a length is {low if low < 0 else high}; expected 0 to {steps}, the steps of the input")
    if resets is not None and not isinstance(resets, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"resets are a {type(resets).__name__}; expected a bool tensor [B, T] = {[batch, steps]}")
    if resets is not None and (resets.dtype is not torch.bool or resets.shape != x.shape[:2]):
        kind = str(resets.dtype).removeprefix("torch.")
        raise ValueError(f"resets are {kind} {list(resets.shape)}; expected bool [B, T] = {[batch, steps]}")
    return Rows(
        x.transpose(0, 1),
        lengths,
        None if resets is None else resets.T,
        static,
        None if teacher is None else teacher.transpose(0, 1),
    )


def _numbers(lengths: Sequence[int]) -> Tensor:
    try:
        return torch.tensor(lengths, device="cpu")
    except (RuntimeError, TypeError, ValueError) as error:
        raise TypeError(
            f"lengths are {lengths!r}; expected a whole number for each row, in a list or an int64 tensor"
        ) from error
