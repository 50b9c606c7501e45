"""What this machine offers: versions, instruction sets, engines, measured speed."""

from __future__ import annotations

import ctypes
import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.engines import library

# A product as a recurrent layer meets it: rows of one core, width of the state, gates.
_ROWS, _DEPTH, _COLUMNS = 32, 256, 1024
_REPETITIONS = 9
_SECONDS = 0.03  # of each repetition


@dataclass(frozen=True)
class Rate:
    """Billions of float32 operations a second, a multiply-add counted as two."""

    name: str
    one_core: float | None
    all_cores: float | None


@dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` found."""

    versions: dict[str, str]
    processor: str
    cores: int
    """Cores that this process may use."""
    torch_threads: int
    instruction_set: str | None
    """The one in use; None without the native library."""
    instruction_sets: tuple[str, ...]
    """Those this processor can run, best first."""
    engines: dict[str, str]
    """For each engine, "available" or "not available", a colon, and where it serves or why not."""
    rates: tuple[Rate, ...]


def report() -> str:
    """The diagnosis as text of several lines. Takes about two seconds."""
    return _as_text(diagnose())


def diagnose() -> Diagnosis:
    """Ask torch and the native library, and measure the speed of this machine for about two seconds."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    kernels, missing = None, ""
    try:
        kernels = library.kernels()
    except library.NativeLibraryError as error:
        missing = str(error)
    rates = (*(_native_rates(kernels, cores) if kernels else ()), _torch_rate())
    return Diagnosis(
        versions={
            "recurra": version("recurra"),
            "Python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "system": f"{platform.system()} {platform.machine()}",
        },
        processor=processor(),
        cores=cores,
        torch_threads=torch.get_num_threads(),
        instruction_set=kernels.name.decode() if kernels else None,
        instruction_sets=tuple(library.available()) if kernels else (),
        engines=_engines(missing),
        rates=rates,
    )


def processor() -> str:
    """The name of this machine's processor."""
    table = Path("/proc/cpuinfo")
    if table.is_file():
        for line in table.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _engines(missing: str) -> dict[str, str]:
    where = "recurra.LSTM, GRU and RNN on CUDA, by torch's own kernels"
    return {
        "native": f"not available: {missing}" if missing else "available: float32 on the CPU",
        "eager": "available: any device, any dtype, derivatives of any order",
        "cudnn": (
            f"available: {where}, on {torch.cuda.get_device_name()}"
            if torch.cuda.is_available()
            else f"not available: torch sees no CUDA device ({where})"
        ),
    }


def _best_rate(work: Callable[[], float], workers: int = 1) -> float:
    """The best of several repetitions, in GFLOP/s, of `workers` threads that each call `work`.

    `work` returns the number of operations it did; it must let go of Python's interpreter lock while it computes.
    """

    def repeat(until: float) -> float:
        done = work()
        while time.perf_counter() < until:
            done += work()
        return done

    best = 0.0
    with ThreadPoolExecutor(workers) as pool:
        for _ in range(_REPETITIONS):
            start = time.perf_counter()
            done = sum(pool.map(repeat, [start + _SECONDS] * workers))
            best = max(best, done / (time.perf_counter() - start) / 1e9)
    return best


def _aligned(count: int, value: float) -> NDArray[np.float32]:
    buffer = np.full(count + 16, value, dtype=np.float32)
    start = (-buffer.ctypes.data % 64) // 4
    return buffer[start : start + count]


def _pointer(array: NDArray[np.float32]):
    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_float))


def _native_rates(kernels: library.Kernels, cores: int) -> tuple[Rate, ...]:
    def peak() -> float:
        return kernels.burn(20_000, _pointer(_aligned(16, 0.5)))

    weights = _pointer(_aligned(kernels.packed_size(_DEPTH, _COLUMNS), 0.01))

    def product() -> float:
        left, out = _pointer(_aligned(_ROWS * _DEPTH, 0.01)), _pointer(_aligned(_ROWS * _COLUMNS, 0.0))
        for _ in range(50):
            kernels.gemm(_ROWS, _COLUMNS, _DEPTH, left, _DEPTH, weights, None, 0, out, _COLUMNS)
        return 50 * 2.0 * _ROWS * _DEPTH * _COLUMNS

    return tuple(
        Rate(name, _best_rate(work), _best_rate(work, cores))
        for name, work in (("multiply-add peak", peak), ("recurra's product", product))
    )


def _torch_rate() -> Rate:
    """torch.mm with the threads it is set to, the same rows for each of them."""
    threads = torch.get_num_threads()
    left, right = torch.full((_ROWS * threads, _DEPTH), 0.01), torch.full((_DEPTH, _COLUMNS), 0.01)
    out = torch.empty(_ROWS * threads, _COLUMNS)

    def product() -> float:
        torch.mm(left, right, out=out)
        return 2.0 * out.numel() * _DEPTH

    start, best = time.perf_counter(), 0.0
    while time.perf_counter() < start + _REPETITIONS * _SECONDS:
        before = time.perf_counter()
        done = sum(product() for _ in range(10))
        best = max(best, done / (time.perf_counter() - before) / 1e9)
    return Rate("torch.mm", best if threads == 1 else None, best if threads > 1 else None)


def _as_text(found: Diagnosis) -> str:
    sets = [f"{name} (in use)" if name == found.instruction_set else name for name in found.instruction_sets]
    peak = found.rates[0] if len(found.rates) > 1 else Rate("", None, None)

    def cell(value: float | None, of: float | None) -> str:
        share = f" ({value / of:4.0%})" if value and of else ""
        return f"{f'{value:.0f}' if value else '-':>7}{share:7}"

    lines = [
        ", ".join(f"{name} {number}" for name, number in found.versions.items() if name != "system"),
        "",
        f"system            {found.versions['system']}",
        f"processor         {found.processor}",
        f"cores             {found.cores} for this process, {found.torch_threads} threads of torch",
        f"instruction sets  {', '.join(sets) or 'none: the native library is missing'}",
        "",
        "engines",
        *(f"  {name:7} {state}" for name, state in found.engines.items()),
        "",
        f"speed, GFLOP/s of float32, {_ROWS} x {_DEPTH} times {_DEPTH} x {_COLUMNS} on each core",
        f"  {'':18} {'1 core':>7}{'':7} {f'{found.cores} cores':>7}",
        *(
            f"  {rate.name:18} {cell(rate.one_core, peak.one_core)} {cell(rate.all_cores, peak.all_cores)}".rstrip()
            for rate in found.rates
        ),
    ]
    return "\n".join(lines)
