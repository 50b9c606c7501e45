"""Equations as a person writes them, and what they cost."""

import math
import textwrap

import pytest

from recurra import cells
from recurra.equations import Value, affine, cell, latex, layer_norm, select, softplus, sqrt, tanh, unicode, vector
from recurra.equations.attention import attentive
from recurra.equations.printing import equations, multiply_adds, parameter_count, polynomial
from recurra.equations.program import Program

GOLDEN = {
    "lstm": [
        "iₜ = σ(W_i xₜ + U_i hₜ₋₁ + b_i)",
        "fₜ = σ(W_f xₜ + U_f hₜ₋₁ + b_f)",
        "gₜ = tanh(W_g xₜ + U_g hₜ₋₁ + b_g)",
        "oₜ = σ(W_o xₜ + U_o hₜ₋₁ + b_o)",
        "cₜ = fₜ ⊙ cₜ₋₁ + iₜ ⊙ gₜ",
        "hₜ = oₜ ⊙ tanh(cₜ)",
    ],
    "peephole_lstm": [
        "iₜ = σ(W_i xₜ + U_i hₜ₋₁ + b_i + p_i ⊙ cₜ₋₁)",
        "fₜ = σ(W_f xₜ + U_f hₜ₋₁ + b_f + p_f ⊙ cₜ₋₁)",
        "gₜ = tanh(W_g xₜ + U_g hₜ₋₁ + b_g)",
        "cₜ = fₜ ⊙ cₜ₋₁ + iₜ ⊙ gₜ",
        "oₜ = σ(W_o xₜ + U_o hₜ₋₁ + b_o + p_o ⊙ cₜ)",
        "hₜ = oₜ ⊙ tanh(cₜ)",
    ],
    "gru": [
        "rₜ = σ(W_r xₜ + U_r hₜ₋₁ + b_r)",
        "zₜ = σ(W_z xₜ + U_z hₜ₋₁ + b_z)",
        "nₜ = tanh(W_n xₜ + U_n (rₜ ⊙ hₜ₋₁) + b_n)",
        "hₜ = (1 − zₜ) ⊙ nₜ + zₜ ⊙ hₜ₋₁",
    ],
    "gru_after": [
        "rₜ = σ(W_r xₜ + U_r hₜ₋₁ + b_r)",
        "zₜ = σ(W_z xₜ + U_z hₜ₋₁ + b_z)",
        "nₜ = tanh(W_n xₜ + b_n + rₜ ⊙ (U_nh hₜ₋₁ + b_nh))",
        "hₜ = (1 − zₜ) ⊙ nₜ + zₜ ⊙ hₜ₋₁",
    ],
    "elman": ["hₜ = tanh(W_h xₜ + U_h hₜ₋₁ + b_h)"],
    "elman_relu": ["hₜ = relu(W_h xₜ + U_h hₜ₋₁ + b_h)"],
    "elman_sigmoid": ["hₜ = σ(W_h xₜ + U_h hₜ₋₁ + b_h)"],
    "mut1": [
        "zₜ = σ(W_z xₜ + b_z)",
        "rₜ = σ(W_r xₜ + U_r hₜ₋₁ + b_r)",
        "nₜ = tanh(U_n (rₜ ⊙ hₜ₋₁) + b_n + tanh(W_m xₜ + b_m))",
        "hₜ = nₜ ⊙ zₜ + hₜ₋₁ ⊙ (1 − zₜ)",
    ],
    "layer_norm_lstm": [
        "iₜ = σ(LN(W_ix xₜ) + LN(U_ih hₜ₋₁))",
        "fₜ = σ(LN(W_fx xₜ) + LN(U_fh hₜ₋₁))",
        "gₜ = tanh(LN(W_gx xₜ) + LN(U_gh hₜ₋₁))",
        "oₜ = σ(LN(W_ox xₜ) + LN(U_oh hₜ₋₁))",
        "cₜ = fₜ ⊙ cₜ₋₁ + iₜ ⊙ gₜ",
        "hₜ = oₜ ⊙ tanh(LN(cₜ))",
    ],
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_equations_of_the_zoo(name: str):
    assert equations(cells.get(name)) == GOLDEN[name]


@pytest.mark.parametrize("name", cells.names())
def test_the_whole_print(name: str):
    found = cells.get(name)
    text = unicode(found)
    assert text.startswith(f"{name}\n{textwrap.indent(found.doc, '  ')}\n\n")
    for line in equations(found):
        assert f"\n  {line}\n" in text
    for matrix in (p for p in Program(found).parameters.values() if p.role == "matrix"):
        assert text.split("multiply-adds")[1].split().count(matrix.name) == 1, "each product is in one region"


@pytest.mark.parametrize("name", cells.names())
def test_latex_is_balanced(name: str):
    text = latex(cells.get(name))
    assert text.startswith("\\begin{aligned}\n") and text.endswith("\n\\end{aligned}")
    depth = 0
    for character in text:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    assert text.count("\\left(") == text.count("\\right)") and text.isascii()
    body = text.splitlines()[1:-1]
    assert len(body) == len(equations(cells.get(name)))
    assert all(line.count("&=") == 1 for line in body)


def test_latex_of_the_gru():
    assert (
        r"n_t &= \tanh\left(W_{\mathrm{n}} x_t + U_{\mathrm{n}} (r_t \odot h_{t-1}) + b_{\mathrm{n}}\right) \\"
        in latex(cells.get("gru"))
    )


COSTS = {
    "elman": ("H I + H² + H", "H I + H²"),
    "lstm": ("4 H I + 4 H² + 4 H", "4 H I + 4 H²"),
    "peephole_lstm": ("4 H I + 4 H² + 7 H", "4 H I + 4 H²"),
    "layer_norm_lstm": ("4 H I + 4 H² + 18 H", "4 H I + 4 H²"),
    "gru": ("3 H I + 3 H² + 3 H", "3 H I + 3 H²"),
    "gru_after": ("3 H I + 3 H² + 4 H", "3 H I + 3 H²"),
    "mut1": ("3 H I + 2 H² + 4 H", "3 H I + 2 H²"),
}


@pytest.mark.parametrize("name", COSTS)
def test_costs(name: str):
    found, (parameters, work) = cells.get(name), COSTS[name]
    lines = unicode(found).splitlines()
    assert f"  parameters     {parameters}" in lines
    assert f"  multiply-adds  {work} a step" in lines
    widths = {"I": 10, "H": 20}
    assert parameter_count(found, widths) == value(parameters)
    assert multiply_adds(found, widths) == value(work)


def value(polynomial: str) -> int:
    """What a printed polynomial is for I = 10 and H = 20."""
    numbers = {"I": 10, "H": 20, "H²": 400}
    terms = (term.split() for term in polynomial.split(" + "))
    return sum(math.prod(numbers.get(factor) or int(factor) for factor in term) for term in terms)


def test_a_tied_product_costs_each_time_and_is_learned_once():
    @cell(state=("h",))
    def f(x: Value, h: Value):
        a = tanh(affine("u", h))
        h = tanh(affine("x", x, bias=False) + affine("u", a))
        return h, (h,)

    assert parameter_count(f, {"I": 3, "H": 5}) == 15 + 25 + 5
    assert multiply_adds(f, {"I": 3, "H": 5}) == 15 + 25 + 25


def test_polynomials():
    assert polynomial([]) == "0"
    assert polynomial([("H", 3), (1,), (4,)]) == "3 H + 5"
    assert polynomial([("O", "H"), ("H", "I"), ("H", "H"), ("I", "H")]) == "2 H I + H O + H²"


def test_brackets_stand_where_they_are_needed():
    @cell(state=("h",), static=("s",))
    def f(x: Value, s: Value, h: Value):
        g = 2.0 * affine("g", x, bias=False) - (h - s)
        h = select(g > h, g, -h) / (1 - g) - (g - h) * (g / (h / g))
        return h, (h,)

    assert equations(f) == [
        "gₜ = 2 W_g xₜ − (hₜ₋₁ − s)",
        "hₜ = select(gₜ > hₜ₋₁, gₜ, −hₜ₋₁) / (1 − gₜ) − (gₜ − hₜ₋₁) ⊙ gₜ / (hₜ₋₁ / gₜ)",
    ]


def test_a_variable_called_like_an_argument_is_told_apart():
    @cell(state=("h",))
    def f(x: Value, h: Value):
        x = tanh(affine("e", x))
        h = tanh(affine("h", x, h))
        return h, (0.5 * h,)

    assert equations(f) == [
        "x′ₜ = tanh(W_e xₜ + b_e)",
        "h′ₜ = tanh(W_h x′ₜ + U_h hₜ₋₁ + b_h)",
        "hₜ = 0.5 h′ₜ",
        "yₜ = h′ₜ",
    ]
    assert latex(f).isascii()


def test_the_output_has_a_line_of_its_own_once():
    @cell(state=("h",))
    def named(x: Value, h: Value):
        h = tanh(affine("h", x, h))
        y = affine("y", h, width="O")
        return y, (h,)

    @cell(state=("y",))
    def taken(x: Value, y: Value):
        return affine("o", y), (tanh(affine("y", x, y)),)

    assert equations(named)[-1] == "yₜ = U_y hₜ + b_y" and len(equations(named)) == 2
    assert "  after loop     U_y" in unicode(named)
    assert equations(taken) == ["yₜ = tanh(W_y xₜ + U_y yₜ₋₁ + b_y)", "outputₜ = U_o yₜ₋₁ + b_o"]


def test_states_that_only_move():
    @cell(state=("a", "b", "c"))
    def f(x: Value, a: Value, b: Value, c: Value):
        new = tanh(affine("n", x, b))
        return a, (b, new, new)

    assert equations(f) == ["cₜ = tanh(W_n xₜ + U_n bₜ₋₁ + b_n)", "aₜ = bₜ₋₁", "bₜ = cₜ", "yₜ = aₜ₋₁"]


def test_functions():
    @cell(state=("h",))
    def f(x: Value, h: Value):
        h = sqrt(softplus(layer_norm(affine("h", x, h), "n")) + vector("v", width=1))
        return h, (h,)

    assert equations(f) == ["hₜ = √(softplus(LN(W_h xₜ + U_h hₜ₋₁ + b_h)) + v)"]
    assert r"\sqrt{\mathrm{softplus}" in latex(f)


def test_attention():
    text = unicode(attentive(cells.get("elman"), "scaled", place="after", feeding=True))
    assert "attentionₜₛ = softmaxₛ(hₜ · memoryₛ ⊙ √(1 / H))" in text
    assert "contextₜ = Σₛ attentionₜₛ ⊙ memoryₛ" in text
    assert "fedₜ = tanh(U_readout hₜ + U_readout2 contextₜ + b_readout)" in text
    text = unicode(attentive(cells.get("gru"), coverage=True))
    assert "tanh(W_key memoryₛ + b_key + U_query hₜ₋₁ + coveredₛₜ₋₁ ⊙ w_covered)" in text
    assert "coveredₜₛ = coveredₛₜ₋₁ + attentionₜₛ" in text
    assert "state          h [H], covered [S, 1]" in text
    assert "once a row     W_key" in text
    assert text.count(" a step, A M a source\n") == 1
    assert r"context_t &= \sum_s attention_{t,s} \odot memory_s" in latex(attentive(cells.get("gru")))
