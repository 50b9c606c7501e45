"""The native engine: a sweep run by the compiled library, on CPU in float32.

Its derivative is the program's own backward pass. A derivative of that derivative is served by the eager engine.
"""

from __future__ import annotations

import ctypes
from collections.abc import Hashable, Sequence
from contextvars import ContextVar, Token
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import forward_ad

from recurra.engines import eager, memory
from recurra.engines.plan import Plan
from recurra.engines.tables import Slot
from recurra.engines.widths import Call, resolve
from recurra.equations.adjoint import Key
from recurra.equations.program import Program

_prepacked: ContextVar[dict[Hashable, memory.Block] | None] = ContextVar("prepacked", default=None)


class Prepacked:
    """Keeps packed matrices from call to call, for decoding step by step: ``with prepacked: layer.step(x, state)``.

    Packing costs as much as several steps of one row. Inside the block the parameters must not change. That is the
    caller's promise: torch gives no reliable sign of a change (its fused optimisers count no version up). The object
    may be entered again and again; what it keeps goes with it.
    """

    def __init__(self) -> None:
        self._blocks: dict[Hashable, memory.Block] = {}
        self._tokens: list[Token[dict[Hashable, memory.Block] | None]] = []

    def __enter__(self) -> Prepacked:
        self._tokens.append(_prepacked.set(self._blocks))
        return self

    def __exit__(self, *_: object) -> None:
        _prepacked.reset(self._tokens.pop())


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
    )


def obstacle(call: Call) -> str | None:
    """Why the native engine cannot serve a call, or None."""
    if call.lengths is not None or call.reverse:
        return "it does not run rows of their own lengths or backwards"
    if torch._C._are_functorch_transforms_active():  # pyright: ignore[reportPrivateUsage]  # torch has no public question
        return "its derivatives are reverse mode alone, and torch.func transforms the call"
    forward_mode = cast(int, forward_ad._current_level) >= 0  # pyright: ignore
    blocked = [p.name for p in call.program.parameters.values() if p.blocks > 1]
    if blocked:
        return f"it has no block-diagonal products, and {blocked[0]} is block-diagonal"
    for tensor in call.tensors:
        if tensor is None:
            continue
        if forward_mode and forward_ad.unpack_dual(tensor).tangent is not None:  # pyright: ignore[reportUnknownMemberType]
            return "its derivatives are reverse mode alone, and a tensor carries a forward-mode tangent"
        if not tensor.is_cpu:
            return f"it runs on the CPU, and a tensor is on {tensor.device}"
        if tensor.dtype is not torch.float32:
            return f"it computes in float32, and a tensor is {str(tensor.dtype).removeprefix('torch.')}"
    return None


def sweep(call: Call) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run the cell over the call's steps.

    Returns:
        Outputs ``[T, B, W]`` and the final states, each ``[B, W]``.
    """
    call = replace(call, parameters={(n,): call.named[n] for n in call.program.parameters})
    tensors = call.tensors
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
        results = cast(tuple[Tensor, ...], _Sweep.apply(call, *tensors))  # pyright: ignore[reportUnknownMemberType]
    else:
        results = _forward(call, _plan(call, None))[0]
    return results[0], tuple(results[1:])


def _keys(program: Program) -> tuple[Key, ...]:
    """What each of a call's tensors is, in their order."""
    keys: tuple[Key, ...] | None = program.__dict__.get("tensor_keys")
    if keys is None:
        cell = program.cell
        kinds = (
            ("input", cell.inputs), ("static", cell.statics), ("state", cell.states), ("parameter", program.parameters),
        )  # fmt: skip
        keys = program.__dict__["tensor_keys"] = tuple((kind, name) for kind, names in kinds for name in names)
    return keys


def _call(program: Program, tensors: Sequence[Tensor | None]) -> Call:
    """The call whose tensors these are."""
    cell, given = program.cell, list(tensors)
    inputs = [given.pop(0) for _ in cell.inputs]
    statics = [given.pop(0) for _ in cell.statics]
    state = [given.pop(0) for _ in cell.states]
    parameters = dict(zip([(n,) for n in program.parameters], given, strict=True))
    return Call(program, tuple(inputs), tuple(statics), tuple(state), parameters)  # type: ignore[arg-type]  # None: states only


class _Sweep(torch.autograd.Function):
    """A sweep as one node of autograd's graph."""

    @staticmethod
    def forward(ctx: Any, call: Call, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        ctx.program, ctx.plan = call.program, _plan(call, ctx.needs_input_grad[1:])
        results, ctx.kept = _forward(call, ctx.plan)
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        return results

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:  # type: ignore[override]
        tensors: tuple[Tensor | None, ...] = ctx.saved_tensors
        if torch.is_grad_enabled():
            found = _differentiable(ctx, tensors, gradients)
        else:
            found = _backward(_call(ctx.program, tensors), ctx.plan, ctx.kept, gradients)
        return (None, *[found.get(k) for k in _keys(ctx.program)])


def _differentiable(
    ctx: Any, tensors: Sequence[Tensor | None], gradients: Sequence[Tensor | None]
) -> dict[Key, Tensor | None]:
    """The gradients as a graph of their own, for derivatives of derivatives: the eager engine runs the sweep again."""
    output, final = eager.sweep(_call(ctx.program, tensors))
    pairs = [(y, g) for y, g in zip((output, *final), gradients, strict=True) if g is not None and y.requires_grad]
    if not pairs:
        return {}
    sources = {k: t for k, t in zip(_keys(ctx.program), tensors, strict=True) if k in ctx.plan.wanted and t is not None}
    found = torch.autograd.grad(
        [y for y, _ in pairs], list(sources.values()), [g for _, g in pairs], create_graph=True, allow_unused=True
    )
    return dict(zip(sources, found, strict=True))


def _plan(call: Call, needs: tuple[bool, ...] | None) -> Plan:
    """The plan for the gradients that are needed, one mark for each of the call's tensors; None: for inference."""
    plans: dict[Hashable, Plan] = call.program.__dict__.setdefault("native_plans", {})
    key = (needs, *call.widths.values())
    plan = plans.get(key)
    if plan is None:
        wanted = None if needs is None else frozenset(k for k, n in zip(_keys(call.program), needs, strict=True) if n)
        plan = plans[key] = Plan(call.program, wanted, call.widths)
    return plan


class _Externals:
    """The caller's arrays of one pass, as csrc/engine.h wants them: address and strides, by slot."""

    def __init__(self, plan: Plan, call: Call) -> None:
        self.slots = plan.slots
        self.table = [0] * (4 * max(len(plan.slots), 1))
        self.alive: list[Tensor] = []
        for key, tensor in zip(_keys(call.program), call.tensors, strict=True):
            self.give(key, tensor)

    def give(self, key: Slot, tensor: Tensor | None) -> None:
        """A tensor ``[T, B, W]``, ``[B, W]``, or a parameter; None reads as zeros."""
        slot = self.slots.get(key)
        if slot is None or tensor is None:
            return
        strides = tensor.stride()
        if strides[-1] != 1 and tensor.shape[-1] > 1:
            tensor = tensor.contiguous()
            strides = tensor.stride()
        dims = len(strides)
        self.table[4 * slot : 4 * slot + 3] = (
            tensor.data_ptr(), strides[-2] if dims > 1 else 0, strides[-3] if dims > 2 else 0,
        )  # fmt: skip
        self.alive.append(tensor)

    def array(self) -> ctypes.Array[ctypes.c_int64]:
        return (ctypes.c_int64 * len(self.table))(*self.table)


def _run(plan: Plan, pass_: int, call: Call, externals: _Externals, kept: memory.Block) -> None:
    threads = torch.get_num_threads()
    table = externals.array()
    packed = _packed(plan, pass_, call, table, threads)
    work = memory.take(plan.work_floats(pass_, call.steps, call.rows, threads))
    plan.run(
        pass_,
        _RunCall(
            ctypes.sizeof(_RunCall), threads, call.steps, call.rows, ctypes.addressof(table), packed.address,
            kept.address, work.address, None,
        ),
    )  # fmt: skip


def _packed(plan: Plan, pass_: int, call: Call, table: ctypes.Array[ctypes.c_int64], threads: int) -> memory.Block:
    """The pass's matrices, packed anew unless :class:`Prepacked` is in force and has them."""
    kept = _prepacked.get()
    key = None if kept is None else (plan, pass_, *call.parameters.values())
    block = None if kept is None else kept.get(key)
    if block is None:
        block = memory.take(plan.packed_floats(pass_))
        plan.pack(pass_, table, block.address, threads)
        if kept is not None:
            kept[key] = block
    return block


def _steps_like(call: Call, x: Tensor, width: int) -> Tensor:
    """A new ``[T, B, W]`` whose memory runs over steps and rows in the same order as that of `x`."""
    if x.dim() == 3 and x.stride(1) > x.stride(0):
        return torch.empty(call.rows, call.steps, width).transpose(0, 1)
    return torch.empty(call.steps, call.rows, width)


def _forward(call: Call, plan: Plan) -> tuple[tuple[Tensor, ...], memory.Block]:
    widths = call.widths
    externals = _Externals(plan, call)
    output = _steps_like(call, call.inputs[0], resolve(call.program.traced.output.width, widths))
    externals.give(("output", ""), output)
    finals = [torch.empty(call.rows, resolve(w, widths)) for w in call.program.cell.states.values()]
    for name, final in zip(call.program.cell.states, finals, strict=True):
        externals.give(("final", name), final)
    kept = memory.take(plan.kept_floats(call.steps, call.rows))
    _run(plan, 0, call, externals, kept)
    return (output, *finals), kept


def _backward(
    call: Call, plan: Plan, kept: memory.Block, gradients: Sequence[Tensor | None]
) -> dict[Key, Tensor | None]:
    externals = _Externals(plan, call)
    externals.give(("output_gradient", ""), gradients[0])
    for name, gradient in zip(call.program.cell.states, gradients[1:], strict=True):
        externals.give(("carry", name), gradient)
    found = _joined_gradients(call, plan, externals)
    for key, tensor in zip(_keys(call.program), call.tensors, strict=True):
        if key not in plan.wanted or tensor is None or key in found:
            continue
        slot = ("initial", key[1]) if key[0] == "state" else ("gradient", *key)
        if slot not in plan.slots:
            found[key] = torch.zeros(tensor.shape)
            continue
        found[key] = _steps_like(call, tensor, tensor.shape[-1]) if key[0] == "input" else torch.empty(tensor.shape)
        externals.give(slot, found[key])
    _run(plan, 1, call, externals, kept)
    return found


def _joined_gradients(call: Call, plan: Plan, externals: _Externals) -> dict[Key, Tensor | None]:
    """Gradients of parameters that one product gives: one array, and a part of it for each."""
    found: dict[Key, Tensor | None] = {}
    for names in plan.joined:
        parameters = [call.parameters[(n,)] for n in names]
        rows = [p.shape[0] for p in parameters]
        whole = torch.empty(sum(rows), *parameters[0].shape[1:])
        externals.give(("gradients", *names), whole)
        found.update(zip([("parameter", n) for n in names], torch.split(whole, rows), strict=True))
    return found
