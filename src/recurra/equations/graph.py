"""The graph of one step of a cell: values with a rate and a width, each distinct expression held once."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from recurra.equations.errors import CellError

Width = str | int
"""Columns of a value: a named width (``"H"``, ``"I"``, …), a part of one (``"H/4"``), or a number; 1 broadcasts."""


class Rate(IntEnum):
    """How often a value changes: once a call, once a sequence, once a step, or carried by the recurrence."""

    ONCE = 0
    SEQUENCE = 1
    STEP = 2
    LOOP = 3


@dataclass(frozen=True)
class Parameter:
    """A learned array of a cell.

    ``role`` is matrix, bias, vector, gain or shift. ``shape`` holds widths: (outputs, inputs) of a matrix, (width,) of
    the others. ``initial`` is the value it starts from where the equations need one (the gain of a layer norm); None
    leaves it to the layer's initialisation. A matrix of several ``blocks`` is block-diagonal and holds the blocks one
    below the other: its shape is (outputs, inputs / blocks).
    """

    name: str
    role: str
    shape: tuple[Width, ...]
    initial: float | None = None
    blocks: int = 1


@dataclass(eq=False, slots=True)
class Node:
    """One value. ``op`` names the operation, ``args`` its operands, ``attr`` what else tells it from its like."""

    graph: Graph = field(repr=False)
    id: int
    op: str
    args: tuple[Node, ...]
    attr: Any
    width: Width
    memory: bool
    rate: Rate

    def __add__(self, other: Operand) -> Node:
        return self.graph.add(self, self.graph.wrap(other))

    def __sub__(self, other: Operand) -> Node:
        return self.graph.subtract(self, self.graph.wrap(other))

    def __mul__(self, other: Operand) -> Node:
        return self.graph.multiply(self, self.graph.wrap(other))

    def __truediv__(self, other: Operand) -> Node:
        return self.graph.pointwise("div", self, self.graph.wrap(other))

    def __rsub__(self, other: Operand) -> Node:
        return self.graph.subtract(self.graph.wrap(other), self)

    def __rtruediv__(self, other: Operand) -> Node:
        return self.graph.pointwise("div", self.graph.wrap(other), self)

    def __neg__(self) -> Node:
        return self.graph.multiply(self.graph.constant(-1.0), self)

    __radd__ = __add__
    __rmul__ = __mul__

    def __gt__(self, other: Operand) -> Node:
        return self.graph.pointwise("greater", self, self.graph.wrap(other))

    def __lt__(self, other: Operand) -> Node:
        return self.graph.pointwise("greater", self.graph.wrap(other), self)

    def __bool__(self) -> bool:
        raise CellError(
            "a Python `if`, `and`, `or` or `while` asks a symbol for its truth", "Use select(condition, a, b)"
        )

    def __float__(self) -> float:
        raise CellError(
            "a symbol is used as a plain number", "Use the functions of recurra.equations, not those of math"
        )

    def __pow__(self, exponent: object) -> Node:
        if exponent == 2:
            return self * self
        raise CellError(
            f"the power {exponent!r} of a symbol", "Write squares as x * x, roots with sqrt(x), others with exp and log"
        )


Operand = Node | float | int


@dataclass(frozen=True)
class Norm:
    """A normalisation over the columns, whose arithmetic is in the graph like any other: for printing alone.

    Attributes:
        parts: all that is normalised jointly.
        results: what it gives for each.
        groups: of how many parts of the columns each is normalised by itself.
    """

    parts: tuple[Node, ...]
    results: tuple[Node, ...]
    groups: int


class Graph:
    """Nodes, each distinct expression once.

    Attributes:
        nodes: all of them, operands first.
        parameters: the learned arrays by name, in the order of their first use.
        affines: matrices and bias of each named affine.
        norms: what a normalisation gave → what it was.
        softmaxes: what a softmax over the sources gave → its scores, for printing alone.
        observed: values that whoever looks inside can ask for, by name.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.parameters: dict[str, Parameter] = {}
        self.affines: dict[str, tuple[tuple[str, ...], str | None]] = {}
        self.norms: dict[Node, Norm] = {}
        self.softmaxes: dict[Node, Node] = {}
        self.observed: dict[str, Node] = {}
        self._table: dict[Hashable, Node] = {}

    def node(
        self,
        op: str,
        args: Iterable[Node] = (),
        attr: Hashable = None,
        *,
        width: Width = 1,
        memory: bool = False,
        rate: Rate | None = None,
    ) -> Node:
        """The node of this expression: the one that exists, or a new one."""
        args = tuple(args)
        if rate is None:
            rate = max((a.rate for a in args), default=Rate.ONCE)
        if memory and rate is Rate.STEP:
            rate = Rate.LOOP  # what has both steps and sources is never held for all of them at once
        key = (op, tuple(a.id for a in args), attr, width, memory, rate)
        found = self._table.get(key)
        if found is None:
            found = Node(self, len(self.nodes), op, args, attr, width, memory, rate)
            self._table[key] = found
            self.nodes.append(found)
        return found

    def constant(self, value: float) -> Node:
        return self.node("constant", attr=float(value))

    def leaf(self, kind: str, name: str, width: Width, rate: Rate, *, memory: bool = False) -> Node:
        return self.node("leaf", attr=(kind, name), width=width, memory=memory, rate=rate)

    def wrap(self, value: Any) -> Node:
        """A symbol of this graph, or a plain number as a constant."""
        if isinstance(value, Node):
            if value.graph is not self:
                raise CellError(
                    "a symbol of another cell is used", "Pass values between cells through their states and outputs"
                )
            return value
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise CellError(
                f"a value of type {type(value).__name__} meets a symbol", "Use symbols and plain numbers only"
            )
        return self.constant(value)

    def pointwise(self, op: str, *args: Node) -> Node:
        """An operation column by column; a width of 1 broadcasts."""
        widths = {a.width for a in args} - {1}
        if len(widths) > 1:
            names = " and ".join(sorted(map(str, widths)))
            raise CellError(
                f"{op} of values with widths {names}", "Bring them to one width with affine(name, value, width=…)"
            )
        return self.node(op, args, width=widths.pop() if widths else 1, memory=any(a.memory for a in args))

    def add(self, a: Node, b: Node) -> Node:
        if is_constant(a, 0.0):
            return b
        if is_constant(b, 0.0):
            return a
        if a is b:
            return self.multiply(self.constant(2.0), a)
        if a.op == b.op == "constant":
            return self.constant(number(a) + number(b))
        return self.pointwise("add", a, b)

    def subtract(self, a: Node, b: Node) -> Node:
        if is_constant(b, 0.0):
            return a
        if a.op == b.op == "constant":
            return self.constant(number(a) - number(b))
        return self.pointwise("sub", a, b)

    def multiply(self, a: Node, b: Node) -> Node:
        if b.op == "constant":
            a, b = b, a
        if a.op == "constant":
            if b.op == "constant":
                return self.constant(number(a) * number(b))
            if number(a) == 1.0:
                return b
            if number(a) == 0.0:
                return a
            if b.op == "mul" and b.args[0].op == "constant":
                return self.multiply(self.constant(number(a) * number(b.args[0])), b.args[1])
        return self.pointwise("mul", a, b)

    def parameter(self, wanted: Parameter) -> None:
        """Declare a parameter; the same name again is the same parameter and must have the same role and shape."""
        known = self.parameters.setdefault(wanted.name, wanted)
        if known != wanted:
            shapes = shape_text(known.shape), shape_text(wanted.shape)
            raise CellError(
                f"parameter {wanted.name} is a {known.role} {shapes[0]} and a {wanted.role} {shapes[1]}",
                "One name is one array (weight tying): give the second use a name of its own",
            )


def is_constant(node: Node, value: float) -> bool:
    return node.op == "constant" and node.attr == value


def number(node: Node) -> float:
    """The value of a constant node."""
    if node.op != "constant":
        raise TypeError(f"{node.op} is not a constant")
    return float(node.attr)


def part(width: Width, parts: int) -> Width:
    """One of equal parts of a width. Raises CellError where a number cannot be parted so."""
    if parts == 1:
        return width
    if isinstance(width, str):
        name, known = parted(width)
        return f"{name}/{known * parts}"
    if width % parts:
        raise CellError(f"{width} columns cannot be parted into {parts} parts", "Choose a number that divides them")
    return width // parts


def columns(width: Width, sizes: Mapping[str, int]) -> int:
    """A width as a number, from the numbers of its names.

    Raises:
        KeyError: the width has a name that is not among the sizes.
        ValueError: a part of a width is no whole number.
    """
    if isinstance(width, int):
        return width
    if width in sizes:
        return sizes[width]
    name, parts = parted(width)
    size = sizes[name]
    if size % parts:
        raise ValueError(f"{name} = {size} cannot be parted into {parts} equal parts; choose a multiple of {parts}")
    return size // parts


def parted(width: str) -> tuple[str, int]:
    """A named width, and into how many parts it is divided: ``"H/4"`` is H and 4."""
    name, _, parts = width.partition("/")
    return name, int(parts or 1)


def shape_text(shape: tuple[Width, ...]) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"


def ancestors(roots: Iterable[Node]) -> list[Node]:
    """The roots and everything they are computed from, in an order in which each comes after its operands."""
    seen: set[Node] = set()
    stack = list(roots)
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack.extend(node.args)
    return sorted(seen, key=lambda n: n.id)


def gathered(node: Node, op: str = "source_sum") -> Node:
    """The sum of a memory's value over its sources, or another reduction (``source_max``)."""
    if op == "source_sum" and node.op == "mul":
        return node.graph.node("source_dot", node.args, width=node.width)
    return node.graph.node(op, (node,), width=node.width)


def stretch(node: Node) -> Node:
    """A value repeated over the sources of a memory."""
    return node if node.memory else node.graph.node("stretch", (node,), width=node.width, memory=True)


def broaden(node: Node, width: Width) -> Node:
    """A value repeated over `width` columns: each of its own, of which there is one or a few, over an equal part."""
    return node if node.width == width else node.graph.node("broaden", (node,), width=width, memory=node.memory)
