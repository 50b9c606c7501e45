"""The rows of a call as the native engine wants them: by falling length."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from recurra.engines import memory
from recurra.engines.widths import Call


class Rows:
    """How a call's rows stand inside the engine, and the way back.

    Attributes:
        steps: steps of the longest row, at least 1.
        reverse: whether steps are counted from the last to the first.
        order: the caller's row at each place, int64 ``[B]``; None where the rows stand as they are.
        lengths: steps of each row, falling, int64 ``[B]``; None where all rows have all steps.
        sources: sources of each row, int64 ``[B]``; None where all rows have all sources.
        owners: the caller's row whose memories each row reads, int64 ``[B]``; None where it is its own.
    """

    def __init__(self, call: Call) -> None:
        self.steps, self.reverse = call.steps, call.reverse
        self.order: Tensor | None = None
        self.lengths: Tensor | None = None
        self.sources, self.owners = (None if c is None else c.contiguous() for c in (call.sources, call.owners))
        self._given = call.steps
        self._borrowed: list[memory.Block] = []
        if call.lengths is None:
            return
        self.lengths, order = call.lengths.sort(descending=True, stable=True)
        self.steps = max(1, int(self.lengths[0]))
        if not torch.equal(self.lengths, call.lengths):
            self.order = order
            self._place = torch.empty_like(order)
            self._place[order] = torch.arange(len(order), device="cpu")
            self.sources, self.owners = (None if c is None else c[order] for c in (self.sources, self.owners))

    @property
    def address(self) -> int | None:
        """Where the lengths lie in memory."""
        return None if self.lengths is None else self.lengths.data_ptr()

    @property
    def source_address(self) -> int | None:
        """Where the numbers of sources lie in memory."""
        return None if self.sources is None else self.sources.data_ptr()

    @property
    def owner_address(self) -> int | None:
        """Where the owners lie in memory."""
        return None if self.owners is None else self.owners.data_ptr()

    def sort(self, tensor: Tensor) -> Tensor:
        """A tensor ``[T, B, W]`` or ``[B, W]`` with its rows in the engine's order, as long as this object lives."""
        if self.order is None:
            return tensor
        rows_first, turned = _rows_first(tensor)
        sorted_ = torch.index_select(rows_first, 0, self.order, out=self._borrow(rows_first.shape))
        return sorted_.transpose(0, 1) if turned else sorted_

    def restore(self, tensor: Tensor) -> Tensor:
        """A tensor ``[T, B, W]`` or ``[B, W]`` with its rows in the caller's order."""
        if self.order is None:
            return tensor
        if tensor.dim() == 2:
            return self.restore_rows(tensor)
        steps, rows, width = tensor.shape
        restored = _empty(steps, rows, width, turned=True)
        torch.index_select(tensor.transpose(0, 1), 0, self._place, out=restored.transpose(0, 1))
        return restored

    def restore_rows(self, tensor: Tensor) -> Tensor:
        """A tensor ``[B, …]`` with its rows in the caller's order."""
        return tensor if self.order is None else tensor.index_select(0, self._place)

    def new_steps(self, like: Tensor, width: int) -> Tensor:
        """A ``[T, B, W]`` to be filled in the engine's order, zeros where a row has no step.

        Its memory runs over steps and rows in the same order as that of `like`.
        """
        rows = like.shape[1]
        if self.order is not None:
            return self._borrow((rows, self._given, width)).zero_().transpose(0, 1)
        new = _empty(self._given, rows, width, turned=like.stride(1) > like.stride(0))
        return new if self.lengths is None else new.zero_()

    def _borrow(self, shape: Sequence[int]) -> Tensor:
        block = memory.take(math.prod(shape))
        self._borrowed.append(block)
        return block.view(*shape)


def _empty(steps: int, rows: int, width: int, *, turned: bool) -> Tensor:
    """A ``[T, B, W]``, a row's steps side by side in memory if it is turned.

    It is no view: of a function with several results, autograd lets nobody change one that is.
    """
    strides = (width, steps * width, 1) if turned else (rows * width, width, 1)
    return torch.empty_strided((steps, rows, width), strides, **memory.NUMBERS)


def _rows_first(tensor: Tensor) -> tuple[Tensor, bool]:
    """The tensor with its rows in front, and whether it was turned for that."""
    return (tensor.transpose(0, 1), True) if tensor.dim() == 3 else (tensor, False)
