"""The names a cell may use. Inside a trace they build symbols; under another interpreter they compute.

A cell's function calls these and the operators + - * / > <. What they mean is decided by the interpreter in force:
``Tracer`` builds the graph, and an engine may put its own in place to run the very same function on arrays.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol, cast

from recurra.equations.errors import CellError
from recurra.equations.graph import Graph, Node, Norm, Operand, Parameter, Rate, Width, broaden, gathered, part

Value = Any
"""A symbol while a cell is traced, an array while it is run."""


@dataclass(frozen=True)
class Projected:
    """An operand of an affine that has met its matrix already: what the product gave, made outside the cell."""

    value: Value


class Interpreter(Protocol):
    """What gives the language its meaning."""

    def pointwise(self, op: str, *args: Value) -> Value: ...

    def affine(self, name: str, operands: tuple[Value, ...], width: Width, bias: bool, blocks: int) -> Value: ...

    def vector(self, name: str, width: Width, initial: float | None) -> Value: ...

    def norm(self, parts: tuple[Value, ...], name: str, groups: int, epsilon: float) -> tuple[Value, ...]: ...

    def dot(self, a: Value, b: Value, scaled: bool) -> Value: ...

    def softmax(self, scores: Value) -> Value: ...

    def weighted_sum(self, weights: Value, values: Value) -> Value: ...

    def observe(self, name: str, value: Value) -> None: ...


_active: ContextVar[Interpreter] = ContextVar("interpreter")


@contextmanager
def interpreting(interpreter: Interpreter) -> Generator[None]:
    """Give the language's names the meaning of `interpreter` inside the block."""
    token = _active.set(interpreter)
    try:
        yield
    finally:
        _active.reset(token)


def interpreter() -> Interpreter:
    """What gives the language its meaning here."""
    try:
        return _active.get()
    except LookupError:
        raise CellError(
            "a function of the cell language is called outside a cell", "Call it inside a function decorated with @cell"
        ) from None


def sigmoid(x: Value) -> Value:
    """1 / (1 + exp(-x))."""
    return interpreter().pointwise("sigmoid", x)


def tanh(x: Value) -> Value:
    """Hyperbolic tangent."""
    return interpreter().pointwise("tanh", x)


def relu(x: Value) -> Value:
    """max(x, 0), with derivative 0 at 0."""
    return interpreter().pointwise("relu", x)


def exp(x: Value) -> Value:
    """e to the power x."""
    return interpreter().pointwise("exp", x)


def log(x: Value) -> Value:
    """Natural logarithm."""
    return interpreter().pointwise("log", x)


def sqrt(x: Value) -> Value:
    """Square root."""
    return interpreter().pointwise("sqrt", x)


def softplus(x: Value) -> Value:
    """log(1 + exp(x))."""
    return interpreter().pointwise("softplus", x)


def abs(x: Value) -> Value:
    """Absolute value, with derivative 0 at 0."""
    return interpreter().pointwise("abs", x)


def maximum(a: Value, b: Value) -> Value:
    """The larger of two; a tie shares the gradient."""
    return interpreter().pointwise("maximum", a, b)


def minimum(a: Value, b: Value) -> Value:
    """The smaller of two; a tie shares the gradient."""
    return interpreter().pointwise("minimum", a, b)


def select(condition: Value, a: Value, b: Value) -> Value:
    """`a` where the condition is not zero, else `b`; no gradient reaches the condition."""
    return interpreter().pointwise("select", condition, a, b)


def detach(x: Value) -> Value:
    """The same value; no gradient passes."""
    return interpreter().pointwise("detach", x)


def affine(name: str, *operands: Value, width: Width = "H", bias: bool = True, blocks: int = 1) -> Value:
    """W₁·operand₁ + W₂·operand₂ + … + b: one matrix an operand, one bias.

    The same name again is the same matrices and bias (weight tying).

    Args:
        name: names the parameters: ``W_name`` for what the input side brings, ``U_name`` for what the recurrence
            carries, ``b_name``; a second matrix of a kind is numbered (``U_name2``).
        operands: one or more values, of any width.
        width: columns of the result.
        bias: add ``b_name``.
        blocks: makes each matrix block-diagonal with so many blocks: the k-th part of an operand reaches the k-th part
            of the result alone (the heads of an sLSTM).
    """
    return interpreter().affine(name, operands, width, bias, blocks)


def vector(name: str, width: Width = "H", *, initial: float | None = None) -> Value:
    """A learned value for each unit (a peephole), or one learned number (``width=1``)."""
    return interpreter().vector(name, width, initial)


def layer_norm(value: Value, name: str, *, epsilon: float = 1e-5) -> Value:
    """(v − mean) / √(variance + ε) over the columns, then gain ``gain_name`` and shift ``shift_name`` (Ba et al. 2016).

    A tuple is normalised jointly, one mean and variance over all its columns, and comes back as a tuple.
    """
    if isinstance(value, tuple):
        return interpreter().norm(cast(tuple[Value, ...], value), name, 1, epsilon)
    return interpreter().norm((value,), name, 1, epsilon)[0]


def group_norm(value: Value, name: str, *, groups: int, epsilon: float = 1e-5) -> Value:
    """Layer norm of each of `groups` equal parts of the columns by itself (Wu & He 2018); a gain and shift a column."""
    return interpreter().norm((value,), name, groups, epsilon)[0]


def dot(a: Value, b: Value, *, scaled: bool = False) -> Value:
    """The sum of a·b over the columns; if scaled, divided by the root of their number (Vaswani et al. 2017)."""
    return interpreter().dot(a, b, scaled)


def softmax(scores: Value) -> Value:
    """exp(score) / Σ exp(score), the sum being over a row's sources; what stands behind their end has no part in it."""
    return interpreter().softmax(scores)


def weighted_sum(weights: Value, values: Value) -> Value:
    """Σ weight · value over a row's sources: one value of what had one for every source."""
    return interpreter().weighted_sum(weights, values)


def observe(name: str, value: Value) -> None:
    """Let whoever looks inside see a value, under that name. It changes nothing."""
    interpreter().observe(name, value)


class Tracer:
    """The interpreter that builds a graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def pointwise(self, op: str, *args: Operand) -> Node:
        return self.graph.pointwise(op, *map(self.graph.wrap, args))

    def affine(
        self, name: str, operands: tuple[Operand | Projected, ...], width: Width, bias: bool, blocks: int
    ) -> Node:
        if not operands:
            raise CellError(f"affine({name!r}) has no operand", "Give it at least one value: affine(name, x, h)")
        graph = self.graph
        nodes = tuple(graph.wrap(o.value if isinstance(o, Projected) else o) for o in operands)
        names, shift = self._affine_names(name, nodes, bias)
        if blocks < 1:
            raise CellError(f"affine({name!r}) with {blocks} blocks", "Give at least one block")
        factors = [(w, n) for w, n, o in zip(names, nodes, operands, strict=True) if not isinstance(o, Projected)]
        part(width, blocks)  # for its error alone: the rows of a matrix are counted whole
        for weight, node in factors:
            graph.parameter(Parameter(weight, "matrix", (width, part(node.width, blocks)), blocks=blocks))
        if shift is not None:
            graph.parameter(Parameter(shift, "bias", (width,)))
        given = [n for n, o in zip(nodes, operands, strict=True) if isinstance(o, Projected)]
        # What is multiplied source by source is a sum of its own; the bias joins the last one.
        kinds = [k for k in (True, False) if any(n.memory is k for _, n in factors)]
        for memory in kinds:
            weights, values = zip(*[(w, n) for w, n in factors if n.memory is memory], strict=True)
            last = shift if memory is kinds[-1] else None
            given.append(graph.node("affine", values, (name, weights, last), width=width, memory=memory))
        if not kinds and shift is not None:
            given.append(graph.leaf("parameter", shift, width, Rate.ONCE))
        return sum_nodes(given)

    def _affine_names(self, name: str, nodes: tuple[Node, ...], bias: bool) -> tuple[tuple[str, ...], str | None]:
        known = self.graph.affines.get(name)
        if known is not None:
            if (len(known[0]), known[1] is not None) != (len(nodes), bias):
                raise CellError(
                    f"affine({name!r}) is used twice with different operands or bias",
                    "One name is one set of matrices (weight tying): give the second use a name of its own",
                )
            return known
        counts: dict[str, int] = {}
        weights: list[str] = []
        for node in nodes:
            kind = "U" if node.rate is Rate.LOOP else "W"
            counts[kind] = counts.get(kind, 0) + 1
            weights.append(f"{kind}_{name}" + (str(counts[kind]) if counts[kind] > 1 else ""))
        self.graph.affines[name] = (tuple(weights), f"b_{name}" if bias else None)
        return self.graph.affines[name]

    def vector(self, name: str, width: Width, initial: float | None) -> Node:
        return self._learned(name, "vector", width, initial)

    def _learned(self, name: str, role: str, width: Width, initial: float | None) -> Node:
        self.graph.parameter(Parameter(name, role, (width,), initial))
        return self.graph.leaf("parameter", name, width, Rate.ONCE)

    def norm(self, parts: tuple[Operand, ...], name: str, groups: int, epsilon: float) -> tuple[Node, ...]:
        graph = self.graph
        if groups < 1:
            raise CellError(f"the norm {name!r} has {groups} groups", "Give at least one group")
        nodes = tuple(map(graph.wrap, parts))
        share = graph.node("share", attr=tuple(part(n.width, groups) for n in nodes))
        mean = share * sum_nodes([row_sum(n, groups) for n in nodes])
        centred = [n - spread(mean, n.width) for n in nodes]
        variance = share * sum_nodes([row_dot(c, c, groups) for c in centred])
        scale = 1.0 / self.pointwise("sqrt", variance + epsilon)
        result: list[Node] = []
        for k, (node, c) in enumerate(zip(nodes, centred, strict=True)):
            suffix = name if len(nodes) == 1 else f"{name}{k + 1}"
            gain = self._learned(f"gain_{suffix}", "gain", node.width, 1.0)
            shift = self._learned(f"shift_{suffix}", "shift", node.width, 0.0)
            result.append(gain * (c * spread(scale, node.width)) + shift)
        graph.norms.update(dict.fromkeys(result, Norm(nodes, tuple(result), groups)))
        return tuple(result)

    def dot(self, a: Operand, b: Operand, scaled: bool) -> Node:
        graph = self.graph
        nodes = graph.wrap(a), graph.wrap(b)
        widths = {n.width for n in nodes}
        if len(widths) > 1:
            names = " and ".join(sorted(map(str, widths)))
            raise CellError(
                f"dot of values with widths {names}", "Bring them to one width with affine(name, value, width=…)"
            )
        product = row_dot(*nodes)
        share = graph.node("share", attr=(nodes[0].width,))
        return product * self.pointwise("sqrt", share) if scaled else product

    def softmax(self, scores: Operand) -> Node:
        node = self._of_sources("softmax", scores)
        if node.width != 1:
            raise CellError(f"softmax of scores with width {node.width}", "Give one score a source: dot(a, b)")
        # The weights do not depend on what is subtracted, so no gradient goes there.
        largest = self.pointwise("detach", gathered(node, "source_max"))
        raised = self.pointwise("exp", node - largest)
        weights = raised / gathered(raised)
        self.graph.softmaxes[weights] = node
        return weights

    def weighted_sum(self, weights: Operand, values: Operand) -> Node:
        return gathered(self._of_sources("weighted_sum", weights) * self._of_sources("weighted_sum", values))

    def observe(self, name: str, value: Operand) -> None:
        self.graph.observed[name] = self.graph.wrap(value)

    def _of_sources(self, function: str, value: Operand) -> Node:
        node = self.graph.wrap(value)
        if not node.memory:
            raise CellError(
                f"{function} of a value that is one for all sources",
                "Give it values made from a memory, an argument named in @cell(memory=(…))",
            )
        return node


def row_sum(a: Node, groups: int = 1) -> Node:
    """The sum over the columns, or over each of equal parts of them: a value with a column for each."""
    return a.graph.node("row_sum", (a,), width=groups, memory=a.memory)


def row_dot(a: Node, b: Node, groups: int = 1) -> Node:
    """The sum of a·b over the columns, or over each of equal parts of them: a value with a column for each."""
    return a.graph.node("row_dot", (a, b), width=groups, memory=a.memory or b.memory)


def spread(node: Node, width: Width) -> Node:
    """A value with a column for each part of `width` columns, ready to meet a value of that width."""
    return node if node.width == 1 else broaden(node, width)


def sum_nodes(nodes: list[Node]) -> Node:
    """The sum of one or more nodes, added from the left."""
    total = nodes[0]
    for node in nodes[1:]:
        total = total + node
    return total
