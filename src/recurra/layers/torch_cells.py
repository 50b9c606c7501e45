"""The cells of torch.nn: which of ours they are, and how torch's arrays hold their parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from torch import Tensor, nn

from recurra import cells
from recurra.engines.widths import Names
from recurra.equations import Cell
from recurra.equations.program import Program


@dataclass(frozen=True)
class TorchCell:
    """A cell of torch.nn.

    Attributes:
        program: runs it.
        arrays: the parameters in each of torch's arrays, from top to bottom: ``weight_ih``, ``weight_hh``, the biases
            that `add` makes of ``bias_ih`` and ``bias_hh``, and ``weight_hr``, as far as it has them.
        add: the cell's biases from torch's two, which the cell adds in any case; None where there are none.
    """

    program: Program
    arrays: tuple[Names, ...]
    add: Callable[[Tensor, Tensor], tuple[Tensor, ...]] | None

    def parameters(self, weights: Sequence[Tensor]) -> dict[Names, Tensor]:
        """The parameters of a sweep, from a layer's arrays in torch's order."""
        if self.add is not None:
            weight_ih, weight_hh, bias_ih, bias_hh, *projection = weights
            weights = (weight_ih, weight_hh, *self.add(bias_ih, bias_hh), *projection)
        return dict(zip(self.arrays, weights, strict=True))


def torch_layers(module: nn.RNNBase) -> Iterator[dict[str, Tensor]]:
    """The parameters of our cell by name, from the lowest layer of torch.nn's up, in both directions first forwards."""
    cell = torch_cell(module.mode, module.bias, module.proj_size > 0)
    for weights in module.all_weights:
        arrays = cell.parameters(weights)
        yield {n: part for names, a in arrays.items() for n, part in zip(names, a.chunk(len(names)), strict=True)}


def _all(bias_ih: Tensor, bias_hh: Tensor) -> tuple[Tensor, ...]:
    return (bias_ih + bias_hh,)


def _all_but_the_last_gate(bias_ih: Tensor, bias_hh: Tensor) -> tuple[Tensor, ...]:
    """A GRU's reset stands between the two biases of its candidate."""
    parts = (len(bias_ih) // 3 * 2, len(bias_ih) // 3)
    (gates_ih, candidate_ih), (gates_hh, candidate_hh) = bias_ih.split(parts), bias_hh.split(parts)
    return gates_ih + gates_hh, candidate_ih, candidate_hh


@cache
def torch_cell(mode: str, bias: bool, projected: bool = False) -> TorchCell:
    """The cell that torch.nn calls by this mode: RNN_TANH, RNN_RELU, LSTM or GRU."""
    add = _all if bias else None
    if mode == "GRU":
        program = _program(cells.get("gru_after"), bias=bias)
        arrays = (("W_r", "W_z", "W_n"), ("U_r", "U_z", "U_nh"))
        biases = (("b_r", "b_z"), ("b_n",), ("b_nh",))
        return TorchCell(program, (*arrays, *biases) if bias else arrays, _all_but_the_last_gate if bias else None)
    if mode == "LSTM":
        gates = "ifgo"
        program = _program(cells.get("projected_lstm" if projected else "lstm"), bias=bias)
    else:
        gates = "h"
        program = _program(cells.get("elman"), activation=mode.removeprefix("RNN_").lower(), bias=bias)
    arrays = tuple(tuple(f"{kind}_{gate}" for gate in gates) for kind in ("WUb" if bias else "WU"))
    return TorchCell(program, (*arrays, ("U_p",)) if projected else arrays, add)


def _program(base: Cell, **options: Any) -> Program:
    return Program(base.with_options(**options))
