"""The zoo: one small file a family, equations and nothing else."""

from __future__ import annotations

import ast

from recurra.cells.elementwise import min_gru, min_lstm, qrnn, sru
from recurra.cells.elman import elman, elman_relu, elman_sigmoid, indrnn, linear_rnn, residual_rnn
from recurra.cells.fastgrnn import fastgrnn
from recurra.cells.feedback import back_projection, jordan
from recurra.cells.files import is_file, load, loaded
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

    Options may follow it, as in a call: ``recurrent_highway(depth=3)``. A cell of a file, ``mycell.py:mycell``, is
    there once the file was loaded.

    Raises:
        CellError: there is none, and the message gives the nearest; or it has no such option.
    """
    plain, bracket, arguments = name.partition("(") if name.endswith(")") else (name, "", "")
    if is_file(plain):
        found = loaded(plain)
    elif plain in _CELLS:
        found = _CELLS[plain]
    else:
        raise CellError(f"there is no cell `{plain}`{nearest(plain, _CELLS)}", f"The cells: {', '.join(_CELLS)}")
    return found.with_options(name, **_options(name, arguments)) if bracket else found


def _options(name: str, arguments: str) -> dict[str, object]:
    """The options in the brackets behind a cell's name."""
    try:
        call = ast.parse(f"cell({arguments}", mode="eval").body
        if isinstance(call, ast.Call) and not call.args:
            return {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    except (SyntaxError, ValueError):
        pass
    raise CellError(
        f"the options of `{name}` cannot be read", "Write them as in a call: recurrent_highway(depth=3, coupled=False)"
    )


__all__ = ["get", "is_file", "load", "names"]
