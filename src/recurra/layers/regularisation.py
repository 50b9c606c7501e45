"""Noise inside the recurrence, for every cell: dropout of states and of matrices, zoneout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch.nn.functional as F
from torch import Tensor

from recurra.equations import Cell, nearest
from recurra.equations.rewrite import matrices_reading, variational_dropout, zoneout, zoneout_mean


@dataclass(frozen=True, eq=False)  # known by identity: programs are kept for it
class Regularisation:
    """What a layer drops inside its loop while it trains. All of it is drawn from torch's generator.

    Attributes:
        recurrent_dropout: chance with which a unit of a state is hidden from the matrices that read it, for the whole
            sequence, the same units at every step (Gal & Ghahramani 2016). What is kept is scaled up by 1 / (1 − p).
        zoneout: chance with which a unit of a state keeps its old value at a step (Krueger et al. 2017); one for all
            states, or one for each by name (``{"h": 0.05, "c": 0.5}``). In evaluation a state takes the mean of the
            two: p · old + (1 − p) · new.
        weight_drop: chance with which an element of a recurrent matrix is zero in a call (DropConnect, as in the
            AWD-LSTM of Merity et al. 2018). What is kept is scaled up by 1 / (1 − p).
    """

    recurrent_dropout: float = 0.0
    zoneout: float | Mapping[str, float] = field(default=0.0)
    weight_drop: float = 0.0

    def check(self, cell: Cell) -> None:
        """Raise ValueError if a chance is none, or if there is nothing in the cell that it can act on."""
        chances = {"recurrent_dropout": self.recurrent_dropout, "weight_drop": self.weight_drop}
        for state, rate in self.zoneouts(cell).items():
            chances[f"zoneout of {state}"] = rate
            if state not in cell.states:
                raise ValueError(
                    f"zoneout of {state}: cell {cell.name} has no such state{nearest(state, cell.states)}; "
                    f"its states: {', '.join(cell.states)}"
                )
            if rate and abs(cell.initial[state]) == float("inf"):
                raise ValueError(
                    f"zoneout of {state}: this state starts from {cell.initial[state]:g}, with which nothing can be "
                    "mixed; give a chance for each state by name, and none for this"
                )
        for name, chance in chances.items():
            if not 0.0 <= chance < 1.0:
                raise ValueError(f"{name} is {chance}; expected a probability from 0 up to, not including, 1")
        if self.recurrent_dropout and not self._dropped(cell):
            raise ValueError(f"recurrent_dropout: no matrix of cell {cell.name} reads a state; use zoneout or dropout")
        if self.weight_drop and not _recurrent(cell):
            raise ValueError(f"weight_drop: cell {cell.name} has no recurrent matrix; use zoneout or dropout")

    def zoneouts(self, cell: Cell) -> dict[str, float]:
        """The chance of zoneout for each state that has one."""
        rates = self.zoneout if isinstance(self.zoneout, Mapping) else dict.fromkeys(_kept(cell), self.zoneout)
        return {s: rate for s, rate in rates.items() if rate}

    def _dropped(self, cell: Cell) -> list[str]:
        return [s for s in cell.states if self.recurrent_dropout and matrices_reading(cell, s)]

    def rewrite(self, cell: Cell, *, training: bool) -> Cell:
        """The cell with what is dropped as further inputs of it."""
        zoneouts = self.zoneouts(cell)
        if training:
            for state in self._dropped(cell):
                cell = variational_dropout(cell, state)
        if not zoneouts:
            return cell
        return zoneout(cell, list(zoneouts)) if training else zoneout_mean(cell, zoneouts)

    def masks(self, cell: Cell, like: Tensor, sizes: Mapping[str, int]) -> dict[str, Tensor]:
        """New masks for a call in training, by the names that :meth:`rewrite` gives them.

        Args:
            cell: the cell before it was rewritten.
            like: the input ``[T, B, I]``, for its steps, rows, dtype and device.
            sizes: columns of each state.
        """
        steps, batch = like.shape[:2]
        keep = 1.0 - self.recurrent_dropout
        found = {f"drop_{s}": like.new_empty(batch, sizes[s]).bernoulli_(keep) / keep for s in self._dropped(cell)}
        for s, rate in self.zoneouts(cell).items():
            found[f"zone_{s}"] = like.new_empty(steps, batch, sizes[s]).bernoulli_(rate)
        return found

    def drop_weights(self, arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The arrays of a layer, elements of the recurrent matrices set to zero."""
        return {
            n: F.dropout(a, self.weight_drop) if n.startswith("U") and a.dim() > 1 else a for n, a in arrays.items()
        }


def _kept(cell: Cell) -> list[str]:
    """The states that zoneout may keep: none that belongs to a memory."""
    return [s for s in cell.states if s not in cell.source_states]


def _recurrent(cell: Cell) -> bool:
    return any(p.role == "matrix" and p.name.startswith("U_") for p in cell.traced.graph.parameters.values())
