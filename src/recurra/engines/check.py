"""A cell checked on every engine against the reference: for the zoo's tests, and for a user's own cells."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field

import torch
from torch import Tensor

from recurra import cells
from recurra.engines.sweep import obstacle, sweep
from recurra.engines.widths import Call, Names
from recurra.equations import Cell
from recurra.equations.graph import columns, parted
from recurra.equations.program import Program

FLOOR = 3e-6
"""Error of a float32 result relative to 1 + its largest value that is accepted in any case."""
FACTOR = 8.0
"""How many times the float32 error of the eager engine is accepted beyond that."""


class DisagreementError(ValueError):
    """An engine computes something else than the reference."""


@dataclass(frozen=True)
class Trial:
    """Sizes of one comparison.

    Attributes:
        steps: T.
        rows: B.
        widths: the cell's named widths.
        lengths: steps of each row; None is T for all.
        reverse: whether rows run from their end.
        sources: how many of its sources each row has, where the cell has a memory; None is one for all.
    """

    steps: int
    rows: int
    widths: Mapping[str, int]
    lengths: tuple[int, ...] | None = None
    reverse: bool = False
    sources: tuple[int, ...] | None = None

    def __str__(self) -> str:
        sizes = {"T": self.steps, "B": self.rows, **self.widths}
        words = [f"{name} = {size}" for name, size in sizes.items()]
        words += [f"lengths {list(self.lengths)}"] if self.lengths is not None else []
        words += [f"sources {list(self.sources)}"] if self.sources is not None else []
        return ", ".join(words + (["reverse"] if self.reverse else []))


@dataclass
class CellReport:
    """What :func:`check_cell` found; its text is a line for each engine.

    Attributes:
        cell: name of the cell.
        trials: the comparisons made.
        arrays: how many results were compared: outputs, final states and gradients.
        errors: largest error of each engine in float32, relative to 1 + the largest value of the result it is in.
        unserved: why the native engine could not serve a trial, the first reason met; None where it served all.
    """

    cell: str
    trials: int = 0
    arrays: int = 0
    errors: dict[str, float] = field(default_factory=dict[str, float])
    unserved: str | None = None

    def note(self, engine: str, off: Mapping[str, float], exact: Mapping[str, Tensor]) -> None:
        """Take in how far an engine's results are off."""
        largest = max(error / _size(exact[name]) for name, error in off.items())
        self.errors[engine] = max(self.errors.get(engine, 0.0), largest)

    def __str__(self) -> str:
        lines = [f"{self.cell}: {self.arrays} results of {self.trials} trials agree with the reference in float64"]
        lines += [f"  {name:8}largest error {error:.1e} in float32" for name, error in self.errors.items()]
        lines += [f"  native  does not serve every trial: {self.unserved}"] if self.unserved else []
        return "\n".join(lines)


def check_cell(cell: str | Cell, *, widths: Mapping[str, int] | None = None, seed: int = 0) -> CellReport:
    """Run a cell on every engine, and compare all that comes out with the reference, the eager engine in float64.

    Compared are outputs, final states, and the gradients of every input, state and parameter: in one step of one row,
    in odd sizes, with rows of several lengths (0 and 1 among them), and backwards. An engine may be off by 8 times the
    error of the eager engine in float32, or by 3e-6 of 1 + the largest value of a result; where it is off by more, also
    by 8 times what a change in the last bit of all numbers that go in makes of it.

    Args:
        cell: a cell, or the name of one in the zoo.
        widths: sizes of its named widths to try besides (``{"I": 40, "H": 200}``), any of them.
        seed: of the numbers drawn.

    Returns:
        What was compared, and how far each engine was off.

    Raises:
        CellError: the cell breaks a rule of the language.
        DisagreementError: an engine is too far off, or the cell gives numbers that are not finite.
    """
    cell = cells.get(cell) if isinstance(cell, str) else cell
    program = Program(cell)
    report = CellReport(cell.name)
    for trial in _trials(program, widths or {}):
        numbers = _Numbers(program, trial, torch.Generator().manual_seed(seed))
        exact = numbers.results("eager", torch.float64)
        endless = {f"final {s}" for s, start in cell.initial.items() if math.isinf(start)}
        broken = [n for n, v in exact.items() if not (v.isnan().logical_not() if n in endless else v.isfinite()).all()]
        if broken:
            raise DisagreementError(
                f"cell {cell.name}: {broken[0]} is not finite with {trial}, inputs and parameters drawn from a normal "
                "distribution; keep logarithms, roots and quotients away from their poles"
            )
        plain = numbers.results("eager", torch.float32)
        own = {name: _distance(plain[name], reference) for name, reference in exact.items()}
        report.note("eager", own, exact)
        reason = numbers.obstacle()
        if reason is None:
            found = numbers.results("native", torch.float32)
            off = {name: _distance(found[name], reference) for name, reference in exact.items()}
            allowed = {name: max(FACTOR * own[name], FLOOR * _size(reference)) for name, reference in exact.items()}
            far = [name for name in exact if not off[name] <= allowed[name]]
            if far:
                # Eager's roundings may happen to cancel. What the last bit of the numbers themselves decides is its
                # error too.
                nudged = numbers.nudged().results("eager", torch.float64)
                allowed = {name: max(allowed[name], FACTOR * _distance(nudged[name], exact[name])) for name in far}
            for name in far:
                if not off[name] <= allowed[name]:
                    raise DisagreementError(
                        f"cell {cell.name}: {name} on the native engine is off by {off[name]:.2g} with {trial}, "
                        f"allowed is {allowed[name]:.2g}. Please report this fault with the equations"
                    )
            report.note("native", off, exact)
        report.unserved = report.unserved or reason
        report.trials += 1
        report.arrays += len(exact)
    return report


def _trials(program: Program, widths: Mapping[str, int]) -> Iterator[Trial]:
    def sizes(start: int, step: int = 2) -> dict[str, int]:
        """A size for each named width, each another one, all multiples of the parts they are divided into."""
        found = {"I": 1, "H": 1}
        for width in program.widths:
            name, parts = parted(width)
            found[name] = math.lcm(found.get(name, 1), parts)
        return {name: parts * -(-(start + step * k) // parts) for k, (name, parts) in enumerate(found.items())}

    def sources(*counts: int) -> tuple[int, ...] | None:
        return counts if program.cell.memories else None

    yield Trial(1, 1, sizes(1, 0))
    yield Trial(6, 3, sizes(5), sources=sources(4, 1, 7))
    yield Trial(4, 7, sizes(17), sources=sources(3, 18, 1, 16, 5, 2, 9))
    # Blocks of a block-diagonal matrix are served natively in multiples of 16.
    yield Trial(3, 2, {**{name: 16 * size for name, size in sizes(1).items()}, **widths}, sources=sources(2, 3))
    yield Trial(5, 4, sizes(3), lengths=(5, 0, 1, 3), sources=sources(6, 2, 1, 5))
    yield Trial(5, 4, sizes(3), lengths=(2, 5, 0, 4), reverse=True, sources=sources(1, 4, 6, 3))


def _distance(a: Tensor, b: Tensor) -> float:
    """The largest difference: 0 between equal infinities, infinite where one is no number."""
    gap = torch.where(a.double() == b, 0.0, a.double() - b)
    return gap.abs().nan_to_num(math.inf).max().item()


def _size(value: Tensor) -> float:
    """What an error is measured by: 1 + the largest finite value."""
    return 1.0 + value.abs().nan_to_num(0.0, 0.0).max().item()


def nudged(a: Tensor, generator: torch.Generator) -> Tensor:
    """Every number of `a` a unit in the last place of float32 to one side or the other; infinite ones stay."""
    side = torch.randint(2, a.shape, generator=generator) * 2 - 1
    return torch.where(a.isfinite(), a * (1 + torch.finfo(torch.float32).eps * side), a)


class _Numbers:
    """The arrays of one trial, drawn once; float32 holds them exactly, so that every run starts from the same."""

    def __init__(self, program: Program, trial: Trial, generator: torch.Generator) -> None:
        self.program, self.trial = program, trial
        cell = program.cell

        def draw(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator).double()

        def width(of: str | int) -> int:
            return columns(of, trial.widths)

        T, B = trial.steps, trial.rows
        self.inputs = {f"input {n}": draw(T, B, width(w)) for n, w in cell.inputs.items()}
        self.statics = {f"static {n}": draw(B, width(w)) for n, w in cell.statics.items()}
        S = max(trial.sources or (1,))
        self.memories = {f"memory {n}": draw(B, S, width(w)) for n, w in cell.memories.items()}
        shapes = {n: (B, *([S] if n in cell.source_states else []), width(w)) for n, w in cell.states.items()}
        self.state = {f"state {n}": draw(*shape) for n, shape in shapes.items()}
        if any(cell.initial.values()):
            # Its states keep what the equations rely on (a sum of exponentials is positive): they cannot be drawn.
            for n, start in cell.initial.items():
                self.state[f"state {n}"].fill_(start)
        self.parameters: dict[str, Tensor] = {}
        for name, p in program.parameters.items():
            shape = [width(w) for w in p.shape]
            drawn = draw(*shape) / math.sqrt(shape[-1] if p.role == "matrix" else 1)
            self.parameters[f"parameter {name}"] = drawn if p.initial is None else p.initial + 0.3 * drawn
        out = program.traced.output
        self.weights = {"output": draw(T, B, width(out.width))}
        self.weights |= {f"final {n}": draw(*shape) for n, shape in shapes.items()}
        self.lengths = None if trial.lengths is None else torch.tensor(trial.lengths)
        self.sources = None if trial.sources is None else torch.tensor(trial.sources)

    def nudged(self) -> _Numbers:
        """The same arrays with every number a unit in the last place of float32 to one side or the other."""
        generator, other = torch.Generator().manual_seed(0), copy(self)
        other.inputs, other.statics, other.memories, other.state, other.parameters = (
            {name: nudged(a, generator) for name, a in group.items()}
            for group in (self.inputs, self.statics, self.memories, self.state, self.parameters)
        )
        return other

    def _arrays(self, dtype: torch.dtype) -> dict[str, Tensor]:
        every = {**self.inputs, **self.statics, **self.memories, **self.state, **self.parameters}
        return {name: value.to(dtype).requires_grad_() for name, value in every.items()}

    def obstacle(self) -> str | None:
        """Why the native engine cannot serve this trial, or None."""
        a = self._arrays(torch.float32)
        call = Call(
            self.program, tuple(a[n] for n in self.inputs), tuple(a[n] for n in self.statics),
            tuple(a[n] for n in self.state), {(n.partition(" ")[2],): a[n] for n in self.parameters},
            self.lengths, self.trial.reverse, tuple(a[n] for n in self.memories), self.sources,
        )  # fmt: skip
        return obstacle(call)

    def results(self, engine: str, dtype: torch.dtype) -> dict[str, Tensor]:
        """Output and final states, and the gradients of their weighed sum by every array that has one."""
        a = self._arrays(dtype)
        parameters: dict[str | Names, Tensor] = {n.partition(" ")[2]: a[n] for n in self.parameters}
        output, final = sweep(
            self.program, [a[n] for n in self.inputs], [a[n] for n in self.state], parameters,
            statics=[a[n] for n in self.statics], lengths=self.lengths, reverse=self.trial.reverse,
            memories=[a[n] for n in self.memories], sources=self.sources, engine=engine,
        )  # fmt: skip
        found = {"output": output} | {f"final {n}": s for n, s in zip(self.program.cell.states, final, strict=True)}
        reached = {n: y for n, y in found.items() if y.requires_grad}
        weights = [self.weights[n].to(dtype).expand(y.shape) for n, y in reached.items()]
        gradients: tuple[Tensor | None, ...] = (None,) * len(a)
        if reached:
            gradients = torch.autograd.grad([*reached.values()], [*a.values()], weights, allow_unused=True)
        for (name, array), gradient in zip(a.items(), gradients, strict=True):
            found[f"gradient of {name}"] = torch.zeros_like(array) if gradient is None else gradient
        return {name: value.detach() for name, value in found.items()}
