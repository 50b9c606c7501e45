"""A cell's equations as a person writes them, in Unicode and in LaTeX, and what they cost."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import count

from recurra.equations.adjoint import affine_names, leaf_name
from recurra.equations.cell import Cell
from recurra.equations.graph import Node, Rate, Width, ancestors, columns, number, part, parted
from recurra.equations.program import Program
from recurra.equations.schedule import Region

_SUM, _PRODUCT, _ATOM = 0, 1, 2
_STRENGTHS = {
    "add": _SUM, "sub": _SUM, "affine": _SUM, "source_dot": _SUM,
    "mul": _PRODUCT, "div": _PRODUCT, "row_dot": _PRODUCT, "share": _PRODUCT,
}  # fmt: skip
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


@dataclass(frozen=True)
class Style:
    """How one notation writes the parts of an expression."""

    times: str
    dot: str
    now: Callable[[str], str]
    of_source: Callable[[str, bool], str]
    over_sources: Callable[[str, str], str]
    before: Callable[[str], str]
    parameter: Callable[[str], str]
    function: Callable[[str, str], str]
    quotient: Callable[[str, str], str]
    norm: Callable[[int, str], str]
    equals: str


def _unicode_function(name: str, argument: str) -> str:
    symbols = {"sigmoid": "σ", "sqrt": "√"}
    return f"{symbols.get(name, name)}({argument})"


def _unicode_of_source(name: str, timed: bool) -> str:
    return f"{name}ₜₛ" if timed else f"{name}ₛ"


def _latex_of_source(name: str, timed: bool) -> str:
    return f"{_latex_parameter(name)}_{{t,s}}" if timed else f"{_latex_parameter(name)}_s"


def _latex_over_sources(function: str, argument: str) -> str:
    if function == "Σ":
        return rf"\sum_s {argument}"
    return rf"\mathrm{{{function}}}_s\left({argument}\right)"


def _unicode_norm(groups: int, argument: str) -> str:
    kind = "LN" if groups == 1 else "GN" + str(groups).translate(_SUBSCRIPTS)
    return f"{kind}({argument})"


def _latex_norm(groups: int, argument: str) -> str:
    kind = r"\mathrm{LN}" if groups == 1 else rf"\mathrm{{GN}}_{{{groups}}}"
    return rf"{kind}\left({argument}\right)"


def _latex_function(name: str, argument: str) -> str:
    if name == "sqrt":
        return rf"\sqrt{{{argument}}}"
    symbols = {"sigmoid": r"\sigma", "tanh": r"\tanh", "exp": r"\exp", "log": r"\log"}
    symbol = symbols.get(name, rf"\mathrm{{{name}}}")
    return rf"{symbol}\left({argument}\right)"


def _latex_parameter(name: str) -> str:
    kind, _, rest = name.partition("_")
    return rf"{kind}_{{\mathrm{{{rest}}}}}" if rest else kind


UNICODE = Style(
    " ⊙ ", " · ", "{}ₜ".format, _unicode_of_source, lambda f, a: f"Σₛ {a}" if f == "Σ" else f"{f}ₛ({a})",
    "{}ₜ₋₁".format, str, _unicode_function, lambda a, b: f"{a} / {b}",
    _unicode_norm, " = ",
)  # fmt: skip
LATEX = Style(
    r" \odot ", r" \cdot ", "{}_t".format, _latex_of_source, _latex_over_sources,
    "{}_{{t-1}}".format, _latex_parameter, _latex_function,
    lambda a, b: rf"\frac{{{a}}}{{{b}}}", _latex_norm, " &= ",
)  # fmt: skip


@dataclass
class _Writer:
    """Writes the nodes of a cell; those with a name get a line of their own and are named wherever they are used."""

    cell: Cell
    style: Style
    names: dict[Node, str] = field(default_factory=dict[Node, str])

    def __post_init__(self) -> None:
        traced = self.cell.traced
        # What the function calls by the name of an argument, and is not that state's new value, is another thing.
        taken = self._arguments()
        computed = {n: f"{name}′" if name in taken else name for n, name in traced.names.items()}
        self.names = {**computed, **dict(zip(traced.new_states, self.cell.states, strict=True))}
        observed = {n: name for name, n in traced.graph.observed.items() if name not in taken}
        self.names = {**observed, **self.names}
        self.names = {n: name for n, name in self.names.items() if n.op not in ("leaf", "constant")}
        self._name_shared()

    def _name_shared(self) -> None:
        """Name what holds a product and is used more than once, so that no equation is written out twice."""
        roots = (self.cell.traced.output, *self.cell.traced.new_states)
        reached = list(dict.fromkeys(roots))
        uses: Counter[Node] = Counter()
        for node in reached:  # grows while it is walked
            if node is self._group(node)[0]:
                for part in dict.fromkeys(self._parts(node)):
                    uses[part] += 1
                    reached += [n for n in self._group(part) if n not in reached]
        taken = {*self.names.values(), *self._arguments()}
        free = (name for k in count(1) if (name := f"v{k}") not in taken)
        holding: set[Node] = set()  # the nodes without a name that hold a product
        for node in sorted(reached, key=lambda n: n.id):
            if node in self.names or (node.op != "affine" and holding.isdisjoint(self._parts(node))):
                continue
            if uses[node] > 1 or len(self._group(node)) > 1:
                self.names[node] = next(free)
            else:
                holding.add(node)

    def _parts(self, node: Node) -> tuple[Node, ...]:
        """What a node's expression is written with."""
        if node in self.cell.traced.graph.softmaxes:
            return (self.cell.traced.graph.softmaxes[node],)
        norm = self.cell.traced.graph.norms.get(node)
        return node.args if norm is None else norm.parts

    def _group(self, node: Node) -> tuple[Node, ...]:
        """What one line gives: a node, or all that a joint layer norm makes."""
        norm = self.cell.traced.graph.norms.get(node)
        return (node,) if norm is None else norm.results

    def _arguments(self) -> set[str]:
        return {*self.cell.inputs, *self.cell.statics, *self.cell.memories, *self.cell.states}

    def lines(self) -> list[str]:
        """One equation for each named value, in the order of computation, and the output where it has no name."""
        traced = self.cell.traced
        order = ancestors((traced.output, *traced.new_states))
        groups = dict.fromkeys(self._group(n) for n in order if n in self.names)
        lines = [", ".join(self._named(n) for n in group) + self.style.equals + self.body(group[0]) for group in groups]
        for leaf, new in zip(traced.states, traced.new_states, strict=True):
            if new not in self.names or self.names[new] != leaf_name(leaf):
                name = self._now(leaf_name(leaf), new)
                lines.append(f"{name}{self.style.equals}{self.text(new)}")
        name = "output" if "y" in {*self.names.values(), *self._arguments()} else "y"
        if traced.output not in traced.new_states and self.names.get(traced.output) != "y":
            lines.append(f"{self.style.now(name)}{self.style.equals}{self.text(traced.output)}")
        return lines

    def text(self, node: Node, place: int = _SUM) -> str:
        """A node where it is used: its name, or its expression in brackets where the place needs them."""
        if node in self.names:
            return self._named(node)
        if node.op == "leaf":
            return self._leaf(node)
        strength = _STRENGTHS.get(node.op, _ATOM)
        if node.op == "affine" and len(node.args) == 1 and affine_names(node)[1] is None:
            strength = _PRODUCT
        graph = self.cell.traced.graph
        if node in graph.norms or node in graph.softmaxes:
            strength = _ATOM
        body = self.body(node)
        return f"({body})" if strength < place else body

    def body(self, node: Node) -> str:
        """A node's expression."""
        style, args = self.style, node.args
        norm = self.cell.traced.graph.norms.get(node)
        scores = self.cell.traced.graph.softmaxes.get(node)
        if scores is not None:
            return style.over_sources("softmax", self.text(scores))
        if norm is not None:
            return style.norm(norm.groups, ", ".join(self.text(n) for n in norm.parts))
        match node.op:
            case "constant":
                return f"{number(node):g}"
            case "affine":
                weights, bias = affine_names(node)
                parts = [f"{self._matrix(w)} {self.text(a, _ATOM)}" for w, a in zip(weights, args, strict=True)]
                return " + ".join(parts + ([style.parameter(bias)] if bias else []))
            case "add":
                return f"{self.text(args[0])} + {self.text(args[1])}"
            case "sub":
                return f"{self.text(args[0])} − {self.text(args[1], _PRODUCT)}"
            case "mul":
                if args[0].op == "constant" and number(args[0]) == -1.0:
                    return f"−{self.text(args[1], _PRODUCT)}"
                times = " " if args[0].op == "constant" else style.times
                return f"{self.text(args[0], _PRODUCT)}{times}{self.text(args[1], _PRODUCT)}"
            case "row_dot":
                return style.dot.join(self.text(a, _PRODUCT) for a in args)
            case "source_dot":
                return style.over_sources("Σ", style.times.join(self.text(a, _PRODUCT) for a in args))
            case "share":
                return style.quotient("1", " + ".join(map(str, node.attr)))
            case "div":
                return style.quotient(self.text(args[0], _PRODUCT), self.text(args[1], _ATOM))
            case "greater":
                return f"{self.text(args[0])} > {self.text(args[1])}"
            case "broaden":
                return self.text(args[0])
            case _:
                return style.function(node.op, ", ".join(self.text(a) for a in args))

    def _named(self, node: Node) -> str:
        """A node by its name."""
        return self._now(self.names[node], node)

    def _now(self, name: str, node: Node) -> str:
        """The name of a value of this step, or of this source in it."""
        return self.style.of_source(name, node.rate is Rate.LOOP) if node.memory else self.style.now(name)

    def _matrix(self, name: str) -> str:
        text = self.style.parameter(name)
        blocks = self.cell.traced.graph.parameters[name].blocks
        return text if blocks == 1 else self.style.function("blockdiag", text)

    def _leaf(self, node: Node) -> str:
        kind = str(node.attr[0])  # type: ignore[index]  # a leaf's attr is (kind, name)
        name = leaf_name(node)
        if kind == "state":
            return self.style.before(f"{name}ₛ" if node.memory and self.style is UNICODE else name)
        if kind == "input":
            return self.style.now(name)
        return self.style.of_source(name, False) if kind == "memory" else self.style.parameter(name)


def equations(cell: Cell, style: Style = UNICODE) -> list[str]:
    """The equations of one step, a line each."""
    return _Writer(cell, style).lines()


def unicode(cell: Cell) -> str:
    """The equations, state, cost and order of work of a cell, as plain text."""
    program = Program(cell)
    lines = [cell.name, textwrap.indent(cell.doc, "  "), ""] if cell.doc else [cell.name, ""]
    lines += [f"  {line}" for line in equations(cell)]
    over = cell.source_states
    states = ", ".join(
        f"{name} [{'S, ' if name in over else ''}{width}]{_start(cell.initial[name])}"
        for name, width in cell.states.items()
    )
    lines += [
        "",
        f"  state          {states}",
        f"  parameters     {polynomial(p.shape for p in program.parameters.values())}",
        f"  multiply-adds  {polynomial(_matrices(cell))} a step{_for_sources(cell)}",
        *[f"  once a row     {once}" for once in [_products(program, Region.SEQUENCE)] if once],
        f"  before loop    {_products(program, Region.BEFORE) or 'nothing'}",
        f"  in the loop    {_products(program, Region.LOOP) or 'no products'}",
    ]
    after = _products(program, Region.AFTER)
    return "\n".join(lines + ([f"  after loop     {after}"] if after else []))


def _start(value: float) -> str:
    """What a state starts from, where it is not zero."""
    return f" from {value:g}".replace("inf", "∞").replace("-", "−") if value else ""


def latex(cell: Cell) -> str:
    """The equations as a LaTeX `aligned` block."""
    lines = [line.replace("−", "-").replace("′", "'") for line in equations(cell, LATEX)]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


def parameter_count(cell: Cell, widths: Mapping[str, int]) -> int:
    """How many numbers a layer of this cell learns, for named widths such as ``{"I": 10, "H": 20}``."""
    return sum(_size(p.shape, widths) for p in Program(cell).parameters.values())


def multiply_adds(cell: Cell, widths: Mapping[str, int]) -> int:
    """Multiply-adds of a step's products for one row."""
    return sum(_size(shape, widths) for shape in _matrices(cell))


def polynomial(shapes: Iterable[tuple[Width, ...]]) -> str:
    """The sum of the shapes' sizes as a polynomial in the widths: ``4 H I + 4 H² + 4 H``."""
    terms: dict[tuple[str, ...], Fraction] = {}
    for shape in shapes:
        factor = Fraction(1)
        names: list[str] = []
        for width in shape:
            if isinstance(width, int):
                factor *= width
            else:
                name, parts = parted(width)
                names.append(name)
                factor /= parts
        key = tuple(sorted(names, reverse=True))
        terms[key] = terms.get(key, Fraction(0)) + factor
    ordered = sorted(terms.items(), key=lambda item: (-len(item[0]), item[0] == ("H", "H"), item[0]))
    return " + ".join(_term(names, factor) for names, factor in ordered) or "0"


def _term(names: tuple[str, ...], factor: Fraction) -> str:
    powers = [name + ("²" if count == 2 else "") for name, count in sorted(Counter(names).items())]
    return " ".join(([str(factor)] if factor != 1 or not names else []) + powers)


def _for_sources(cell: Cell) -> str:
    """What is multiplied for every source of a memory, where there is one."""
    matrices = _matrices(cell, memory=True)
    return f", {polynomial(matrices)} a source" if matrices else ""


def _matrices(cell: Cell, *, memory: bool = False) -> list[tuple[Width, ...]]:
    """Shape of each product of a step, or of a source of a memory, as often as it is taken."""
    traced = cell.traced
    order = ancestors((traced.output, *traced.new_states))
    matrices: list[tuple[Width, ...]] = []
    for n in order:
        if n.op == "affine" and n.memory is memory:
            blocks = [traced.graph.parameters[w].blocks for w in affine_names(n)[0]]
            matrices += [(n.width, part(a.width, b)) for a, b in zip(n.args, blocks, strict=True)]
    return matrices


def _size(shape: tuple[Width, ...], widths: Mapping[str, int]) -> int:
    size = 1
    for width in shape:
        size *= columns(width, widths)
    return size


def _products(program: Program, region: Region) -> str:
    """The products of a region: side by side with a space, one stage waiting for another behind an arrow."""
    stages = program.inference.stages.get(region, [])
    order = list(program.parameters)
    groups = [" ".join(sorted((n.attr[0] for n in stage.products), key=order.index)) for stage in stages]
    return " → ".join(g for g in groups if g)
