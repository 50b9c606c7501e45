"""Sweeps of cells some of whose states are only delayed inputs: those are made for all steps at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from recurra.engines.widths import Call

Results = tuple[Tensor, tuple[Tensor, ...]]
"""Outputs ``[T, B, W]`` and the final states, each ``[B, W]``."""


def sweep(call: Call, run: Callable[[Call], Results]) -> Results:
    """Run a call by `run`, which is given states that are delayed inputs as inputs (see `Program.shifting`)."""
    shifting = call.program.shifting
    if shifting is None:
        return run(call)
    program, shifted = shifting
    states = dict(zip(call.program.cell.states, call.state, strict=True))
    inputs = dict(zip(call.program.cell.inputs, call.inputs, strict=True))
    ends: dict[str, Tensor] = {}
    for state, source in shifted.delayed.items():
        inputs[state], ends[state] = _delayed(inputs[source], states[state], call.lengths, reverse=call.reverse)
    kept = tuple(states[name] for name in program.cell.states)
    # A tap further back is a delayed input of what is an input now.
    output, finals = sweep(replace(call, program=program, inputs=tuple(inputs.values()), state=kept), run)
    ends |= dict(zip(program.cell.states, finals, strict=True))
    return output, tuple(ends[name] for name in states)


def _delayed(x: Tensor, start: Tensor | None, lengths: Tensor | None, *, reverse: bool) -> tuple[Tensor, Tensor]:
    """An input ``[T, B, W]`` of the step before, at first the start ``[B, W]`` (None: zeros), and its last value.

    That of a row without a step is the start.
    """
    first = torch.zeros_like(x[0]) if start is None else start
    row: Sequence[Tensor] = (x[1:], first[None]) if reverse else (first[None], x[:-1])
    before = torch.cat(row)
    if lengths is None:
        return before, x[0] if reverse else x[-1]
    lengths = lengths.to(x.device)
    end = (lengths - 1).clamp(min=0)
    if reverse:
        at_end = torch.arange(len(x), device=x.device)[:, None] == end
        before = torch.where(at_end[..., None], first, before)
    last = x[0] if reverse else x.gather(0, end[None, :, None].expand(1, -1, x.shape[-1]))[0]
    return before, torch.where((lengths > 0)[:, None], last, first)
