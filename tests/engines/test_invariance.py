"""A row's result is the same bits however many threads run, whatever else is in the batch, and step by step."""

import pytest
import torch
from torch import Tensor

from recurra import cells
from recurra.equations import Cell

from .comparison import SIZES, Results, Trial, assert_same_bits, on_engine, results
from .oddities import ODDITIES, deep_after, deep_before, delay_line, gated_input, static_work, tied_rates
from .specimens import PUBLISHED, highway, jointly_normed_lstm, skip_by_mask

ZOO = [cells.get(name) for name in cells.names()]
ALL = [*ZOO, *PUBLISHED, *ODDITIES]
SOME = [
    *ZOO,
    highway,
    jointly_normed_lstm,
    skip_by_mask,
    deep_after,
    deep_before,
    delay_line,
    gated_input,
    static_work,
    tied_rates,
]
WIDE = {"I": 17, "H": 63, "O": 19, "P": 33}

pytestmark = pytest.mark.usefixtures("one_thread")


def native(trial: Trial, threads: int = 1, **options) -> Results:
    torch.set_num_threads(threads)
    try:
        return results(trial, on_engine("native"), torch.float32, **options)
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("cell", SOME, ids=lambda c: c.name)
@pytest.mark.parametrize(("steps", "rows"), [(40, 1), (9, 5), (4, 33)])
def test_threads_do_not_change_a_bit(cell: Cell, steps: int, rows: int):
    trial = Trial(cell, WIDE, steps, rows)
    expected = native(trial)
    for threads in (2, 3):
        assert_same_bits(native(trial, threads), expected)


@pytest.mark.parametrize("name", ["lstm", "gru_after"])
def test_threads_do_not_change_a_bit_of_a_large_layer(name: str):
    trial = Trial(cells.get(name), {"I": 200, "H": 150}, steps=5, rows=20)
    assert_same_bits(native(trial, 2), native(trial))


@pytest.mark.parametrize("cell", ALL, ids=lambda c: c.name)
def test_inference_gives_the_bits_of_training(cell: Cell):
    trial = Trial(cell, WIDE, steps=4, rows=5)
    training = native(trial)
    assert_same_bits(native(trial, wanted=[]), {n: v for n, v in training.items() if not n.startswith("gradient")})


def of_row(found: Results, row: int) -> Results:
    """What belongs to one row: everything but the gradients of parameters."""
    mine = {n: a for n, a in found.items() if not n.startswith("gradient of parameter")}
    return {n: a if a is None else a[..., row : row + 1, :] for n, a in mine.items()}


@pytest.mark.parametrize("cell", ALL, ids=lambda c: c.name)
def test_a_row_alone_is_the_row_of_a_batch(cell: Cell):
    trial = Trial(cell, WIDE, steps=5, rows=11)
    together = native(trial)
    for row in (0, 7, 10):
        assert_same_bits(of_row(native(trial.row(row)), 0), of_row(together, row))


@pytest.mark.parametrize("cell", ALL, ids=lambda c: c.name)
@pytest.mark.parametrize("rows", [1, 9])
def test_step_by_step_is_the_whole_sequence(cell: Cell, rows: int):
    trial = Trial(cell, SIZES if rows == 1 else WIDE, steps=6, rows=rows)
    arrays = {n: a.float() for n, a in trial.arrays.items()}
    whole, final = on_engine("native")(trial, arrays)
    states = [n for n in arrays if n.startswith("state")]
    outputs: list[Tensor] = []
    for t in range(trial.steps):
        step = arrays | {n: a[t : t + 1] for n, a in arrays.items() if n.startswith("input")}
        output, state = on_engine("native")(trial, step)
        outputs.append(output[0])
        arrays |= dict(zip(states, state, strict=True))
    assert torch.equal(torch.stack(outputs), whole)
    assert all(torch.equal(arrays[n], f) for n, f in zip(states, final, strict=True))


def test_the_same_call_gives_the_same_bits():
    trial = Trial(cells.get("peephole_lstm"), WIDE, steps=5, rows=33)
    expected = native(trial, 2)
    for _ in range(4):
        assert_same_bits(native(trial, 2), expected)
