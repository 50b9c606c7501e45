"""Rows of different lengths: from torch's PackedSequence to padded arrays and back."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor


class Packing:
    """The order of the rows and steps in a PackedSequence: step after step, each with the rows that are that long.

    Args:
        batch_sizes: rows at each step, ``[T]`` on the CPU, falling.
    """

    def __init__(self, batch_sizes: Tensor) -> None:
        self._sizes = batch_sizes
        self.steps = len(batch_sizes)
        self.rows = int(batch_sizes[0])
        self.full = int(batch_sizes[-1]) == self.rows

    @cached_property
    def _present(self) -> Tensor:
        """Which rows have which step, ``[T, B]``."""
        return torch.arange(self.rows) < self._sizes[:, None]

    @cached_property
    def _places(self) -> Tensor:
        """Where the packed steps lie among ``T·B``."""
        return self._present.view(-1).nonzero().view(-1)

    @cached_property
    def lengths(self) -> Tensor | None:
        """Steps of each row, ``[B]``; None where all are alike."""
        return None if self.full else self._present.sum(0)

    def pad(self, packed: Tensor) -> Tensor:
        """``[ΣT, W]`` to ``[T, B, W]``, zeros behind each row's end."""
        if self.full:
            return packed.view(self.steps, self.rows, -1)
        padded = packed.new_zeros(self.steps * self.rows, packed.shape[1])
        return padded.index_copy(0, self._places.to(packed.device), packed).view(self.steps, self.rows, -1)

    def pack(self, padded: Tensor) -> Tensor:
        """``[T, B, W]`` to ``[ΣT, W]``."""
        flat = padded.reshape(self.steps * self.rows, -1)
        return flat if self.full else _Take.apply(flat, self._places.to(flat.device))  # type: ignore[return-value]


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
