"""Batch normalisation inside the recurrence, at every step (Cooijmans et al. 2017).

A cell with layer norms has the places; here each of them takes its mean and variance over the rows of the batch instead
of over the columns. That ties rows together at every step, so no fused engine runs it: the cell's own function is
called on tensors, step by step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recurra.engines.eager import POINTWISE
from recurra.equations.graph import columns
from recurra.equations.language import interpreting
from recurra.equations.program import Program
from recurra.layers.normalisation import Normalisation, moments, update_running

GAIN = 0.1
"""What gains start from: with 1, tanh saturates at once and gradients vanish (Cooijmans et al. 2017)."""


@dataclass(frozen=True)
class Inputs:
    """What a sweep reads: per-step inputs ``[T, B, W]``, statics and starts ``[B, W]``, which steps rows have."""

    steps: Mapping[str, Tensor]
    statics: Mapping[str, Tensor]
    state: Mapping[str, Tensor]
    alive: Tensor | None

    def reversed(self) -> Inputs:
        """Each row from its own last step to its first."""
        return Inputs({n: self.turned(v) for n, v in self.steps.items()}, self.statics, self.state, self.alive)

    def turned(self, x: Tensor) -> Tensor:
        """``[T, B, W]``, the steps of each row in the opposite order, what lies behind its end left in place."""
        if self.alive is None:
            return x.flip(0)
        steps = torch.arange(x.shape[0], device=x.device)[:, None, None]
        own = torch.where(self.alive, self.alive.sum(0) - 1 - steps, steps)
        return x.gather(0, own.expand(x.shape))


class RecurrentBatchNorm(nn.Module):
    """The running means of one layer: for each norm of its cell, and for each of its first steps.

    Args:
        program: the cell's.
        options: number of steps with means of their own, momentum, ε.
        sizes: columns of every named width.

    Raises:
        ValueError: the cell has no layer norm.
    """

    def __init__(self, program: Program, options: Normalisation, sizes: Mapping[str, int]) -> None:
        super().__init__()
        gains = [p for p in program.parameters.values() if p.role == "gain"]
        norms = {p.name.removeprefix("gain_"): columns(p.shape[0], sizes) for p in gains}
        if not norms:
            raise ValueError(
                f"place='recurrent': cell {program.cell.name} has no layer norm whose place batch normalisation could "
                "take; choose one that has, such as 'layer_norm_lstm'"
            )
        self.options = options
        for name, width in norms.items():
            self.register_buffer(f"mean_{name}", torch.zeros(options.steps, width))
            self.register_buffer(f"variance_{name}", torch.ones(options.steps, width))

    def reset_parameters(self) -> None:
        """Forget the running means."""
        for name, buffer in self.named_buffers():
            buffer.fill_(1.0 if name.startswith("variance_") else 0.0)

    def normalise(self, x: Tensor, name: str, t: int, alive: Tensor | None) -> Tensor:
        """(x − μ) / √(σ² + ε) over the rows of step t that are alive; running means in evaluation, or for one row."""
        at = min(t, self.options.steps - 1)
        running = self.get_buffer(f"mean_{name}")[at], self.get_buffer(f"variance_{name}")[at]
        mean, variance = running
        if self.training:
            found = moments(x, alive, (0,))
            enough = found[2] > 1
            mean, variance = torch.where(enough, found[0], mean), torch.where(enough, found[1], variance)
            if bool(enough.all()):
                update_running(*running, found, self.options.momentum)
        return (x - mean) / torch.sqrt(variance + self.options.epsilon)

    def forward(
        self, program: Program, inputs: Inputs, parameters: Mapping[str, Tensor], *, reverse: bool = False
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run the cell over a sequence.

        Returns:
            Outputs ``[T, B, W]``, zeros behind a row's end, and the final states, each ``[B, W]``.
        """
        run = inputs.reversed() if reverse else inputs
        state, outputs = dict(run.state), []
        steps = len(next(iter(run.steps.values())))
        for t in range(steps):
            alive = None if run.alive is None else run.alive[t]
            here = {n: v[t] for n, v in run.steps.items()}
            with interpreting(_Step(self, program, parameters, (t, alive))):
                output, new = program.cell(**here, **run.statics, **state)
            if alive is not None:
                output = torch.where(alive, output, 0.0)
                new = [torch.where(alive, n, o) for n, o in zip(new, state.values(), strict=True)]
            state = dict(zip(state, new, strict=True))
            outputs.append(output)
        whole = torch.stack(outputs)
        return inputs.turned(whole) if reverse else whole, tuple(state.values())


class _Step:
    """The language on tensors, at one step."""

    def __init__(
        self,
        norms: RecurrentBatchNorm,
        program: Program,
        parameters: Mapping[str, Tensor],
        at: tuple[int, Tensor | None],
    ) -> None:
        self.norms, self.graph, self.parameters, self.at = norms, program.traced.graph, parameters, at
        self.like = next(iter(parameters.values()))

    def _wrap(self, value: Any) -> Tensor:
        return value if isinstance(value, Tensor) else self.like.new_tensor(value)

    def pointwise(self, op: str, *args: Any) -> Tensor:
        return POINTWISE[op](*map(self._wrap, args))

    def affine(self, name: str, operands: Sequence[Any], width: Any, bias: bool, blocks: int) -> Tensor:
        matrices, shift = self.graph.affines[name]
        total = self.parameters[shift] if shift else self.like.new_zeros(())
        for matrix, operand in zip(matrices, operands, strict=True):
            weight = self.parameters[matrix]
            if blocks > 1:
                weight = torch.block_diag(*weight.chunk(blocks))
            total = total + F.linear(torch.atleast_1d(self._wrap(operand)), weight)
        return total

    def vector(self, name: str, width: Any, initial: float | None) -> Tensor:
        return self.parameters[name]

    def norm(self, parts: Sequence[Any], name: str, groups: int, epsilon: float) -> tuple[Tensor, ...]:
        names = [name] if len(parts) == 1 else [f"{name}{k + 1}" for k in range(len(parts))]
        return tuple(
            self.parameters[f"gain_{n}"] * self.norms.normalise(self._wrap(p), n, *self.at)
            + self.parameters[f"shift_{n}"]
            for n, p in zip(names, parts, strict=True)
        )

    def dot(self, a: Any, b: Any, scaled: bool) -> Tensor:
        a, b = self._wrap(a), self._wrap(b)
        total = (a * b).sum(-1, keepdim=True)
        return total / max(a.shape[-1], b.shape[-1]) ** 0.5 if scaled else total

    def softmax(self, scores: Any) -> Tensor:
        raise _no_memory()

    def weighted_sum(self, weights: Any, values: Any) -> Tensor:
        raise _no_memory()

    def observe(self, name: str, value: Any) -> None:
        pass


def _no_memory() -> ValueError:
    return ValueError("batch normalisation inside the loop knows no memories; normalise elsewhere (place='between')")
