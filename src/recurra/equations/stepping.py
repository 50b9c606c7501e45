"""A cell made ready for single steps: what is known once a sequence is given, and what is observed is handed out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from recurra.equations import language
from recurra.equations.adjoint import affine_names
from recurra.equations.around import Additions, Passing, Stepped, around
from recurra.equations.cell import Cell
from recurra.equations.graph import Node, Rate, Width, ancestors
from recurra.equations.language import Interpreter, Projected, Value


@dataclass(frozen=True)
class Stepping:
    """What :func:`stepping` gives.

    Attributes:
        cell: the cell for single steps.
        ahead: its further statics and memories, by name: each is what an affine of the first cell's graph has from its
            bias and from operands that do not change within a sequence.
        observed: the values that the first cell lets be observed, in the order of the further states that hold them.
    """

    cell: Cell
    ahead: Mapping[str, Node]
    observed: tuple[str, ...]


def stepping(cell: Cell) -> Stepping:
    """The cell without the products that are the same at every step of a sequence: they are given.

    Each affine with an operand that does not change within a sequence (a memory's keys, a static input's share of the
    gates) takes their products, and its bias, from a further static or memory named as the first of their matrices.
    Each observed value x becomes the new value of a further state ``seen_x``, which nothing reads. Matrices that are
    used twice stay in the cell.
    """
    traced = cell.traced
    graph, reached = traced.graph, ancestors((traced.output, *traced.new_states, *traced.graph.observed.values()))
    affines = [n for n in reached if n.op == "affine"]
    uses = [m for n in affines for m in affine_names(n)[0]]
    ahead: dict[str, Node] = {}
    products: dict[str, str | None] = {}  # matrix → the given value in its place; None: it is in another's
    biases: set[str] = set()
    for node in affines:
        matrices, bias = affine_names(node)
        known = [m for m, a in zip(matrices, node.args, strict=True) if a.rate is Rate.SEQUENCE]
        if not known or any(uses.count(m) > 1 for m in matrices):
            continue
        ahead[known[0]] = node
        products |= dict.fromkeys(known) | {known[0]: known[0]}
        biases |= set() if bias is None else {bias}
    observed: dict[str, Node] = {f"seen_{name}": node for name, node in graph.observed.items()}

    def step(values: dict[str, Value]) -> Stepped:
        given = {name: values.pop(name) for name in ahead}
        for name in observed:
            del values[name]
        inside = _Given(language.interpreter(), cell, products, biases, given)
        with language.interpreting(inside):
            output, states = cell(**values)
        return output, (*states, *[inside.seen[name] for name in graph.observed])

    def declared(*, memory: bool) -> dict[str, Width]:
        return {name: node.width for name, node in ahead.items() if node.args[0].memory is memory}

    added = Additions(
        statics=declared(memory=False),
        memories=declared(memory=True),
        states={name: node.width for name, node in observed.items()},
        source_states=[name for name, node in observed.items() if node.memory],
    )
    return Stepping(around(cell, "stepping", step, added), ahead, tuple(graph.observed))


class _Given(Passing):
    """Takes the products of some matrices, and their biases, as they are given; keeps what is observed."""

    def __init__(
        self,
        inner: Interpreter,
        cell: Cell,
        products: Mapping[str, str | None],
        biases: set[str],
        given: Mapping[str, Value],
    ) -> None:
        super().__init__(inner)
        self._affines, self._products = cell.traced.graph.affines, products
        self._biases, self._given = biases, given
        self.seen: dict[str, Value] = {}

    def affine(self, name: str, operands: tuple[Value, ...], width: Width, bias: bool, blocks: int) -> Value:
        matrices, shift = self._affines[name]
        found: list[Value] = []
        for matrix, operand in zip(matrices, operands, strict=True):
            if matrix in self._products:
                head = self._products[matrix]
                operand = Projected(0.0 if head is None else self._given[head])
            found.append(operand)
        return self.inner.affine(name, tuple(found), width, bias and shift not in self._biases, blocks)

    def observe(self, name: str, value: Value) -> None:
        self.seen[name] = value
