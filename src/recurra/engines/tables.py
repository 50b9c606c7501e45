"""The tables of a plan, as csrc/engine.h declares them, filled row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum

from recurra.engines.widths import Names, Slot

LANE = 16
"""Floats to which the rows of engine-owned arrays are padded."""


class Kind(IntEnum):
    """Where an array lives, and for how long."""

    EXTERNAL = 0
    CONSTANT = 1
    ONCE = 2
    ROWS = 3
    TIMED = 4
    CHUNK = 5
    BLOCK = 6
    THREAD = 7
    LOCAL = 8


KEPT = -1
"""The `pass` of an array that is kept from the forward to the backward pass."""


@dataclass(frozen=True)
class Place:
    """Columns of an array, some steps ahead."""

    array: int
    column: int
    width: int
    shift: int = 0

    @property
    def end(self) -> int:
        """The first column behind this place's padding."""
        return self.column + padded(self.width)

    def parts(self, count: int) -> list[Place]:
        """Equal parts of it, side by side."""
        width = self.width // count
        return [replace(self, column=self.column + k * width, width=width) for k in range(count)]


def padded(width: int) -> int:
    """Columns that a value takes in an engine-owned array."""
    return -(-width // LANE) * LANE


Row = tuple[int, ...]


@dataclass
class Tables:
    """Rows of int32, one list a table; the order of the fields is that of the C structs.

    Attributes:
        layout: the names of each of the caller's arrays of parameters.
        diagonal: how many blocks each block-diagonal parameter has.
        slots: number of each of the caller's arrays.
        graded: parameters that get a gradient.
    """

    layout: tuple[Names, ...] = ()
    diagonal: Mapping[str, int] = field(default_factory=dict[str, int])
    arrays: list[Row] = field(default_factory=list[Row])
    values: list[Row] = field(default_factory=list[Row])
    matrices: list[Row] = field(default_factory=list[Row])
    blocks: list[Row] = field(default_factory=list[Row])
    products: list[Row] = field(default_factory=list[Row])
    operands: list[Row] = field(default_factory=list[Row])
    instructions: list[Row] = field(default_factory=list[Row])
    stages: list[Row] = field(default_factory=list[Row])
    carried: list[Row] = field(default_factory=list[Row])
    sums: list[Row] = field(default_factory=list[Row])
    pairs: list[Row] = field(default_factory=list[Row])
    constants: list[float] = field(default_factory=list[float])
    slots: dict[Slot, int] = field(default_factory=dict[Slot, int])
    graded: set[str] = field(default_factory=set[str])
    _values: dict[Place, int] = field(default_factory=dict[Place, int])
    _externals: dict[Slot, int] = field(default_factory=dict[Slot, int])
    _constants: dict[float, int] = field(default_factory=dict[float, int])

    def array(
        self, kind: Kind, width: int, pass_: int, *, slot: int = 0, zero: bool = False, source_step: int = 0
    ) -> int:
        """A new array; its number. With a source axis it has floats from one source to the next."""
        self.arrays.append((kind, width, slot, pass_, int(zero), source_step))
        return len(self.arrays) - 1

    def kind(self, place: Place) -> Kind:
        return Kind(self.arrays[place.array][0])

    def source_step(self, place: Place) -> int:
        """Floats from one source of a value to the next; 0 where it has no source axis."""
        return self.arrays[place.array][5]

    def value(self, place: Place) -> int:
        """The number of the value at a place."""
        if place not in self._values:
            self._values[place] = len(self.values)
            self.values.append((place.array, place.column, place.shift, place.width))
        return self._values[place]

    def slot(self, key: Slot) -> int:
        """The number of one of the caller's arrays."""
        return self.slots.setdefault(key, len(self.slots))

    def external(self, key: Slot, width: int, *, memory: bool = False) -> Place:
        """The place of one of the caller's values."""
        index, columns = 0, width
        if key[:-1] in (("parameter",), ("gradient", "parameter")):
            self._note_gradient(key)
            names, index = self.stack(key[-1])
            key, columns = (*key[:-1], *names), width * len(names)
        if key not in self._externals:
            self._externals[key] = self.array(
                Kind.EXTERNAL, columns, KEPT, slot=self.slot(key), source_step=width if memory else 0
            )
        return Place(self._externals[key], index * width, width)

    def rows(self, key: Slot, height: int) -> tuple[int, int]:
        """The array in which a parameter or its gradient lies, and its first row there, of parameters of one height."""
        self._note_gradient(key)
        names, index = self.stack(key[-1])
        return self.slot((*key[:-1], *names)), index * height

    def stack(self, name: str) -> tuple[Names, int]:
        """The parameters that share an array with this one, and its place among them."""
        names = next(names for names in self.layout if name in names)
        return names, names.index(name)

    def _note_gradient(self, key: Slot) -> None:
        if key[:-1] == ("gradient", "parameter"):
            self.graded.add(key[-1])

    def constant(self, value: float) -> Place:
        """The place of a number."""
        if value not in self._constants:
            self._constants[value] = self.array(Kind.CONSTANT, 1, KEPT, slot=len(self.constants))
            self.constants.append(value)
        return Place(self._constants[value], 0, 1)
