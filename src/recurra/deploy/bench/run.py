"""Runs the comparisons."""

from __future__ import annotations

import gc
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.deploy.bench.cases import KINDS, OURS, PEERS, Case, cases
from recurra.deploy.bench.memory import Growth, training_memory
from recurra.deploy.bench.problem import Run, Shape
from recurra.deploy.bench.timing import multiply_add_peak, one_core_taken, read_rate, take_turns
from recurra.deploy.doctor import processor
from recurra.engines import library

# Of the largest value, to which contenders must agree: in float32, gradients through a hundred normalised steps of
# torch's own operations are up to two thousandths off those in float64.
_TOLERANCE = 1e-2
_LIBRARIES = ("recurra", "torch", "jax", "onnxruntime")
_STREAM_MEGABYTES = 64.0  # far beyond the second-level caches


@dataclass(frozen=True)
class Options:
    """What to measure.

    Attributes:
        kinds: of KINDS, and "memory".
        cells: cells of the zoo; None: those of each kind.
        shapes: None: the standard ones.
        peers: of PEERS; those not installed take no part.
        seconds: time for each contender of a comparison.
        busy: whether another program holds one core meanwhile.

    Raises:
        ValueError: a kind or a peer that there is not, or no time.
    """

    kinds: Sequence[str] = (*KINDS, "memory")
    cells: Sequence[str] | None = None
    shapes: Sequence[Shape] | None = None
    peers: Sequence[str] = tuple(PEERS)
    seconds: float = 1.0
    busy: bool = False

    def __post_init__(self) -> None:
        for what, given, known in (("kind", self.kinds, (*KINDS, "memory")), ("peer", self.peers, PEERS)):
            for name in given:
                if name not in known:
                    raise ValueError(f"there is no {what} `{name}` to measure; expected some of: {', '.join(known)}")
        if not self.seconds > 0:
            raise ValueError(f"seconds={self.seconds}: expected a time above 0 for each contender")


@dataclass(frozen=True)
class Comparison:
    """What came of a case.

    Attributes:
        seconds: of a run, by contender.
        share: of the measured multiply-add peak, by contender.
        read: of a step, at what rate ours reads its matrices, as a share of the rate at which torch sums an array of
            their size; else None.
    """

    kind: str
    cell: str
    size: str
    seconds: dict[str, float]
    share: dict[str, float]
    read: float | None = None

    def ratio(self, peer: str) -> float:
        """How many times as long the peer takes."""
        return self.seconds[peer] / self.seconds[OURS]


@dataclass
class Report:
    """All that was measured.

    Attributes:
        machine: facts about it, by name.
        peak: operations a second of multiply-adds alone on all threads, before and after.
        stream: bytes a second that all threads read of memory larger than their caches.
    """

    machine: dict[str, str]
    options: Options
    peak: list[float]
    stream: float
    comparisons: list[Comparison] = field(default_factory=list[Comparison])
    memory: list[Growth] = field(default_factory=list[Growth])


def measure(options: Options, note: Callable[[str], None] = lambda _: None) -> Report:
    """Run the comparisons.

    Args:
        options: which.
        note: told what begins.

    Raises:
        ValueError: a cell that there is not, or contenders that disagree on a result.
    """
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    report = Report(_machine(), options, [multiply_add_peak(threads)], read_rate(_STREAM_MEGABYTES))
    kinds = [k for k in options.kinds if k in KINDS]
    with one_core_taken(options.busy):
        for case in cases(kinds, options.cells, options.shapes, options.peers):
            note(f"{case.kind}, {case.cell}, {case.size}")
            report.comparisons.append(_compare(case, options.seconds, report.peak[0]))
            gc.collect()
    if "memory" in options.kinds:
        for growth in training_memory(options.cells, options.shapes, note):
            report.memory.append(growth)
    report.peak.append(multiply_add_peak(threads))
    return report


def _machine() -> dict[str, str]:
    found = {"date": date.today().isoformat(), "processor": processor(), "system": platform.platform()}
    found |= {"threads": str(torch.get_num_threads()), "instruction set": library.kernels().name.decode()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _compare(case: Case, seconds: float, peak: float) -> Comparison:
    if case.compared is not None:
        _agree(case, case.compared())
    runs = case.runs()
    if case.compared is None:
        _agree(case, runs)
    times = take_turns(runs, seconds)
    read = None
    if case.kind == "step":
        matrices = 2.0 * case.operations  # four bytes for every multiply-add
        read = matrices / times[OURS] / read_rate(matrices / 1e6)
    share = {name: case.operations / t / peak for name, t in times.items()}
    return Comparison(case.kind, case.cell, case.size, times, share, read)


def _agree(case: Case, runs: dict[str, Run]) -> None:
    """Raise ValueError if a contender computes something else than ours."""
    expected = _array(runs[OURS]())
    largest = max(float(np.abs(expected).max()), 1e-30)
    for name, run in runs.items():
        found = expected if name == OURS else _array(run())
        apart = float(np.abs(found - expected).max()) / largest if found.shape == expected.shape else float("inf")
        if not apart <= _TOLERANCE:
            raise ValueError(
                f"{case.kind} of {case.cell}, {case.size}: {name} gives another result than recurra, apart by "
                f"{apart:.1e} of the largest value, so their times cannot be compared; please report this"
            )


def _array(result: object) -> NDArray[np.float32]:
    """The values of a result in their order: a shape may have ones in it or not."""
    # A copy: some contenders use their memory again.
    if isinstance(result, torch.Tensor):
        return result.detach().numpy().flatten()
    return np.array(result, dtype=np.float32).flatten()
