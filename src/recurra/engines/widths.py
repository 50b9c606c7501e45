"""The numbers behind a program's named widths, read off the arrays of a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from recurra.equations.graph import Width, shape_text
from recurra.equations.program import Program


@dataclass(frozen=True)
class Call:
    """The arrays of one sweep, in the order of the cell's declaration.

    Attributes:
        inputs: per-step inputs, each ``[T, B, W]`` (any strides over T and B).
        statics: per-sequence inputs, each ``[B, W]``.
        state: initial states, each ``[B, W]``; None is zeros.
        parameters: learned arrays by name, shaped as the program declares them.
    """

    program: Program
    inputs: tuple[Tensor, ...]
    statics: tuple[Tensor, ...]
    state: tuple[Tensor | None, ...]
    parameters: Mapping[str, Tensor]

    @property
    def steps(self) -> int:
        return self.inputs[0].shape[0]

    @property
    def rows(self) -> int:
        return self.inputs[0].shape[1]

    @cached_property
    def widths(self) -> dict[str, int]:
        """Columns of each named width.

        Raises:
            ValueError: an array is missing, has another shape than its declaration, or two arrays disagree on a width.
        """
        if self.parameters.keys() != self.program.parameters.keys():
            return _Widths(self).bind()
        # Shapes that have passed once pass again.
        known: dict[object, dict[str, int]] = self.program.__dict__.setdefault("known_widths", {})
        shapes = tuple([None if t is None else t.shape for t in self.tensors])
        if shapes not in known:
            known[shapes] = _Widths(self).bind()
        return known[shapes]

    @cached_property
    def tensors(self) -> tuple[Tensor | None, ...]:
        """Every array of the call: inputs, statics, states, parameters, in the order of the program's declarations."""
        return (*self.inputs, *self.statics, *self.state, *[self.parameters[n] for n in self.program.parameters])


def resolve(width: Width, widths: Mapping[str, int]) -> int:
    """A width as a number."""
    return width if isinstance(width, int) else widths[width]


class _Widths:
    def __init__(self, call: Call) -> None:
        self.call = call
        self.cell = call.program.cell
        self.found: dict[str, tuple[int, str]] = {}

    def bind(self) -> dict[str, int]:
        call, cell = self.call, self.cell
        self._count("inputs", call.inputs, cell.inputs)
        self._count("statics", call.statics, cell.statics)
        self._count("states", call.state, cell.states)
        first = next(iter(cell.inputs))
        if call.inputs[0].dim() != 3 or 0 in call.inputs[0].shape[:2]:
            raise ValueError(
                f"cell {cell.name}: input {first} has shape {list(call.inputs[0].shape)}; "
                f"expected [T, B, {cell.inputs[first]}] with at least one step and one row"
            )
        lead = list(call.inputs[0].shape[:2])
        for (name, width), x in zip(cell.inputs.items(), call.inputs, strict=True):
            self._match(f"input {name}", x, lead, (width,))
        for (name, width), x in zip(cell.statics.items(), call.statics, strict=True):
            self._match(f"static {name}", x, lead[1:], (width,))
        for (name, width), x in zip(cell.states.items(), call.state, strict=True):
            if x is not None:
                self._match(f"state {name}", x, lead[1:], (width,))
        for name, parameter in call.program.parameters.items():
            if name not in call.parameters:
                raise ValueError(
                    f"cell {cell.name}: parameter {name} is missing; expected {', '.join(call.program.parameters)}"
                )
            self._match(f"parameter {name}", call.parameters[name], [], parameter.shape)
        for (name, width), x in zip(cell.states.items(), call.state, strict=True):
            if x is None and isinstance(width, str) and width not in self.found:
                raise ValueError(
                    f"cell {cell.name}: state {name} is left out, and no other array tells its width {width}; give it"
                )
        # In one order, whichever arrays were given: engines tell widths apart by their numbers.
        return {name: self.found[name][0] for name in sorted(self.found)}

    def _count(self, what: str, given: Sequence[object], declared: Mapping[str, Width]) -> None:
        if len(given) != len(declared):
            raise ValueError(
                f"cell {self.cell.name}: {len(given)} {what} given; "
                f"expected {len(declared)}: {', '.join(declared) or 'none'}"
            )

    def _match(self, what: str, array: Tensor, lead: list[int], declared: tuple[Width, ...]) -> None:
        shape = list(array.shape)
        expected = [*lead, *declared]
        numbers = all(isinstance(w, str) or size == w for size, w in zip(shape, expected, strict=False))
        fits = len(shape) == len(expected) and numbers
        if fits:
            for size, width in zip(shape[len(lead) :], declared, strict=True):
                if not isinstance(width, str):
                    continue
                known, where = self.found.setdefault(width, (size, what))
                if size != known:
                    raise ValueError(
                        f"cell {self.cell.name}: {what} has shape {shape}, so {width} = {size}; "
                        f"{where} says {width} = {known}"
                    )
        if not fits:
            raise ValueError(f"cell {self.cell.name}: {what} has shape {shape}; expected {shape_text(tuple(expected))}")
