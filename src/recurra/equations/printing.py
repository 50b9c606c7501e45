"""A cell's equations as a person writes them, in Unicode and in LaTeX, and what they cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from recurra.equations.adjoint import affine_names, leaf_name
from recurra.equations.cell import Cell
from recurra.equations.graph import Node, Width, ancestors, number
from recurra.equations.program import Program
from recurra.equations.schedule import Region

_SUM, _PRODUCT, _ATOM = 0, 1, 2


@dataclass(frozen=True)
class Style:
    """How one notation writes the parts of an expression."""

    times: str
    now: Callable[[str], str]
    before: Callable[[str], str]
    parameter: Callable[[str], str]
    function: Callable[[str, str], str]
    quotient: Callable[[str, str], str]
    equals: str


def _unicode_function(name: str, argument: str) -> str:
    symbols = {"sigmoid": "σ", "sqrt": "√", "layer_norm": "LN"}
    return f"{symbols.get(name, name)}({argument})"


def _latex_function(name: str, argument: str) -> str:
    if name == "sqrt":
        return rf"\sqrt{{{argument}}}"
    symbols = {"sigmoid": r"\sigma", "layer_norm": r"\mathrm{LN}", "tanh": r"\tanh", "exp": r"\exp", "log": r"\log"}
    symbol = symbols.get(name, rf"\mathrm{{{name}}}")
    return rf"{symbol}\left({argument}\right)"


def _latex_parameter(name: str) -> str:
    kind, _, rest = name.partition("_")
    return rf"{kind}_{{\mathrm{{{rest}}}}}" if rest else kind


UNICODE = Style(
    " ⊙ ", "{}ₜ".format, "{}ₜ₋₁".format, str, _unicode_function, lambda a, b: f"{a} / {b}", " = "
)  # fmt: skip
LATEX = Style(
    r" \odot ", "{}_t".format, "{}_{{t-1}}".format, _latex_parameter, _latex_function,
    lambda a, b: rf"\frac{{{a}}}{{{b}}}", " &= ",
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
        self.names = {n: name for n, name in self.names.items() if n.op not in ("leaf", "constant")}

    def _arguments(self) -> set[str]:
        return {*self.cell.inputs, *self.cell.statics, *self.cell.states}

    def lines(self) -> list[str]:
        """One equation for each named value, in the order of computation, and the output where it has no name."""
        traced = self.cell.traced
        order = ancestors((traced.output, *traced.new_states))
        lines = [f"{self.style.now(self.names[n])}{self.style.equals}{self.body(n)}" for n in order if n in self.names]
        for leaf, new in zip(traced.states, traced.new_states, strict=True):
            if new not in self.names or self.names[new] != leaf_name(leaf):
                lines.append(f"{self.style.now(leaf_name(leaf))}{self.style.equals}{self.text(new)}")
        name = "output" if "y" in {*self.names.values(), *self._arguments()} else "y"
        if traced.output not in traced.new_states and self.names.get(traced.output) != "y":
            lines.append(f"{self.style.now(name)}{self.style.equals}{self.text(traced.output)}")
        return lines

    def text(self, node: Node, place: int = _SUM) -> str:
        """A node where it is used: its name, or its expression in brackets where the place needs them."""
        if node in self.names:
            return self.style.now(self.names[node])
        if node.op == "leaf":
            return self._leaf(node)
        strength = {"add": _SUM, "sub": _SUM, "affine": _SUM, "mul": _PRODUCT, "div": _PRODUCT}.get(node.op, _ATOM)
        if node.op == "affine" and len(node.args) == 1 and affine_names(node)[1] is None:
            strength = _PRODUCT
        if node in self.cell.traced.graph.norms:
            strength = _ATOM
        body = self.body(node)
        return f"({body})" if strength < place else body

    def body(self, node: Node) -> str:
        """A node's expression."""
        style, args = self.style, node.args
        norm = self.cell.traced.graph.norms.get(node)
        if norm is not None:
            return style.function("layer_norm", self.text(norm[0]))
        match node.op:
            case "constant":
                return f"{number(node):g}"
            case "affine":
                weights, bias = affine_names(node)
                parts = [f"{style.parameter(w)} {self.text(a, _ATOM)}" for w, a in zip(weights, args, strict=True)]
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
            case "div":
                return style.quotient(self.text(args[0], _PRODUCT), self.text(args[1], _ATOM))
            case "greater":
                return f"{self.text(args[0])} > {self.text(args[1])}"
            case "broaden":
                return self.text(args[0])
            case _:
                return style.function(node.op, ", ".join(self.text(a) for a in args))

    def _leaf(self, node: Node) -> str:
        kind = str(node.attr[0])  # type: ignore[index]  # a leaf's attr is (kind, name)
        name = leaf_name(node)
        if kind == "state":
            return self.style.before(name)
        if kind == "input":
            return self.style.now(name)
        return self.style.parameter(name)


def equations(cell: Cell, style: Style = UNICODE) -> list[str]:
    """The equations of one step, a line each."""
    return _Writer(cell, style).lines()


def unicode(cell: Cell) -> str:
    """The equations, state, cost and order of work of a cell, as plain text."""
    program = Program(cell)
    lines = [cell.name, f"  {cell.doc}", ""] if cell.doc else [cell.name, ""]
    lines += [f"  {line}" for line in equations(cell)]
    states = ", ".join(f"{name} [{width}]" for name, width in cell.states.items())
    lines += [
        "",
        f"  state          {states}",
        f"  parameters     {polynomial(p.shape for p in program.parameters.values())}",
        f"  multiply-adds  {polynomial(_matrices(cell))} a step",
        f"  before loop    {_products(program, Region.BEFORE) or 'nothing'}",
        f"  in the loop    {_products(program, Region.LOOP) or 'no products'}",
    ]
    after = _products(program, Region.AFTER)
    return "\n".join(lines + ([f"  after loop     {after}"] if after else []))


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
    terms: Counter[tuple[str, ...]] = Counter()
    for shape in shapes:
        factor = 1
        for width in shape:
            factor *= width if isinstance(width, int) else 1
        terms[tuple(sorted((w for w in shape if isinstance(w, str)), reverse=True))] += factor
    ordered = sorted(terms.items(), key=lambda item: (-len(item[0]), item[0] == ("H", "H"), item[0]))
    return " + ".join(_term(names, factor) for names, factor in ordered) or "0"


def _term(names: tuple[str, ...], factor: int) -> str:
    powers = [name + ("²" if count == 2 else "") for name, count in sorted(Counter(names).items())]
    return " ".join(([str(factor)] if factor != 1 or not names else []) + powers)


def _matrices(cell: Cell) -> list[tuple[Width, ...]]:
    """Shape of each product of a step, as often as it is taken."""
    traced = cell.traced
    order = ancestors((traced.output, *traced.new_states))
    return [(n.width, a.width) for n in order if n.op == "affine" for a in n.args]


def _size(shape: tuple[Width, ...], widths: Mapping[str, int]) -> int:
    size = 1
    for width in shape:
        size *= width if isinstance(width, int) else widths[width]
    return size


def _products(program: Program, region: Region) -> str:
    """The products of a region: side by side with a space, one stage waiting for another behind an arrow."""
    stages = program.inference.stages.get(region, [])
    order = list(program.parameters)
    groups = [" ".join(sorted((n.attr[0] for n in stage.products), key=order.index)) for stage in stages]
    return " → ".join(g for g in groups if g)
