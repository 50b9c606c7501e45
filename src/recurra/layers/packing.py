"""Rows of different lengths: from torch's PackedSequence to padded arrays and back."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Packing:
    """The order of the rows and steps in a PackedSequence: step after step, each with the rows that are that long.

    Attributes:
        rows: B.
        lengths: steps of each row, falling, int64 ``[B]`` on the CPU; None where all rows have all steps.

    Args:
        batch_sizes: rows at each step, falling, int64 ``[T]`` on the CPU.
        packed: the data, ``[ΣT, W]``.
        rows: B where it is known from elsewhere; None reads it off `batch_sizes`.

    Raises:
        RuntimeError: the sizes do not fall, or are not those of the data.
    """

    def __init__(self, batch_sizes: Tensor, packed: Tensor, rows: int | None) -> None:
        self._steps, self._total = len(batch_sizes), len(packed)
        if not torch.compiler.is_compiling():
            _check(batch_sizes.tolist(), self._total)
        self.rows = int(batch_sizes[0]) if rows is None else rows
        self.lengths: Tensor | None = None
        # Traced, the rows may be a symbol, and nothing may hang on its value.
        if torch.compiler.is_compiling():
            torch._check(self.rows > 0)
        elif self._total == self._steps * self.rows:
            return
        self.lengths = (batch_sizes[:, None] > torch.arange(self.rows, device="cpu")).sum(0)
        # Where each packed element lies among T·B: further on by what is missing from the steps before.
        missing = (self.rows - batch_sizes).cumsum(0) - self.rows + batch_sizes
        shift = torch.repeat_interleave(missing, batch_sizes, output_size=self._total)
        self._places = (torch.arange(self._total, device="cpu") + shift).to(packed.device)

    def pad(self, packed: Tensor) -> Tensor:
        """``[ΣT, W]`` to ``[T, B, W]``, zeros behind each row's end."""
        if self.lengths is None:
            return packed.view(self._steps, self.rows, -1)
        padded = packed.new_zeros(self._steps * self.rows, packed.shape[1])
        return padded.index_copy(0, self._places, packed).view(self._steps, self.rows, packed.shape[1])

    def pack(self, padded: Tensor) -> Tensor:
        """``[T, B, W]`` to ``[ΣT, W]``."""
        flat = padded.reshape(self._steps * self.rows, padded.shape[2])
        if self.lengths is None:
            return flat
        return _Take.apply(flat, self._places) if flat.requires_grad else flat.index_select(0, self._places)  # type: ignore[return-value]


def _check(sizes: list[int], total: int) -> None:
    if not sizes or sizes[-1] < 0 or sizes != sorted(sizes, reverse=True) or sum(sizes) != total:
        raise RuntimeError(
            f"a packed sequence of {total} elements has batch_sizes {sizes}; expected numbers that never rise and add "
            "up to the elements: make it with pack_padded_sequence or pack_sequence"
        )


class _Take(torch.autograd.Function):
    """`index_select` of rows, none of them twice: its gradient is copied, where torch would add it row by row."""

    generate_vmap_rule = True

    @staticmethod
    def forward(rows: Tensor, places: Tensor) -> Tensor:  # type: ignore[override]
        return rows.index_select(0, places)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        rows, places = inputs
        ctx.save_for_backward(places)
        ctx.count = rows.shape[0]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (places,) = ctx.saved_tensors
        return gradient.new_zeros(ctx.count, gradient.shape[1]).index_copy(0, places, gradient), None
