"""A sweep as one operator of torch.library: torch.compile and torch.export see one node, not its steps.

Outside of them the engines are called directly: an operator of Python costs more than a short sweep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor

from recurra.engines import eager, memory, native
from recurra.engines.widths import Call, Names, Setting, bind, resolve
from recurra.equations.program import Program, find

_ARRAYS = "str setting, Tensor[] tensors, Tensor?[] counts, bool[] needs"


@dataclass(frozen=True)
class _Form:
    """What a sweep is besides its arrays. As text it may stand in a graph that outlives the process."""

    program: Program
    layout: tuple[Names, ...]
    given: tuple[bool, ...]
    reverse: bool
    engine: str

    def call(self, tensors: Sequence[Tensor], counts: Sequence[Tensor | None]) -> Call:
        """The call, from the arrays that are given (states may be missing), and the rows' lengths and sources."""
        arrays = iter(tensors)
        every = [next(arrays) if g else None for g in self.given]
        lengths, sources = counts
        return Setting(self.program, self.layout, lengths, self.reverse, sources).call(every)


def _write(call: Call, given: Sequence[bool], engine: str) -> str:
    layout = ";".join([",".join(names) for names in call.parameters])
    return "|".join((call.program.key, layout, "".join(["01"[g] for g in given]), str(int(call.reverse)), engine))


@cache
def _read(text: str) -> _Form:
    key, layout, given, reverse, engine = text.split("|")
    names = tuple(tuple(array.split(",")) for array in layout.split(";"))
    return _Form(find(key), names, tuple(g == "1" for g in given), reverse == "1", engine)


def sweep(call: Call, engine: str) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run the cell over the call's steps, as one node of the graph that is being traced.

    Returns:
        Outputs ``[T, B, W]`` and the final states, each ``[B, W]``.
    """
    # Spelt out: what is traced here knows no cached properties.
    arrays = [*call.inputs, *call.statics, *call.memories, *call.state, *call.parameters.values()]
    tensors = [t for t in arrays if t is not None]
    needs = [t.requires_grad for t in tensors] if torch.is_grad_enabled() else []
    setting = _write(call, [t is not None for t in arrays], engine)
    counts = [call.lengths, call.sources]
    results = torch.ops.recurra.sweep(setting, tensors, counts, needs if any(needs) else [])
    return results[0], tuple(results[1:-1])


@torch.library.custom_op("recurra::sweep", mutates_args=(), schema=f"({_ARRAYS}) -> Tensor[]")
def _sweep(
    setting: str, tensors: Sequence[Tensor], counts: Sequence[Tensor | None], needs: Sequence[bool]
) -> list[Tensor]:
    """Outputs, final states, and what the gradients read again; no `needs` is inference."""
    form = _read(setting)
    call = form.call(tensors, counts)
    if _is_native(call, form.engine):
        results, kept = native.forward(call, _marks(form, needs) if needs else None)
        # The graph owns what it keeps, and none of its results share memory.
        return [results[0].contiguous(), *results[1:], kept.leave() if needs else _nothing()]
    output, finals = eager.sweep(call)
    return [output.contiguous(), *(f.clone() for f in finals), _nothing()]


@_sweep.register_fake  # pyright: ignore[reportUnknownMemberType]
def _(setting: str, tensors: Sequence[Tensor], counts: Sequence[Tensor | None], needs: Sequence[bool]) -> list[Tensor]:
    call = _read(setting).call(tensors, counts)
    widths, x = bind(call), call.inputs[0]
    output = x.new_empty(call.steps, call.rows, resolve(call.program.traced.output.width, widths))
    finals = [x.new_empty(*call.state_shape(n, widths)) for n in call.program.cell.states]
    # How much is kept is for the engine to say, once it runs.
    kept = cast(int, torch.library.get_ctx().new_dynamic_size()) if needs else 0  # pyright: ignore
    return [output, *finals, torch.empty(kept, **memory.NUMBERS)]


@torch.library.custom_op(
    "recurra::sweep_gradients", mutates_args=(), schema=f"({_ARRAYS}, Tensor kept, Tensor?[] gradients) -> Tensor[]"
)
def _sweep_gradients(
    setting: str,
    tensors: Sequence[Tensor],
    counts: Sequence[Tensor | None],
    needs: Sequence[bool],
    kept: Tensor,
    gradients: Sequence[Tensor | None],
) -> list[Tensor]:
    """The gradients that are needed, from those of the outputs and final states."""
    form = _read(setting)
    call = form.call(tensors, counts)
    marks = _marks(form, needs)
    if not _is_native(call, form.engine):
        return _eager_gradients(call, marks, gradients)
    found = native.backward(call, marks, memory.around(kept), gradients)
    needed = [(t, found.get(k)) for k, t, m in zip(call.setting.keys, call.tensors, marks, strict=True) if m]
    return [torch.zeros(t.shape, **memory.NUMBERS) if g is None else g.contiguous() for t, g in needed if t is not None]


@_sweep_gradients.register_fake  # pyright: ignore[reportUnknownMemberType]
def _(
    setting: str,
    tensors: Sequence[Tensor],
    counts: Sequence[Tensor | None],
    needs: Sequence[bool],
    kept: Tensor,
    gradients: Sequence[Tensor | None],
) -> list[Tensor]:
    return [t.new_empty(t.shape) for t, need in zip(tensors, needs, strict=True) if need]


def _eager_gradients(call: Call, marks: Sequence[bool], gradients: Sequence[Tensor | None]) -> list[Tensor]:
    """The sweep once more, under autograd, beneath which an operator is called."""
    keys = torch._C.DispatchKey  # pyright: ignore[reportPrivateUsage]
    with torch._C._SetExcludeDispatchKeyGuard(keys.AutogradFunctionality, False), torch.enable_grad():  # pyright: ignore
        leaves = [None if t is None else t.detach().requires_grad_(m) for t, m in zip(call.tensors, marks, strict=True)]
        output, finals = eager.sweep(call.setting.call(leaves))
        pairs = [(y, g) for y, g in zip((output, *finals), gradients, strict=True) if g is not None and y.requires_grad]
        found = torch.autograd.grad(
            [y for y, _ in pairs],
            [t for t in leaves if t is not None and t.requires_grad],
            [g for _, g in pairs],
            allow_unused=True,
            materialize_grads=True,
        )
    return [g.contiguous() for g in found]


def _nothing() -> Tensor:
    return torch.empty(0, **memory.NUMBERS)


def _set_up(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    ctx.setting, tensors, counts, ctx.needs = inputs
    ctx.save_for_backward(*counts, output[-1], *tensors)


def _backward(ctx: Any, gradients: list[Tensor | None]) -> tuple[Any, ...]:
    lengths, sources, kept, *tensors = ctx.saved_tensors
    counts = [lengths, sources]
    found = iter(torch.ops.recurra.sweep_gradients(ctx.setting, tensors, counts, ctx.needs, kept, gradients[:-1]))
    return None, [next(found) if need else None for need in ctx.needs], None, None


_sweep.register_autograd(_backward, setup_context=_set_up)  # pyright: ignore[reportUnknownMemberType]


def _marks(form: _Form, needs: Sequence[bool]) -> tuple[bool, ...]:
    """Which gradients are needed of all arrays, of which some are missing."""
    marks = iter(needs)
    return tuple(g and next(marks) for g in form.given)


def _is_native(call: Call, engine: str) -> bool:
    from recurra.engines.sweep import settle  # which imports this module

    return settle(call, engine) == "native"
