"""Layers run one step at a time by the native engine, prepared once."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from recurra.engines import library, memory
from recurra.engines.plan import Plan
from recurra.engines.tables import Slot
from recurra.engines.widths import Call


@dataclass(frozen=True)
class Layer:
    """One layer, and where its arrays stay: a step reads and writes them in place.

    Attributes:
        call: of one step. Its states are overwritten with the next ones.
        output: ``[B, W]``, written.
        total: ``[B, W]``, the output and the input together: a residual connection. None: there is none.
    """

    call: Call
    output: Tensor
    total: Tensor | None = None


class _Layer(ctypes.Structure):
    """`rc_layer` of csrc/engine_step.h."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("plan", "externals", "packed", "kept", "work")),
        *((name, ctypes.c_void_p) for name in ("input", "output", "total")),
        ("floats", ctypes.c_int64),
    )


class NativeStepper:
    """A stack of layers, each of which reads the output of the one below.

    The parameters' values are taken when it is made. The arrays of `layers` may be read and written between steps.

    Args:
        layers: lowest first, which the native engine can serve. The input of each is what the one below gives; all
            arrays are contiguous.
        threads: at most so many share a step; a step that reads little takes one.
    """

    def __init__(self, layers: Sequence[Layer], threads: int) -> None:
        made = [_Prepared(layer, threads) for layer in layers]
        lib = library.load()
        lib.rc_stepper_new.restype = ctypes.c_void_p
        self._handle: int | None = lib.rc_stepper_new(
            (_Layer * len(made))(*[m.struct() for m in made]), len(made), ctypes.c_int64(layers[0].call.rows), threads,
        )  # fmt: skip
        if self._handle is None:
            raise RuntimeError("the native engine refuses to step through a plan it made; please report this cell")
        self._alive = (layers, made)
        self._free = lib.rc_stepper_free
        self._step = lib.rc_step
        self._step.argtypes, self._step.restype = (ctypes.c_void_p, ctypes.c_void_p), None

    def __del__(self) -> None:
        handle = self.__dict__.get("_handle")
        if handle is not None:
            self._free(ctypes.c_void_p(handle))

    def step(self, address: int) -> None:
        """One step of all layers with the input at an address: as many contiguous floats as the first layer reads."""
        self._step(self._handle, address)


class _Prepared:
    """A layer with its plan, packed matrices and memory."""

    def __init__(self, layer: Layer, threads: int) -> None:
        self.layer, call = layer, layer.call
        plan = self.plan = Plan(call.program, None, call.widths, call.setting.layout)
        floats = plan.packed_floats(0), plan.kept_floats(1, call.rows), plan.work_floats(0, (1, call.rows, 0), 1)
        self.blocks = tuple(memory.take(n) for n in floats)
        # Matrices are packed, vectors read where they lie: a copy of these makes all of them change together.
        parameters = {("parameter", *n): p.detach() for n, p in call.parameters.items()}
        self.arrays: dict[Slot, Tensor | None] = {n: p.clone() if p.dim() < 2 else p for n, p in parameters.items()}
        self.arrays |= {k: t for k, t in zip(call.setting.keys, call.tensors, strict=True) if k[0] != "parameter"}
        self.arrays |= {("final", name): s for name, s in zip(call.program.cell.states, call.state, strict=True)}
        self.arrays["output", ""] = layer.output
        self.externals = self._externals()
        plan.pack(0, self.externals, self.blocks[0].address, threads)

    def _externals(self) -> ctypes.Array[ctypes.c_int64]:
        """Address and strides of every array, by slot, as csrc/engine.h wants them."""
        slots = self.plan.slots
        table = [0] * (4 * max(len(slots), 1))
        for key, array in self.arrays.items():
            if key in slots and array is not None:
                row = array.stride(-2) if array.dim() > 1 else 0
                table[4 * slots[key] : 4 * slots[key] + 2] = array.data_ptr(), row
        return (ctypes.c_int64 * len(table))(*table)

    def struct(self) -> _Layer:
        layer = self.layer
        total = 0 if layer.total is None else layer.total.data_ptr()
        x = layer.call.inputs[0]
        return _Layer(
            self.plan.address, ctypes.addressof(self.externals), *[b.address for b in self.blocks], x.data_ptr(),
            layer.output.data_ptr(), total, x.numel(),
        )  # fmt: skip
