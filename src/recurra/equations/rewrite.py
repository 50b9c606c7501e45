"""Cells made from cells: what happens around a step, written into its graph so that every engine derives and runs it.

Each takes a cell and gives a new one with further inputs. They may be combined; the outer one acts on what the inner
one gives: ``lengths(resets(zoneout(lstm)))``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from recurra.equations import language
from recurra.equations.cell import Cell
from recurra.equations.graph import Width
from recurra.equations.language import Interpreter, Value, select

Step = Callable[..., tuple[Value, tuple[Value, ...]]]


def zoneout(cell: Cell) -> Cell:
    """Each unit of a state keeps its old value where the mask says so (Krueger et al. 2017).

    Adds a per-step input ``zone_s`` ``[T, B, W]`` for each state s: 1 keeps the old value, 0 takes the new one. An
    output that is a state's new value is the kept one too.
    """
    masks = {f"zone_{s}": w for s, w in cell.states.items()}

    def step(values: dict[str, Value]) -> tuple[Value, tuple[Value, ...]]:
        kept = [values.pop(m) for m in masks]
        old = [values[s] for s in cell.states]
        output, new = cell(**values)
        zoned = tuple(select(m, o, n) for m, o, n in zip(kept, old, new, strict=True))
        return next((z for z, n in zip(zoned, new, strict=True) if n is output), output), zoned

    return _around(cell, "zoneout", step, inputs=masks)


def variational_dropout(cell: Cell, state: str = "h") -> Cell:
    """One mask for the whole sequence on a state wherever a product reads it (Gal & Ghahramani 2016).

    Adds a per-sequence input ``drop_s`` ``[B, W]`` for the state s: 0 drops a unit, 1 / (1 − p) keeps it.
    """
    mask = f"drop_{state}"

    def step(values: dict[str, Value]) -> tuple[Value, tuple[Value, ...]]:
        drop, held = values.pop(mask), values[state]
        with language.interpreting(_Dropping(language.interpreter(), held, drop)):
            return cell(**values)

    return _around(cell, "variational_dropout", step, statics={mask: cell.states[state]})


def resets(cell: Cell) -> Cell:
    """The state returns to its start inside a sequence, before the step at which the mark stands.

    Adds a per-step input ``reset`` ``[T, B, 1]``, 1 where a new episode or document begins, and a per-sequence input
    ``start_s`` ``[B, W]`` for each state s. A reset selects, it never multiplies: what was infinite before it is gone.
    """
    starts = {f"start_{s}": w for s, w in cell.states.items()}

    def step(values: dict[str, Value]) -> tuple[Value, tuple[Value, ...]]:
        reset = values.pop("reset")
        for s in cell.states:
            values[s] = select(reset, values.pop(f"start_{s}"), values[s])
        return cell(**values)

    return _around(cell, "resets", step, inputs={"reset": 1}, statics=starts)


def lengths(cell: Cell) -> Cell:
    """Behind the end of a row the output is zero and the state stays as it was.

    Adds a per-step input ``alive`` ``[T, B, 1]``: 1 up to a row's length, 0 behind it.
    """

    def step(values: dict[str, Value]) -> tuple[Value, tuple[Value, ...]]:
        alive = values.pop("alive")
        old = [values[s] for s in cell.states]
        output, new = cell(**values)
        return select(alive, output, 0.0), tuple(select(alive, n, o) for n, o in zip(new, old, strict=True))

    return _around(cell, "lengths", step, inputs={"alive": 1})


class _Dropping:
    """An interpreter that multiplies one value by a mask wherever an affine reads it."""

    def __init__(self, inner: Interpreter, held: Value, mask: Value) -> None:
        self._inner, self._held, self._mask = inner, held, mask

    def affine(self, name: str, operands: tuple[Value, ...], width: Width, bias: bool) -> Value:
        masked = tuple(o * self._mask if o is self._held else o for o in operands)
        return self._inner.affine(name, masked, width, bias)

    def pointwise(self, op: str, *args: Value) -> Value:
        return self._inner.pointwise(op, *args)

    def vector(self, name: str, width: Width, initial: float | None) -> Value:
        return self._inner.vector(name, width, initial)

    def layer_norm(self, parts: tuple[Value, ...], name: str, epsilon: float) -> tuple[Value, ...]:
        return self._inner.layer_norm(parts, name, epsilon)


def _around(
    cell: Cell,
    name: str,
    step: Callable[[dict[str, Value]], tuple[Value, tuple[Value, ...]]],
    *,
    inputs: Mapping[str, Width] | None = None,
    statics: Mapping[str, Width] | None = None,
) -> Cell:
    """The cell whose step is `step`, with further inputs behind the cell's own."""
    inputs, statics = inputs or {}, statics or {}
    order: Sequence[str] = (*cell.inputs, *inputs, *cell.statics, *statics, *cell.states)

    def function(**values: Any) -> tuple[Value, tuple[Value, ...]]:
        return step(values)

    function.__name__ = f"{name}({cell.name})"
    function.__doc__ = cell.doc
    function.__wrapped__ = cell.function  # type: ignore[attr-defined]  # where errors and names are looked for
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    function.__signature__ = inspect.Signature([inspect.Parameter(n, kind) for n in order])  # type: ignore[attr-defined]
    widths = {**cell.inputs, **inputs, **cell.statics, **statics}
    return Cell(function, cell.states, (*cell.statics, *statics), widths)
