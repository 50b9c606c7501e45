"""Block-diagonal products on every engine: each block by itself, in the caller's own arrays, with all gradients."""

import pytest
import torch

from recurra import cells
from recurra.engines.sweep import sweep
from recurra.equations import Cell, Value, affine, cell, tanh
from recurra.layers import Recurrent

from .comparison import Trial, assert_close, assert_native_agrees, on_engine, on_oracle, program, results

pytestmark = pytest.mark.usefixtures("one_thread")


@cell(state=("h",))
def blocks_everywhere(x: Value, h: Value):
    """Blocks of the input and of the state, with a bias, of several shapes, chained and tied."""
    a = tanh(affine("a", x, h, blocks=2))
    c = affine("c", x, width=64, blocks=4)
    b = tanh(affine("b", a * h, h, a, c, blocks=2))
    h = affine("d", b, h, bias=False, blocks=4) + affine("d", h, b, bias=False, blocks=4)
    return affine("o", tanh(h), width="O", blocks=2), (tanh(h),)


@cell(state=("h",), static=("s",))
def blocks_of_a_static(x: Value, s: Value, h: Value):
    h = tanh(affine("s", s, blocks=2) + affine("h", x, h))
    return h, (h,)


SIZES = {"I": 64, "H": 64, "O": 32}


CELLS = [blocks_everywhere, blocks_of_a_static, cells.get("slstm(heads=2)")]


@pytest.mark.parametrize("of", CELLS, ids=lambda c: c.name)
@pytest.mark.parametrize(("steps", "rows"), [(1, 1), (5, 3), (3, 19)])
def test_agrees(of: Cell, steps: int, rows: int):
    trial = Trial(of, SIZES, steps, rows)
    assert_close(results(trial, on_engine("eager"), torch.float64), results(trial, on_oracle, torch.float64), 1e-12)
    assert_native_agrees(trial)
    names = sorted(trial.arrays)
    assert_native_agrees(trial, wanted=names[::2])
    assert_native_agrees(trial, wanted=[])


def test_a_stack_holds_blocks_in_shared_arrays():
    layer = Recurrent("slstm(heads=4)", 8, 64, num_layers=2)
    assert layer.parameter(1, "U_zh").shape == (64, 16)
    x = torch.randn(3, 5, 8)
    found = {}
    for engine in ("eager", "native"):
        layer.engine = engine
        given = x.clone().requires_grad_()
        output, state = layer(given)
        found[engine] = output, *state, *torch.autograd.grad(output.square().sum(), [given, *layer.parameters()])
    for a, b in zip(*found.values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_blocks_that_do_not_fill_vectors_are_left_to_the_eager_engine():
    trial = Trial(cells.get("slstm(heads=4)"), {"I": 5, "H": 32}, 3, 2)
    with pytest.raises(ValueError, match="multiples of 16, and those of U_zh are 8 x 8"):
        on_engine("native")(trial, {n: a.float() for n, a in trial.arrays.items()})


def test_rows_that_do_not_fall_into_blocks():
    of = cells.get("slstm(heads=4)")
    parameters = {n: torch.zeros(10, 2 if "U_" in n else 5) for n in program(of).parameters}
    parameters |= {n: torch.zeros(10) for n in parameters if n.startswith("b_")}
    with pytest.raises(ValueError, match=r"so H = 8; .* says H = 10"):
        sweep(program(of), (torch.zeros(2, 1, 5),), [None] * 4, parameters)
