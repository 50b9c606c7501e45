"""The one entry to the engines: a program run over a sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from recurra.engines import eager
from recurra.engines.widths import Call
from recurra.equations.program import Program

ENGINES = ("auto", "eager")


def sweep(
    program: Program,
    inputs: Sequence[Tensor],
    state: Sequence[Tensor | None],
    parameters: Mapping[str, Tensor],
    *,
    statics: Sequence[Tensor] = (),
    engine: str = "auto",
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a cell over a sequence.

    Args:
        program: the cell's program.
        inputs: its per-step inputs, each ``[T, B, W]``.
        state: its initial states, each ``[B, W]``; None is zeros.
        parameters: its learned arrays, by name.
        statics: its per-sequence inputs, each ``[B, W]``.
        engine: "auto" takes the fastest that serves the call.

    Returns:
        Outputs ``[T, B, W]`` and the final states, each ``[B, W]``.

    Raises:
        ValueError: the arrays do not fit the cell, or the engine cannot serve the call.
    """
    call = Call(program, tuple(inputs), tuple(statics), tuple(state), parameters)
    call.widths  # noqa: B018  # checks every shape before any work
    return eager.sweep(call)
