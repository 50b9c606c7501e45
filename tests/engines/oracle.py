"""The oracle: a cell's own function called on torch tensors, step after step, with torch's operations.

It takes nothing from the graph, the derivative or the planner: only the names of the parameters, which are the
language's promise to the user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from recurra.equations import Cell
from recurra.equations.language import Projected, interpreting

OPERATIONS = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "softplus": lambda a: torch.logaddexp(a, torch.zeros_like(a)),
    "abs": torch.abs,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "select": lambda condition, a, b: torch.where(condition != 0, a, b),
    "detach": lambda a: a.detach(),
}


class Oracle:
    """Gives the language's names the meaning of torch's operations."""

    def __init__(self, cell: Cell, parameters: Mapping[str, Tensor], dtype: torch.dtype) -> None:
        self.affines = cell.traced.graph.affines
        self.parameters = parameters
        self.dtype = dtype

    def wrap(self, value: Any) -> Tensor:
        return value if isinstance(value, Tensor) else torch.tensor(float(value), dtype=self.dtype)

    def pointwise(self, op: str, *args: Any) -> Tensor:
        return OPERATIONS[op](*map(self.wrap, args))

    def affine(self, name: str, operands: tuple[Any, ...], width: Any, bias: bool, blocks: int) -> Tensor:
        weights, shift = self.affines[name]
        total = self.parameters[shift] if shift else torch.zeros(())
        assert bias == (shift is not None)
        for weight, operand in zip(weights, operands, strict=True):
            if isinstance(operand, Projected):
                total = total + operand.value
            else:
                matrix = torch.block_diag(*self.parameters[weight].chunk(blocks))
                total = total + F.linear(torch.atleast_1d(self.wrap(operand)), matrix)
        return total

    def vector(self, name: str, width: Any, initial: float | None) -> Tensor:
        return self.parameters[name]

    def norm(self, parts: tuple[Any, ...], name: str, groups: int, epsilon: float) -> tuple[Tensor, ...]:
        parts = tuple(map(self.wrap, parts))
        rows = torch.broadcast_shapes(*(p.shape[:-1] for p in parts))
        joint = torch.cat([p.expand(*rows, p.shape[-1]).unflatten(-1, (groups, -1)) for p in parts], -1)
        split = F.layer_norm(joint, joint.shape[-1:], eps=epsilon).split([p.shape[-1] // groups for p in parts], -1)
        normal = [n.flatten(-2) for n in split]
        suffixes = [name] if len(parts) == 1 else [f"{name}{k + 1}" for k in range(len(parts))]
        p = self.parameters
        return tuple(p[f"gain_{s}"] * n + p[f"shift_{s}"] for s, n in zip(suffixes, normal, strict=True))


def run(
    cell: Cell,
    inputs: Sequence[Tensor],
    statics: Sequence[Tensor],
    state: Sequence[Tensor],
    parameters: Mapping[str, Tensor],
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Outputs ``[T, B, W]`` and the final states, each ``[B, W]``."""
    oracle = Oracle(cell, parameters, inputs[0].dtype)
    rows = inputs[0].shape[1]
    outputs: list[Tensor] = []
    with interpreting(oracle):
        for t in range(len(inputs[0])):
            step = [x[t] for x in inputs]
            names = (*cell.inputs, *cell.statics, *cell.states)
            output, new = cell(**dict(zip(names, (*step, *statics, *state), strict=True)))
            outputs.append(by_row(oracle.wrap(output), rows))
            widths = [s.shape[-1] for s in state]
            state = [by_row(oracle.wrap(n), rows, w) for n, w in zip(new, widths, strict=True)]
    return torch.stack(outputs), tuple(state)


def by_row(value: Tensor, rows: int, width: int | None = None) -> Tensor:
    value = torch.atleast_1d(value)
    return value.expand(rows, value.shape[-1] if width is None else width)
