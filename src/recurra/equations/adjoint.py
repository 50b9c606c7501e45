"""The backward step of a cell, derived symbolically from its graph."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field

from recurra.equations.cell import Traced
from recurra.equations.errors import CellError
from recurra.equations.graph import Graph, Node, Rate, Width, ancestors, broaden, gathered, stretch
from recurra.equations.language import row_dot, row_sum, spread, sum_nodes

Key = tuple[str, str]
"""What a gradient belongs to: ("input" | "static" | "memory" | "state" | "parameter", name)."""


def derivative(node: Node, d: Node) -> list[tuple[Node, Node]]:
    """(operand, its share of the adjoint `d`) for one pointwise or reducing node; shares may still be too wide."""
    g, args = node.graph, node.args
    one, zero = g.constant(1.0), g.constant(0.0)
    match node.op:
        case "add":
            return [(args[0], d), (args[1], d)]
        case "sub":
            return [(args[0], d), (args[1], -d)]
        case "mul":
            return [(args[0], d * args[1]), (args[1], d * args[0])]
        case "div":
            quotient = d / args[1]
            return [(args[0], quotient), (args[1], -(quotient * node))]
        case "sigmoid":
            return [(args[0], g.pointwise("dsigmoid", d, node))]
        case "tanh":
            return [(args[0], g.pointwise("dtanh", d, node))]
        case "relu":
            return [(args[0], g.pointwise("select", node > zero, d, zero))]
        case "exp":
            return [(args[0], d * node)]
        case "log":
            return [(args[0], d / args[0])]
        case "sqrt":
            return [(args[0], d * 0.5 / node)]
        case "softplus":
            return [(args[0], d * g.pointwise("sigmoid", args[0]))]
        case "abs":
            return [(args[0], d * ((args[0] > zero) - (args[0] < zero)))]
        case "maximum" | "minimum":
            x, y = args if node.op == "maximum" else args[::-1]
            share = 0.5 * ((x > y) + (one - (y > x)))
            return [(args[0], d * share), (args[1], d * (one - share))]
        case "select":
            return [
                (args[1], g.pointwise("select", args[0], d, zero)),
                (args[2], g.pointwise("select", args[0], zero, d)),
            ]
        case "row_sum":
            return [(args[0], spread(d, args[0].width))]
        case "row_dot":
            if args[0] is args[1]:  # twice the factor, and not twice the row
                return [(args[0], spread(d + d, args[0].width) * args[0])]
            d = spread(d, args[0].width)
            return [(args[0], d * args[1]), (args[1], d * args[0])]
        case "source_sum":
            return [(args[0], stretch(d))]
        case "source_dot":
            return [(a, row_dot(d, b) if a.width == 1 != b.width else d * b) for a, b in (args, args[::-1])]
        case "broaden":
            groups = args[0].width
            return [(args[0], d if groups == 1 else row_sum(d, int(groups)))]
        case "detach" | "greater" | "share":
            return []
        case _:
            raise CellError(f"no derivative is known of {node.op}")


def reduce_to(d: Node, rate: Rate, width: Width, *, memory: bool = False) -> Node:
    """Sum an adjoint over columns, sources, steps and rows down to a value of this rate and width, or broaden it."""
    g = d.graph
    if width == 1 and d.width != 1:
        d = _summed(d)
    if d.memory and not memory:
        d = gathered(d)
    d = broaden(d, width)
    if memory:
        d = stretch(d)
    if rate < Rate.STEP <= d.rate:
        d = g.node("sum_time", (d,), width=width, memory=memory, rate=Rate.SEQUENCE)
    if rate < d.rate and d.rate is Rate.SEQUENCE:
        d = g.node("sum_rows", (d,), width=width, rate=Rate.ONCE)
    return d


def _summed(d: Node) -> Node:
    """The sum over the columns, of a product without making it; a factor that is one number comes after the sum."""
    if d.op != "mul":
        return row_sum(d)
    numbers, rows = ([a for a in d.args if (a.width == 1) is narrow] for narrow in (True, False))
    total = row_dot(rows[0], rows[1]) if len(rows) == 2 else _summed(rows[0])
    return total * numbers[0] if numbers else total


@dataclass
class _Adjoint:
    """The state of one derivation."""

    graph: Graph
    wanted: Set[Key]
    shares: dict[Node, list[Node]] = field(default_factory=dict[Node, list[Node]])
    products: dict[Node, list[tuple[str, Node]]] = field(default_factory=dict[Node, list[tuple[str, Node]]])
    weights: dict[str, list[Node]] = field(default_factory=dict[str, list[Node]])
    biases: dict[str, list[Node]] = field(default_factory=dict[str, list[Node]])
    result: dict[Key, Node] = field(default_factory=dict[Key, Node])

    def needs(self, order: list[Node]) -> set[Node]:
        """The nodes through which a wanted gradient flows; the states always carry it back in time."""
        needed: set[Node] = set()
        for n in order:
            if n.op == "leaf":
                if n.rate is Rate.LOOP or n.attr in self.wanted:
                    needed.add(n)
            elif (n.op == "affine" and self.wanted & {("parameter", p) for p in affine_parameters(n)}) or any(
                a in needed for a in n.args
            ):
                needed.add(n)
        return needed

    def gather(self, node: Node) -> Node | None:
        """The whole adjoint of a node. Pieces of one kind are added first, then each sum is brought to the node's."""
        pieces = self.shares.pop(node, [])
        if node in self.products:
            pairs = self.products.pop(node)
            weights = tuple(w for w, _ in pairs)
            pieces.append(self.graph.node("back", (d for _, d in pairs), weights, width=node.width, memory=node.memory))
        if not pieces:
            return None
        kinds: dict[tuple[Rate | None, Width | None, bool], list[Node]] = {}
        for d in pieces:
            kind = (d.rate if node.rate < Rate.STEP else None, d.width if node.width == 1 else None, d.memory)
            kinds.setdefault(kind, []).append(d)
        sums = map(sum_nodes, kinds.values())
        return sum_nodes([reduce_to(d, node.rate, node.width, memory=node.memory) for d in sums])

    def affine(self, node: Node, d: Node, needed: set[Node]) -> None:
        """Gradients of an affine's parameters, and its share in the products that lead back to its operands."""
        weights, bias = affine_names(node)
        d = reduce_to(d, node.rate, node.width, memory=True) if node.memory else broaden(d, node.width)
        if bias is not None and ("parameter", bias) in self.wanted:
            self.biases.setdefault(bias, []).append(d)
        for weight, operand in zip(weights, node.args, strict=True):
            wants_weight, wants_operand = ("parameter", weight) in self.wanted, operand in needed
            if not (wants_weight or wants_operand):
                continue
            e = reduce_to(d, operand.rate, node.width, memory=node.memory) if operand.rate < Rate.STEP else d
            if wants_weight:
                self.weights.setdefault(weight, []).extend((operand, e))
            if wants_operand:
                self.products.setdefault(operand, []).append((weight, e))


def affine_names(node: Node) -> tuple[tuple[str, ...], str | None]:
    """The matrices and the bias of an affine node."""
    if node.op != "affine":
        raise TypeError(f"{node.op} is not an affine node")
    _, weights, bias = node.attr
    return weights, bias


def affine_parameters(node: Node) -> tuple[str, ...]:
    weights, bias = affine_names(node)
    return weights if bias is None else (*weights, bias)


def adjoint(traced: Traced, wanted: Set[Key]) -> dict[Key, Node]:
    """Gradients of one step, as nodes added to the cell's graph.

    Their leaves, besides those of the forward graph, are ("output_gradient", "") and ("carry", state): the adjoint of
    the output at this step, and of each new state as the later steps give it.

    Args:
        traced: the cell.
        wanted: what gradients are asked for. Those of the states are always there: they are carried back in time.

    Returns:
        The gradient of each wanted input, static, memory and parameter that has one, and of each state.
    """
    g = traced.graph
    order = ancestors((traced.output, *traced.new_states))
    work = _Adjoint(g, wanted)
    needed = work.needs(order)
    work.shares.setdefault(traced.output, []).append(
        g.leaf("output_gradient", "", traced.output.width, Rate.STEP, memory=traced.output.memory)
    )
    for leaf, new in zip(traced.states, traced.new_states, strict=True):
        name = leaf_name(leaf)
        work.shares.setdefault(new, []).append(g.leaf("carry", name, new.width, Rate.LOOP, memory=new.memory))
    for node in reversed(order):
        if node not in needed:
            continue
        d = work.gather(node)
        if d is None:
            continue
        if node.op == "leaf":
            work.result[node.attr] = d
        elif node.op == "affine":
            work.affine(node, d, needed)
        else:
            for operand, share in derivative(node, d):
                if operand in needed:
                    work.shares.setdefault(operand, []).append(share)
    # In the order in which the cell declares them, whatever the order in which adjoints were found.
    for name in g.parameters:
        if name in work.weights:
            work.result["parameter", name] = g.node("weight_gradient", work.weights[name], name, rate=Rate.ONCE)
        elif name in work.biases:
            ds = work.biases[name]
            work.result["parameter", name] = g.node("bias_gradient", ds, name, rate=Rate.ONCE, width=ds[0].width)
    for leaf in traced.states:
        nothing = broaden(g.constant(0.0), leaf.width)
        work.result.setdefault(leaf.attr, stretch(nothing) if leaf.memory else nothing)
    return work.result


def leaf_name(leaf: Node) -> str:
    """The name a leaf was declared with."""
    if leaf.op != "leaf":
        raise TypeError(f"{leaf.op} is not a leaf")
    return str(leaf.attr[1])
