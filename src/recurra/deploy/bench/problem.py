"""What all contenders of a comparison are given: one cell, one set of parameters, one input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from recurra.equations.printing import multiply_adds
from recurra.layers import Recurrent

Run = Callable[[], object]
"""One run of a contender. It returns what all contenders must agree on, in whatever form it has it: of training the
gradient of the input, of inference the output, time first."""

_REAL = 0.6  # share of the steps of a ragged batch that are real


@dataclass(frozen=True)
class Shape:
    """T steps, B rows, I columns of input, H units."""

    steps: int
    batch: int
    inputs: int
    hidden: int

    def __str__(self) -> str:
        return f"{self.steps}, {self.batch}, {self.inputs}, {self.hidden}"


class Problem:
    """A layer of a cell on a shape.

    Attributes:
        layer: the layer whose parameters all contenders take.
        x: the input, time first: ``[T, B, I]``, wants a gradient.
        gradient: that of the output, ``[T, B, H]``.
        lengths: steps of each row, or None: all.
    """

    def __init__(self, cell: str, shape: Shape, *, ragged: bool = False) -> None:
        self.cell, self.shape = cell, shape
        self.layer = Recurrent(cell, shape.inputs, shape.hidden)
        self.x = torch.randn(shape.steps, shape.batch, shape.inputs, requires_grad=True)
        self.gradient = torch.randn(shape.steps, shape.batch, shape.hidden) / shape.batch
        self.lengths: Tensor | None = None
        if ragged:
            # Evenly from short rows to full ones, in no order.
            low, high = (2 * _REAL - 1) * shape.steps, float(shape.steps)
            self.lengths = torch.linspace(low, high, shape.batch).round().long()[torch.randperm(shape.batch)]
            for row, length in enumerate(self.lengths.tolist()):
                self.gradient[length:, row] = 0.0

    @cached_property
    def real_steps(self) -> int:
        """Steps of all rows together."""
        return self.shape.steps * self.shape.batch if self.lengths is None else int(self.lengths.sum())

    def operations(self, *, training: bool) -> float:
        """Operations of the cell's products, two for each multiply-add; training has three for each of inference."""
        sizes = {"I": self.shape.inputs, "H": self.shape.hidden}
        return (6.0 if training else 2.0) * self.real_steps * multiply_adds(self.layer.cell, sizes)

    def stacked(self, *names: str) -> Tensor:
        """Parameters by their names in the equations, one below the other."""
        return torch.cat([self.layer.parameter(0, n).detach() for n in names])


@dataclass(frozen=True)
class TrainingStep:
    """Forward, backward with the gradient of the input, and a fused SGD update. One of torch's contenders.

    Attributes:
        forward: from the input to the output.
        optimizer: of its parameters.
        x: the input.
        gradient: that of the output.
    """

    forward: Callable[[Tensor], Tensor]
    optimizer: torch.optim.Optimizer
    x: Tensor
    gradient: Tensor

    def __call__(self) -> Tensor | None:
        self.x.grad = None
        self.forward(self.x).backward(self.gradient)  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return self.x.grad


def torch_run(module: torch.nn.Module, forward: Callable[[Tensor], Tensor], problem: Problem, *, training: bool) -> Run:
    """A run of a contender that torch differentiates. `forward` takes and gives time first."""
    if training:
        # So small a rate that the contenders stay together.
        optimizer = torch.optim.SGD(module.parameters(), lr=1e-7, fused=True)
        return TrainingStep(forward, optimizer, problem.x, problem.gradient)
    x = problem.x.detach()

    def infer() -> Tensor:
        with torch.inference_mode():
            return forward(x)

    return infer
