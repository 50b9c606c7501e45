"""The order of work in a pass: what is done once, a sequence, before the loop, in it, after it.

Products, and what they need, leave the loop where the recurrence does not hold them; plain arithmetic stays where it
is used. Inside a region stages alternate: packed products side by side, then a tape of pointwise operations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from recurra.equations.graph import Node, Rate, ancestors


class Region(IntEnum):
    """Where a value is computed, in the order of execution."""

    LEAF = 0  # given, not computed
    ONCE = 1  # once a call
    SEQUENCE = 2  # once for each row
    BEFORE = 3  # for blocks of steps at a time, ahead of the loop
    LOOP = 4  # step after step
    AFTER = 5  # for blocks of steps at a time, behind the loop
    SEQUENCE_AFTER = 6  # once for each row, from sums over its steps
    SUMS = 7  # sums over all rows and steps: gradients of parameters
    ONCE_AFTER = 8  # once a call, from those sums


SUMS = frozenset({"sum_rows", "weight_gradient", "bias_gradient"})


@dataclass
class Stage:
    """Products that may run side by side, then pointwise work in order."""

    products: list[Node] = field(default_factory=list[Node])
    tape: list[Node] = field(default_factory=list[Node])


@dataclass
class Schedule:
    """A pass laid out.

    Attributes:
        carried: (state leaf, its next value).
        results: what the pass gives out, by key.
        region: where each node is computed.
        stages: the work of each region, stage by stage.
        order: all nodes, operands first.
    """

    carried: tuple[tuple[Node, Node], ...]
    results: Mapping[tuple[str, str], Node]
    region: dict[Node, Region]
    stages: dict[Region, list[Stage]]
    order: list[Node]


def schedule(carried: tuple[tuple[Node, Node], ...], results: Mapping[tuple[str, str], Node]) -> Schedule:
    """Lay out the pass that computes `results` and carries each state leaf to its next value."""
    order = ancestors((*(new for _, new in carried), *(leaf for leaf, _ in carried), *results.values()))
    # What has both steps and sources lives one step long, so all that it needs and all that needs it stay in the loop.
    sourced = [n for n in order if n.rate is Rate.LOOP and by_source(n)]
    held = set(ancestors((*(new for _, new in carried), *sourced)))
    region = dict.fromkeys(order, Region.LEAF)
    for n in order:
        region[n] = _region(n, region, n in held)
    users = _users(order)
    for n in reversed(order):
        _move(n, region, users[n], n in held)
    stage = _stage_numbers(order, region, users, set(results.values()) | {new for _, new in carried})
    stages: dict[Region, list[Stage]] = {}
    for n in order:
        where = region[n]
        if where is Region.LEAF:
            continue
        line = stages.setdefault(where, [])
        while len(line) <= stage[n]:
            line.append(Stage())
        (line[stage[n]].products if n.op == "product" else line[stage[n]].tape).append(n)
    for line in stages.values():
        for one in line:
            one.tape = _around_sources(one.tape)
    return Schedule(carried, results, region, stages, order)


def by_source(n: Node) -> bool:
    """Whether a node is computed source by source."""
    return n.memory or any(a.memory for a in n.args)


def _around_sources(tape: list[Node]) -> list[Node]:
    """A tape's work in order: all that is done row by row over the sources stands together."""
    inner = {n for n in tape if by_source(n)}
    if not inner:
        return tape
    follows, feeds = set(inner), set(inner)
    for n in tape:
        if not follows.isdisjoint(n.args):
            follows.add(n)
    for n in reversed(tape):
        if n in feeds:
            feeds.update(n.args)
    first = [n for n in tape if n not in follows]
    middle = [n for n in tape if n in follows and n in feeds]
    return [*first, *middle, *[n for n in tape if n in follows and n not in feeds]]


def _region(n: Node, region: Mapping[Node, Region], held: bool) -> Region:
    """The region of a node as its operands and the recurrence dictate it."""
    where = [region[a] for a in n.args]
    if n.op in ("leaf", "constant", "share"):
        return Region.LEAF
    if n.op in SUMS:
        return Region.SUMS
    if n.op == "sum_time":
        # The sum is kept up where its operand is computed, and can be read when all steps are done.
        return Region.AFTER if where[0] is Region.AFTER else Region.LOOP
    if n.rate is Rate.ONCE:
        return Region.ONCE_AFTER if any(w >= Region.SUMS for w in where) else Region.ONCE
    if n.rate is Rate.SEQUENCE:
        late = any(a.op == "sum_time" or region[a] is Region.SEQUENCE_AFTER for a in n.args)
        return Region.SEQUENCE_AFTER if late else Region.SEQUENCE
    if Region.AFTER in where:
        return Region.AFTER
    if n.op == "product":
        return Region.BEFORE if n.rate is Rate.STEP else Region.LOOP if held else Region.AFTER
    return Region.LOOP


def _move(n: Node, region: dict[Node, Region], users: list[Node], held: bool) -> None:
    """Move work that every step could do by itself to where it is needed."""
    if n.rate is not Rate.STEP or region[n] not in (Region.BEFORE, Region.LOOP) or n.op == "sum_time":
        return
    needs = {region[u] for u in users}
    if needs and needs <= {Region.AFTER} and not held:
        region[n] = Region.AFTER
    elif Region.BEFORE in needs:
        region[n] = Region.BEFORE


def _users(order: list[Node]) -> dict[Node, list[Node]]:
    users: dict[Node, list[Node]] = {n: [] for n in order}
    for n in order:
        for a in n.args:
            users[a].append(n)
    return users


def _stage_numbers(
    order: list[Node], region: Mapping[Node, Region], users: Mapping[Node, list[Node]], ends: set[Node]
) -> dict[Node, int]:
    """The stage of each node in its region: products wait for their operand, arithmetic moves to its first user."""
    stage: dict[Node, int] = {}
    for n in order:
        same = [a for a in n.args if region[a] is region[n]]
        stage[n] = max((stage[a] for a in same), default=0)
        if n.op == "product":
            stage[n] = max(stage[n], 1 + (stage[n.args[0]] if n.args[0] in same else 0))
    for n in reversed(order):
        if n.op in ("product", "sum_time") or n in ends or not users[n] or region[n] is Region.LEAF:
            continue
        if all(region[u] is region[n] for u in users[n]):
            stage[n] = max(stage[n], min(_latest_for(n, u, stage) for u in users[n]))
    return stage


def _latest_for(n: Node, user: Node, stage: Mapping[Node, int]) -> int:
    """The last stage in which `n` can be computed for this user: products of a stage come before its tape."""
    return stage[user] - 1 if user.op == "product" else stage[user]
