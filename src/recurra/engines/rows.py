"""The rows of a call as the native engine wants them: by falling length."""

from __future__ import annotations

from typing import overload

import torch
from torch import Tensor

from recurra.engines.widths import Call


class Rows:
    """How a call's rows stand inside the engine, and the way back.

    Attributes:
        steps: steps of the longest row, at least 1.
        reverse: whether steps are counted from the last to the first.
        order: the caller's row at each place, int64 ``[B]``; None where the rows stand as they are.
        lengths: steps of each row, falling, int64 ``[B]``; None where all rows have all steps.
    """

    def __init__(self, call: Call) -> None:
        self.steps, self.reverse = call.steps, call.reverse
        self.order: Tensor | None = None
        self.lengths: Tensor | None = None
        self._given = call.steps
        if call.lengths is None:
            return
        self.lengths, order = call.lengths.sort(descending=True, stable=True)
        self.steps = max(1, int(self.lengths[0]))
        if not torch.equal(self.lengths, call.lengths):
            self.order = order
            self._place = torch.empty_like(order)
            self._place[order] = torch.arange(len(order))

    @property
    def address(self) -> int | None:
        """Where the lengths lie in memory."""
        return None if self.lengths is None else self.lengths.data_ptr()

    def sort(self, tensor: Tensor) -> Tensor:
        """A tensor ``[T, B, W]`` or ``[B, W]`` with its rows in the engine's order."""
        return tensor if self.order is None else _select(tensor, self.order)

    @overload
    def restore(self, tensor: Tensor) -> Tensor: ...
    @overload
    def restore(self, tensor: None) -> None: ...
    def restore(self, tensor: Tensor | None) -> Tensor | None:
        """A tensor ``[T, B, W]`` or ``[B, W]`` with its rows in the caller's order."""
        return tensor if self.order is None or tensor is None else _select(tensor, self._place)

    def new_steps(self, like: Tensor, width: int) -> Tensor:
        """A new ``[T, B, W]``, zeros where a row may have no step.

        Its memory runs over steps and rows in the same order as that of `like`.
        """
        new = torch.empty if self.lengths is None else torch.zeros
        rows = like.shape[1]
        if like.stride(1) > like.stride(0):
            return new(rows, self._given, width).transpose(0, 1)
        return new(self._given, rows, width)


def _select(tensor: Tensor, order: Tensor) -> Tensor:
    if tensor.dim() == 2:
        return tensor.index_select(0, order)
    if tensor.stride(1) > tensor.stride(0):
        return tensor.transpose(0, 1).index_select(0, order).transpose(0, 1)
    return tensor.index_select(1, order)
