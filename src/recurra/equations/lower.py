"""From the graph of a step to the graph of a pass: sums of products become chains, what was computed before is read.

A pass knows one kind of product, ``product(operand, start)``: start + operand · matrix. An affine with operands of
several rates is a chain of them, the slowest first, so each link can be taken out of the loop by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from recurra.equations.adjoint import Key, affine_names
from recurra.equations.graph import Graph, Node, Rate

NONLINEAR = frozenset({"sigmoid", "tanh", "exp", "log", "sqrt", "softplus", "div"})
"""Worth more to save than to compute again."""
_SAVED = NONLINEAR | {"affine", "row_sum", "row_dot", "source_sum", "source_dot", "source_max"}


@dataclass
class Lowering:
    """Copies nodes into the graph of a pass.

    Attributes:
        limit: nodes of the source with an id below it belong to the forward step; a backward pass reads those worth
            saving and computes the others again. 0 lowers everything.
        saved: leaf of the pass → the forward node whose value it reads.
    """

    limit: int = 0
    graph: Graph = field(default_factory=Graph)
    saved: dict[Node, Node] = field(default_factory=dict[Node, Node])
    _copies: dict[Node, Node] = field(default_factory=dict[Node, Node])

    def copy(self, node: Node) -> Node:
        """The node's counterpart in the pass, made with all it needs if it is new."""
        stack = [node]
        while stack:
            top = stack[-1]
            if top in self._copies:
                stack.pop()
            elif self._is_saved(top):
                self._copies[stack.pop()] = self._read(top)
            else:
                missing = [a for a in top.args if a not in self._copies]
                stack.extend(reversed(missing))
                if not missing:
                    self._copies[stack.pop()] = self._make(top)
        return self._copies[node]

    def _is_saved(self, node: Node) -> bool:
        if node.id >= self.limit or node.op in ("constant", "share"):
            return False
        if node.op == "leaf":
            return node.rate is Rate.LOOP
        if node.memory and node.rate is Rate.LOOP:
            return False  # a row a step and source: more to keep than to compute again
        return node.op in _SAVED or node.rate < Rate.STEP

    def _read(self, node: Node) -> Node:
        leaf = self.graph.leaf("saved", str(node.id), node.width, min(node.rate, Rate.STEP), memory=node.memory)
        self.saved[leaf] = node
        return leaf

    def _make(self, node: Node) -> Node:
        args = [self._copies[a] for a in node.args]
        graph = self.graph
        if node.op == "affine":
            weights, bias = affine_names(node)
            start = None if bias is None else graph.leaf("parameter", bias, node.width, Rate.ONCE)
            return self._chain([(a, w, False) for a, w in zip(args, weights, strict=True)], start, node)
        if node.op == "back":
            weights: tuple[str, ...] = node.attr
            return self._chain([(a, w, True) for a, w in zip(args, weights, strict=True)], None, node)
        keep = node.op in ("leaf", "sum_time", "sum_rows", "weight_gradient", "bias_gradient")
        rate = node.rate if keep else None
        return graph.node(node.op, args, node.attr, width=node.width, memory=node.memory, rate=rate)

    def _chain(self, links: list[tuple[Node, str, bool]], start: Node | None, node: Node) -> Node:
        # By the numbers of the source: what a pass saves must not change the order of a sum, and so its bits.
        order = sorted(range(len(links)), key=lambda k: (links[k][0].rate, node.args[k].id))
        for operand, weight, transposed in (links[k] for k in order):
            args = (operand,) if start is None else (operand, start)
            memory = any(a.memory for a in args)
            start = self.graph.node("product", args, (weight, transposed), width=node.width, memory=memory)
        if start is None:
            raise ValueError(f"{node.op} has no operand")
        return start


def lower(roots: Mapping[Key, Node], limit: int = 0) -> tuple[dict[Key, Node], dict[Node, Node]]:
    """The roots in the graph of a new pass, and which of its leaves read which forward nodes."""
    lowering = Lowering(limit)
    return {key: lowering.copy(node) for key, node in roots.items()}, lowering.saved
