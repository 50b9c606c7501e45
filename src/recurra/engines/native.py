"""The native engine: a sweep run by the compiled library, on CPU in float32.

Its derivative is the program's own backward pass. A derivative of that derivative is served by the eager engine.
"""

from __future__ import annotations

import ctypes
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import forward_ad

from recurra.engines import eager, memory
from recurra.engines.plan import Plan
from recurra.engines.rows import Rows
from recurra.engines.tables import LANE
from recurra.engines.widths import Call, Slot, remember, resolve
from recurra.equations.graph import Rate


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


def obstacle(call: Call) -> str | None:
    """Why the native engine cannot serve a call, or None."""
    for n in call.program.traced.graph.nodes[: call.program.traced.size]:
        if n.op == "affine" and n.memory and n.rate is Rate.LOOP:
            return f"of a memory it multiplies what is the same at all steps, and affine {n.attr[0]} has what changes"
    for p in call.program.diagonal:
        rows, columns = (resolve(w, call.widths) for w in p.shape)
        if rows // p.blocks % LANE or columns % LANE:
            size = f"{rows // p.blocks} x {columns}"
            return f"the sides of its blocks are multiples of {LANE}, and those of {p.name} are {size}"
    if call.owners is not None and _wants_gradient(call):
        return "of a memory that several rows read it gives no gradient"
    return tensor_obstacle(call.tensors)


_PLAIN = (Tensor, torch.nn.Parameter)


def tensor_obstacle(tensors: Sequence[Tensor | None]) -> str | None:
    """Why the native library cannot compute with these tensors, or None."""
    if torch._C._are_functorch_transforms_active():  # pyright: ignore[reportPrivateUsage]  # torch has no public question
        return "its derivatives are reverse mode alone, and torch.func transforms the call"
    if torch.jit.is_tracing():  # pyright: ignore[reportPrivateImportUsage]
        return "torch.jit.trace records torch's operations alone"
    if torch._C._len_torch_dispatch_stack():  # pyright: ignore[reportPrivateUsage]
        return "a dispatch mode of torch watches torch's own operations"
    forward_mode = cast(int, forward_ad._current_level) >= 0  # pyright: ignore
    for tensor in tensors:
        if tensor is None:
            continue
        if forward_mode and forward_ad.unpack_dual(tensor).tangent is not None:  # pyright: ignore[reportUnknownMemberType]
            return "its derivatives are reverse mode alone, and a tensor carries a forward-mode tangent"
        if not tensor.is_cpu:
            return f"it runs on the CPU, and a tensor is on {tensor.device}"
        if tensor.dtype is not torch.float32:
            return f"it computes in float32, and a tensor is {str(tensor.dtype).removeprefix('torch.')}"
        if type(tensor) not in _PLAIN and _is_dispatched(tensor):
            return f"it reads memory, and a {type(tensor).__name__} stands for torch's operations instead"
    return None


def _is_dispatched(tensor: Tensor) -> bool:
    """Whether a subclass of Tensor takes torch's operations itself, and so may have no memory of its own."""
    key = torch._C.DispatchKey.Python  # pyright: ignore[reportPrivateUsage]
    return torch._C._dispatch_keys(tensor).has(key)  # pyright: ignore[reportPrivateUsage]


def have_no_memory(gradients: Sequence[Tensor | None]) -> bool:
    """Whether a gradient stands for many of them (``is_grads_batched``), which torch's operations alone can take."""
    return any(g is not None and not torch._C._has_storage(g) for g in gradients)  # pyright: ignore[reportPrivateUsage]


def _wants_gradient(call: Call) -> bool:
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in call.tensors)


def sweep(call: Call) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run the cell over the call's steps.

    Returns:
        Outputs ``[T, B, W]`` and the final states, each ``[B, W]``.
    """
    if _wants_gradient(call):
        results = cast(tuple[Tensor, ...], _Sweep.apply(call, *call.tensors))  # pyright: ignore[reportUnknownMemberType]
    else:
        results = _forward(call, _plan(call, None))[0]
    return results[0], tuple(results[1:])


def forward(call: Call, needs: tuple[bool, ...] | None) -> tuple[tuple[Tensor, ...], memory.Block]:
    """Outputs and final states, and what :func:`backward` reads again.

    Args:
        needs: which gradients will be asked for, one mark for each of the call's tensors; None is none of them.
    """
    return _forward(call, _plan(call, needs))


def backward(
    call: Call, needs: tuple[bool, ...], kept: memory.Block, gradients: Sequence[Tensor | None]
) -> dict[Slot, Tensor | None]:
    """The gradients that are needed, from those of the outputs and final states."""
    return _backward(call, _plan(call, needs), kept, gradients)


class _Sweep(torch.autograd.Function):
    """A sweep as one node of autograd's graph."""

    @staticmethod
    def forward(ctx: Any, call: Call, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        ctx.plan = _plan(call, ctx.needs_input_grad[1:])
        results, ctx.kept = _forward(call, ctx.plan)
        # What was kept is laid out for these lengths and sources, whatever becomes of the caller's tensors.
        lengths, sources = (None if c is None else c.clone() for c in (call.lengths, call.sources))
        ctx.setting = replace(call.setting, lengths=lengths, sources=sources)
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        return results

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:  # type: ignore[override]
        call = ctx.setting.call(ctx.saved_tensors)
        if torch.is_grad_enabled() or have_no_memory(gradients):
            found = _differentiable(call, ctx.plan, gradients)
        else:
            found = _backward(call, ctx.plan, ctx.kept, gradients)
        return (None, *[found.get(k) for k in call.setting.keys])


def _differentiable(call: Call, plan: Plan, gradients: Sequence[Tensor | None]) -> dict[Slot, Tensor | None]:
    """The gradients as a graph of their own, for derivatives of derivatives: the eager engine runs the sweep again."""
    differentiable = torch.is_grad_enabled()
    with torch.enable_grad():
        # A tensor given twice is two sources.
        call = call.setting.call([None if t is None else t.view_as(t) for t in call.tensors])
        output, final = eager.sweep(call)
    pairs = [(y, g) for y, g in zip((output, *final), gradients, strict=True) if g is not None and y.requires_grad]
    if not pairs:
        return {}
    sources = {k: t for k, t in zip(call.setting.keys, call.tensors, strict=True) if k in plan.wanted and t is not None}
    found = torch.autograd.grad(
        [y for y, _ in pairs],
        list(sources.values()),
        [g for _, g in pairs],
        create_graph=differentiable,
        allow_unused=True,
    )
    return dict(zip(sources, found, strict=True))


_MOST_PLANS = 512
_PLANS: dict[Hashable, Plan] = {}


def _plan(call: Call, needs: tuple[bool, ...] | None) -> Plan:
    """The plan for the gradients that are needed, one mark for each of the call's tensors; None: for inference."""
    setting = call.setting
    key = (setting.program.key, needs, setting.layout, *call.widths.values())
    plan = _PLANS.get(key)
    if plan is None:
        wanted = None if needs is None else frozenset(k for k, n in zip(setting.keys, needs, strict=True) if n)
        plan = remember(_PLANS, key, Plan(setting.program, wanted, call.widths, setting.layout), _MOST_PLANS)
    return plan


class Prepacked:
    """Sweeps without gradients by parameters that stay as they are: their matrices are packed once.

    Args:
        call: one of the sweeps.
    """

    def __init__(self, call: Call) -> None:
        self._plan = _plan(call, None)
        self._packed = _pack(self._plan, 0, _Externals(self._plan, call, Rows(call)).array())

    def sweep(self, call: Call) -> tuple[Tensor, tuple[Tensor, ...]]:
        """As :func:`sweep`, for a call that differs from the first one in its rows, steps and sources alone."""
        output, *finals = _forward(call, self._plan, self._packed)[0]
        return output, tuple(finals)


class _Externals:
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


def _pack(plan: Plan, pass_: int, table: ctypes.Array[ctypes.c_int64]) -> memory.Block:
    """The matrices of a pass, packed from the caller's arrays."""
    packed = memory.take(plan.packed_floats(pass_))
    plan.pack(pass_, table, packed.address, torch.get_num_threads())
    return packed


def _run(
    plan: Plan, pass_: int, call: Call, externals: _Externals, kept: memory.Block, packed: memory.Block | None = None
) -> None:
    rows = externals.rows
    threads = torch.get_num_threads()
    table = externals.array()
    packed = _pack(plan, pass_, table) if packed is None else packed
    work = memory.take(plan.work_floats(pass_, (rows.steps, call.rows, call.most_sources), threads))
    plan.run(
        pass_,
        _RunCall(
            ctypes.sizeof(_RunCall), threads, rows.steps, call.rows, ctypes.addressof(table), packed.address,
            kept.address, work.address, rows.address, int(rows.reverse), call.most_sources, rows.source_address,
            rows.owner_address,
        ),
    )  # fmt: skip


def _forward(call: Call, plan: Plan, packed: memory.Block | None = None) -> tuple[tuple[Tensor, ...], memory.Block]:
    widths, traced = call.widths, call.setting.program.traced
    rows = Rows(call)
    externals = _Externals(plan, call, rows)
    output = rows.new_steps(call.inputs[0], resolve(traced.output.width, widths))
    externals.give_sorted(plan.slots["output", ""], output)
    finals: dict[str, Tensor] = {}
    for name in call.setting.program.cell.states:
        over = externals.has_sources(("final", name))
        finals[name] = (torch.zeros if over else torch.empty)(call.state_shape(name), **memory.NUMBERS)
        externals.give_sorted(plan.slots["final", name], finals[name], over=over)
    kept = memory.take(plan.kept_floats(rows.steps, call.rows, call.most_sources))
    _run(plan, 0, call, externals, kept, packed)
    return (rows.restore(output), *[rows.restore_rows(f) for f in finals.values()]), kept


def _backward(
    call: Call, plan: Plan, kept: memory.Block, gradients: Sequence[Tensor | None]
) -> dict[Slot, Tensor | None]:
    rows = Rows(call)
    externals = _Externals(plan, call, rows)
    externals.give(("output_gradient", ""), gradients[0])
    for name, gradient in zip(call.setting.program.cell.states, gradients[1:], strict=True):
        externals.give(("carry", name), gradient)
    found: dict[Slot, Tensor] = {}
    for key, tensor in zip(call.setting.keys, call.tensors, strict=True):
        if key not in plan.wanted or tensor is None:
            continue
        slot = plan.slots.get(("initial", key[1]) if key[0] == "state" else ("gradient", *key))
        if slot is None:
            found[key] = torch.zeros(tensor.shape, **memory.NUMBERS)
            continue
        over = externals.has_sources(key)
        if key[0] == "input":
            gradient = rows.new_steps(tensor, tensor.shape[-1])
        else:
            whole = not over and (key[0] != "parameter" or plan.graded.issuperset(key[1:]))
            gradient = (torch.empty if whole else torch.zeros)(tensor.shape, **memory.NUMBERS)
        externals.give_sorted(slot, gradient, over=over)
        found[key] = gradient
    _run(plan, 1, call, externals, kept)
    for key, gradient in found.items():
        if key[0] != "parameter":
            found[key] = rows.restore(gradient) if key[0] == "input" else rows.restore_rows(gradient)
    return dict(found)
