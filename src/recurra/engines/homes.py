"""Where each value of a pass lives: the nearest memory that everyone who needs it can reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from recurra.engines.tables import KEPT, LANE, Kind, Place, Tables, padded
from recurra.engines.widths import resolve
from recurra.equations.adjoint import Key, leaf_name
from recurra.equations.graph import Node, Rate, number
from recurra.equations.schedule import Region, Schedule

LOCAL = -1
"""The array of a place inside one tape, settled when the tape is written."""


@dataclass(frozen=True)
class Frame:
    """What a pass's layout is made for.

    Attributes:
        number: 0 forward, 1 backward.
        widths: named widths as numbers.
        saved: where the forward pass left what this one reads, by the leaf's name.
        histories: states of which every step is kept.
    """

    number: int
    widths: Mapping[str, int]
    saved: Mapping[str, Place]
    histories: frozenset[str]


@dataclass
class Carry:
    """A carried state: its leaf, its next value, and where both live."""

    leaf: Node
    new: Node
    now: Place
    next: Place


@dataclass
class Homes:
    """The place of every node of a pass.

    Attributes:
        place: by node, aliases resolved.
        users: nodes that read a node.
        carries: the carried states.
    """

    tables: Tables
    schedule: Schedule
    frame: Frame
    place: dict[Node, Place] = field(default_factory=dict[Node, Place])
    users: dict[Node, list[Node]] = field(default_factory=dict[Node, list[Node]])
    carries: list[Carry] = field(default_factory=list[Carry])
    stage: dict[Node, int] = field(default_factory=dict[Node, int])
    _position: dict[Node, tuple[int, int]] = field(default_factory=dict[Node, tuple[int, int]])
    _saved_nodes: set[Node] = field(default_factory=set[Node])

    def __post_init__(self) -> None:
        schedule = self.schedule
        self.users = {n: [] for n in schedule.order}
        for n in schedule.order:
            for a in n.args:
                self.users[real(a)].append(n)
        for stages in schedule.stages.values():
            for k, stage in enumerate(stages):
                for n in stage.products:
                    self.stage[n], self._position[n] = k, (k, 0)
                for i, n in enumerate(stage.tape):
                    self.stage[n], self._position[n] = k, (k, 1 + i)
        self._saved_nodes = {real(n) for key, n in schedule.results.items() if is_saved(key)}
        self._place_leaves()
        self._place_states()
        for n in reversed(schedule.order):
            if n not in self.place and n.op not in ALIASES:
                self._place_result(n)
        self._place_groups()

    def at(self, node: Node) -> Place:
        """The place of a node."""
        return self.place[real(node)]

    def width(self, node: Node) -> int:
        return resolve(node.width, self.frame.widths)

    def _place_leaves(self) -> None:
        tables = self.tables
        for n in self.schedule.order:
            if n.op == "constant":
                self.place[n] = tables.constant(number(n))
            elif n.op == "share":
                total = sum(resolve(w, self.frame.widths) for w in n.attr)
                self.place[n] = tables.constant(1.0 / total)
            elif n.op == "leaf" and (n.rate < Rate.LOOP or n.attr[0] == "saved"):
                key: tuple[str, str] = n.attr
                given = self.frame.saved.get(key[1]) if key[0] == "saved" else None
                self.place[n] = given or tables.external(key, self.width(n), memory=n.memory)

    def _place_states(self) -> None:
        back = self.frame.number
        for leaf, new in self.schedule.carried:
            width, name = self.width(leaf), leaf_name(leaf)
            step = source_step(leaf, width)
            late = any(self.schedule.region[u] in (Region.AFTER, Region.SUMS) for u in self.users[leaf])
            if name in self.frame.histories or late:
                array = self.tables.array(
                    Kind.TIMED, width, back if back else KEPT, source_step=source_step(leaf, width)
                )
                now, next_ = Place(array, 0, width, back), Place(array, 0, width, 1 - back)
            else:
                array = self.tables.array(Kind.ROWS, width, back, source_step=step)
                now = next_ = Place(array, 0, width)
            self.place[leaf] = now
            self.carries.append(Carry(leaf, real(new), now, next_))
        for carry in self.carries:
            if carry.new not in self.place and self._may_hold(carry):
                self.place[carry.new] = carry.next

    def _may_hold(self, carry: Carry) -> bool:
        """Whether the state's own memory can be the home of its next value."""
        new, region = carry.new, self.schedule.region
        if region[new] is not Region.LOOP or new.op == "sum_time" or new.memory is not carry.leaf.memory:
            return False
        if self.tables.kind(carry.now) is Kind.TIMED:
            return True
        if any(region[u] is not Region.LOOP for u in self.users[new]) or self._starts_before(new):
            return False
        if any(other.new is carry.leaf for other in self.carries):
            return False  # another state takes this one's old value when the step is done
        mine = self._position[new]
        readers = [self._position[u] for u in self.users[carry.leaf] if u is not new]
        clear = all(r < mine for r in readers) and not (new.op == "product" and carry.leaf in new.args)
        return clear and new not in self._saved_nodes

    def _starts_before(self, n: Node) -> bool:
        """Whether a product begins ahead of the loop, so that its target needs a place for each step of a block."""
        while n.op == "product" and len(n.args) == 2:
            n = n.args[1]
            if n.op == "product" and self.schedule.region[n] is Region.BEFORE:
                return True
        return False

    def _place_result(self, n: Node) -> None:
        """Give a node a home, unless it joins a group (see `_place_groups`)."""
        region = self.schedule.region[n]
        if n.op in ("weight_gradient", "bias_gradient"):
            return
        if region in (Region.ONCE, Region.ONCE_AFTER, Region.SUMS):
            self.place[n] = self._new(Kind.ONCE, n)
        elif n.rate is Rate.SEQUENCE:
            self.place[n] = self._new(Kind.ROWS, n, zero=n.op == "sum_time")
        elif n.memory:
            self.place[n] = Place(LOCAL, 0, self.width(n)) if self._is_local(n) else self._new(Kind.THREAD, n)
        elif self._next_link(n) is not None or self._is_timed(n):
            return
        elif self._is_output(n) and (n.op != "product" or self.width(n) % LANE == 0):
            key = next(k for k, r in self.schedule.results.items() if real(r) is n and not is_saved(k))
            self.place[n] = self.tables.external(result_slot(key), self.width(n))
        elif self._is_local(n):
            self.place[n] = Place(LOCAL, 0, self.width(n))

    def _is_local(self, n: Node) -> bool:
        """Whether one tape makes a value and alone reads it."""
        return n.op != "product" and not self._is_carried(n) and all(self._same_tape(n, u) for u in self.users[n])

    def _is_timed(self, n: Node) -> bool:
        return n in self._saved_nodes or any(self.schedule.region[u] is Region.SUMS for u in self.users[n])

    def _is_carried(self, n: Node) -> bool:
        return any(carry.new is n for carry in self.carries)

    def _is_output(self, n: Node) -> bool:
        return any(real(r) is n for k, r in self.schedule.results.items() if not is_saved(k))

    def _same_tape(self, n: Node, user: Node) -> bool:
        region = self.schedule.region
        return user.op != "product" and region[user] is region[n] and self.stage.get(user) == self.stage[n]

    def _next_link(self, n: Node) -> Node | None:
        """The product that alone reads the product `n`, and only to add to it, so that both share one place."""
        if n.op != "product" or n.rate < Rate.STEP or len(self.users[n]) != 1:
            return None
        user = self.users[n][0]
        adds = user.op == "product" and len(user.args) == 2 and user.args[1] is n and user.args[0] is not n
        return user if adds and not self._is_timed(n) and not self._is_output(n) else None

    def _place_groups(self) -> None:
        """Values that products reach lie side by side, so that one product can serve many of them."""
        # The forward pass keeps what the backward pass reads; the backward pass, what the next sums take in.
        timed = Kind.CHUNK if self.frame.number else Kind.TIMED
        groups: dict[Kind, list[Node]] = {timed: [], Kind.BLOCK: [], Kind.THREAD: []}
        followers: list[tuple[Node, Node]] = []
        for n in self.schedule.order:
            if n in self.place or n.op in (*ALIASES, "weight_gradient", "bias_gradient"):
                continue
            users, link = self.users[n], self._next_link(n)
            if link is not None:
                followers.append((n, link))
            elif self._is_timed(n):
                groups[timed].append(n)
            else:
                inner = self.schedule.region[n] is Region.LOOP and not self._starts_before(n)
                inner = inner and all(self.schedule.region[u] is Region.LOOP for u in users)
                groups[Kind.THREAD if inner else Kind.BLOCK].append(n)
        for kind, nodes in groups.items():
            if nodes:
                nodes.sort(key=lambda n: (n.op != "product", self._partners(n), self._first_gradient(n), n.id))
                # Numbers stand next to each other, behind the rows; a product writes whole vectors.
                written = {n for n in nodes if n.op == "product"} | {user for _, user in followers}
                sizes = {n: 1 if self.width(n) == 1 and n not in written else padded(self.width(n)) for n in nodes}
                nodes.sort(key=lambda n: sizes[n] == 1)
                keep = KEPT if kind is Kind.TIMED else self.frame.number
                array, column = self.tables.array(kind, sum(sizes.values()), keep), 0
                for n in nodes:
                    self.place[n] = Place(array, column, self.width(n))
                    column += sizes[n]
        for n, user in reversed(followers):
            self.place[n] = self.place[user]

    def _partners(self, n: Node) -> list[int]:
        """The operands of the products that make a value, and of the sums that read it, in their order.

        Values in the order of their partners have those of one partner next to each other: of four values, two that
        meet x and h, one that meets x alone and one that meets h alone, the two come in the middle.
        """
        partners = {o.id for u in self.users[n] if u.op == "weight_gradient" for o in u.args[::2]}
        link: Node | None = n
        while link is not None and link.op == "product":
            partners.add(link.args[0].id)
            link = link.args[1] if len(link.args) == 2 else None
        return sorted(partners)

    def _first_gradient(self, n: Node) -> int:
        """The first sum that a value enters, for sums stand in the order of their parameters."""
        return min((u.id for u in self.users[n] if u.op in ("weight_gradient", "bias_gradient")), default=0)

    def _new(self, kind: Kind, n: Node, *, zero: bool = False) -> Place:
        keep = KEPT if n in self._saved_nodes else self.frame.number
        width = self.width(n)
        return Place(self.tables.array(kind, width, keep, zero=zero, source_step=source_step(n, width)), 0, width)


ALIASES = ("detach", "stretch")
"""Operations that give the value they take: what is one for all sources is read again for each of them."""


def source_step(node: Node, width: int) -> int:
    """Floats from one source of a value to the next; 0 where it has no source axis.

    Single numbers lie next to each other, so that those of all sources are a row. A product writes whole vectors.
    """
    if not node.memory:
        return 0
    return 1 if width == 1 and node.op != "product" else padded(width)


def real(node: Node) -> Node:
    """The node itself, or what an alias stands for."""
    while node.op in ALIASES:
        node = node.args[0]
    return node


def is_saved(key: Key) -> bool:
    """Whether a result is one that the backward pass reads."""
    return key[0] == "saved"


def result_slot(key: Key) -> tuple[str, ...]:
    """The slot of a result: ("output", "") of the forward pass, ("gradient", kind, name) of the backward."""
    return key if key == ("output", "") else ("gradient", *key)
