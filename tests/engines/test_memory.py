"""Memory that is used again."""

import gc
from pathlib import Path

import pytest
import torch

from recurra import cells
from recurra.engines import memory
from recurra.engines.sweep import sweep

from .comparison import SIZES, Trial, on_engine, program, results

pytestmark = pytest.mark.usefixtures("one_thread")


def resident() -> int:
    """Megabytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20


@pytest.mark.parametrize("floats", [0, 1, 1000, 1025, 100_001])
def test_a_block_is_large_enough_and_aligned(floats: int):
    block = memory.take(floats)
    assert block.address % 64 == 0
    assert block._tensor.numel() >= floats


def test_blocks_held_at_once_are_apart_and_are_used_again():
    first, second = memory.take(5000), memory.take(5000)
    addresses = {first.address, second.address}
    assert len(addresses) == 2
    del first, second
    third = memory.take(5000)
    assert third.address in addresses
    memory.poison(7.0)
    assert (memory.take(5000)._tensor == 7.0).all()


def test_forgotten_memory_is_given_back():
    memory.take(1_000_000)
    memory.forget()
    assert not memory._POOL


def test_many_calls_of_mixed_shapes_do_not_grow_memory():
    program_ = program(cells.get("lstm"))
    own = Trial(cells.get("lstm"), {"I": 32, "H": 64}, 1, 1).part("parameter", {})
    own = {n: torch.randn(shape) * 0.1 for n, shape in shapes(64, 32).items()}

    def call(k: int) -> None:
        x = torch.randn(1 + k * 7 % 23, 1 + k * 5 % 17, 32, requires_grad=k % 3 == 0)
        for p in own.values():
            p.requires_grad_(k % 2 == 0)
        output, _ = sweep(program_, [x], [None, None], own, engine="native")
        if output.requires_grad:
            output.sum().backward()

    for k in range(400):
        call(k)
    gc.collect()
    before = resident()
    for k in range(400):
        call(k)
    gc.collect()
    assert resident() - before < 16


def shapes(hidden: int, inputs: int) -> dict[str, tuple[int, ...]]:
    sizes = {"H": hidden, "I": inputs}
    parameters = program(cells.get("lstm")).parameters.values()
    return {p.name: tuple(sizes[str(w)] for w in p.shape) for p in parameters}


def test_fresh_parameters_each_call_do_not_grow_memory():
    """As weight norm and other reparametrisations give them."""
    x = torch.randn(1, 2, 64)

    def call() -> None:
        own = {n: torch.zeros(s) for n, s in shapes(256, 64).items()}
        sweep(program(cells.get("lstm")), [x], [None, None], own, engine="native")

    for _ in range(20):
        call()
    before = resident()
    for _ in range(60):
        call()
    assert resident() - before < 16


def test_programs_that_are_dropped_give_their_plans_back():
    def call(k: int) -> None:
        trial = Trial(cells.get("gru"), SIZES, 2, 2)
        trial.program = type(trial.program)(trial.cell)
        results(trial, on_engine("native"), torch.float32)

    for k in range(30):
        call(k)
    gc.collect()
    before = resident()
    for k in range(60):
        call(k)
    gc.collect()
    assert resident() - before < 16
