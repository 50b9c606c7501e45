"""The sums over rows and steps of a backward pass: gradients of what is learned."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

from recurra.engines.homes import Homes
from recurra.engines.tables import Place, Tables
from recurra.equations.graph import Node, Rate
from recurra.equations.schedule import Region


class Sum(IntEnum):
    """The kinds of sums, as csrc/engine.h numbers them."""

    MATRIX = 0
    BIAS = 1
    ROWS = 2


NOWHERE = (-1, 0)
"""No array of the caller, and the row in it."""


@dataclass
class _Gradient:
    """Gradients of matrices, one below the other, and of the biases beside them, from one product."""

    matrices: tuple[str, ...]
    biases: tuple[str, ...]
    pairs: list[tuple[Place, Place, int]]  # operand, adjoint, rate

    def takes_in(self, other: _Gradient, tables: Tables) -> bool:
        """Whether the other's adjoint lies right behind this one's and meets the same operand, and so do the arrays."""
        if len(self.pairs) != 1 or len(other.pairs) != 1 or len(self.biases) != len(self.matrices) * len(other.biases):
            return False
        for mine, others in ((self.matrices, other.matrices), (self.biases, other.biases)):
            for name, next_name in zip(mine[-1:], others, strict=False):
                (names, index), (next_names, next_index) = tables.stack(name), tables.stack(next_name)
                if names is not next_names or index + 1 != next_index:
                    return False
        (operand, left, rate), (other_operand, right, other_rate) = self.pairs[0], other.pairs[0]
        behind = (left.array, left.shift, left.column + left.width) == (right.array, right.shift, right.column)
        return behind and (operand, rate) == (other_operand, other_rate)


def write_sums(homes: Homes) -> None:
    """Write a pass's sums into its tables."""
    tables = homes.tables
    nodes = [n for stage in homes.schedule.stages.get(Region.SUMS, []) for n in stage.tape]
    gradients = _gradients(homes, nodes)
    adjoint_of = {str(n.attr): n.args[1] for n in nodes if n.op == "weight_gradient"}
    with_matrix = {bias for g in gradients for bias in g.biases}
    for n in nodes:
        if n.op == "weight_gradient" and n.attr in tables.diagonal:
            _write_blocks(homes, n)
    for g in gradients:
        height = homes.width(adjoint_of[g.matrices[0]])
        matrix = tables.rows(gradient_slot(g.matrices[0]), height)
        bias = tables.rows(gradient_slot(g.biases[0]), height) if g.biases else NOWHERE
        _write(homes, Sum.MATRIX, g.pairs, matrix=matrix, bias=bias)
    for n in nodes:
        if n.op == "bias_gradient" and n.attr not in with_matrix:
            pairs = [_pair(homes, a, a) for a in n.args]
            bias = tables.rows(gradient_slot(str(n.attr)), homes.width(n))
            _write(homes, Sum.BIAS, pairs, bias=bias)
        elif n.op == "sum_rows":
            pair = _pair(homes, n.args[0], n.args[0])
            _write(homes, Sum.ROWS, [pair], target=tables.value(homes.at(n)))


def _write_blocks(homes: Homes, n: Node) -> None:
    """The gradient of a block-diagonal matrix: for each block, a part of every operand with a part of its adjoint."""
    tables, count, height = homes.tables, homes.tables.diagonal[n.attr], homes.width(n.args[1])
    slot, row = tables.rows(gradient_slot(str(n.attr)), height)
    whole = [_pair(homes, o, e) for o, e in zip(n.args[::2], n.args[1::2], strict=True)]
    parted = [(operand.parts(count), adjoint.parts(count), rate) for operand, adjoint, rate in whole]
    for k in range(count):
        pairs = [(operands[k], adjoints[k], rate) for operands, adjoints, rate in parted]
        _write(homes, Sum.MATRIX, pairs, matrix=(slot, row + k * (height // count)))


def gradient_slot(name: str) -> tuple[str, ...]:
    """The slot of a parameter's gradient."""
    return ("gradient", "parameter", name)


def _gradients(homes: Homes, nodes: list[Node]) -> list[_Gradient]:
    """The matrices' gradients, neighbours joined, each bias beside the widest matrix with the same adjoints."""
    weights = [n for n in nodes if n.op == "weight_gradient" and n.attr not in homes.tables.diagonal]
    widest = {n.args[1::2]: n for n in sorted(weights, key=lambda n: homes.width(n.args[0]))}
    bias_of = {widest[n.args]: str(n.attr) for n in nodes if n.op == "bias_gradient" and n.args in widest}
    single: list[_Gradient] = []
    for n in weights:
        pairs = [_pair(homes, o, e) for o, e in zip(n.args[::2], n.args[1::2], strict=True)]
        single.append(_Gradient((str(n.attr),), (bias_of[n],) if n in bias_of else (), pairs))
    single.sort(key=lambda g: [(o.array, o.column, e.array, e.column) for o, e, _ in g.pairs])
    joined: list[_Gradient] = []
    for g in single:
        if joined and joined[-1].takes_in(g, homes.tables):
            last = joined[-1]
            (operand, left, rate), (_, right, _) = last.pairs[0], g.pairs[0]
            wide = replace(left, width=left.width + right.width)
            joined[-1] = _Gradient(last.matrices + g.matrices, last.biases + g.biases, [(operand, wide, rate)])
        else:
            joined.append(g)
    return joined


_A_ROW_A_SOURCE = 3


def _pair(homes: Homes, operand: Node, adjoint: Node) -> tuple[Place, Place, int]:
    rate = int(min(max(operand.rate, adjoint.rate), Rate.STEP))
    return homes.at(operand), homes.at(adjoint), _A_ROW_A_SOURCE if operand.memory or adjoint.memory else rate


def _write(
    homes: Homes,
    kind: Sum,
    pairs: list[tuple[Place, Place, int]],
    *,
    matrix: tuple[int, int] = NOWHERE,
    bias: tuple[int, int] = NOWHERE,
    target: int = -1,
) -> None:
    tables, start = homes.tables, len(homes.tables.pairs)
    tables.pairs.extend((tables.value(o), tables.value(e), rate) for o, e, rate in pairs)
    tables.sums.append((homes.frame.number, int(kind), *matrix, *bias, target, start, len(tables.pairs)))
