"""Peak memory of a training step, each in a process of its own."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from recurra.deploy.bench.problem import Problem, Shape
from recurra.deploy.bench.torch_peer import TWINS, our_run, twin_run

_CELLS = ("lstm", "gru_after")
_SHAPES = (Shape(100, 64, 256, 256), Shape(50, 128, 512, 512), Shape(784, 64, 1, 128))


@dataclass(frozen=True)
class Growth:
    """Bytes by which a training step made the process grow at its peak, the parameters and the input apart."""

    cell: str
    size: str
    ours: int
    theirs: int


def training_memory(
    cells: Sequence[str] | None, shapes: Sequence[Shape] | None, note: Callable[[str], None]
) -> Iterator[Growth]:
    """Growth of a training step with our layer and with torch.nn's (None: standard cells and shapes)."""
    for cell in [c for c in cells or _CELLS if c in TWINS]:
        for shape in shapes or _SHAPES:
            note(f"memory, {cell}, {shape}")
            ours, theirs = (_in_a_process(cell, shape, who) for who in ("ours", "theirs"))
            yield Growth(cell, str(shape), ours, theirs)


def _in_a_process(cell: str, shape: Shape, who: str) -> int:
    call = {"cell": cell, "shape": [shape.steps, shape.batch, shape.inputs, shape.hidden], "who": who}
    done = subprocess.run(
        [sys.executable, "-m", __name__, json.dumps(call)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"the process that measures memory failed: {done.stderr.strip().splitlines()[-1:]}")
    return int(done.stdout)


def grow(cell: str, shape: Shape, who: str) -> int:
    """Bytes by which this process grows at the peak of its first training steps of this size."""

    def run(problem: Problem) -> None:
        made = our_run(problem, training=True) if who == "ours" else twin_run(problem, nn, training=True)
        for _ in range(2):
            if made is not None:
                made()

    torch.manual_seed(0)
    run(Problem(cell, Shape(2, 2, 16, 16)))  # threads and libraries are there before
    problem = Problem(cell, shape)
    before = _restart_peak()
    run(problem)
    return _peak() - before


def _restart_peak() -> int:
    """Bytes of this process now; its peak counts from here where the system lets it."""
    status = Path("/proc/self/status")
    if not status.exists():
        return _peak()
    Path("/proc/self/clear_refs").write_text("5")
    return _field("VmRSS")


def _peak() -> int:
    if Path("/proc/self/status").exists():
        return _field("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _field(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    sys.stdout.write(str(grow(asked["cell"], Shape(*asked["shape"]), asked["who"])))
