"""The native engine: a sweep run by the compiled library, on CPU in float32.

Its derivative is the program's own backward pass. A derivative of that derivative is served by the eager engine.
"""

from __future__ import annotations

import ctypes
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recurra.engines import eager, memory
from recurra.engines.plan import Plan
from recurra.engines.widths import Call, resolve
from recurra.equations.adjoint import Key
from recurra.equations.program import Program, Wanted


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
    for tensor in call.tensors():
        if tensor.device.type != "cpu":
            return f"it runs on the CPU, and a tensor is on {tensor.device}"
        if tensor.dtype != torch.float32:
            return f"it computes in float32, and a tensor is {str(tensor.dtype).removeprefix('torch.')}"
    return None


def sweep(call: Call) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run the cell over the call's steps.

    Returns:
        Outputs ``[T, B, W]`` and the final states, each ``[B, W]``.
    """
    keys = _keys(call)
    tensors = _tensors(call)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
        results = _Sweep.apply(call.program, keys, *tensors)
    else:
        results = _forward(call, None)[0]
    return results[0], tuple(results[1:])


def _keys(call: Call) -> tuple[Key, ...]:
    """What each tensor of `_tensors` is."""
    cell = call.program.cell
    kinds = (("input", cell.inputs), ("static", cell.statics), ("state", cell.states), ("parameter", call.program.parameters))
    return tuple((kind, name) for kind, names in kinds for name in names)


def _tensors(call: Call) -> tuple[Tensor | None, ...]:
    return (*call.inputs, *call.statics, *call.state, *(call.parameters[n] for n in call.program.parameters))


def _call(program: Program, tensors: Sequence[Tensor | None]) -> Call:
    """The call whose `_tensors` these are."""
    cell, given = program.cell, list(tensors)
    inputs = [given.pop(0) for _ in cell.inputs]
    statics = [given.pop(0) for _ in cell.statics]
    state = [given.pop(0) for _ in cell.states]
    parameters = dict(zip(program.parameters, given, strict=True))
    return Call(program, tuple(inputs), tuple(statics), tuple(state), parameters)  # type: ignore[arg-type]  # None: states only


class _Sweep(torch.autograd.Function):
    """A sweep as one node of autograd's graph."""

    @staticmethod
    def forward(ctx: Any, program: Program, keys: tuple[Key, ...], *tensors: Tensor | None) -> tuple[Tensor, ...]:
        wanted = frozenset(k for k, needed in zip(keys, ctx.needs_input_grad[2:], strict=True) if needed)
        call = _call(program, tensors)
        results, ctx.kept = _forward(call, wanted)
        ctx.program, ctx.keys, ctx.wanted = program, keys, wanted
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        return results

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:  # type: ignore[override]
        tensors: tuple[Tensor | None, ...] = ctx.saved_tensors
        if torch.is_grad_enabled():
            found = _differentiable(ctx, tensors, gradients)
        else:
            found = _backward(_call(ctx.program, tensors), ctx.wanted, ctx.kept, gradients)
        return (None, None, *(found.get(k) for k in ctx.keys))


def _differentiable(
    ctx: Any, tensors: Sequence[Tensor | None], gradients: Sequence[Tensor | None]
) -> dict[Key, Tensor | None]:
    """The gradients as a graph of their own, for derivatives of derivatives: the eager engine runs the sweep again."""
    output, final = eager.sweep(_call(ctx.program, tensors))
    pairs = [(y, g) for y, g in zip((output, *final), gradients, strict=True) if g is not None]
    sources = {k: t for k, t in zip(ctx.keys, tensors, strict=True) if k in ctx.wanted and t is not None}
    found = torch.autograd.grad(
        [y for y, _ in pairs], list(sources.values()), [g for _, g in pairs], create_graph=True, allow_unused=True
    )
    return dict(zip(sources, found, strict=True))


def _plan(call: Call, wanted: Wanted | None) -> Plan:
    plans: dict[Hashable, Plan] = call.program.__dict__.setdefault("native_plans", {})
    # The states' own gradients are always carried: wanting them changes nothing in the plan.
    named = None if wanted is None else frozenset(k for k in wanted if k[0] != "state")
    key = (named, tuple(call.widths.items()))
    if key not in plans:
        plans[key] = Plan(call.program, named, call.widths)
    return plans[key]


class _Externals:
    """The caller's arrays of one pass, as csrc/engine.h wants them: address and strides, by slot."""

    def __init__(self, plan: Plan) -> None:
        self.slots = plan.slots
        self.table = np.zeros((max(len(plan.slots), 1), 4), dtype=np.int64)
        self.alive: list[Tensor] = []

    def give(self, key: Hashable, tensor: Tensor | None) -> None:
        """A tensor ``[T, B, W]``, ``[B, W]``, or a parameter; None reads as zeros."""
        slot = self.slots.get(key)
        if slot is None or tensor is None:
            return
        if tensor.shape[-1] > 1 and tensor.stride(-1) != 1:
            tensor = tensor.contiguous()
        rows = tensor.stride(-2) if tensor.dim() > 1 else 0
        steps = tensor.stride(-3) if tensor.dim() > 2 else 0
        self.table[slot] = (tensor.data_ptr(), rows, steps, 0)
        self.alive.append(tensor)


def _given(externals: _Externals, call: Call) -> None:
    for key, tensor in zip(_keys(call), _tensors(call), strict=True):
        externals.give(key, tensor)


def _run(plan: Plan, pass_: int, call: Call, externals: _Externals, kept: memory.Block) -> None:
    threads = torch.get_num_threads()
    packed = memory.take(plan.packed_floats(pass_))
    plan.pack(pass_, externals.table, packed.address, threads)
    work = memory.take(plan.work_floats(pass_, call.steps, call.rows, threads))
    plan.run(
        pass_,
        _RunCall(
            ctypes.sizeof(_RunCall), threads, call.steps, call.rows, externals.table.ctypes.data, packed.address,
            kept.address, work.address, None,
        ),
    )  # fmt: skip


def _steps_like(call: Call, x: Tensor, width: int) -> Tensor:
    """A new ``[T, B, W]`` whose memory runs over steps and rows in the same order as that of `x`."""
    if x.dim() == 3 and x.stride(1) > x.stride(0):
        return torch.empty(call.rows, call.steps, width).transpose(0, 1)
    return torch.empty(call.steps, call.rows, width)


def _forward(call: Call, wanted: Wanted | None) -> tuple[tuple[Tensor, ...], memory.Block]:
    plan, widths = _plan(call, wanted), call.widths
    externals = _Externals(plan)
    _given(externals, call)
    output = _steps_like(call, call.inputs[0], resolve(call.program.traced.output.width, widths))
    externals.give(("output", ""), output)
    finals = [torch.empty(call.rows, resolve(w, widths)) for w in call.program.cell.states.values()]
    for name, final in zip(call.program.cell.states, finals, strict=True):
        externals.give(("final", name), final)
    kept = memory.take(plan.kept_floats(call.steps, call.rows))
    _run(plan, 0, call, externals, kept)
    return (output, *finals), kept


def _backward(
    call: Call, wanted: Wanted, kept: memory.Block, gradients: Sequence[Tensor | None]
) -> dict[Key, Tensor | None]:
    plan = _plan(call, wanted)
    externals = _Externals(plan)
    _given(externals, call)
    externals.give(("output_gradient", ""), gradients[0])
    for name, gradient in zip(call.program.cell.states, gradients[1:], strict=True):
        externals.give(("carry", name), gradient)
    found: dict[Key, Tensor | None] = {}
    for key, tensor in zip(_keys(call), _tensors(call), strict=True):
        if key not in wanted or tensor is None:
            continue
        slot = ("initial", key[1]) if key[0] == "state" else ("gradient", *key)
        if slot not in plan.slots:
            found[key] = torch.zeros(tensor.shape)
            continue
        found[key] = _steps_like(call, tensor, tensor.shape[-1]) if key[0] == "input" else torch.empty(tensor.shape)
        externals.give(slot, found[key])
    _run(plan, 1, call, externals, kept)
    return found
