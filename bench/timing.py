"""Timing side by side: peers take turns, so that a machine that slows down slows them all."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Mapping

import torch

from recurra.engines import library


def take_turns(work: Mapping[str, Callable[[], None]], seconds: float, least: int = 5) -> dict[str, float]:
    """Median seconds of each piece of work, run in turn until each has had about `seconds` and `least` runs."""
    for run in work.values():
        run()
        run()
    times: dict[str, list[float]] = {name: [] for name in work}
    while any(len(t) < least or sum(t) < seconds for t in times.values()):
        for name, run in work.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(t) for name, t in times.items()}


def fma_peak(threads: int, seconds: float = 0.3) -> float:
    """Floating-point operations a second that `threads` cores reach together on fused multiply-adds alone."""
    kernels = library.kernels()
    best = 0.0
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        done = [0.0] * threads

        def burn(k: int, done: list[float] = done) -> None:
            sink = (torch.zeros(64) + 0.5).numpy().ctypes
            done[k] = kernels.burn(20000, sink.data_as(library._floats))  # pyright: ignore[reportPrivateUsage]

        team = [threading.Thread(target=burn, args=(k,)) for k in range(threads)]
        start = time.perf_counter()
        for t in team:
            t.start()
        for t in team:
            t.join()
        best = max(best, sum(done) / (time.perf_counter() - start))
    return best


def geometric_mean(values: list[float]) -> float:
    return statistics.geometric_mean(values)
