"""The passes of a call on the native engine, from the caller's arrays to the results."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor

from recurra.engines import memory
from recurra.engines.plan import Plan, run_together
from recurra.engines.rows import Rows
from recurra.engines.widths import Call, Slot, resolve


class _RunCall(ctypes.Structure):
    """`rc_call` of csrc/engine.h."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("threads", ctypes.c_int32),
        ("steps", ctypes.c_int64),
        ("rows", ctypes.c_int64),
        ("externals", ctypes.c_void_p),
        ("packed", ctypes.c_void_p),
        ("kept", ctypes.c_void_p),
        ("work", ctypes.c_void_p),
        ("lengths", ctypes.c_void_p),
        ("late", ctypes.c_int32),
        ("sources", ctypes.c_int64),
        ("source_counts", ctypes.c_void_p),
        ("owners", ctypes.c_void_p),
    )


class Externals:
    """The caller's arrays of one pass, as csrc/engine.h wants them: address and strides, by slot."""

    def __init__(self, plan: Plan, call: Call, rows: Rows) -> None:
        self.slots = plan.slots
        self.rows = rows
        self.source_states = call.program.cell.source_states
        self.table = [0] * (4 * max(len(plan.slots), 1))
        self.alive: list[Tensor] = []
        for key, tensor in zip(call.setting.keys, call.tensors, strict=True):
            self.give(key, tensor)

    def give(self, key: Slot, tensor: Tensor | None) -> None:
        """A tensor ``[T, B, W]``, ``[B, W]``, or a parameter; None reads as zeros."""
        slot = self.slots.get(key)
        if slot is None or tensor is None:
            return
        over = self.has_sources(key)
        owned = key[0] == "memory" and self.rows.owners is not None  # the owners are in the engine's order, it is not
        if self.rows.order is not None and key[0] != "parameter" and not owned:
            tensor = tensor[self.rows.order] if over else self.rows.sort(tensor)
        self.give_sorted(slot, tensor, over=over)

    def has_sources(self, key: Slot) -> bool:
        """Whether one of the caller's arrays has a row for every source: ``[B, S, W]``."""
        return key[0] == "memory" or (key[0] in ("state", "carry", "final", "initial") and key[1] in self.source_states)

    def give_sorted(self, slot: int, tensor: Tensor, *, over: bool = False) -> None:
        """A tensor whose rows stand in the engine's order already."""
        strides = tensor.stride()
        if (strides[-1] != 1 and tensor.shape[-1] > 1) or tensor.is_neg():
            tensor = memory.plain(tensor)
            strides = tensor.stride()
        address, dims = tensor.data_ptr(), len(strides)
        if over:
            self.table[4 * slot : 4 * slot + 4] = (address, strides[0], 0, strides[1])
            self.alive.append(tensor)
            return
        step = strides[-3] if dims > 2 else 0
        if self.rows.reverse and step:
            address, step = address + 4 * (self.rows.steps - 1) * step, -step
        self.table[4 * slot : 4 * slot + 3] = (address, strides[-2] if dims > 1 else 0, step)
        self.alive.append(tensor)

    def array(self) -> ctypes.Array[ctypes.c_int64]:
        return (ctypes.c_int64 * len(self.table))(*self.table)


def pack(plan: Plan, pass_: int, table: ctypes.Array[ctypes.c_int64]) -> memory.Block:
    """The matrices of a pass, packed from the caller's arrays."""
    packed = memory.take(plan.packed_floats(pass_))
    plan.pack(pass_, table, packed.address, torch.get_num_threads())
    return packed


class Pass:
    """A pass of a call, ready to run."""

    def __init__(
        self, plan: Plan, number: int, call: Call, externals: Externals, kept: memory.Block, packed: memory.Block | None
    ) -> None:
        rows, threads = externals.rows, torch.get_num_threads()
        table = externals.array()
        packed = pack(plan, number, table) if packed is None else packed
        work = memory.take(plan.work_floats(number, (rows.steps, call.rows, call.most_sources), threads))
        self.plan, self.number = plan, number
        self.struct = _RunCall(
            ctypes.sizeof(_RunCall), threads, rows.steps, call.rows, ctypes.addressof(table), packed.address,
            kept.address, work.address, rows.address, int(rows.reverse), call.most_sources, rows.source_address,
            rows.owner_address,
        )  # fmt: skip
        self._alive = (externals, table, packed, work, kept)


def run(*passes: Pass) -> None:
    first = passes[0]
    if len(passes) == 1:
        first.plan.run(first.number, first.struct)
    else:
        run_together([p.plan for p in passes], first.number, [p.struct for p in passes])


class Forward:
    """The forward pass of a call, from the caller's arrays to the results.

    Attributes:
        kept: what the backward pass reads again.
        work: the pass, which must be run before the results are asked for.
    """

    def __init__(self, call: Call, plan: Plan, packed: memory.Block | None = None) -> None:
        traced = call.setting.program.traced
        rows = self._rows = Rows(call)
        externals = Externals(plan, call, rows)
        self._output = rows.new_steps(call.inputs[0], resolve(traced.output.width, call.widths))
        externals.give_sorted(plan.slots["output", ""], self._output)
        self._finals: list[Tensor] = []
        for name in call.setting.program.cell.states:
            over = externals.has_sources(("final", name))
            final = (torch.zeros if over else torch.empty)(call.state_shape(name), **memory.NUMBERS)
            externals.give_sorted(plan.slots["final", name], final, over=over)
            self._finals.append(final)
        self.kept = memory.take(plan.kept_floats(rows.steps, call.rows, call.most_sources))
        self.work = Pass(plan, 0, call, externals, self.kept, packed)

    def results(self) -> tuple[Tensor, ...]:
        return (self._rows.restore(self._output), *[self._rows.restore_rows(f) for f in self._finals])


class Backward:
    """The backward pass of a call, from the gradients of its results to those that are wanted.

    Attributes:
        work: the pass, which must be run before the gradients are asked for.
    """

    def __init__(self, call: Call, plan: Plan, kept: memory.Block, gradients: Sequence[Tensor | None]) -> None:
        rows = self._rows = Rows(call)
        externals = Externals(plan, call, rows)
        externals.give(("output_gradient", ""), gradients[0])
        for name, gradient in zip(call.setting.program.cell.states, gradients[1:], strict=True):
            externals.give(("carry", name), gradient)
        self._found: dict[Slot, Tensor] = {}
        for key, tensor in zip(call.setting.keys, call.tensors, strict=True):
            if key in plan.wanted and tensor is not None:
                self._found[key] = self._new(key, tensor, plan, externals)
        self.work = Pass(plan, 1, call, externals, kept, None)

    def _new(self, key: Slot, tensor: Tensor, plan: Plan, externals: Externals) -> Tensor:
        """The gradient of one of the caller's arrays, to be filled."""
        slot = plan.slots.get(("initial", key[1]) if key[0] == "state" else ("gradient", *key))
        if slot is None:
            return torch.zeros(tensor.shape, **memory.NUMBERS)
        over = externals.has_sources(key)
        if key[0] == "input":
            gradient = self._rows.new_steps(tensor, tensor.shape[-1])
        else:
            whole = not over and (key[0] != "parameter" or plan.graded.issuperset(key[1:]))
            gradient = (torch.empty if whole else torch.zeros)(tensor.shape, **memory.NUMBERS)
        externals.give_sorted(slot, gradient, over=over)
        return gradient

    def gradients(self) -> dict[Slot, Tensor | None]:
        return {key: self._restored(key, gradient) for key, gradient in self._found.items()}

    def _restored(self, key: Slot, gradient: Tensor) -> Tensor:
        """With its rows in the caller's order."""
        if key[0] == "parameter":
            return gradient
        return self._rows.restore(gradient) if key[0] == "input" else self._rows.restore_rows(gradient)
