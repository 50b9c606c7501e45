"""The one entry to the engines: a program run over a sequence."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache

import torch
from torch import Tensor

from recurra.engines import eager, library, native, operator
from recurra.engines.native_steps import NativeSteps
from recurra.engines.widths import Call, Names
from recurra.equations import nearest
from recurra.equations.program import Program

ENGINES = ("auto", "eager", "native")
_log = logging.getLogger("recurra.engines")


def sweep(  # noqa: PLR0913 - the arrays of a call; all but the first four by keyword
    program: Program,
    inputs: Sequence[Tensor],
    state: Sequence[Tensor | None],
    parameters: Mapping[str | Names, Tensor],
    *,
    statics: Sequence[Tensor] = (),
    lengths: Tensor | None = None,
    reverse: bool = False,
    memories: Sequence[Tensor] = (),
    sources: Tensor | None = None,
    engine: str = "auto",
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a cell over a sequence.

    Args:
        program: the cell's program.
        inputs: its per-step inputs, each ``[T, B, W]``.
        state: its initial states, each ``[B, W]``; None is zeros.
        parameters: its learned arrays, by name. A tuple of names stands for one array that holds those of all of
            them, one below the other: torch's ``weight_ih`` is ``("W_i", "W_f", "W_g", "W_o")``.
        statics: its per-sequence inputs, each ``[B, W]``.
        lengths: steps of each row, int64 ``[B]`` on the CPU, each from 0 to T; None is T for all.
        reverse: each row runs from its own last step to its first. Outputs stand at the step they belong to.
        memories: its inputs with a row for every source, each ``[B, S, W]``.
        sources: how many of its sources each row has, int64 ``[B]`` on the CPU, each from 1 to S; None is S for all.
            What lies behind them is never read.
        engine: "native", "eager", or "auto": native where it can serve the call, else eager. Which one it is, and
            why, goes to the log ``recurra.engines`` once for each cell.

    Returns:
        Outputs ``[T, B, W]``, zeros behind a row's end, and the final states, each ``[B, W]``: the state behind the
        last step that a row has, so its initial state where it has none.

    Raises:
        ValueError: the arrays do not fit the cell, or the engine named cannot serve the call.
    """
    arrays = {(n,) if isinstance(n, str) else n: p for n, p in parameters.items()}
    given = tuple(inputs), tuple(statics), tuple(state)
    return run(Call(program, *given, arrays, lengths, reverse, tuple(memories), sources), engine)


def run(call: Call, engine: str) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The same for arrays that are a call already."""
    if torch.compiler.is_compiling():
        return operator.sweep(call, engine)
    return native.sweep(call) if settle(call, engine) == "native" else eager.sweep(call)


def run_all(calls: Sequence[Call], engine: str) -> list[tuple[Tensor, tuple[Tensor, ...]]]:
    """Independent sweeps, such as the directions of a layer: of a single row at once, a thread each."""
    # Traced, the number of rows may be a symbol, which nothing can be decided by.
    if len(calls) > 1 and not torch.compiler.is_compiling():
        single = calls[0].rows == 1 and torch.get_num_threads() > 1
        if single and all(settle(call, engine) == "native" for call in calls):
            return native.sweep_together(calls)
    return [run(call, engine) for call in calls]


def steps(call: Call, engine: str) -> eager.Steps:
    """A cell run step by step, for as long as a caller likes. Gradients pass through torch's operations.

    Args:
        call: its arrays; of the per-step inputs nothing but dtype, device and number of rows is used, and no state.
        engine: as of :func:`sweep`.

    Raises:
        ValueError: the arrays do not fit the cell, or the engine named cannot serve the call.
    """
    if torch.compiler.is_compiling():
        return eager.Steps(call)
    return NativeSteps(call) if settle(call, engine) == "native" else eager.Steps(call)


def settle(call: Call, engine: str) -> str:
    """The engine that will run a call, after a look at the call; told to the log.

    Raises:
        ValueError: the arrays do not fit the cell, or the engine named cannot serve the call.
    """
    call.check()
    chosen, reason = choose(call, engine)
    if chosen == "eager":  # the native engine takes one kind alone
        call.check_kinds()
    _tell(call.program.cell.name, chosen, reason)
    return chosen


def choose(call: Call, engine: str) -> tuple[str, str]:
    """The engine that will run a call, and why.

    Raises:
        ValueError: there is no engine of that name, or it cannot serve the call.
    """
    check_engine(engine)
    if engine == "eager":
        return "eager", "it was asked for"
    reason = obstacle(call)
    if reason is None:
        return "native", "it was asked for" if engine == "native" else "it serves float32 on the CPU"
    if engine == "native":
        raise ValueError(f"the native engine cannot serve this call: {reason}. Use engine='eager' or 'auto'")
    return "eager", f"the native engine cannot serve this: {reason}"


def obstacle(call: Call) -> str | None:
    """Why the native engine cannot serve a call, or None."""
    return _missing_library() or native.obstacle(call)


def check_engine(engine: str) -> None:
    """Raise ValueError, with the nearest name, if there is no engine of that name."""
    if engine not in ENGINES:
        raise ValueError(
            f"there is no engine `{engine}`{nearest(engine, ENGINES)}; the engines are: {', '.join(ENGINES)}"
        )


@cache
def _missing_library() -> str | None:
    return library.obstacle()


@lru_cache(maxsize=1024)  # a reason may tell sizes
def _tell(cell: str, engine: str, reason: str) -> None:
    _log.info("cell %s runs on the %s engine: %s", cell, engine, reason)
