"""What is attended to, and how."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recurra.equations import Cell
from recurra.equations.attention import attentive


@dataclass(frozen=True)
class Attention:
    """How a layer attends to a memory. Every cell can; see :func:`recurra.equations.attention.attentive`.

    Attributes:
        score: how well a source answers a query: ``additive`` (Bahdanau et al. 2015), ``concat``, ``general`` and
            ``dot`` (Luong et al. 2015), or ``scaled`` dot product. For the last two the memory is as wide as the query.
        place: ``before``: the state as it was asks, and the context is read beside the input (Bahdanau); ``after``: the
            cell's output asks (Luong).
        feeding: what comes out of a step is read beside the input of the next (Luong's input feeding).
        width: A, columns of the hidden layer of additive and concat scores; None: as many as the layer has units.
        window: sources to either side of a place that the query points to (Luong's local-p); None: all sources.
        coverage: scores know how much each source was attended to before (Tu et al. 2016).
    """

    score: str = "additive"
    place: str = "before"
    feeding: bool = False
    width: int | None = None
    window: int | None = None
    coverage: bool = False

    def attentive(self, cell: Cell) -> Cell:
        """The cell with this attention.

        Raises:
            ValueError: a setting is none, or the cell cannot attend (a CellError).
        """
        return attentive(
            cell, self.score, place=self.place, feeding=self.feeding, window=self.window, coverage=self.coverage
        )


@dataclass(frozen=True)
class Memory:
    """What is attended to.

    Attributes:
        values: ``[B, S, M]``.
        lengths: how many of its sources each row has, int64 ``[B]`` on the CPU, from 1 to S; None is S for all.
    """

    values: Tensor
    lengths: Tensor | None = None

    @property
    def given(self) -> dict[str, Tensor]:
        """What attention reads, by the names in the equations."""
        rows, sources, _ = self.values.shape
        numbers = torch.arange(sources, device=self.values.device, dtype=self.values.dtype)
        counts = numbers.new_full((rows,), sources) if self.lengths is None else self.lengths.to(numbers)
        return {
            "memory": self.values,
            "position": numbers[:, None].expand(rows, sources, 1),
            "sources": counts[:, None, None].expand(rows, sources, 1),
        }
