"""A program made ready for the native engine: tables for given widths, handed over once."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recurra.engines import library
from recurra.engines.emit import Emitter
from recurra.engines.homes import Frame, Homes, is_saved
from recurra.engines.tables import Place, Tables
from recurra.engines.widths import Names, Slot
from recurra.equations.program import Program, Wanted

ENGINE_VERSION = 7
_TABLES = (
    "arrays", "values", "matrices", "blocks", "products", "operands", "instructions", "stages", "carried", "sums",
    "pairs",
)  # fmt: skip


class _Spec(ctypes.Structure):
    """`rc_plan_spec` of csrc/engine.h."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("version", ctypes.c_uint32),
        *((name, ctypes.c_int32) for name in (*_TABLES, "constants")),
        *((f"{name}_table", ctypes.c_void_p) for name in (*_TABLES, "constants")),
    )


class Plan:
    """A plan inside the native library.

    Attributes:
        wanted: the gradients it gives; of the states' own it gives all, for they are carried in any case.
        slots: number of each of the caller's arrays, by key.
        graded: parameters that get a gradient; that of the others is zero.
    """

    def __init__(
        self, program: Program, wanted: frozenset[Slot] | None, widths: Mapping[str, int], layout: tuple[Names, ...]
    ) -> None:
        self.wanted = wanted or frozenset()
        tables = lay_out(program, None if wanted is None else _each(wanted), widths, layout)
        self.slots, self.graded = tables.slots, tables.graded
        self._library = library.load()
        if self._library.rc_engine_version() != ENGINE_VERSION:
            raise library.NativeLibraryError(
                f"the native library has version {self._library.rc_engine_version()} of the engine, expected "
                f"{ENGINE_VERSION}; build it anew with `pip install .` or `pip install -e .`"
            )
        self._library.rc_plan_new.restype = ctypes.c_void_p
        for name in ("rc_packed_floats", "rc_kept_floats", "rc_work_floats"):
            getattr(self._library, name).restype = ctypes.c_int64
        self._handle = ctypes.c_void_p(self._new(tables))

    def _new(self, tables: Tables) -> int:
        arrays: list[np.ndarray[Any, Any]] = [
            np.array(getattr(tables, name), dtype=np.int32).ravel() for name in _TABLES
        ]
        arrays.append(np.array(tables.constants, dtype=np.float32))
        counts = [len(getattr(tables, name)) for name in (*_TABLES, "constants")]
        spec = _Spec(ctypes.sizeof(_Spec), ENGINE_VERSION, *counts, *(a.ctypes.data for a in arrays))
        error = ctypes.create_string_buffer(200)
        handle = self._library.rc_plan_new(
            ctypes.byref(spec), ctypes.byref(library.kernels()), error, ctypes.c_int64(200)
        )
        if not handle:
            raise RuntimeError(f"the native engine refuses a plan: {error.value.decode()}; please report this cell")
        return int(handle)

    def __del__(self) -> None:
        handle = self.__dict__.get("_handle")
        if handle is not None:
            self._library.rc_plan_free(handle)

    @property
    def address(self) -> int:
        """Where the library holds it, as long as this object lives."""
        return int(self._handle.value or 0)

    def packed_floats(self, pass_: int) -> int:
        return int(self._library.rc_packed_floats(self._handle, pass_))

    def kept_floats(self, steps: int, rows: int, sources: int = 0) -> int:
        return int(self._library.rc_kept_floats(self._handle, *map(ctypes.c_int64, (steps, rows, sources))))

    def work_floats(self, pass_: int, size: tuple[int, int, int], threads: int) -> int:
        """Floats of work memory for a pass over so many steps, rows and sources."""
        return int(self._library.rc_work_floats(self._handle, pass_, *map(ctypes.c_int64, size), threads))

    def pack(self, pass_: int, externals: ctypes.Array[ctypes.c_int64], packed: int, threads: int) -> None:
        """Pack a pass's matrices into the memory at address `packed`."""
        self._library.rc_pack(self._handle, pass_, externals, ctypes.c_void_p(packed), threads)

    def run(self, pass_: int, call: ctypes.Structure) -> None:
        _require(self._library.rc_run(self._handle, pass_, ctypes.byref(call)))


def run_together(plans: Sequence[Plan], pass_: int, calls: Sequence[ctypes.Structure]) -> None:
    """Run a pass of each plan, at once where that pays."""
    count = len(plans)
    handles = (ctypes.c_void_p * count)(*[plan.address for plan in plans])
    addresses = (ctypes.c_void_p * count)(*[ctypes.addressof(call) for call in calls])
    _require(library.load().rc_run_together(handles, pass_, addresses, count))


def _require(failed: int) -> None:
    if failed:
        raise RuntimeError("the native library is of another version than these Python files; install recurra anew")


def _each(wanted: frozenset[Slot]) -> Wanted:
    """The gradients by their own names, but those of the states, which are carried in any case."""
    return frozenset((key[0], name) for key in wanted if key[0] != "state" for name in key[1:])


def lay_out(program: Program, wanted: Wanted | None, widths: Mapping[str, int], layout: tuple[Names, ...]) -> Tables:
    """The tables of a program: inference alone (None), or training with the wanted gradients."""
    tables = Tables(layout, {p.name: p.blocks for p in program.diagonal})
    if wanted is None:
        Emitter(Homes(tables, program.inference, Frame(0, widths, {}, frozenset()))).run()
        return tables
    training = program.training(wanted)
    forward = Homes(tables, training.forward, Frame(0, widths, {}, training.saved_states))
    Emitter(forward).run()
    saved: dict[str, Place] = {
        str(key[1]): forward.at(n) for key, n in training.forward.results.items() if is_saved(key)
    }
    state_ids = {name: str(leaf.id) for name, leaf in zip(program.cell.states, program.traced.states, strict=True)}
    for carry in forward.carries:
        name = str(carry.leaf.attr[1])
        saved[state_ids[name]] = carry.now
    Emitter(Homes(tables, training.backward, Frame(1, widths, saved, frozenset()))).run()
    return tables
