"""The zoo: one small file a family, equations and nothing else."""

from __future__ import annotations

from recurra.cells.elementwise import min_gru, min_lstm, qrnn, sru
from recurra.cells.elman import elman, elman_relu, elman_sigmoid, indrnn, linear_rnn, residual_rnn
from recurra.cells.fastgrnn import fastgrnn
from recurra.cells.feedback import back_projection, jordan
from recurra.cells.gru import gru, gru_after, ligru, minimal_gated
from recurra.cells.highway import recurrent_highway
from recurra.cells.layer_norm import joint_norm_lstm, layer_norm_gru, layer_norm_lstm
from recurra.cells.lstm import (
    coupled_lstm,
    lstm,
    lstm_no_forget_gate,
    lstm_no_input_gate,
    lstm_no_output_gate,
    projected_lstm,
)
from recurra.cells.mut import mut1, mut2, mut3
from recurra.cells.peephole import full_peephole_lstm, peephole_lstm
from recurra.cells.slstm import slstm
from recurra.equations import Cell, CellError, nearest

_CELLS = {
    c.name: c
    for c in (
        elman, elman_relu, elman_sigmoid, indrnn, linear_rnn, residual_rnn, jordan, back_projection,
        lstm, lstm_no_forget_gate, lstm_no_input_gate, lstm_no_output_gate, coupled_lstm, projected_lstm,
        peephole_lstm, full_peephole_lstm, layer_norm_lstm, joint_norm_lstm, slstm,
        gru, gru_after, layer_norm_gru, minimal_gated, ligru, mut1, mut2, mut3, fastgrnn, recurrent_highway,
        sru, qrnn, min_gru, min_lstm,
    )
}  # fmt: skip


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
