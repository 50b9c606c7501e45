"""Running one sweep in several ways on the same numbers, and comparing all that comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cache

import torch
from torch import Tensor

from recurra.engines import memory
from recurra.engines.check import nudged
from recurra.engines.sweep import sweep
from recurra.equations import Cell
from recurra.equations.graph import columns
from recurra.equations.program import Program

from . import oracle

SIZES = {"I": 5, "H": 8, "O": 3, "P": 6, "M": 7, "A": 9}
Results = dict[str, Tensor | None]


@cache
def program(cell: Cell) -> Program:
    """One program a cell, as a layer has it: its plans are made once."""
    return Program(cell)


@dataclass
class Trial:
    """A cell, and the numbers it is run on, in float64.

    Arrays are called "input x", "static s", "state h", "parameter W_i"; results "output", "final h", and
    "gradient of " an array.
    """

    cell: Cell
    sizes: dict[str, int]
    steps: int
    rows: int
    seed: int = 0
    sources: tuple[int, ...] | None = None  # of each row, where the cell has a memory
    program: Program = field(init=False)
    arrays: dict[str, Tensor] = field(init=False)
    weights: dict[str, Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.program = program(self.cell)
        generator = torch.Generator().manual_seed(self.seed)

        def draw(*shape: int) -> Tensor:
            # Numbers that float32 holds exactly, so that both precisions start from the same.
            return torch.randn(shape, generator=generator).double()

        cell, width = self.cell, self.width
        self.arrays = {f"input {n}": draw(self.steps, self.rows, width(w)) for n, w in cell.inputs.items()}
        self.arrays |= {f"static {n}": draw(self.rows, width(w)) for n, w in cell.statics.items()}
        most = max(self.sources or (1,))
        self.arrays |= {f"memory {n}": draw(self.rows, most, width(w)) for n, w in cell.memories.items()}
        shapes = {
            n: (self.rows, *([most] if n in cell.source_states else []), width(w)) for n, w in cell.states.items()
        }
        self.arrays |= {f"state {n}": draw(*shape) for n, shape in shapes.items()}
        if any(cell.initial.values()):
            # Its states keep what its equations rely on (a sum of exponentials is positive): they cannot be drawn.
            for n in cell.states:
                self.arrays[f"state {n}"].fill_(cell.initial[n])
        for name, p in self.program.parameters.items():
            value = draw(*map(width, p.shape))
            if p.role == "matrix":
                value = value / value.shape[1] ** 0.5
            start = p.initial or 0.0
            self.arrays[f"parameter {name}"] = (start + 0.5 * value).float().double() if p.role != "matrix" else value
        self.arrays = {n: a.float().double() for n, a in self.arrays.items()}
        # What the results are weighed with in the loss: the gradients that come back into the sweep.
        out = self.program.traced.output.width
        self.weights = {"output": draw(self.steps, self.rows, width(out))}
        self.weights |= {f"final {n}": draw(*shape) for n, shape in shapes.items()}

    def width(self, width: str | int) -> int:
        return columns(width, self.sizes)

    def part(self, kind: str, arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {n.removeprefix(f"{kind} "): a for n, a in arrays.items() if n.startswith(f"{kind} ")}

    def nudged(self) -> Trial:
        """The same trial with every number a unit in the last place of float32 to one side or the other."""
        generator = torch.Generator().manual_seed(self.seed)
        return self.but({n: nudged(a, generator) for n, a in self.arrays.items()})

    def but(self, arrays: Mapping[str, Tensor] | None = None, weights: Mapping[str, Tensor] | None = None) -> Trial:
        """The same trial with other numbers in the place of some."""
        other = copy(self)
        other.arrays = {**self.arrays, **(arrays or {})}
        other.weights = {**self.weights, **(weights or {})}
        return other

    def row(self, row: int) -> Trial:
        """One row of the batch as a batch of its own."""

        def one(name: str, array: Tensor) -> Tensor:
            if name.partition(" ")[0] in ("input", "output") or array.dim() < 3:
                return array[..., row : row + 1, :]
            return array[row : row + 1, : self.sources[row] if self.sources else None]

        arrays = {n: one(n, a) for n, a in self.arrays.items() if not n.startswith("parameter")}
        other = self.but(arrays, {n: one(n, a) for n, a in self.weights.items()})
        other.sources = None
        return other


Runner = Callable[[Trial, dict[str, Tensor]], tuple[Tensor, tuple[Tensor, ...]]]


def on_engine(engine: str, *, lengths: Sequence[int] | None = None, reverse: bool = False) -> Runner:
    def run(trial: Trial, arrays: dict[str, Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        part = trial.part
        inputs, statics = list(part("input", arrays).values()), list(part("static", arrays).values())
        state, parameters = list(part("state", arrays).values()), part("parameter", arrays)
        return sweep(
            trial.program,
            inputs,
            state,
            parameters,
            statics=statics,
            lengths=None if lengths is None else torch.tensor(lengths),
            reverse=reverse,
            memories=list(part("memory", arrays).values()),
            sources=None if trial.sources is None else torch.tensor(trial.sources),
            engine=engine,
        )

    return run


def on_oracle(trial: Trial, arrays: dict[str, Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
    part = trial.part
    inputs, statics, state = (list(part(k, arrays).values()) for k in ("input", "static", "state"))
    memories = list(part("memory", arrays).values())
    return oracle.run(trial.cell, inputs, statics, state, part("parameter", arrays), memories, trial.sources)


def results(
    trial: Trial,
    runner: Runner,
    dtype: torch.dtype,
    *,
    wanted: Iterable[str] | None = None,
    used: Iterable[str] | None = None,
    poisoned: bool = True,
) -> Results:
    """All results of a run and, where `wanted` is not empty, gradients of the sum of `used` results, weighed.

    Args:
        wanted: arrays to differentiate by; None is all.
        used: results in the loss; None is all.
        poisoned: fill the engines' free memory with NaN before each pass.
    """
    wanted = list(trial.arrays) if wanted is None else list(wanted)
    arrays = {n: a.detach().to(dtype) for n, a in trial.arrays.items()}
    for name in wanted:
        arrays[name] = arrays[name].requires_grad_()
    if poisoned:
        memory.poison(float("nan"))
    output, final = runner(trial, arrays)
    found: Results = {"output": output}
    found |= {f"final {n}": f for n, f in zip(trial.cell.states, final, strict=True)}
    if not wanted:
        return {n: value.detach() for n, value in found.items() if value is not None}
    pairs = [(found[n], w.to(dtype)) for n, w in trial.weights.items() if used is None or n in used]
    pairs = [(y, w) for y, w in pairs if y is not None and y.requires_grad]
    gradients: list[Tensor | None] = [None] * len(wanted)
    if pairs:
        if poisoned:
            memory.poison(float("nan"))
        sources = [arrays[n] for n in wanted]
        gradients = list(torch.autograd.grad([y for y, _ in pairs], sources, [w for _, w in pairs], allow_unused=True))
    found = {n: value.detach() for n, value in found.items() if value is not None}
    return found | {f"gradient of {n}": g for n, g in zip(wanted, gradients, strict=True)}


def distance(a: Tensor | None, b: Tensor | None) -> float:
    """The largest difference; what has no gradient counts as zero, NaN as infinity, two equal infinities as equal."""
    if a is None or b is None:
        given = a if b is None else b
        return 0.0 if given is None else scale(given)
    assert a.shape == b.shape, f"shape {list(a.shape)}, expected {list(b.shape)}"
    gap = (a.double() - b.double()).abs().nan_to_num(float("inf"), float("inf")).masked_fill(a == b, 0.0)
    return gap.max().item() if gap.numel() else 0.0


def scale(a: Tensor | None) -> float:
    return 0.0 if a is None else a.double().abs().nan_to_num(float("inf")).max().item()


def assert_close(found: Results, expected: Results, tolerance: float) -> None:
    assert found.keys() == expected.keys()
    far = {n: distance(found[n], expected[n]) for n in found}
    far = {n: d for n, d in far.items() if not d <= tolerance * (1 + scale(expected[n]))}
    assert not far, f"too far from the reference: {far}"


def assert_same_bits(found: Results, expected: Results) -> None:
    assert found.keys() == expected.keys()
    far: dict[str, float] = {}
    for n, a in found.items():
        b = expected[n]
        if a is None or b is None:
            assert a is b, n
        elif not torch.equal(a, b):
            far[n] = distance(a, b)
    assert not far, f"not the same bits: {far}"


FLOOR = 3e-6
"""Error of a float32 result relative to 1 + its largest value that is accepted in any case."""
FACTOR = 8.0
"""How many times the float32 error of the eager engine is accepted beyond that."""


def assert_native_agrees(
    trial: Trial,
    *,
    wanted: Iterable[str] | None = None,
    used: Iterable[str] | None = None,
    native: Trial | None = None,
    lengths: Sequence[int] | None = None,
    reverse: bool = False,
) -> Results:
    """The native engine in float32 against the eager one in float64, by the measure of eager's own float32 error.

    Args:
        native: the same numbers laid out otherwise in memory, for the native run.
        lengths: steps of each row.
        reverse: each row from its last step to its first.

    Returns:
        What the native engine gave.
    """
    wanted = None if wanted is None else list(wanted)
    used = None if used is None else list(used)
    eager = on_engine("eager", lengths=lengths, reverse=reverse)
    exact = results(trial, eager, torch.float64, wanted=wanted, used=used, poisoned=False)
    plain = results(trial, eager, torch.float32, wanted=wanted, used=used, poisoned=False)
    fused = on_engine("native", lengths=lengths, reverse=reverse)
    found = results(native or trial, fused, torch.float32, wanted=wanted, used=used)
    assert found.keys() == exact.keys()

    def beyond(own: Results) -> dict[str, tuple[float, float]]:
        """Results too far off, and how far they may be where a float32 error is that of `own`."""
        gaps = {
            n: (distance(found[n], e), FACTOR * distance(own[n], e), FLOOR * (1 + scale(e))) for n, e in exact.items()
        }
        return {n: (gap, max(allowed)) for n, (gap, *allowed) in gaps.items() if not gap <= max(allowed)}

    far = beyond(plain)
    if far:
        # Eager's roundings may happen to cancel. What the last bit of the numbers themselves decides is its error too.
        nudged = results(trial.nudged(), eager, torch.float64, wanted=wanted, used=used, poisoned=False)
        far = {n: gap for n, gap in beyond(nudged).items() if n in far}
    assert not far, f"{trial.cell.name}: native is off by (error, allowed): {far}"
    return found
