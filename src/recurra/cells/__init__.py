"""The zoo: one small file a family, equations and nothing else."""

from __future__ import annotations

from recurra.cells.elman import elman, elman_relu, elman_sigmoid
from recurra.cells.gru import gru, gru_after
from recurra.cells.lstm import layer_norm_lstm, lstm, peephole_lstm
from recurra.cells.mut import mut1
from recurra.equations import Cell, CellError, nearest

_CELLS = {
    c.name: c for c in (elman, elman_relu, elman_sigmoid, lstm, peephole_lstm, layer_norm_lstm, gru, gru_after, mut1)
}


def names() -> list[str]:
    """The names of all cells, family by family."""
    return list(_CELLS)


def get(name: str) -> Cell:
    """The cell of that name.

    Raises:
        CellError: there is none; the message gives the nearest.
    """
    if name not in _CELLS:
        raise CellError(f"there is no cell `{name}`{nearest(name, _CELLS)}", f"The cells: {', '.join(_CELLS)}")
    return _CELLS[name]
