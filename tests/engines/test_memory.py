"""Memory that is used again."""

import gc
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from recurra import cells
from recurra.engines import memory, native
from recurra.engines.sweep import sweep
from recurra.engines.widths import remember

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
    assert not list(memory._POOL)


def test_free_memory_is_at_most_thrice_what_was_in_use_at_once(monkeypatch: pytest.MonkeyPatch):
    """Sequences of ever other lengths leave blocks of ever other sizes."""
    monkeypatch.setattr(memory, "_LITTLE", 0)
    memory.forget()
    others = memory._POOL._held
    for floats in range(100_000, 1_000_000, 20_000):
        held = memory.take(floats), memory.take(floats // 2)
        del held
    assert sum(tensor.numel() for tensor in memory._POOL) < 3 * (others + 1.2 * 1.5 * 1_000_000)


def test_a_block_that_leaves_is_not_counted():
    memory.forget()
    before = memory._POOL._held
    memory.take(5000).leave()
    assert memory._POOL._held == before


def test_many_threads_may_take_and_give_back():
    def work() -> None:
        for k in range(300):
            memory.take(1000 * (k % 5 + 1))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(work) for _ in range(4)]:
                done.result()
    finally:
        sys.setswitchinterval(interval)


def test_memory_from_inference_mode_serves_training():
    trial = Trial(cells.get("lstm"), SIZES, 4, 3)
    sorted_rows = on_engine("native", lengths=(1, 4, 2))  # by way of memory of the pool
    memory.forget()
    with torch.inference_mode():
        sorted_rows(trial, {n: a.float() for n, a in trial.arrays.items()})
    results(trial, sorted_rows, torch.float32, poisoned=False)


def test_plans_of_ever_other_widths_are_forgotten(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(native, "_MOST_PLANS", 20)
    monkeypatch.setattr(native, "_PLANS", {})
    program_ = program(cells.get("elman"))
    for width in range(1, native._MOST_PLANS + 10):
        own = {n: torch.zeros(*(width if w == "H" else 2 for w in p.shape)) for n, p in program_.parameters.items()}
        sweep(program_, [torch.zeros(1, 1, 2)], [None], own, engine="native")
    assert len(native._PLANS) == native._MOST_PLANS


def test_shapes_are_forgotten():
    known: dict[int, str] = {}
    for k in range(20):
        remember(known, k, str(k), 5)
    assert known == {k: str(k) for k in range(15, 20)}


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
