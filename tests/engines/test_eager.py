"""The eager engine against the oracle: the cell's own function under torch's automatic differentiation."""

import pytest
import torch

from recurra import cells
from recurra.equations import Cell

from .comparison import SIZES, Trial, assert_close, on_engine, on_oracle, results
from .oddities import ODDITIES
from .specimens import PUBLISHED

ALL = [*map(cells.get, cells.names()), *PUBLISHED, *ODDITIES]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("cell", ALL, ids=lambda c: c.name)
def test_agrees_with_the_oracle(cell: Cell):
    trial = Trial(cell, SIZES, steps=4, rows=3)
    expected = results(trial, on_oracle, torch.float64)
    assert_close(results(trial, on_engine("eager"), torch.float64), expected, 1e-12)


@pytest.mark.parametrize("cell", ALL, ids=lambda c: c.name)
def test_agrees_with_the_oracle_in_one_unit_and_step(cell: Cell):
    trial = Trial(cell, {"I": 2, "H": 1, "O": 1, "P": 3}, steps=1, rows=1)
    expected = results(trial, on_oracle, torch.float64)
    assert_close(results(trial, on_engine("eager"), torch.float64), expected, 1e-12)
