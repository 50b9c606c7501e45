"""A stack run the slow way: every row alone, cut at its end and at its resets, turned round for the way back."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from recurra.engines.sweep import sweep
from recurra.layers import Recurrent
from recurra.layers.layer import Layer


def run_segment(layer: Layer, x: Tensor, state: list[Tensor], static: Tensor | None) -> tuple[Tensor, list[Tensor]]:
    """Steps ``[T, I]`` of one row from its first to its last."""
    if len(x) == 0:
        width = layer.design.width(layer.design.program.traced.output.width, layer.inputs)
        return x.new_zeros(0, width), state
    program = layer.design.running(training=False, resets=False)
    parameters = {name: layer.parameter(name) for name in program.parameters}
    statics = [] if static is None else [static[None]]
    output, final = sweep(program, [x[:, None]], [s[None] for s in state], parameters, statics=statics, engine="eager")
    return output[:, 0], [f[0] for f in final]


def run_row(layer: Layer, x: Tensor, state: list[Tensor], resets: Tensor, static: Tensor | None):
    """Steps ``[T, I]`` of one row in the layer's direction, a new start at each reset."""
    starts = [s[0] for s in layer.initial_state(1, x)]
    # On the way back an episode is entered from its last step: behind the first step nothing starts any more.
    cuts = [0, *[t for t in range(1 if layer.reverse else 0, len(x)) if resets[t]], len(x)]
    segments = list(pairwise(cuts))
    outputs: dict[tuple[int, int], Tensor] = {}
    for k, (a, b) in enumerate(reversed(segments) if layer.reverse else segments):
        if k > 0:
            state = starts
        part = x[a:b].flip(0) if layer.reverse else x[a:b]
        output, state = run_segment(layer, part, state, static)
        outputs[a, b] = output.flip(0) if layer.reverse else output
    return torch.cat([outputs[s] for s in segments]), state


def run_stack(
    stack: Recurrent,
    x: Tensor,
    state: tuple[Tensor, ...] | None = None,
    lengths: list[int] | None = None,
    resets: Tensor | None = None,
    static: Tensor | None = None,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """What `Recurrent` gives in evaluation, without norms."""
    batch, steps = x.shape[:2]
    state = stack.initial_state(batch, x) if state is None else state
    outputs, finals = [], []
    for row in range(batch):
        length = steps if lengths is None else lengths[row]
        marks = torch.zeros(steps, dtype=torch.bool) if resets is None else resets[row]
        values, last = x[row, :length], []
        for k in range(stack.num_layers):
            both = []
            for layers in [stack.layers, stack.reverse_layers][: stack.directions]:
                start = [s[len(last), row] for s in state]
                given = None if static is None else static[row]
                output, final = run_row(layers[k], values, start, marks, given)  # type: ignore[arg-type]
                both.append(output)
                last.append(final)
            above = torch.cat(both, -1)
            values = above + values if stack.residual and above.shape == values.shape else above
        outputs.append(torch.cat([values, values.new_zeros(steps - length, values.shape[1])]))
        finals.append(last)
    names = range(len(state))
    return torch.stack(outputs), tuple(
        torch.stack([torch.stack([finals[r][k][s] for r in range(batch)]) for k in range(len(finals[0]))])
        for s in names
    )
