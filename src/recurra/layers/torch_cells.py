"""The cells of torch.nn: which of ours they are, and how torch's arrays hold their parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from torch import Tensor

from recurra import cells
from recurra.engines.widths import Names
from recurra.equations import Cell, Value, affine, cell, sigmoid, tanh, vector
from recurra.equations.program import Program


@cell(state=("h",))
def torch_gru(x: Value, h: Value, *, bias: bool = True):
    """Gated recurrent unit, reset after the recurrent product, with two biases a gate, as torch.nn.GRU has it."""

    def gate(name: str) -> Value:
        total = affine(name, x, h, bias=False)
        # The biases first: their sum is made once a call.
        return sigmoid(total + (vector(f"bx_{name}") + vector(f"bh_{name}")) if bias else total)

    r, z = gate("r"), gate("z")
    n = tanh(affine("n", x, bias=bias) + r * affine("nh", h, bias=bias))
    h = (1 - z) * n + z * h
    return h, (h,)


@dataclass(frozen=True)
class TorchCell:
    """A cell of torch.nn.

    Attributes:
        program: runs it.
        arrays: the parameters in each of torch's arrays, from top to bottom: ``weight_ih``, ``weight_hh``, the biases
            and ``weight_hr``, as far as it has them. Where the cell adds the two biases anyway, it has one.
        adds_biases: whether ``bias_ih`` and ``bias_hh`` are given as their sum.
    """

    program: Program
    arrays: tuple[Names, ...]
    adds_biases: bool

    def parameters(self, weights: Sequence[Tensor]) -> dict[str | Names, Tensor]:
        """The parameters of a sweep, from a layer's arrays in torch's order."""
        if self.adds_biases:
            weight_ih, weight_hh, bias_ih, bias_hh, *projection = weights
            weights = (weight_ih, weight_hh, bias_ih + bias_hh, *projection)
        return dict(zip(self.arrays, weights, strict=True))


@cache
def torch_cell(mode: str, bias: bool, projected: bool = False) -> TorchCell:
    """The cell that torch.nn calls by this mode: RNN_TANH, RNN_RELU, LSTM or GRU."""
    if mode == "GRU":
        arrays = (("W_r", "W_z", "W_n"), ("U_r", "U_z", "U_nh"))
        biases = (("bx_r", "bx_z", "b_n"), ("bh_r", "bh_z", "b_nh"))
        return TorchCell(_program(torch_gru, bias=bias), (*arrays, *biases) if bias else arrays, adds_biases=False)
    if mode == "LSTM":
        gates = "ifgo"
        program = _program(cells.get("projected_lstm" if projected else "lstm"), bias=bias)
    else:
        gates = "h"
        program = _program(cells.get("elman"), activation=mode.removeprefix("RNN_").lower(), bias=bias)
    arrays = tuple(tuple(f"{kind}_{gate}" for gate in gates) for kind in ("WUb" if bias else "WU"))
    return TorchCell(program, (*arrays, ("U_p",)) if projected else arrays, adds_biases=bias)


def _program(base: Cell, **options: Any) -> Program:
    return Program(base.with_options(**options))
