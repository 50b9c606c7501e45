"""Binding a program's named widths to the arrays of a call."""

import pytest
import torch
from torch import Tensor

from recurra.cells.feedback import jordan
from recurra.engines.sweep import sweep
from recurra.engines.widths import Call
from recurra.equations import Cell, affine, cell, tanh
from recurra.equations.program import Program

from .comparison import SIZES, Trial, distance, on_engine, program
from .specimens import conditioned, skip_by_mask


@cell(state={"h": "H", "k": "P"}, static=("s",), width={"u": 3})
def several(x, u, s, h, k):
    h = tanh(affine("h", x, u, s, h))
    return h, (h, affine("k", k, h, width="P"))


def arrays() -> dict[str, list[Tensor | None]]:
    return {
        "inputs": [torch.zeros(4, 2, 5), torch.zeros(4, 2, 3)],
        "statics": [torch.zeros(2, 8)],
        "state": [torch.zeros(2, 8), torch.zeros(2, 6)],
    }


def parameters(of: Cell = several) -> dict[str, Tensor]:
    sizes = SIZES
    return {
        n: torch.zeros([w if isinstance(w, int) else sizes[w] for w in p.shape])
        for n, p in program(of).parameters.items()
    }


def bind(changed: dict[str, list[Tensor | None]], parameters_: dict[str, Tensor]) -> dict[str, int]:
    given = arrays() | changed
    named = {(n,): p for n, p in parameters_.items()}
    call = Call(program(several), *(tuple(given[k]) for k in ("inputs", "statics", "state")), named)  # type: ignore[arg-type]
    return call.widths


def test_widths_are_read_off_the_arrays():
    assert bind({}, parameters()) == {"I": 5, "H": 8, "P": 6}
    assert bind({"state": [None, None]}, parameters()) == {"I": 5, "H": 8, "P": 6}


MISTAKES = {
    "an input short": ({"inputs": [torch.zeros(4, 2, 5)]}, r"1 inputs given; expected 2: x, u"),
    "no statics": ({"statics": []}, r"0 statics given; expected 1: s"),
    "a state too many": ({"state": [None, None, None]}, r"3 states given; expected 2: h, k"),
    "no time axis": (
        {"inputs": [torch.zeros(2, 5), torch.zeros(2, 3)]},
        r"input x has shape \[2, 5\]; expected \[T, B, I\]",
    ),
    "inputs of two lengths": (
        {"inputs": [torch.zeros(4, 2, 5), torch.zeros(3, 2, 3)]},
        r"input u has shape \[3, 2, 3\]; expected \[4, 2, 3\]",
    ),
    "another number of rows": (
        {"state": [torch.zeros(3, 8), None]},
        r"state h has shape \[3, 8\]; expected \[2, H\]",
    ),
    "a static for each step": ({"statics": [torch.zeros(4, 2, 8)]}, r"static s has shape \[4, 2, 8\]; expected"),
    "a numbered width": (
        {"inputs": [torch.zeros(4, 2, 5), torch.zeros(4, 2, 4)]},
        r"input u has shape \[4, 2, 4\]; expected \[4, 2, 3\]",
    ),
    "two arrays that disagree": (
        {"state": [torch.zeros(2, 9), None]},
        r"state h has shape \[2, 9\], so H = 9; static s says H = 8",
    ),
    "an input of another width": (
        {"inputs": [torch.zeros(4, 2, 7), torch.zeros(4, 2, 3)]},
        r"parameter W_h has shape \[8, 5\], so I = 5; input x says I = 7",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_shape_that_does_not_fit_is_named(mistake: str):
    changed, message = MISTAKES[mistake]
    with pytest.raises(ValueError, match=f"cell several: (?:{message})"):
        bind(changed, parameters())


def test_a_parameter_that_does_not_fit_is_named():
    without = {n: p for n, p in parameters().items() if n != "U_k"}
    with pytest.raises(ValueError, match="cell several: parameter U_k is missing; expected W_h, "):
        bind({}, without)
    with pytest.raises(ValueError, match=r"parameter b_h has shape \[1, 8\]; expected \[H\]"):
        bind({}, parameters() | {"b_h": torch.zeros(1, 8)})
    with pytest.raises(ValueError, match=r"parameter U_h has shape \[8, 9\]"):
        bind({}, parameters() | {"U_h": torch.zeros(8, 9)})


def test_a_right_call_does_not_excuse_a_wrong_one():
    """Shapes that have passed are remembered; others are looked at."""
    assert bind({}, parameters())
    with pytest.raises(ValueError, match="state k"):
        bind({"state": [torch.zeros(2, 8), torch.zeros(2, 5)]}, parameters())
    assert bind({}, parameters())


def test_every_engine_refuses_alike():
    trial = Trial(conditioned, SIZES, steps=2, rows=2)
    wrong = {n: a.float() for n, a in trial.arrays.items()} | {"static s": torch.zeros(2, 7)}
    for engine in ("auto", "eager", "native"):
        with pytest.raises(ValueError, match=r"static s says H = 7"):
            on_engine(engine)(trial, wrong)


@cell(state={"h": "H", "alone": "P"})
def with_a_state_alone(x, h, alone):
    h = tanh(affine("h", x, h))
    return h, (h, 0.5 * alone)


@pytest.mark.parametrize("engine", ["eager", "native"])
def test_a_state_that_alone_tells_its_width_must_be_given(engine: str):
    own = parameters(with_a_state_alone)
    with pytest.raises(ValueError, match="state alone is left out, and no other array tells its width P"):
        sweep(program(with_a_state_alone), [torch.zeros(2, 3, 5)], [None, None], own, engine=engine)
    output, _ = sweep(program(with_a_state_alone), [torch.zeros(2, 3, 5)], [None, torch.ones(3, 4)], own, engine=engine)
    assert output.shape == (2, 3, 8)


def test_layers_of_other_sizes_share_a_program():
    """The same numbers for other widths, found in another order, are another plan."""
    shared = Program(jordan)
    for sizes, state_given in (({"I": 5, "H": 8, "O": 3}, False), ({"I": 5, "H": 3, "O": 8}, True)):
        trial = Trial(jordan, sizes, steps=3, rows=2)
        own = trial.part("parameter", {n: a.float() for n, a in trial.arrays.items()})
        x = trial.arrays["input x"].float()
        state = [torch.zeros(2, sizes["O"]) if state_given else None]
        native, eager = (sweep(shared, [x], state, own, engine=e)[0] for e in ("native", "eager"))
        assert distance(native, eager) < 1e-5


def test_a_width_of_one_is_not_another_width():
    """A mask of width 1 broadcasts; a mask of width H is refused, though it would broadcast too."""
    trial = Trial(skip_by_mask, SIZES, steps=2, rows=2)
    wide = {n: a.float() for n, a in trial.arrays.items()} | {"input mask": torch.ones(2, 2, 8)}
    with pytest.raises(ValueError, match=r"input mask has shape \[2, 2, 8\]"):
        on_engine("eager")(trial, wide)
