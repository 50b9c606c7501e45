"""A cell's program: its forward pass, and a backward pass for each set of wanted gradients."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from weakref import WeakSet

from recurra.equations.adjoint import Key, adjoint, leaf_name
from recurra.equations.cell import Cell, Traced
from recurra.equations.graph import Node, Parameter, Rate, Width, part
from recurra.equations.lower import lower
from recurra.equations.schedule import Schedule, schedule
from recurra.equations.stepping import Stepping, stepping

Wanted = frozenset[Key]
"""The gradients asked for, by kind and name: frozen weights and plain data cost nothing."""


@dataclass(frozen=True, eq=False)
class Training:
    """A forward pass that saves, and the backward pass that reads it.

    Attributes:
        forward: results are ("output", "") and ("saved", node id) of what the backward pass reads.
        backward: results are the gradients, by :data:`Key`; those of the states are what it carries.
        saved_states: the states whose value before each step is saved.
    """

    forward: Schedule
    backward: Schedule
    saved_states: frozenset[str]


class Program:
    """What engines run: the traced cell and its passes, each planned when first asked for.

    Attributes:
        cell: what is run.
        traced: its graph.
        key: the cell's name and what its graph comes to: the same for the same equations in every process.
    """

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.traced: Traced = cell.traced
        self._training: dict[Wanted, Training] = {}
        self.key = f"{cell.name}-{_digest(self.traced)}"
        _PROGRAMS.add(self)

    def __repr__(self) -> str:
        return f"Program({self.cell.name})"

    def __deepcopy__(self, _: object) -> Program:
        """Itself: a program never changes, and its plans serve every copy of a model."""
        return self

    def __reduce__(self) -> tuple[type[Program], tuple[Cell]]:
        return Program, (self.cell,)

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The learned arrays, by name, in the order of their first use."""
        return self.traced.graph.parameters

    @cached_property
    def diagonal(self) -> tuple[Parameter, ...]:
        """The block-diagonal matrices of several blocks."""
        return tuple(p for p in self.parameters.values() if p.blocks > 1)

    @cached_property
    def parted(self) -> tuple[Width, ...]:
        """Parts of widths that must come out whole: the blocks of matrices, and what is normalised by itself."""
        blocks = [part(p.shape[0], p.blocks) for p in self.diagonal]
        return (*blocks, *[w for n in self.traced.graph.nodes if n.op == "share" for w in n.attr])

    @cached_property
    def widths(self) -> tuple[str, ...]:
        """Every named width, as it is written: ``"H"``, ``"H/4"``."""
        cell = self.cell
        shapes = [*[p.shape for p in self.parameters.values()], self.parted]
        declared = [group.values() for group in (cell.inputs, cell.statics, cell.memories, cell.states)] + shapes
        return tuple(dict.fromkeys(w for group in declared for w in group if isinstance(w, str)))

    @cached_property
    def stepping(self) -> tuple[Program, Stepping]:
        """What runs the cell a step at a time, and what its cell is given and hands out."""
        found = stepping(self.cell)
        return Program(found.cell), found

    @cached_property
    def inference(self) -> Schedule:
        """The forward pass that saves nothing."""
        return self._forward({})

    def training(self, wanted: Wanted) -> Training:
        """The passes that give the wanted gradients."""
        if wanted not in self._training:
            self._training[wanted] = self._plan(wanted)
        return self._training[wanted]

    def _forward(self, saved: dict[Key, Node]) -> Schedule:
        traced = self.traced
        roots: dict[Key, Node] = {("output", ""): traced.output, **saved}
        for leaf, new in zip(traced.states, traced.new_states, strict=True):
            roots["leaf", leaf_name(leaf)] = leaf
            roots["new", leaf_name(leaf)] = new
        copies, _ = lower(roots)
        carried = tuple((copies["leaf", leaf_name(s)], copies["new", leaf_name(s)]) for s in traced.states)
        results = {key: copies[key] for key in roots if key == ("output", "") or key in saved}
        return schedule(carried, results)

    def _plan(self, wanted: Wanted) -> Training:
        gradients = adjoint(self.traced, wanted)
        states = [leaf_name(s) for s in self.traced.states]
        graph = self.traced.graph
        roots = dict(gradients)
        for name, new in zip(states, self.traced.new_states, strict=True):
            roots["carry", name] = graph.leaf("carry", name, new.width, Rate.LOOP, memory=new.memory)
        copies, saved = lower(roots, self.traced.size)
        carried = tuple((copies["carry", s], copies["state", s]) for s in states)
        results = {key: copies[key] for key in gradients if key[0] != "state"}
        backward = schedule(carried, results)
        reads = {n: node for n, node in saved.items() if n in backward.region}
        keep: dict[Key, Node] = {("saved", leaf_name(leaf)): node for leaf, node in reads.items() if node.op != "leaf"}
        saved_states = frozenset(leaf_name(node) for node in reads.values() if node.op == "leaf")
        return Training(self._forward(keep), backward, saved_states)


_PROGRAMS: WeakSet[Program] = WeakSet()


def find(key: str) -> Program:
    """The program with that key.

    Raises:
        ValueError: there is none in this process, or no longer.
    """
    for program in list(_PROGRAMS):
        if program.key == key:
            return program
    raise ValueError(
        f"no program {key} is left of those made in this process; make the layer whose sweep this is first"
    )


def _digest(traced: Traced) -> str:
    nodes = [(n.op, [a.id for a in n.args], n.attr, n.width, n.rate.value) for n in traced.graph.nodes[: traced.size]]
    ends = [[n.id for n in (*traced.states, *traced.new_states, traced.output)], list(traced.graph.parameters.values())]
    return hashlib.sha256(repr((nodes, ends)).encode()).hexdigest()[:16]
