"""Block-diagonal products, parts of widths, and states that do not start from zeros."""

import math
import pickle
import re

import pytest

from recurra.equations import CellError, Value, affine, cell, latex, tanh, unicode
from recurra.equations.graph import columns, part
from recurra.equations.printing import equations, multiply_adds, parameter_count
from recurra.equations.program import Program
from recurra.equations.rewrite import lengths, resets, variational_dropout, zoneout


@cell(state=("h", "m"), initial={"m": -math.inf})
def heads(x: Value, h: Value, m: Value, *, blocks: int = 4):
    h = tanh(affine("x", x) + affine("h", h, bias=False, blocks=blocks))
    return h, (h, m)


def test_a_matrix_of_blocks_holds_them_one_below_the_other():
    matrix = Program(heads).parameters["U_h"]
    assert matrix.shape == ("H", "H/4") and matrix.blocks == 4
    assert Program(heads.with_options(blocks=1)).parameters["U_h"].shape == ("H", "H")
    assert parameter_count(heads, {"I": 3, "H": 8}) == 3 * 8 + 8 + 8 * 2
    assert multiply_adds(heads, {"I": 3, "H": 8}) == 3 * 8 + 8 * 2


def test_blocks_are_printed():
    assert equations(heads)[0] == "hₜ = tanh(W_x xₜ + b_x + blockdiag(U_h) hₜ₋₁)"
    assert r"\mathrm{blockdiag}\left(U_{\mathrm{h}}\right) h_{t-1}" in latex(heads)
    assert "  parameters     H I + 1/4 H² + H" in unicode(heads)
    assert "  state          h [H], m [H] from −∞" in unicode(heads)


@pytest.mark.parametrize(("width", "size"), [("H", 24), ("H/4", 6), (7, 7), ("H/24", 1)])
def test_parts_of_a_width(width: str | int, size: int):
    assert columns(width, {"H": 24}) == size


def test_parts_that_are_not_whole():
    with pytest.raises(ValueError, match="H = 10 cannot be parted into 4 equal parts; choose a multiple of 4"):
        columns("H/4", {"H": 10})
    with pytest.raises(CellError, match="7 columns cannot be parted into 2 parts"):
        part(7, 2)
    assert part("H/2", 3) == "H/6" and part(8, 2) == 4 and part("H", 1) == "H"


@pytest.mark.parametrize("blocks", [0, -1])
def test_fewer_than_one_block(blocks: int):
    with pytest.raises(CellError, match=f"affine\\('h'\\) with {blocks} blocks"):
        heads.with_options(blocks=blocks).traced  # noqa: B018  # tracing is what refuses it


def test_starts_follow_a_cell_wherever_it_goes():
    for other in (
        heads,
        heads.with_options(blocks=2),
        zoneout(heads),
        resets(heads),
        lengths(variational_dropout(heads)),
    ):
        assert other.initial == {"h": 0.0, "m": -math.inf}
    assert pickle.loads(pickle.dumps(heads)).initial == heads.initial


def test_a_start_of_what_is_no_state():
    with pytest.raises(CellError, match=re.escape("`n` starts from 1 but is no state")):

        @cell(state=("h",), initial={"n": 1.0})
        def wrong(x: Value, h: Value):
            return h, (h,)
