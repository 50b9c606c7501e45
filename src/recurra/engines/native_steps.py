"""A cell run step by step on the native engine, with all that stays the same from step to step prepared once."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Self

import torch
from torch import Tensor

from recurra.engines import eager, native
from recurra.engines.widths import Call, Names
from recurra.equations.adjoint import leaf_name
from recurra.equations.graph import Node
from recurra.equations.program import Program


class NativeSteps(eager.Steps):
    """The steps of :class:`eager.Steps` by the native engine; where a gradient is wanted, by torch as there.

    The parameters' values are those of the first step.

    Args:
        call: as of :class:`eager.Steps`, with arrays that the native engine can serve.
    """

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self._program, self._stepping = call.program.stepping
        self._parameters = _in_part(call, self._program)
        self._prepacked: list[native.Prepacked] = []  # shared with what `select` gives: none or one
        self._owners: Tensor | None = None  # which of the memories that are held each row reads; None: its own

    def next(
        self, inputs: Sequence[Tensor], state: Sequence[Tensor | None]
    ) -> tuple[Tensor, tuple[Tensor, ...], dict[str, Tensor]]:
        """A step: inputs ``[B, W]`` and states to output ``[B, W]``, new states, and what the cell lets be observed."""
        call = self._call(inputs, state)
        # Of the step's own arrays nobody has asked yet whether the engine can read them.
        if native.wants_gradient(*call.tensors) or native.tensor_obstacle(call.tensors) is not None:
            return super(NativeSteps, self._apart()).next(inputs, state)
        if not self._prepacked:
            self._prepacked.append(native.Prepacked(call))
        output, finals = self._prepacked[0].sweep(call)
        count = len(state)
        return output[0], finals[:count], dict(zip(self._stepping.observed, finals[count:], strict=True))

    def select(self, rows: Tensor) -> Self:
        """The same for these rows, int64 ``[N]``, of which any may come more than once: they share their memories."""
        other = super().select(rows)
        owners = torch.arange(self.rows, device="cpu") if self._owners is None else self._owners
        other._owners = owners[rows.cpu()]
        return other

    def _of_rows(self, node: Node, value: Tensor, rows: Tensor) -> Tensor:
        return value if node.memory else value[rows]

    def _apart(self) -> Self:
        """The same with a memory for each row."""
        if self._owners is None:
            return self
        other, owners = copy(self), self._owners
        other.fixed = {n: v[owners] if n.memory else v for n, v in self.fixed.items()}
        other.hoisted = {n: v[owners] if v is not None and n.memory else v for n, v in self.hoisted.items()}
        return other

    def _call(self, inputs: Sequence[Tensor], state: Sequence[Tensor | None]) -> Call:
        """The step as a sweep."""
        cell = self._program.cell
        given = {leaf_name(leaf): self.fixed[leaf] for leaf in (*self.traced.statics, *self.traced.memories)}
        given |= {name: self.ahead_of(node) for name, node in self._stepping.ahead.items()}
        statics, memories = ([given[n] for n in names] for names in (cell.statics, cell.memories))
        return Call(
            self._program,
            tuple(x.unsqueeze(0) for x in inputs),
            tuple(statics),
            (*state, *[None] * len(self._stepping.observed)),
            self._parameters,
            memories=tuple(memories),
            sources=self.sources,
            owners=self._owners,
        )


def _in_part(call: Call, program: Program) -> dict[Names, Tensor]:
    """The arrays of the parameters that a program has, of those of a call."""
    found: dict[Names, Tensor] = {}
    for names, tensor in call.parameters.items():
        wanted = [n for n in names if n in program.parameters]
        found |= {names: tensor} if len(wanted) == len(names) else {(n,): call.named[n] for n in wanted}
    return found
