"""States that are only an input of the step before: read as an input of their own, they keep no product in the loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from recurra.equations import language
from recurra.equations.adjoint import leaf_name
from recurra.equations.around import Additions, Passing, Stepped, around
from recurra.equations.cell import Cell
from recurra.equations.graph import Width
from recurra.equations.language import Interpreter, Tracer, Value


@dataclass(frozen=True)
class Shifting:
    """What :func:`shifting` gives.

    Attributes:
        cell: the cell whose delayed inputs are inputs.
        delayed: for each state that is one no longer, the input whose value of the step before it was.
    """

    cell: Cell
    delayed: Mapping[str, str]


def shifting(cell: Cell) -> Shifting | None:
    """The cell with each state whose new value is an input (a window of a convolution, a tap of a delay line) read as a
    per-step input of that name: the input's value of the step before, at the first step what the state starts from. The
    parameters keep their names. None where there is no such state.
    """
    traced = cell.traced
    inputs = set(traced.inputs)
    pairs = zip(traced.states, traced.new_states, strict=True)
    delayed = {leaf_name(state): leaf_name(new) for state, new in pairs if new in inputs}
    if not delayed:
        return None

    def step(values: dict[str, Value]) -> Stepped:
        with language.interpreting(_SameNames(language.interpreter(), cell)):
            output, states = cell(**values)
        return output, tuple(n for name, n in zip(cell.states, states, strict=True) if name not in delayed)

    widths: dict[str, Width] = {name: cell.states[name] for name in delayed}
    added = Additions(inputs=widths, without_states=tuple(delayed))
    return Shifting(around(cell, "shifting", step, added), delayed)


class _SameNames(Passing):
    """Names parameters as they are named in a cell, though their operands are others."""

    def __init__(self, inner: Interpreter, cell: Cell) -> None:
        super().__init__(inner)
        if isinstance(inner, Tracer):
            inner.graph.affines.update(cell.traced.graph.affines)
