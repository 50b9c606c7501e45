"""Normalisation of groups of columns on every engine, wherever in a cell it stands."""

import pytest
import torch
from torch.nn import functional as F

from recurra import cells
from recurra.engines.sweep import sweep
from recurra.equations import Cell, CellError, Value, affine, cell, group_norm, latex, layer_norm, tanh, unicode, vector
from recurra.equations.printing import equations
from recurra.layers import Recurrent

from .comparison import Trial, assert_close, assert_native_agrees, on_engine, on_oracle, program, results

pytestmark = pytest.mark.usefixtures("one_thread")


@cell(state={"h": "H", "s": "P"}, static=("k",))
def groups_of_all_rates(x: Value, k: Value, h: Value, s: Value):
    """Of an input, a static, a parameter, products and states; one in another, one read twice."""
    a = group_norm(affine("a", group_norm(x, "x", groups=2, epsilon=0.5), h), "a", groups=3, epsilon=0.5)
    b = group_norm(k, "k", groups=3, epsilon=0.5) * group_norm(vector("v"), "v", groups=3, epsilon=0.5)
    n = group_norm(group_norm(h, "h", groups=3, epsilon=0.5) + a, "n", groups=1, epsilon=0.5)
    h = tanh(a + b * n + affine("c", group_norm(affine("d", h, s, width=6), "d", groups=2, epsilon=0.5), n))
    s = group_norm(affine("s", h, s, width="P"), "s", groups=2, epsilon=0.5)
    return group_norm(h, "y", groups=3, epsilon=0.5), (h, s)


@cell(state=("h",))
def group_normed(x: Value, h: Value):
    h = tanh(group_norm(affine("h", x, h), "h", groups=4, epsilon=0.5))
    return h, (h,)


# Groups of 1, 2, 7 and 16 columns: vectors in part, and whole.
CASES = [
    (groups_of_all_rates, {"I": 2, "H": 6, "P": 2}),
    (groups_of_all_rates, {"I": 14, "H": 21, "P": 34}),
    (groups_of_all_rates, {"I": 32, "H": 48, "P": 32}),
    *[(group_normed, {"I": 3, "H": size}) for size in (16, 20, 64, 100)],
    (cells.get("layer_norm_lstm(groups=4)"), {"I": 5, "H": 40}),
]


@pytest.mark.parametrize(("of", "sizes"), CASES, ids=str)
@pytest.mark.parametrize(("steps", "rows"), [(1, 1), (4, 19)])
def test_agrees(of: Cell, sizes: dict[str, int], steps: int, rows: int):
    trial = Trial(of, sizes, steps, rows)
    assert_close(results(trial, on_engine("eager"), torch.float64), results(trial, on_oracle, torch.float64), 1e-11)
    assert_native_agrees(trial)
    names = sorted(trial.arrays)
    assert_native_agrees(trial, wanted=names[::2])
    assert_native_agrees(trial, wanted=[])


@pytest.mark.parametrize("engine", ["eager", "native"])
def test_equals_torch(engine: str):
    layer = Recurrent(group_normed, 7, 24, engine=engine)
    x = torch.randn(3, 5, 7)
    output, _ = layer(x)
    h, p = torch.zeros(3, 24), {n: layer.parameter(0, n) for n in layer.program.parameters}
    for t in range(5):
        h = torch.tanh(
            F.group_norm(x[:, t] @ p["W_h"].T + h @ p["U_h"].T + p["b_h"], 4, p["gain_h"], p["shift_h"], eps=0.5)
        )
        torch.testing.assert_close(output[:, t], h, rtol=1e-5, atol=1e-5)


def test_one_group_is_layer_norm():
    @cell(state=("h",))
    def one(x: Value, h: Value):
        h = tanh(group_norm(affine("h", x, h), "h", groups=1))
        return h, (h,)

    @cell(state=("h",))
    def layer(x: Value, h: Value):
        h = tanh(layer_norm(affine("h", x, h), "h"))
        return h, (h,)

    assert [(n.op, n.attr, n.width) for n in one.traced.graph.nodes] == [
        (n.op, n.attr, n.width) for n in layer.traced.graph.nodes
    ]


def test_groups_are_printed():
    assert equations(group_normed) == ["hₜ = tanh(GN₄(W_h xₜ + U_h hₜ₋₁ + b_h))"]
    assert r"\tanh\left(\mathrm{GN}_{4}\left(W_{\mathrm{h}} x_t" in latex(group_normed)
    assert "parameters     H I + H² + 3 H" in unicode(group_normed)


def test_columns_that_do_not_fall_into_groups():
    with pytest.raises(ValueError, match="H = 10 cannot be parted into 4 equal parts; choose a multiple of 4"):
        Recurrent(group_normed, 3, 10)
    parameters = {n: torch.zeros(10) for n in ("b_h", "gain_h", "shift_h")}
    parameters |= {"W_h": torch.zeros(10, 3), "U_h": torch.zeros(10, 10)}
    for engine in ("eager", "native"):
        with pytest.raises(ValueError, match="H = 10 cannot be parted into 4 equal parts"):
            sweep(program(group_normed), (torch.zeros(2, 1, 3),), [None], parameters, engine=engine)

    @cell(state=("h",))
    def seven(x: Value, h: Value):
        return group_norm(affine("a", x, width=7), "n", groups=2), (h,)

    with pytest.raises(CellError, match="7 columns cannot be parted into 2 parts"):
        seven.traced  # noqa: B018  # tracing is what refuses it


@pytest.mark.parametrize("groups", [0, -2])
def test_fewer_than_one_group(groups: int):
    with pytest.raises(CellError, match=f"the norm 'ix' has {groups} groups. Give at least one group"):
        cells.get(f"layer_norm_lstm(groups={groups})").traced  # noqa: B018  # tracing is what refuses it
