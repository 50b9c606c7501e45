"""Cells drawn at random from the language: the source of a cell is drawn, and every engine must agree on it."""

from __future__ import annotations

import linecache
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

import recurra.equations as language
from recurra.equations import Cell

from .comparison import Trial, assert_close, assert_native_agrees, on_engine, on_oracle, results

pytestmark = pytest.mark.usefixtures("one_thread")

WIDTHS = ("H", "H", "I", "O", 1)
UNARY = (
    "sigmoid({})", "tanh({})", "relu({})", "softplus({})", "abs({})", "-{}", "{} * {}", "exp(tanh({}))",
    "log(softplus({}) + 0.1)", "sqrt(abs({}) + 0.1)", "1.0 - {}", "0.5 * {}", "1.0 / (1.5 + tanh({}))", "detach({})",
)  # fmt: skip
BINARY = (
    "{} + {}", "{} - {}", "{} * {}", "{} * {}", "{} / (0.5 + abs({}))", "maximum({}, {})", "minimum({}, {})",
)  # fmt: skip


@dataclass
class Draft:
    """A cell's source as it is drawn: statements so far, and what can be named in the next."""

    draw: Any
    lines: list[str] = field(default_factory=list)
    values: list[tuple[str, str | int]] = field(default_factory=list)
    affines: dict[str, tuple[tuple[str | int, ...], str | int, bool]] = field(default_factory=dict)
    norms: int = 0
    vectors: dict[str, str | int] = field(default_factory=dict)

    def one(self, options: Any) -> Any:
        return self.draw(st.sampled_from(list(options)))

    def value(self, *widths: str | int) -> tuple[str, str | int]:
        fitting = [v for v in self.values if not widths or v[1] in widths]
        # The newest values more often than the old: deep cells are where the order of work matters.
        return self.one(fitting + fitting[-3:])

    def put(self, expression: str, width: str | int) -> str:
        name = f"v{len(self.values)}"
        self.lines.append(f"{name} = {expression}")
        self.values.append((name, width))
        return name

    def statement(self) -> None:
        kind = self.one(("unary", "binary", "binary", "affine", "affine", "affine", "select", "vector", "norm"))
        getattr(self, kind)()

    def unary(self) -> None:
        name, width = self.value()
        form = self.one(UNARY)
        self.put(form.format(*[name] * form.count("{}")), width)

    def binary(self) -> None:
        a, width = self.value()
        b, other = self.value(width, 1) if width != 1 else self.value()
        self.put(self.one(BINARY).format(a, b), other if width == 1 else width)

    def select(self) -> None:
        a, width = self.value()
        b, c, d = (self.value(width, 1) for _ in range(3))
        widths = {width, b[1], c[1], d[1]} - {1}
        self.put(f"select({a} > {b[0]}, {c[0]}, {d[0]})", widths.pop() if widths else 1)

    def affine(self) -> None:
        tied = [n for n, (operands, _, _) in self.affines.items() if self.can_fill(operands)]
        if tied and self.draw(st.integers(0, 4)) == 0:
            name = self.one(tied)
            widths, width, bias = self.affines[name]
            operands = [self.value(w)[0] for w in widths]
        else:
            name, width, bias = f"m{len(self.affines)}", self.one((*WIDTHS, 3)), self.draw(st.booleans())
            chosen = [self.value() for _ in range(self.draw(st.integers(1, 3)))]
            operands = [n for n, _ in chosen]
            self.affines[name] = (tuple(w for _, w in chosen), width, bias)
        self.put(f"affine({name!r}, {', '.join(operands)}, width={width!r}, bias={bias})", width)

    def can_fill(self, widths: tuple[str | int, ...]) -> bool:
        return all(any(v[1] == w for v in self.values) for w in widths)

    def vector(self) -> None:
        if self.vectors and self.draw(st.booleans()):
            name = self.one(self.vectors)
        else:
            name = f"p{len(self.vectors)}"
            self.vectors[name] = self.one(WIDTHS)
        self.put(f"vector({name!r}, {self.vectors[name]!r})", self.vectors[name])

    def norm(self) -> None:
        if self.draw(st.integers(0, 3)) == 0:
            self.group_norm()
            return
        chosen = [self.value() for _ in range(self.draw(st.integers(1, 2)))]
        names = ", ".join(n for n, _ in chosen)
        self.norms += 1
        if len(chosen) == 1:
            self.put(f"layer_norm({names}, 'n{self.norms}', epsilon=0.1)", chosen[0][1])
            return
        self.lines.append(f"n{self.norms} = layer_norm(({names}), 'n{self.norms}', epsilon=0.1)")
        for k, (_, width) in enumerate(chosen):
            self.put(f"n{self.norms}[{k}]", width)

    def group_norm(self) -> None:
        """Of a value of six columns, which fall into groups whatever the named widths are."""
        self.norms += 1
        six = f"affine('n{self.norms}', {self.value()[0]}, width=6)"
        self.put(f"group_norm({six}, 'n{self.norms}', groups={self.one((2, 3, 6))}, epsilon=0.5)", 6)

    def ending(self, states: dict[str, str | int]) -> str:
        new: list[str] = []
        for width in states.values():
            fitting = [n for n, w in self.values if w in (width, 1)]
            if fitting and self.draw(st.integers(0, 3)):
                new.append(self.one(fitting + fitting[-3:]))
            else:
                new.append(self.put(f"tanh(affine('new{len(new)}', {self.value()[0]}, width={width!r}))", width))
        return f"return {self.value()[0]}, ({', '.join(new)},)"


@dataclass
class Drawn:
    source: str
    cell: Cell


@st.composite
def drawn_cells(draw: Any) -> Drawn:
    draft = Draft(draw)
    inputs = {"x": "I"} | ({"u": draft.one(WIDTHS)} if draw(st.booleans()) else {})
    statics = {"s": draft.one(WIDTHS)} if draw(st.integers(0, 2)) == 0 else {}
    states = {n: draft.one(WIDTHS) for n in ("a", "b", "c")[: draw(st.integers(1, 3))]}
    arguments = inputs | statics | states
    draft.values += [*arguments.items()]
    for _ in range(draw(st.integers(2, 14))):
        draft.statement()
    end = draft.ending(states)
    body = "\n    ".join([*draft.lines, end])
    widths = {n: w for n, w in arguments.items() if n not in states}
    source = f"""@cell(state={states!r}, static={tuple(statics)!r}, width={widths!r})
def drawn({", ".join(arguments)}):
    {body}
"""
    return Drawn(source, compiled(source))


def compiled(source: str) -> Cell:
    """The cell of a source, whose lines error messages can show."""
    file = "<drawn cell>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    names = {n: getattr(language, n) for n in language.__all__}
    exec(compile(source, file, "exec"), names)
    return names["drawn"]


def assert_all_engines_agree(cell: Cell, sizes: dict[str, int], steps: int, rows: int, seed: int) -> None:
    trial = Trial(cell, sizes, steps, rows, seed)
    exact = results(trial, on_engine("eager"), torch.float64, poisoned=False)
    assert_close(exact, results(trial, on_oracle, torch.float64, poisoned=False), 1e-9)
    assert_native_agrees(trial)
    names = sorted(trial.arrays)
    assert_native_agrees(trial, wanted=names[seed % 2 :: 2], used=[sorted(trial.weights)[seed % len(trial.weights)]])


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    drawn_cells(),
    st.sampled_from([{"I": 5, "H": 8, "O": 3}, {"I": 1, "H": 1, "O": 1}, {"I": 17, "H": 16, "O": 1}]),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(0, 3),
)
def test_drawn_cells_agree(drawn: Drawn, sizes: dict[str, int], steps: int, rows: int, seed: int):
    note(drawn.source)
    assert_all_engines_agree(drawn.cell, sizes, steps, rows, seed)
