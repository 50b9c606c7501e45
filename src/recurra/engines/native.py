"""The native engine: a sweep run by the compiled library, on CPU in float32.

Its derivative is the program's own backward pass. A derivative of that derivative is served by the eager engine.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Any, TypeVar, cast

import torch
from torch import Tensor
from torch.autograd import forward_ad

from recurra.engines import eager, memory
from recurra.engines.passes import Backward, Externals, Forward, pack, run
from recurra.engines.plan import Plan
from recurra.engines.rows import Rows
from recurra.engines.tables import LANE
from recurra.engines.widths import Call, Slot, remember, resolve
from recurra.equations.graph import Rate


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
    if call.owners is not None and wants_gradient(*call.tensors):
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


def wants_gradient(*tensors: Tensor | None) -> bool:
    """Whether torch's autograd is to know of what is made of these tensors."""
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


Result = tuple[Tensor, tuple[Tensor, ...]]
"""Outputs ``[T, B, W]`` and the final states, each ``[B, W]``."""


def sweep(call: Call) -> Result:
    """Run the cell over the call's steps."""
    return sweep_together([call])[0]


def sweep_together(calls: Sequence[Call]) -> list[Result]:
    """The sweeps of several calls that do not depend on one another: at once, on a thread each, where that is worth it.

    For calls of a single row, which is one thread's work: the others would have none.
    """
    tensors = [t for call in calls for t in call.tensors]
    if wants_gradient(*tensors):
        flat = cast(tuple[Tensor, ...], _Sweep.apply(tuple(calls), *tensors))  # pyright: ignore[reportUnknownMemberType]
    else:
        flat = tuple(chain(*_ahead(calls, [_plan(call, None) for call in calls])[0]))
    return [(of_call[0], tuple(of_call[1:])) for of_call in _parted(flat, calls)]


def forward(call: Call, needs: tuple[bool, ...] | None) -> tuple[tuple[Tensor, ...], memory.Block]:
    """Outputs and final states, and what :func:`backward` reads again.

    Args:
        needs: which gradients will be asked for, one mark for each of the call's tensors; None is none of them.
    """
    (results,), (kept,) = _ahead([call], [_plan(call, needs)])
    return results, kept


def backward(
    call: Call, needs: tuple[bool, ...], kept: memory.Block, gradients: Sequence[Tensor | None]
) -> dict[Slot, Tensor | None]:
    """The gradients that are needed, from those of the outputs and final states."""
    return _behind([call], [_plan(call, needs)], [kept], [gradients])[0]


def _ahead(calls: Sequence[Call], plans: Sequence[Plan]) -> tuple[list[tuple[Tensor, ...]], list[memory.Block]]:
    """The results of calls, and what their backward passes read again."""
    each = [Forward(call, plan) for call, plan in zip(calls, plans, strict=True)]
    run(*[one.work for one in each])
    return [one.results() for one in each], [one.kept for one in each]


def _behind(
    calls: Sequence[Call],
    plans: Sequence[Plan],
    kept: Sequence[memory.Block],
    gradients: Sequence[Sequence[Tensor | None]],
) -> list[dict[Slot, Tensor | None]]:
    """The gradients that the plans of calls give, from those of the calls' results."""
    each = [Backward(*of_call) for of_call in zip(calls, plans, kept, gradients, strict=True)]
    run(*[one.work for one in each])
    return [one.gradients() for one in each]


Given = TypeVar("Given")


def _parted(flat: Sequence[Given], calls: Sequence[Call]) -> Iterator[Sequence[Given]]:
    """What there is for each result of several calls, by call."""
    end = 0
    for call in calls:
        begin, end = end, end + 1 + len(call.state)
        yield flat[begin:end]


class _Sweep(torch.autograd.Function):
    """Sweeps side by side as one node of autograd's graph."""

    @staticmethod
    def forward(ctx: Any, calls: tuple[Call, ...], *tensors: Tensor | None) -> tuple[Tensor, ...]:
        needs = iter(cast(tuple[bool, ...], ctx.needs_input_grad[1:]))
        ctx.plans = [_plan(call, tuple(islice(needs, len(call.tensors)))) for call in calls]
        results, ctx.kept = _ahead(calls, ctx.plans)
        # What was kept is laid out for these lengths and sources, whatever becomes of the caller's tensors.
        counts = [[None if c is None else c.clone() for c in (call.lengths, call.sources)] for call in calls]
        pairs = zip(calls, counts, strict=True)
        ctx.settings = [replace(call.setting, lengths=lengths, sources=sources) for call, (lengths, sources) in pairs]
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        return tuple(chain(*results))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:  # type: ignore[override]
        saved = iter(cast(tuple[Tensor | None, ...], ctx.saved_tensors))
        calls = [setting.call(list(islice(saved, len(setting.keys)))) for setting in ctx.settings]
        of_calls = list(_parted(gradients, calls))
        if torch.is_grad_enabled() or have_no_memory(gradients):
            found = [_differentiable(*of_call) for of_call in zip(calls, ctx.plans, of_calls, strict=True)]
        else:
            found = _behind(calls, ctx.plans, ctx.kept, of_calls)
        pairs = zip(calls, found, strict=True)
        return (None, *[of_call.get(k) for call, of_call in pairs for k in call.setting.keys])


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
        self._packed = pack(self._plan, 0, Externals(self._plan, call, Rows(call)).array())

    def sweep(self, call: Call) -> Result:
        """As :func:`sweep`, for a call that differs from the first one in its rows, steps and sources alone."""
        ahead = Forward(call, self._plan, self._packed)
        run(ahead.work)
        output, *finals = ahead.results()
        return output, tuple(finals)
