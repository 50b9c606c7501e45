"""What is compared: kinds of work, cells, shapes, and who takes part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from recurra.deploy.bench import jax_peer, onnx_peer, torch_peer
from recurra.deploy.bench.loops import make_loop
from recurra.deploy.bench.problem import Problem, Run, Shape, torch_run

OURS = "recurra"

PEERS = {
    "nn": "torch.nn's layer, of ragged rows with a PackedSequence; of the output layer, linear and cross_entropy",
    "cell": "the cell class of torch.nn",
    "loop": "a careful loop over torch operations",
    "compile": "torch.compile of a step of that loop",
    "jax": "jax.jit of lax.scan",
    "onnx": "ONNX Runtime",
    "packed": "recurra's own layer with a PackedSequence in the place of lengths",
}

_STANDARD = ((35, 20, 200, 200), (100, 32, 128, 128), (100, 64, 256, 256), (50, 128, 512, 512), (784, 64, 1, 128))
_SMALL_AND_LARGE = ((100, 32, 64, 64), (50, 32, 1024, 1024))
_LONG = 784  # steps from which ragged rows are not compared: torch needs minutes
_COMPARED = 100  # steps whose results are compared, at most
_STEP_WIDTHS = (64, 128, 256, 512)
_OUTPUT = (700, 200, 10_000)  # rows, width, classes: a step of a word model
_TWINS = tuple(torch_peer.TWINS)


@dataclass(frozen=True)
class Kind:
    """A kind of work.

    Attributes:
        cells: those it is measured for.
        peers: who takes part, by their names in PEERS.
    """

    cells: tuple[str, ...]
    peers: tuple[str, ...]


KINDS: Mapping[str, Kind] = {
    "training": Kind((*_TWINS, "peephole_lstm", "mut1", "layer_norm_lstm"), ("nn", "loop", "compile", "jax")),
    "inference": Kind((*_TWINS, "peephole_lstm", "mut1", "layer_norm_lstm"), ("nn", "loop", "compile", "jax", "onnx")),
    "ragged": Kind(("lstm", "gru_after"), ("nn", "packed")),
    "step": Kind(("lstm", "gru_after"), ("nn", "cell", "onnx")),
    "output": Kind(("linear",), ("nn",)),
}


@dataclass(frozen=True)
class Case:
    """One comparison.

    Attributes:
        kind: of KINDS.
        cell: the cell; "linear" of the output layer.
        size: the shape, as it is printed.
        operations: floating-point operations of a run, counted on products alone.
        runs: makes the contenders, ours first.
        compared: makes contenders of fewer steps, whose results are compared in the place of theirs. In float32 a
            long sequence can come to anything: a layer-norm LSTM of many steps is chaotic. None: theirs are.
    """

    kind: str
    cell: str
    size: str
    operations: float
    runs: Callable[[], dict[str, Run]]
    compared: Callable[[], dict[str, Run]] | None = None


def standard_shapes() -> list[Shape]:
    """The shapes that are measured unless others are named."""
    return [Shape(*s) for s in (*_STANDARD, *_SMALL_AND_LARGE)]


def cases(
    kinds: Sequence[str], cells: Sequence[str] | None, shapes: Sequence[Shape] | None, peers: Sequence[str]
) -> Iterator[Case]:
    """All comparisons of some kinds, cells and shapes (None: the standard ones of each kind)."""
    for kind in kinds:
        for cell in KINDS[kind].cells if cells is None or kind == "output" else cells:
            taking_part = [p for p in KINDS[kind].peers if p in peers]
            for shape in _shapes(kind, shapes):
                yield _case(kind, cell, shape, taking_part)


def _shapes(kind: str, shapes: Sequence[Shape] | None) -> list[Shape]:
    if kind == "output":
        return [Shape(1, *_OUTPUT)]
    if kind == "step":
        widths = _STEP_WIDTHS if shapes is None else dict.fromkeys(s.hidden for s in shapes)
        return [Shape(1, 1, h, h) for h in widths]
    found = standard_shapes() if shapes is None else list(shapes)
    return [s for s in found if s.steps < _LONG] if kind == "ragged" and shapes is None else found


def _case(kind: str, cell: str, shape: Shape, peers: Sequence[str]) -> Case:
    if kind == "output":
        rows, width, classes = shape.batch, shape.inputs, shape.hidden
        operations = 6.0 * rows * width * classes
        return Case(kind, cell, f"{rows} × {width} → {classes}", operations, lambda: _output(shape, peers))
    training = kind in ("training", "ragged")

    def problem(steps: int) -> Problem:
        return Problem(cell, replace(shape, steps=steps), ragged=kind == "ragged")

    def runs(of: Problem) -> dict[str, Run]:
        ours = torch_peer.our_step(of) if kind == "step" else torch_peer.our_run(of, training=training)
        theirs = {p: _peer(p, of, training=training, step=kind == "step") for p in peers}
        return {OURS: ours} | {p: run for p, run in theirs.items() if run is not None}

    whole = problem(shape.steps)
    size = str(shape) if kind != "step" else f"H = {shape.hidden}"
    compared = None if shape.steps <= _COMPARED else lambda: runs(problem(_COMPARED))
    return Case(kind, cell, size, whole.operations(training=training), lambda: runs(whole), compared)


def _output(shape: Shape, peers: Sequence[str]) -> dict[str, Run]:
    layer = torch_peer.OutputLayer(shape.batch, shape.inputs, shape.hidden)
    return {OURS: layer.run(ours=True)} | {p: layer.run(ours=False) for p in peers}


def _peer(name: str, problem: Problem, *, training: bool, step: bool) -> Run | None:
    """A peer's run, or None if it is not installed or has nothing for the cell."""
    match name:
        case "nn":
            return torch_peer.twin_step(problem) if step else torch_peer.twin_run(problem, nn, training=training)
        case "packed":
            return torch_peer.packed_run(problem)
        case "cell":
            return torch_peer.cell_step(problem)
        case "loop" | "compile":
            loop = make_loop(problem)
            if loop is None:
                return None
            if name == "compile":
                # The loop as a whole would be unrolled, and compile for minutes to hours. What was compiled for other
                # shapes is forgotten: it would count towards torch's limit, behind which nothing is compiled.
                torch.compiler.reset()
                loop.step = torch.compile(loop.step, dynamic=False)  # type: ignore[method-assign]
            return torch_run(loop, loop, problem, training=training)
        case "jax":
            return jax_peer.jax_run(problem, training=training) if jax_peer.available() else None
        case _:
            return onnx_peer.onnx_run(problem) if onnx_peer.available() else None
