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
        return OPERATIONS[op](*self.together(*args))

    def together(self, *args: Any) -> list[Tensor]:
        """The arguments, those that are one for all sources, ``[B, W]``, ready to meet those that are not."""
        values = [self.wrap(a) for a in args]
        rank = max(v.dim() for v in values)
        return [v.unsqueeze(1) if v.dim() == 2 and rank == 3 else v for v in values]

    def affine(self, name: str, operands: tuple[Any, ...], width: Any, bias: bool, blocks: int) -> Tensor:
        weights, shift = self.affines[name]
        total = self.parameters[shift] if shift else torch.zeros(())
        assert bias == (shift is not None)
        for weight, operand in zip(weights, operands, strict=True):
            if isinstance(operand, Projected):
                part = operand.value
            else:
                matrix = torch.block_diag(*self.parameters[weight].chunk(blocks))
                part = F.linear(torch.atleast_1d(self.wrap(operand)), matrix)
            total = sum(self.together(total, part))
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

    def dot(self, a: Any, b: Any, scaled: bool) -> Tensor:
        a, b = self.together(a, b)
        total = (a * b).sum(-1, keepdim=True)
        return total / max(a.shape[-1], b.shape[-1]) ** 0.5 if scaled else total

    def softmax(self, scores: Tensor) -> Tensor:
        return scores.softmax(1)

    def weighted_sum(self, weights: Tensor, values: Tensor) -> Tensor:
        return torch.einsum("bsk,bsw->bw", weights, values)

    def observe(self, name: str, value: Any) -> None:
        pass


def run(
    cell: Cell,
    inputs: Sequence[Tensor],
    statics: Sequence[Tensor],
    state: Sequence[Tensor],
    parameters: Mapping[str, Tensor],
    memories: Sequence[Tensor] = (),
    sources: Sequence[int] | None = None,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Outputs ``[T, B, W]`` and the final states, each ``[B, W]``: row by row, each with its own sources."""
    if sources is not None:
        found: list[tuple[Tensor, tuple[Tensor, ...]]] = []
        for r, count in enumerate(sources):
            one = slice(r, r + 1)
            rows = [[x[:, one] for x in inputs], [s[one] for s in statics], [s[one] for s in state]]
            rows[2] = [s[:, :count] if s.dim() == 3 else s for s in rows[2]]
            output, final = run(cell, *rows, parameters, [m[one, :count] for m in memories])
            found.append((output, final))
        finals = zip(*[final for _, final in found], strict=True)
        return torch.cat([output for output, _ in found], 1), tuple(_joined(list(f), memories) for f in finals)
    oracle = Oracle(cell, parameters, inputs[0].dtype)
    rows = inputs[0].shape[1]
    outputs: list[Tensor] = []
    with interpreting(oracle):
        for t in range(len(inputs[0])):
            step = [x[t] for x in inputs]
            names = (*cell.inputs, *cell.statics, *cell.memories, *cell.states)
            output, new = cell(**dict(zip(names, (*step, *statics, *memories, *state), strict=True)))
            outputs.append(by_row(oracle.wrap(output), rows))
            widths = [s.shape[-1] for s in state]
            state = [by_row(oracle.wrap(n), rows, w) for n, w in zip(new, widths, strict=True)]
    return torch.stack(outputs), tuple(state)


def _joined(rows: list[Tensor], memories: Sequence[Tensor]) -> Tensor:
    """One state of all rows; of those with a row for every source, zeros behind a row's sources."""
    if rows[0].dim() == 2:
        return torch.cat(rows)
    return torch.cat([F.pad(r, (0, 0, 0, memories[0].shape[1] - r.shape[1])) for r in rows])


def by_row(value: Tensor, rows: int, width: int | None = None) -> Tensor:
    value = torch.atleast_1d(value)
    if value.dim() == 3:
        return value
    return value.expand(rows, value.shape[-1] if width is None else width)
