"""Which biases of a cell open and shut its memory: found by what they do, whatever they are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from recurra.engines.sweep import sweep
from recurra.equations.graph import columns
from recurra.equations.program import Program

_OPEN = 20.0  # A sigmoid at ±20 is 1 or 0 to nine digits.
_PLAIN = 0.7  # What other biases are where something new shall come in: no two of them cancel a tanh of ±1.


@dataclass(frozen=True)
class Gates:
    """The gates of a cell's memory.

    Attributes:
        keeping: biases of the gates that decide how much of a state is kept; 1 where a high bias keeps it, −1 where a
            low one does.
        taking: biases of further gates that decide how much of what is new comes in, each with the bias in `keeping`
            that acts on the same state.
    """

    keeping: dict[str, int]
    taking: dict[str, str]


def find_gates(program: Program, sizes: Mapping[str, int]) -> Gates:
    """Try every bias of a cell on one step whose matrices are zero: does it keep the old state, does it let in the new?

    Args:
        program: the cell's.
        sizes: columns of every named width.
    """
    probe = _Probe(program, sizes)
    # A normalised product has a shift in the place of a bias, and the gate's other product has one too: the first is
    # enough.
    biases = [p.name for p in program.parameters.values() if p.role == "bias"]
    shifts = [p.name for p in program.parameters.values() if p.role == "shift"]
    keeping: dict[str, int] = {}
    taking: dict[str, str] = {}
    for state in program.cell.states:
        found: dict[str, int] = {}
        for name in biases or shifts:
            low, high = (probe.kept(state, name, at) for at in (-_OPEN, _OPEN))
            if max(low, high) > 0.1 and min(low, high) < 0.05 * max(low, high):
                found[name] = 1 if high > low else -1
        # Where one gate keeps and another crowds out (exponential gates under one stabiliser), the first is the one.
        for sign in (1, -1):
            chosen = [name for name, s in found.items() if s == sign]
            chosen = chosen if biases else chosen[:1]
            if chosen:
                keeping |= dict.fromkeys(chosen, sign)
                taking |= {n: chosen[0] for n in biases if n not in chosen and probe.lets_in(state, n)}
                break
    return Gates(keeping, {name: keeper for name, keeper in taking.items() if name not in keeping})


class _Probe:
    """One step of the cell with matrices of zero."""

    def __init__(self, program: Program, sizes: Mapping[str, int]) -> None:
        self.program, self.sizes = program, sizes

    def kept(self, state: str, bias: str, value: float) -> float:
        """How much of a state of 1 is left, one bias set and the others zero."""
        biases = {bias: value}
        return self._step(state, 1.0, biases, 0.0) - self._step(state, 0.0, biases, 0.0)

    def lets_in(self, state: str, bias: str) -> bool:
        """Whether a bias shuts out what is new when low, and, once open, changes nothing more."""
        shut, open_, wide = (self._step(state, 0.0, {bias: v}, _PLAIN) for v in (-_OPEN, _OPEN, 2 * _OPEN))
        return abs(shut) < 1e-6 < abs(open_) and abs(wide - open_) < 1e-6

    def _step(self, state: str, value: float, biases: Mapping[str, float], others: float) -> float:
        """The new value of a state that was `value`, all other states zero."""
        cell = self.program.cell

        def full(fill: float, *shape: str | int) -> Tensor:
            return torch.full([columns(w, self.sizes) for w in shape], fill, dtype=torch.float64, device="cpu")

        def learned(name: str) -> Tensor:
            p = self.program.parameters[name]
            plain = others if p.role in ("bias", "shift") else p.initial or 0.0
            return full(biases.get(name, plain), *p.shape)

        _, new = sweep(
            self.program,
            [full(0.0, 1, 1, w) for w in cell.inputs.values()],
            [full(value if s == state else 0.0, 1, w) for s, w in cell.states.items()],
            {name: learned(name) for name in self.program.parameters},
            statics=[full(0.0, 1, w) for w in cell.statics.values()],
            engine="eager",
        )
        return float(new[list(cell.states).index(state)].mean())
