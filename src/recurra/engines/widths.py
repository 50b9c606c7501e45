"""The numbers behind a program's named widths, read off the arrays of a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor

from recurra.equations.graph import Width, columns, parted, shape_text
from recurra.equations.program import Program

Value = TypeVar("Value")

Names = tuple[str, ...]
"""One parameter, or several whose arrays lie one below the other in one."""

Slot = tuple[str, ...]
"""What one of the caller's arrays is: its kind, and its name or names."""


@dataclass(frozen=True)
class Setting:
    """A call without its arrays."""

    program: Program
    layout: tuple[Names, ...]
    lengths: Tensor | None
    reverse: bool
    sources: Tensor | None = None

    @property
    def keys(self) -> tuple[Slot, ...]:
        """What each of the call's tensors is, in their order."""
        known: dict[object, tuple[Slot, ...]] = self.program.__dict__.setdefault("tensor_keys", {})
        if self.layout not in known:
            cell = self.program.cell
            declared = (
                ("input", cell.inputs), ("static", cell.statics), ("memory", cell.memories), ("state", cell.states),
            )  # fmt: skip
            known[self.layout] = (
                *[(kind, name) for kind, names in declared for name in names],
                *[("parameter", *names) for names in self.layout],
            )
        return known[self.layout]

    def call(self, tensors: Sequence[Tensor | None]) -> Call:
        """The call whose tensors these are."""
        cell, given = self.program.cell, list(tensors)
        inputs = [given.pop(0) for _ in cell.inputs]
        statics = [given.pop(0) for _ in cell.statics]
        memories = [given.pop(0) for _ in cell.memories]
        state = [given.pop(0) for _ in cell.states]
        parameters = dict(zip(self.layout, given, strict=True))
        # Of all tensors only states may be None.
        return Call(
            self.program, tuple(inputs), tuple(statics), tuple(state), parameters, self.lengths, self.reverse,  # type: ignore[arg-type]
            tuple(memories), self.sources,  # type: ignore[arg-type]
        )  # fmt: skip


@dataclass(frozen=True)
class Call:
    """The arrays of one sweep, in the order of the cell's declaration.

    Attributes:
        inputs: per-step inputs, each ``[T, B, W]`` (any strides over T and B).
        statics: per-sequence inputs, each ``[B, W]``.
        state: initial states, each ``[B, W]``, or ``[B, S, W]`` where they have a row for every source; None is zeros.
        parameters: learned arrays by name, shaped as the program declares them; of several names, one array with
            theirs one below the other.
        lengths: steps of each row, int64 ``[B]`` on the CPU; None is all of them.
        reverse: whether each row runs from its last step to its first.
        memories: inputs with a row for every source, each ``[B, S, W]``, or ``[N, S, W]`` with `owners`.
        sources: how many of its sources each row has, int64 ``[B]`` on the CPU; None is all of them.
        owners: which of N memories each row reads, int64 ``[B]`` on the CPU; None: B are given, and each reads its own.
    """

    program: Program
    inputs: tuple[Tensor, ...]
    statics: tuple[Tensor, ...]
    state: tuple[Tensor | None, ...]
    parameters: Mapping[Names, Tensor]
    lengths: Tensor | None = None
    reverse: bool = False
    memories: tuple[Tensor, ...] = ()
    sources: Tensor | None = None
    owners: Tensor | None = None

    @property
    def steps(self) -> int:
        return self.inputs[0].shape[0]

    @property
    def rows(self) -> int:
        return self.inputs[0].shape[1]

    @property
    def most_sources(self) -> int:
        """S, rows of the memories; 0 where there are none."""
        return self.memories[0].shape[1] if self.memories and self.memories[0].dim() == 3 else 0

    @property
    def memory_rows(self) -> int:
        """N, of which each row reads one; B without owners."""
        return self.memories[0].shape[0] if self.owners is not None and self.memories else self.rows

    def state_shape(self, name: str, widths: Mapping[str, int] | None = None) -> tuple[int, ...]:
        """Shape of a state: ``[B, W]``, or ``[B, S, W]`` where it has a row for every source."""
        cell = self.program.cell
        sources = (self.most_sources,) if name in cell.source_states else ()
        return (self.rows, *sources, resolve(cell.states[name], self.widths if widths is None else widths))

    @cached_property
    def widths(self) -> dict[str, int]:
        """Columns of each named width.

        Raises:
            ValueError: an array is missing, has another shape than its declaration, or two arrays disagree on a width.
        """
        # Shapes that have passed once pass again.
        counts = len(self.inputs), len(self.statics), len(self.memories), len(self.state)
        shapes = [None if t is None else t.shape for t in self.tensors]
        key = (self.program.key, counts, tuple(self.parameters), self.owners is None, *shapes)
        found = _WIDTHS.get(key)
        return remember(_WIDTHS, key, bind(self), _MOST_SHAPES) if found is None else found

    def check(self) -> None:
        """Look at every shape, and at the lengths.

        Raises:
            ValueError: see `widths`; or a length is no number of steps that the inputs have.
        """
        self.widths  # noqa: B018
        self._check_counts("lengths", "a length", self.lengths, 0, self.steps, "steps of the input")
        if self.sources is not None and not self.memories:
            raise ValueError(f"cell {self.program.cell.name}: numbers of sources are given to a cell without a memory")
        self._check_counts(
            "sources", "a number of sources", self.sources, 1, self.most_sources, "sources of the memory"
        )
        self._check_counts("owners", "an owner", self.owners, 0, self.memory_rows - 1, "rows of the memory")

    def _check_counts(self, name: str, one: str, counts: Tensor | None, least: int, most: int, of: str) -> None:
        if counts is None:
            return
        cell = self.program.cell.name
        if counts.dtype is not torch.int64 or not counts.is_cpu or list(counts.shape) != [self.rows]:
            raise ValueError(
                f"cell {cell}: {name} are {str(counts.dtype).removeprefix('torch.')} {list(counts.shape)} on "
                f"{counts.device}; expected int64 [{self.rows}] on cpu, one for each row"
            )
        low, high = int(counts.min()), int(counts.max())
        if low < least or high > most:
            raise ValueError(
                f"cell {cell}: {one} is {low if low < least else high}; expected {least} to {most}, the {of}"
            )

    def check_kinds(self) -> None:
        """Look at the dtype and device of every array.

        Raises:
            ValueError: two arrays differ in one of them, and autocast does not bring their dtypes together.
        """

        def kind(tensor: Tensor) -> str:
            return f"{str(tensor.dtype).removeprefix('torch.')} on {tensor.device}"

        first = self.inputs[0]
        for (what, *names), tensor in zip(self.setting.keys, self.tensors, strict=True):
            if tensor is None or (tensor.device == first.device and (tensor.dtype == first.dtype or _casts(first))):
                continue
            raise ValueError(
                f"cell {self.program.cell.name}: {what} {', '.join(names)} is {kind(tensor)}, and input "
                f"{next(iter(self.program.cell.inputs))} is {kind(first)}; expected one dtype and one device for all: "
                "convert with .to(…)"
            )

    @cached_property
    def setting(self) -> Setting:
        return Setting(self.program, tuple(self.parameters), self.lengths, self.reverse, self.sources)

    @cached_property
    def named(self) -> dict[str, Tensor]:
        """Every parameter by its own name.

        Raises:
            ValueError: the rows of an array cannot be shared evenly among its names.
        """
        found: dict[str, Tensor] = {}
        for names, tensor in self.parameters.items():
            if len(names) == 1:
                found[names[0]] = tensor
            elif tensor.dim() == 0 or tensor.shape[0] % len(names):
                raise ValueError(
                    f"cell {self.program.cell.name}: parameters {', '.join(names)} share an array of shape "
                    f"{list(tensor.shape)}; expected rows for {len(names)} of one size"
                )
            else:
                found.update(zip(names, tensor.chunk(len(names)), strict=True))
        return found

    @cached_property
    def tensors(self) -> tuple[Tensor | None, ...]:
        """Every array of the call: inputs, statics, memories and states as declared, then the parameters' as given."""
        return (*self.inputs, *self.statics, *self.memories, *self.state, *self.parameters.values())


_MOST_SHAPES = 4096
_WIDTHS: dict[object, dict[str, int]] = {}


def remember(known: dict[Any, Value], key: object, value: Value, most: int) -> Value:
    """Keep a value for when it is asked for again; the oldest go where there are too many."""
    for oldest in list(known)[: max(0, len(known) - most + 1)]:
        known.pop(oldest, None)
    known[key] = value
    return value


def _casts(tensor: Tensor) -> bool:
    device = tensor.device.type
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def bind(call: Call) -> dict[str, int]:
    """Columns of each named width, looked at anew: for arrays that have shapes and no memory.

    Raises:
        ValueError: see `Call.widths`.
    """
    return _Widths(call).bind()


def resolve(width: Width, widths: Mapping[str, int]) -> int:
    """A width as a number."""
    return columns(width, widths)


class _Widths:
    def __init__(self, call: Call) -> None:
        self.call = call
        self.cell = call.program.cell
        self.found: dict[str, tuple[int, str]] = {}

    def bind(self) -> dict[str, int]:
        call, cell = self.call, self.cell
        self._count("inputs", call.inputs, cell.inputs)
        self._count("statics", call.statics, cell.statics)
        self._count("memories", call.memories, cell.memories)
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
        sources = call.most_sources
        for (name, width), x in zip(cell.memories.items(), call.memories, strict=True):
            self._match(f"memory {name}", x, [call.memory_rows, sources or "S"], (width,))
            if not sources:
                raise ValueError(f"cell {cell.name}: memory {name} has no source; expected at least one for each row")
        for (name, width), x in zip(cell.states.items(), call.state, strict=True):
            if x is not None:
                over = [sources] if name in cell.source_states else []
                self._match(f"state {name}", x, [*lead[1:], *over], (width,))
        for name, parameter in call.program.parameters.items():
            if name not in call.named:
                raise ValueError(
                    f"cell {cell.name}: parameter {name} is missing; expected {', '.join(call.program.parameters)}"
                )
            self._match(f"parameter {name}", call.named[name], [], parameter.shape)
        strangers = call.named.keys() - call.program.parameters.keys()
        if strangers:
            raise ValueError(
                f"cell {cell.name}: there is no parameter {', '.join(sorted(strangers))}; expected "
                f"{', '.join(call.program.parameters)}"
            )
        for (name, width), x in zip(cell.states.items(), call.state, strict=True):
            if x is None and isinstance(width, str) and parted(width)[0] not in self.found:
                raise ValueError(
                    f"cell {cell.name}: state {name} is left out, and no other array tells its width {width}; give it"
                )
        # In one order, whichever arrays were given: engines tell widths apart by their numbers.
        widths = {name: self.found[name][0] for name in sorted(self.found)}
        for width in call.program.parted:
            columns(width, widths)  # raises where it is not whole
        return widths

    def _count(self, what: str, given: Sequence[object], declared: Mapping[str, Width]) -> None:
        if len(given) != len(declared):
            raise ValueError(
                f"cell {self.cell.name}: {len(given)} {what} given; "
                f"expected {len(declared)}: {', '.join(declared) or 'none'}"
            )

    def _match(self, what: str, array: Tensor, lead: Sequence[int | str], declared: tuple[Width, ...]) -> None:
        shape = list(array.shape)
        expected = [*lead, *declared]
        numbers = all(isinstance(w, str) or size == w for size, w in zip(shape, expected, strict=False))
        fits = len(shape) == len(expected) and numbers
        if fits:
            for size, width in zip(shape[len(lead) :], declared, strict=True):
                if not isinstance(width, str):
                    continue
                name, parts = parted(width)
                size *= parts
                known, where = self.found.setdefault(name, (size, what))
                if size != known:
                    raise ValueError(
                        f"cell {self.cell.name}: {what} has shape {shape}, so {name} = {size}; "
                        f"{where} says {name} = {known}"
                    )
        if not fits:
            raise ValueError(f"cell {self.cell.name}: {what} has shape {shape}; expected {shape_text(tuple(expected))}")
