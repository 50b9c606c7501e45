"""What a layer's parameters start from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recurra.equations import nearest
from recurra.equations.program import Program
from recurra.layers.gates import find_gates

RECURRENT = ("uniform", "orthogonal", "identity")


@dataclass(frozen=True)
class Initialisation:
    """Options of the layer, not of the equations, so that a comparison of cells can tell them apart.

    Attributes:
        recurrent: the recurrent matrices: "uniform" like all others; "orthogonal", each of them (Saxe et al. 2014);
            "identity", with biases of zero (the IRNN of Le et al. 2015).
        bound: what is uniform is so from −bound to bound; None is 1/√H, as in torch.nn.
        forget_bias: bias of the gate that keeps the state, for it to be open at first (Jozefowicz et al. 2015). The
            gate is found by what it does: where it is one that takes in the new state (MUT1, the minimal gated unit),
            its bias is −forget_bias.
        chrono: longest span of steps to remember, T: biases of these gates are log u with u uniform in [1, T − 1], and
            those of input gates apart from them the opposite (Tallec & Ollivier 2018).
        learned_state: whether the state from which a sequence starts is a parameter. It starts from what the cell
            says; a state that starts from infinity stays as it is.

    Raises:
        ValueError: no such kind, a bound or a span that is none, or both of forget_bias and chrono.
    """

    recurrent: str = "uniform"
    bound: float | None = None
    forget_bias: float | None = None
    chrono: int | None = None
    learned_state: bool = False

    def __post_init__(self) -> None:
        if self.recurrent not in RECURRENT:
            raise ValueError(
                f"there is no initialisation `{self.recurrent}`{nearest(self.recurrent, RECURRENT)} of recurrent "
                f"matrices; expected {', '.join(RECURRENT)}"
            )
        if self.bound is not None and self.bound <= 0:
            raise ValueError(f"bound is {self.bound}; expected the largest size of a parameter, above 0, or None")
        if self.chrono is not None and self.chrono < 3:
            raise ValueError(f"chrono is {self.chrono}; expected the longest span of steps to remember, at least 3")
        if self.chrono is not None and self.forget_bias is not None:
            raise ValueError("forget_bias and chrono both set the bias of the gate that keeps the state; give one")

    def draw(self, program: Program, parameters: Mapping[str, Tensor], sizes: Mapping[str, int]) -> None:
        """Set the parameters of one layer.

        Args:
            program: the cell's.
            parameters: all of them, by their names in the equations; changed in place.
            sizes: columns of every named width.

        Raises:
            ValueError: the cell has no recurrent matrix, no square one, or no gate, for an option that is about these.
        """
        with torch.no_grad():
            bound = 1.0 / math.sqrt(sizes["H"]) if self.bound is None else self.bound
            for name, p in program.parameters.items():
                if p.initial is None:
                    parameters[name].uniform_(-bound, bound)
                else:
                    parameters[name].fill_(p.initial)
            if self.recurrent != "uniform":
                self._draw_recurrent(program, parameters)
            if self.forget_bias is not None or self.chrono is not None:
                self._draw_gates(program, parameters, sizes)

    def _draw_recurrent(self, program: Program, parameters: Mapping[str, Tensor]) -> None:
        name = program.cell.name
        matrices = [p for p in program.parameters.values() if p.role == "matrix" and p.name.startswith("U_")]
        if not matrices:
            raise ValueError(f"recurrent={self.recurrent!r}: cell {name} has no recurrent matrix")
        for p in matrices:
            for block in parameters[p.name].chunk(p.blocks):
                if self.recurrent == "orthogonal":
                    nn.init.orthogonal_(block)
                elif block.shape[0] == block.shape[1]:
                    nn.init.eye_(block)
                else:
                    raise ValueError(f"recurrent='identity': {p.name} of cell {name} is {list(block.shape)}, no square")
        if self.recurrent == "identity":
            for p in program.parameters.values():
                if p.role == "bias":
                    parameters[p.name].zero_()

    def _draw_gates(self, program: Program, parameters: Mapping[str, Tensor], sizes: Mapping[str, int]) -> None:
        gates = find_gates(program, sizes)
        if not gates.keeping:
            raise ValueError(
                f"{'chrono' if self.forget_bias is None else 'forget_bias'}: cell {program.cell.name} has no gate with "
                "a bias that decides how much of a state is kept"
            )
        for name, sign in gates.keeping.items():
            bias = parameters[name]
            if self.forget_bias is not None:
                bias.fill_(sign * self.forget_bias)
            else:
                bias.uniform_(1.0, float(self.chrono or 0) - 1.0).log_().mul_(sign)
        if self.chrono is not None:
            for name, keeper in gates.taking.items():
                parameters[name].copy_(-gates.keeping[keeper] * parameters[keeper])
