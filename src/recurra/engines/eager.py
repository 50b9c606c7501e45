"""The reference engine: the graph of a step interpreted with torch operations, one step after another.

Runs on any device and in any floating dtype; its derivatives are torch's, of any order. What does not depend on the
recurrence is computed for all steps at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any, Self

import torch
from torch import Tensor

from recurra.engines.widths import Call, resolve
from recurra.equations.adjoint import affine_names, leaf_name
from recurra.equations.graph import Node, Rate, ancestors, number
from recurra.equations.schedule import by_source


def _softplus(a: Tensor) -> Tensor:
    return torch.nn.functional.softplus(a, threshold=1e9)


def _greater(a: Tensor, b: Tensor) -> Tensor:
    return (a > b).to(a.dtype)


def _select(condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.where(condition != 0, a, b)


def _row_sum(a: Tensor, groups: int) -> Tensor:
    """The sum over each of equal parts of the columns."""
    return a.sum(-1, keepdim=True) if groups == 1 else a.reshape(*a.shape[:-1], groups, -1).sum(-1)


def _broaden(a: Tensor, width: int) -> Tensor:
    """Each column repeated over its part of `width` columns."""
    columns = a.shape[-1]
    return a.expand(*a.shape[:-1], width) if columns == 1 else a.repeat_interleave(width // columns, -1)


POINTWISE: dict[str, Callable[..., Tensor]] = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "softplus": _softplus,
    "abs": torch.abs,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "greater": _greater,
    "select": _select,
    "detach": torch.Tensor.detach,
}


def sweep(call: Call) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run the cell over the call's steps.

    Returns:
        Outputs ``[T, B, W]`` and the final states, each ``[B, W]``.
    """
    return _Sweep(call).run()


class _Sweep:
    ahead = Rate.LOOP  # what changes less often is computed before the first step

    def __init__(self, call: Call) -> None:
        self.call, self.rows = call, call.rows
        self.traced = call.program.traced
        self.order = ancestors(self._wanted())
        self.loop = [n for n in self.order if n.rate >= self.ahead and n.op not in ("leaf", "constant", "share")]
        like = call.inputs[0]
        self.options: dict[str, Any] = {"dtype": like.dtype, "device": like.device}
        self.fixed: dict[Node, Tensor] = {}
        self.hoisted: dict[Node, Tensor | None] = {}
        self.answering = _source_mask(call)
        self.alive: Tensor | None = None  # [T, B, 1]
        if call.lengths is not None:
            lengths = call.lengths.to(like.device)
            self.alive = (torch.arange(call.steps, device=like.device)[:, None] < lengths)[..., None]

    def _wanted(self) -> tuple[Node, ...]:
        """What all work is done for."""
        return (self.traced.output, *self.traced.new_states)

    def run(self) -> tuple[Tensor, tuple[Tensor, ...]]:
        self.look_ahead()
        state = self._initial_state()
        outputs: list[Tensor] = []
        steps = range(self.call.steps)
        for t in reversed(steps) if self.call.reverse else steps:
            at = _Step(self.fixed, state, t)
            self.step(at, t)
            output = self._row(at[self.traced.output], self.traced.output)
            outputs.append(self._where_alive(t, output, torch.zeros_like(output)))
            state = {
                leaf: self._where_alive(t, self._row(at[new], new), state[leaf])
                for leaf, new in zip(self.traced.states, self.traced.new_states, strict=True)
            }
        if self.call.reverse:
            outputs.reverse()
        return torch.stack(outputs), tuple(state[leaf] for leaf in self.traced.states)

    def look_ahead(self) -> None:
        """Compute what does not change from step to step, and what all steps can do at once."""
        self._leaves()
        for node in self.order:
            if node.op == "affine":
                self.hoisted[node] = self._hoist(node)
            if node.rate < self.ahead and node not in self.fixed:
                self.fixed[node] = self._compute(node, self.fixed, self.hoisted.get(node))

    def step(self, at: dict[Node, Tensor], t: int | None = None) -> None:
        """Add to the leaves of a step all that is computed in it; `t` says where it stands in what is held for all."""
        for node in self.loop:
            start = self.hoisted.get(node)
            if t is not None and start is not None and self._hoisted_rate(node) is Rate.STEP:
                start = start[t]
            at[node] = self._compute(node, at, start)

    def _where_alive(self, t: int, new: Tensor, old: Tensor) -> Tensor:
        """The new value of rows that have a step t, the old one of the others."""
        if self.alive is None:
            return new
        alive = self.alive[t]
        return torch.where(alive if new.dim() == 2 else alive.unsqueeze(-1), new, old)

    def _leaves(self) -> None:
        call, inputs = self.call, self.call.inputs
        if self.alive is not None:
            # What stands behind a row's end meets gradients of zero, and must be a number for that.
            inputs = tuple(torch.where(self.alive, x, 0.0) for x in inputs)
        given = (
            *zip(self.traced.inputs, inputs, strict=True),
            *zip(self.traced.statics, call.statics, strict=True),
            *zip(self.traced.memories, map(self._memory, call.memories), strict=True),
        )
        self.fixed.update(given)
        for node in self.order:
            if node.op == "leaf" and node.rate is Rate.ONCE:
                self.fixed[node] = call.named[leaf_name(node)]
            elif node.op == "constant":
                self.fixed[node] = torch.tensor(number(node), **self.options)
            elif node.op == "share":
                total = sum(resolve(w, call.widths) for w in node.attr)
                self.fixed[node] = torch.tensor(1.0 / total, **self.options)

    def _initial_state(self) -> dict[Node, Tensor]:
        call = self.call
        state: dict[Node, Tensor] = {}
        for leaf, given in zip(self.traced.states, call.state, strict=True):
            start = torch.zeros(call.state_shape(leaf_name(leaf)), **self.options) if given is None else given
            state[leaf] = self._of_sources(start) if leaf.memory else start
        return state

    def _memory(self, given: Tensor) -> Tensor:
        """The memories of the call's rows, ``[B, S, W]``."""
        owners = self.call.owners
        return self._of_sources(given if owners is None else given[owners.to(given.device)])

    def _of_sources(self, value: Tensor) -> Tensor:
        """A memory ``[B, S, W]``, zeros behind a row's sources: what stands there must be a number."""
        return value if self.answering is None else torch.where(self.answering, value, 0.0)

    def _hoist(self, node: Node) -> Tensor | None:
        """What an affine's operands outside the recurrence bring, with the bias, for all steps."""
        weights, bias = affine_names(node)
        total = None if bias is None else self.call.named[bias]
        for operand, weight in zip(node.args, weights, strict=True):
            if operand.rate < self.ahead:
                part = self._product(self.fixed[operand], weight)
                total = part if total is None else total + part
        return total

    def _hoisted_rate(self, node: Node) -> Rate:
        return max((a.rate for a in node.args if a.rate < self.ahead), default=Rate.ONCE)

    def _product(self, operand: Tensor, weight: str) -> Tensor:
        """The operand times a matrix of the cell."""
        matrix, blocks = self.call.named[weight], self.traced.graph.parameters[weight].blocks
        operand = _column(operand)
        if blocks == 1:
            return operand @ matrix.T
        parts = zip(operand.chunk(blocks, -1), matrix.chunk(blocks), strict=True)
        return torch.cat([piece @ block.T for piece, block in parts], -1)

    def _compute(self, node: Node, values: Mapping[Node, Tensor], start: Tensor | None) -> Tensor:
        if node.op == "affine":
            weights, _ = affine_names(node)
            total = start
            for operand, weight in zip(node.args, weights, strict=True):
                if operand.rate >= self.ahead:
                    part = self._product(values[operand], weight)
                    total = part if total is None else total + part
            if total is None:
                raise ValueError(f"affine {node.attr} has no operand")
            return total
        args = [values[a] for a in node.args]
        if by_source(node):
            # What is one for all sources meets each of them.
            args = [
                v if a.memory or a.rate is Rate.ONCE else v.unsqueeze(-2) for a, v in zip(node.args, args, strict=True)
            ]
        width = resolve(node.width, self.call.widths)
        match node.op:
            case "broaden":
                return _broaden(_column(args[0]), width)
            case "row_sum":
                return _row_sum(args[0], width)
            case "row_dot":
                return _row_sum(args[0] * args[1], width)
            case "source_sum":
                return self._of_sources(args[0]).sum(-2)
            case "source_dot":
                return self._source_dot(node, *args)
            case "source_max":
                scores = args[0] if self.answering is None else torch.where(self.answering, args[0], -torch.inf)
                return scores.amax(-2)
            case _:
                return POINTWISE[node.op](*args)

    def _source_dot(self, node: Node, a: Tensor, b: Tensor) -> Tensor:
        """The sum of a·b over a row's sources."""
        weights, memory = node.args
        if weights.memory and weights.width == 1 and memory.op == "leaf" and memory.memory:
            # A given memory is zero behind a row's sources already: a product in the place of all its terms.
            return torch.matmul(self._of_sources(a).transpose(-1, -2), b).squeeze(-2)
        return self._of_sources(a * b).sum(-2)

    def _row(self, value: Tensor, node: Node) -> Tensor:
        """A step's value as [B, W], or [B, S, W], also where it does not depend on the row."""
        width = resolve(node.width, self.call.widths)
        if not node.memory:
            return value.expand(self.rows, width)
        return self._of_sources(value.expand(self.rows, self.call.most_sources, width))


class Steps(_Sweep):
    """A cell run step by step, for as long as a caller likes; what is computed once a sequence is computed once.

    Gradients pass through torch's operations, as in a sweep.

    Args:
        call: the arrays; of the per-step inputs nothing but dtype, device and number of rows is used, and no state.
    """

    ahead = Rate.STEP

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self.sources = call.sources  # of the rows, as they are selected
        self.look_ahead()

    def _wanted(self) -> tuple[Node, ...]:
        return (*super()._wanted(), *self.traced.graph.observed.values())

    def ahead_of(self, node: Node) -> Tensor:
        """What an affine has from its bias and from operands that do not change within the sequence.

        Raises:
            ValueError: it has neither.
        """
        value = self.hoisted[node]
        if value is None:
            raise ValueError(f"affine {node.attr[0]} has nothing that is known ahead of the steps")
        return value

    def select(self, rows: Tensor) -> Self:
        """The same for these rows, int64 ``[N]``, of which any may come more than once."""
        other = copy(self)
        other.rows = len(rows)
        other.fixed = {n: self._of_rows(n, v, rows) if n.rate is Rate.SEQUENCE else v for n, v in self.fixed.items()}

        def chosen(node: Node, value: Tensor | None) -> Tensor | None:
            if value is None or self._hoisted_rate(node) is not Rate.SEQUENCE:
                return value
            # An affine with no part in the loop is fixed as well: as large as the keys of a memory, it is copied once.
            return other.fixed[node] if value is self.fixed.get(node) else self._of_rows(node, value, rows)

        other.hoisted = {n: chosen(n, v) for n, v in self.hoisted.items()}
        other.answering = None if self.answering is None else self.answering[rows]
        other.sources = None if self.sources is None else self.sources[rows.to(self.sources.device)]
        return other

    def _of_rows(self, node: Node, value: Tensor, rows: Tensor) -> Tensor:
        """What is held for these rows of what is computed once a sequence."""
        return value[rows]

    def next(
        self, inputs: Sequence[Tensor], state: Sequence[Tensor | None]
    ) -> tuple[Tensor, tuple[Tensor, ...], dict[str, Tensor]]:
        """A step: inputs ``[B, W]`` and states to output ``[B, W]``, new states, and what the cell lets be observed."""
        traced, first = self.traced, inputs[0]
        at = dict(self.fixed) | dict(zip(traced.inputs, inputs, strict=True))
        for leaf, given in zip(traced.states, state, strict=True):
            if given is None:
                sources = (self.call.most_sources,) if leaf.memory else ()
                given = first.new_zeros(self.rows, *sources, resolve(leaf.width, self.call.widths))
            at[leaf] = given
        self.step(at)
        new = tuple(self._row(at[n], n) for n in traced.new_states)
        seen = {name: self._row(at[n], n) for name, n in traced.graph.observed.items()}
        return self._row(at[traced.output], traced.output), new, seen


def _source_mask(call: Call) -> Tensor | None:
    """Which sources rows have, bool ``[B, S, 1]``; None is all."""
    if call.sources is None:
        return None
    device = call.inputs[0].device
    return (torch.arange(call.most_sources, device=device) < call.sources.to(device)[:, None])[..., None]


def _column(value: Tensor) -> Tensor:
    """A constant is a scalar; as an operand of a product it needs its column."""
    return value.reshape(1) if value.dim() == 0 else value


class _Step(dict[Node, Tensor]):
    """The values at one step: those of the loop, and the step's row of the others."""

    def __init__(self, fixed: Mapping[Node, Tensor], state: Mapping[Node, Tensor], t: int) -> None:
        super().__init__(state)
        self.fixed = fixed
        self.t = t

    def __missing__(self, node: Node) -> Tensor:
        value = self.fixed[node]
        return value[self.t] if node.rate is Rate.STEP else value
