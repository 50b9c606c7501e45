"""Which operands an instruction computes on its way, so that they need no place and no instruction of their own."""

from __future__ import annotations

from collections.abc import Sequence

from recurra.engines.homes import LOCAL, Homes, real
from recurra.equations.graph import Node
from recurra.equations.schedule import by_source

SUMS = ("add", "sub", "sum_time")
"""Nodes that take a product in."""

_FUNCTIONS = ("sigmoid", "tanh")
_DERIVATIVES = ("dsigmoid", "dtanh")


def fusions(nodes: Sequence[Node], homes: Homes) -> dict[Node, Node]:
    """Node → the one of its operands that is computed with it, among the nodes of a tape in their order.

    A sum takes in a product, a function takes in a sum, and the derivative of a function a product: where nobody else
    reads that operand.
    """
    fused: dict[Node, Node] = {}
    here = set(nodes)
    for n in nodes:
        for a in _candidates(n):
            alone = a in here and a not in fused and homes.users[a] == [n] and homes.at(a).array == LOCAL
            if alone and (by_source(a), homes.width(a)) == (by_source(n), homes.width(n)):
                fused[n] = a
                break
    return fused


def operands(n: Node, fused: dict[Node, Node]) -> list[Node]:
    """The operands of a node's instruction, in its order."""
    inner = fused.get(n)
    if inner is None:
        return [real(a) for a in n.args]
    first, *more = map(real, inner.args)
    others = [real(a) for a in n.args if a is not inner]
    return [first, *others, *more] if n.op in _DERIVATIVES else [first, *more, *others]


def _candidates(n: Node) -> list[Node]:
    """The operands of a kind that may be taken in, the likeliest first."""
    if n.op in _FUNCTIONS:
        return [a for a in n.args if a.op == "add"]
    if n.op in _DERIVATIVES:
        found = n.args[:1]  # the adjoint; the other is the function's value
    elif n.op == "add":
        found = n.args[::-1]
    elif n.op == "sub":
        found = n.args[1:]
    else:
        found = n.args if n.op == "sum_time" and n.memory else ()
    return [a for a in found if a.op == "mul"]
