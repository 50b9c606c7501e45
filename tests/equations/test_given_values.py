"""Rewrites that give a step what it would make itself: products of its inputs, and what feeds back."""

import pytest
import torch
from torch import Tensor

from recurra import cells
from recurra.engines.check import check_cell
from recurra.engines.sweep import sweep
from recurra.equations import Cell, CellError, Value, affine, cell, tanh, unicode
from recurra.equations.graph import columns
from recurra.equations.printing import equations
from recurra.equations.program import Program
from recurra.equations.rewrite import (
    fed_back,
    noisy_feedback,
    projected,
    projections,
    resets,
    scheduled_sampling,
    teacher_forcing,
)

SIZES = {"I": 5, "H": 8, "O": 3, "P": 6}
T, B = 4, 3
# Where nothing else is given, sLSTM starts from −∞, and what it keeps cannot be drawn.
NAMES = [n for n in cells.names() if n != "slstm"]


def drawn(of: Cell, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes: dict[str, tuple] = {n: (T, B, w) for n, w in of.inputs.items()}
    shapes |= {n: (B, w) for n, w in of.states.items()}
    shapes |= {n: p.shape for n, p in Program(of).parameters.items()}
    sizes = {n: [columns(w, SIZES) for w in shape] for n, shape in shapes.items()}
    return {n: torch.randn(s, generator=generator, dtype=torch.float64) for n, s in sizes.items()}


def run(of: Cell, given: dict[str, Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
    inputs, states = [given[n] for n in of.inputs], [given[n] for n in of.states]
    return sweep(Program(of), inputs, states, {n: given[n] for n in Program(of).parameters}, engine="eager")


def assert_same(found: tuple[Tensor, tuple[Tensor, ...]], expected: tuple[Tensor, tuple[Tensor, ...]]) -> None:
    torch.testing.assert_close((found[0], *found[1]), (expected[0], *expected[1]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_the_products_of_the_input_may_be_made_outside(name: str):
    plain = cells.get(name)
    rewritten, matrices = projected(plain), projections(plain)
    assert not set(matrices) & set(Program(rewritten).parameters), "what multiplies the input is the layer's"
    assert set(Program(plain).parameters) == set(Program(rewritten).parameters) | set(matrices)
    assert set(rewritten.inputs) == set(matrices) | ({"x"} if name == "qrnn" else set())
    given = drawn(plain)
    products = {m: given[x] @ given[m].T for m, x in matrices.items()}
    assert_same(run(rewritten, given | products), run(plain, given))


@pytest.mark.parametrize("name", ["ligru", "qrnn", "min_gru", "mut1", "joint_norm_lstm", "slstm"])
def test_every_engine_runs_given_products(name: str):
    assert check_cell(projected(cells.get(name))).unserved is None


def test_biases_stay_and_the_equations_name_the_products():
    assert equations(projected(cells.get("ligru")))[0] == "zₜ = σ(W_zₜ + U_z hₜ₋₁ + b_z)"
    assert equations(projected(cells.get("min_gru")))[0] == "zₜ = σ(W_zₜ + b_z)"
    assert "before loop    nothing" in unicode(projected(cells.get("ligru")))


def test_a_matrix_that_multiplies_more_than_the_input_is_refused():
    @cell(state=("h",), width={"x": "H"})
    def tied(x: Value, h: Value):
        h = tanh(affine("a", x) + affine("a", h))
        return h, (h,)

    with pytest.raises(CellError, match="W_a multiplies the input x and something else"):
        projected(tied)


def test_several_inputs_and_a_second_matrix_of_a_kind():
    @cell(state=("h",), width={"d": "O"}, static=("s",))
    def several(x: Value, d: Value, s: Value, h: Value):
        h = tanh(affine("h", s, x, d, h) + affine("k", tanh(x)))
        return h, (h,)

    assert projections(several) == {"W_h2": "x", "W_h3": "d"}
    rewritten = projected(several)
    assert list(rewritten.inputs) == ["x", "W_h2", "W_h3"], "x is read by tanh as well"
    assert list(Program(rewritten).parameters) == ["W_h", "U_h", "b_h", "W_k", "b_k"]


@pytest.mark.parametrize("name", ["jordan", "back_projection", "elman"])
def test_the_true_output_feeds_back_where_the_mark_says(name: str):
    plain = cells.get(name)
    marked, state = scheduled_sampling(plain), fed_back(plain)
    assert Program(marked).parameters == Program(plain).parameters, "one set of parameters serves both"
    given = drawn(marked)
    true, teach = f"true_{state}", f"teach_{state}"
    given[teach] = torch.zeros(T, B, 1, dtype=torch.float64)
    assert_same(run(marked, given), run(plain, given))
    given[teach] = torch.tensor([1.0, 0.0, 1.0]).double().expand(T, B)[..., None]
    output, final = run(marked, given)
    states = [given[s] for s in plain.states]
    for t in range(T):
        one = {**given, "x": given["x"][t : t + 1], **dict(zip(plain.states, states, strict=True))}
        y, states = run(plain, one)
        torch.testing.assert_close(output[t], y[0], rtol=1e-12, atol=1e-12)
        states = [*states[:-1], given[true][t].where(given[teach][t] > 0, states[-1])]
    assert_same((output, final), (output, tuple(states)))
    forced = {**given, teach: torch.ones(T, B, 1, dtype=torch.float64)}
    assert_same(run(teacher_forcing(plain), given), run(marked, forced))


def test_noise_feeds_back_with_the_output():
    plain = cells.get("jordan")
    given = drawn(noisy_feedback(plain))
    output, (final,) = run(noisy_feedback(plain), given)
    read = given["y"]
    for t in range(T):
        y = torch.tanh(given["x"][t] @ given["W_h"].T + read @ given["U_h"].T + given["b_h"]) @ given["U_y"].T
        y = y + given["b_y"]
        torch.testing.assert_close(output[t], y, rtol=1e-12, atol=1e-12)
        read = y + given["noise_y"][t]
    torch.testing.assert_close(final, read, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rewrite", [teacher_forcing, scheduled_sampling, noisy_feedback])
def test_every_engine_runs_what_feeds_back(rewrite):
    assert check_cell(rewrite(cells.get("back_projection"))).unserved is None
    assert check_cell(resets(rewrite(cells.get("jordan")))).unserved is None
    with pytest.raises(CellError, match="has no state `y`"):
        rewrite(cells.get("gru"), "y")
    with pytest.raises(CellError, match=r"the output of cell sru is none of its states.*Take a cell such as jordan"):
        rewrite(cells.get("sru"))
