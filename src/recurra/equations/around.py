"""What a cell made from a cell is made with: a step around its step, and another meaning of the language inside it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from recurra.equations.cell import Cell
from recurra.equations.graph import Width
from recurra.equations.language import Interpreter, Value

Stepped = tuple[Value, tuple[Value, ...]]
"""What a step gives: its output, and the new states in the order of their declaration."""

Step = Callable[[dict[str, Value]], Stepped]
"""A step, from what a cell takes, by name."""


@dataclass(frozen=True)
class Additions:
    """What a rewritten cell takes beside what the cell took.

    Attributes:
        inputs: width of each further per-step input, by name.
        statics: likewise for those given once a sequence.
        memories: likewise for those with a row for every source.
        states: likewise for states, which start from zeros.
        source_states: those of the states that have a row for every source.
        without: inputs that are no longer taken.
    """

    inputs: Mapping[str, Width] = field(default_factory=dict[str, Width])
    statics: Mapping[str, Width] = field(default_factory=dict[str, Width])
    memories: Mapping[str, Width] = field(default_factory=dict[str, Width])
    states: Mapping[str, Width] = field(default_factory=dict[str, Width])
    source_states: Sequence[str] = ()
    without: Sequence[str] = ()


def around(
    cell: Cell,
    name: str,
    step: Step,
    added: Additions = Additions(),
) -> Cell:
    """The cell whose step is `step`, with more that it takes."""
    inputs = {**{n: w for n, w in cell.inputs.items() if n not in added.without}, **added.inputs}
    statics, memories = {**cell.statics, **added.statics}, {**cell.memories, **added.memories}
    states = {**cell.states, **added.states}
    order: Sequence[str] = (*inputs, *statics, *memories, *states)

    def function(**values: Any) -> Stepped:
        return step(values)

    function.__name__ = f"{name}({cell.name})"
    function.__doc__ = cell.doc
    function.__wrapped__ = cell.function  # type: ignore[attr-defined]  # where errors and names are looked for
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    function.__signature__ = inspect.Signature([inspect.Parameter(n, kind) for n in order])  # type: ignore[attr-defined]
    over_sources = (*memories, *cell.source_states, *added.source_states)
    return Cell(function, states, list(statics), {**inputs, **statics, **memories}, cell.initial, over_sources)


class Passing:
    """An interpreter that gives every name the meaning that another gives it."""

    def __init__(self, inner: Interpreter) -> None:
        self.inner = inner

    def affine(self, name: str, operands: tuple[Value, ...], width: Width, bias: bool, blocks: int) -> Value:
        return self.inner.affine(name, operands, width, bias, blocks)

    def pointwise(self, op: str, *args: Value) -> Value:
        return self.inner.pointwise(op, *args)

    def vector(self, name: str, width: Width, initial: float | None) -> Value:
        return self.inner.vector(name, width, initial)

    def norm(self, parts: tuple[Value, ...], name: str, groups: int, epsilon: float) -> tuple[Value, ...]:
        return self.inner.norm(parts, name, groups, epsilon)

    def dot(self, a: Value, b: Value, scaled: bool) -> Value:
        return self.inner.dot(a, b, scaled)

    def softmax(self, scores: Value) -> Value:
        return self.inner.softmax(scores)

    def weighted_sum(self, weights: Value, values: Value) -> Value:
        return self.inner.weighted_sum(weights, values)

    def observe(self, name: str, value: Value) -> None:
        self.inner.observe(name, value)
