"""Delayed inputs are made for all steps at once: the same numbers as one step after another."""

import pytest
import torch
from torch import Tensor

from recurra import cells
from recurra.engines import eager
from recurra.engines.sweep import sweep
from recurra.engines.widths import Call
from recurra.equations import Cell

from ..equations.test_shifting import delay_line
from .comparison import Trial, assert_close, assert_native_agrees, results

pytestmark = pytest.mark.usefixtures("one_thread")

SIZES = {"I": 5, "H": 8}
WAYS = [(None, False), (None, True), ([4, 0, 1, 6], False), ([4, 0, 1, 6], True)]
CELLS = [cells.get("qrnn"), delay_line]


def given(trial: Trial, arrays: dict[str, Tensor]) -> tuple[list[Tensor], list[Tensor], dict[str, Tensor]]:
    inputs, state = (list(trial.part(kind, arrays).values()) for kind in ("input", "state"))
    return inputs, state, trial.part("parameter", arrays)


@pytest.mark.parametrize(("lengths", "reverse"), WAYS)
@pytest.mark.parametrize("made", CELLS, ids=lambda c: c.name)
def test_the_sweep_is_that_of_the_states(made: Cell, lengths: list[int] | None, reverse: bool):
    rows = None if lengths is None else torch.tensor(lengths)

    def shifted(trial: Trial, arrays: dict[str, Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        inputs, state, parameters = given(trial, arrays)
        return sweep(trial.program, inputs, state, parameters, lengths=rows, reverse=reverse, engine="eager")

    def stepped(trial: Trial, arrays: dict[str, Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        inputs, state, parameters = given(trial, arrays)
        named = {(n,): p for n, p in parameters.items()}
        return eager.sweep(Call(trial.program, tuple(inputs), (), tuple(state), named, rows, reverse))

    trial = Trial(made, SIZES, 6, 4)
    assert_close(
        results(trial, shifted, torch.float64), results(trial, stepped, torch.float64, poisoned=False), tolerance=1e-12
    )


@pytest.mark.parametrize(("lengths", "reverse"), WAYS)
@pytest.mark.parametrize("made", CELLS, ids=lambda c: c.name)
def test_native_agrees(made: Cell, lengths: list[int] | None, reverse: bool):
    assert_native_agrees(Trial(made, SIZES, 6, 4), lengths=lengths, reverse=reverse)


def test_nothing_given_is_zeros_and_what_stands_behind_an_end_is_not_read():
    trial = Trial(cells.get("qrnn"), SIZES, 6, 4)
    (x,), _, parameters = given(trial, {n: a.float() for n, a in trial.arrays.items()})
    lengths = torch.tensor([4, 0, 1, 6])
    for reverse in (False, True):
        expected = sweep(trial.program, [x], [None, None], parameters, lengths=lengths, reverse=reverse)
        spoilt = x.clone()
        for row, length in enumerate(lengths.tolist()):
            spoilt[length:, row] = float("nan")
        spoilt.requires_grad_()
        found = sweep(trial.program, [spoilt], [None, None], parameters, lengths=lengths, reverse=reverse)
        torch.testing.assert_close(found, expected)
        (gradient,) = torch.autograd.grad(found[0].sum() + found[1][0].sum(), spoilt)
        assert gradient.isfinite().all()
