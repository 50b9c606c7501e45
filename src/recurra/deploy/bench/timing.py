"""Timing side by side: contenders take turns, so that a machine that slows down slows them all."""

from __future__ import annotations

import ctypes
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

from recurra.engines import library

_TURN = 0.05  # seconds of a turn; its first run is not counted, for it finds the other's data in the caches
_REST = 0.02  # seconds before a turn, for threads of the other's that spin when their work is done
_TICK = 200e-6  # seconds that one reading of the clock shall cover at least


def take_turns(runs: Mapping[str, Callable[[], object]], seconds: float, least: int = 3) -> dict[str, float]:
    """Median seconds of a run of each contender.

    Args:
        runs: contenders by name.
        seconds: time for each.
        least: turns that each has at least.
    """
    counts = {name: _runs_of_a_tick(run) for name, run in runs.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    spent = dict.fromkeys(runs, 0.0)
    turns = 0
    while turns < least or any(s < seconds for s in spent.values()):
        for name, run in runs.items():
            begin = time.perf_counter()
            _turn(run, counts[name], times[name])
            spent[name] += time.perf_counter() - begin
        turns += 1
    return {name: statistics.median(t) for name, t in times.items()}


def _runs_of_a_tick(run: Callable[[], object]) -> int:
    """How many runs last a tick, measured when all that is made at the first run is made."""
    run()
    begin = time.perf_counter()
    run()
    return max(1, int(_TICK / (time.perf_counter() - begin)))


def _turn(run: Callable[[], object], count: int, times: list[float]) -> None:
    time.sleep(_REST)
    run()
    end = time.perf_counter() + _TURN
    now = time.perf_counter()
    while True:
        begin = now
        for _ in range(count):
            run()
        now = time.perf_counter()
        times.append((now - begin) / count)
        if now >= end:
            return


def multiply_add_peak(threads: int, seconds: float = 0.3) -> float:
    """Float32 operations a second that `threads` cores reach together on fused multiply-adds alone."""
    kernels = library.kernels()

    def burn(_: int) -> float:
        sink = torch.full((64,), 0.5)
        return float(kernels.burn(20000, ctypes.cast(sink.data_ptr(), ctypes.POINTER(ctypes.c_float))))

    best, end = 0.0, time.perf_counter() + seconds
    with ThreadPoolExecutor(threads) as pool:
        while time.perf_counter() < end:
            begin = time.perf_counter()
            done = sum(pool.map(burn, range(threads)))
            best = max(best, done / (time.perf_counter() - begin))
    return best


def read_rate(megabytes: float, seconds: float = 0.2) -> float:
    """Bytes a second that torch's threads together read of an array of this size, over and over."""
    array = torch.ones(int(megabytes * 1e6 / 4))
    return 4.0 * len(array) / take_turns({"sum": lambda: array.sum()}, seconds)["sum"]


@contextmanager
def one_core_taken(wanted: bool) -> Iterator[None]:
    """Runs another program that never rests for the time of the block, if wanted."""
    if not wanted:
        yield
        return
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        other.kill()
        other.wait()
