"""Cells that attend to a memory, made from any cell: what the source says is asked for anew at every step."""

from __future__ import annotations

from recurra.equations.adjoint import leaf_name
from recurra.equations.around import Additions, Stepped, around
from recurra.equations.cell import Cell
from recurra.equations.errors import CellError
from recurra.equations.graph import Width
from recurra.equations.language import (
    Value,
    abs,
    affine,
    dot,
    exp,
    observe,
    select,
    sigmoid,
    softmax,
    tanh,
    vector,
    weighted_sum,
)
from recurra.equations.rewrite import input_affines, with_operands

SCORES = ("additive", "concat", "general", "dot", "scaled")
"""How well a source answers a query, by name; see :func:`attentive`."""
PLACES = ("before", "after")
WEIGHTS = "attention"
"""The name under which the weights can be observed."""

_FAR = -1e9  # the score of what stands outside the window: its weight is zero in float32


def attentive(
    cell: Cell,
    score: str = "additive",
    *,
    place: str = "before",
    feeding: bool = False,
    window: int | None = None,
    coverage: bool = False,
) -> Cell:
    """The cell with attention to a memory, given once a sequence with a row for every source.

    A query meets every source s; their scores become weights αₛ by a softmax; the context is Σₛ αₛ memoryₛ. The output
    is tanh(W [h, context]), h being the cell's own. The memory is ``memory`` ``[B, S, M]``; the weights of a step are
    observed as ``attention`` ``[B, S, 1]``.

    Args:
        cell: any cell with an affine of its input.
        score: of a query q and a source m,
            ``additive``: v · tanh(W m + U q + b) (Bahdanau et al. 2015);
            ``concat``: the same without b, v · tanh(W [m, q]) (Luong et al. 2015);
            ``general``: (U q) · m; ``dot``: q · m; ``scaled``: q · m / √width (Vaswani et al. 2017). For the last two
            the memory is as wide as the query.
        place: ``before``: the state as it was asks, and the context is read beside the input (Bahdanau); ``after``: the
            cell's output asks (Luong).
        feeding: the output of a step is read beside the next input (Luong's input feeding). Adds a state ``fed``.
        window: attend near a place p that the query points to alone (Luong's local-p): sources further from p than so
            many have no weight, those nearer are weighed with exp(−(s − p)² / 2σ²), σ being half the window. Adds the
            memories ``position`` ``[B, S, 1]``, the numbers of the sources from 0, and ``sources``, their count.
        coverage: the scores know how much each source was attended to before (Tu et al. 2016): additive and concat
            only. Adds a state ``covered`` ``[B, S, 1]``.

    Raises:
        ValueError: there is no such score or place, the window is below 1, or the score knows no coverage.
        CellError: no affine of the cell reads its input, or it attends already.
    """
    _check(score, place, window, coverage)
    readers = input_affines(cell)
    if not readers or cell.memories:
        reason = "it has a memory already" if cell.memories else "no affine of it reads its input"
        raise CellError(
            f"cell {cell.name} cannot be given attention: {reason}",
            "Write the attention into the cell, with softmax and weighted_sum",
        )
    output = cell.traced.output
    asking = next(iter(cell.states))
    for leaf, new in zip(cell.traced.states, cell.traced.new_states, strict=True):
        if new is output:
            asking = leaf_name(leaf)
    width = cell.states[asking] if place == "before" else output.width

    def step(values: dict[str, Value]) -> Stepped:
        memory, fed = values.pop("memory"), values.pop("fed", None)
        covered, position, sources = (values.pop(n, None) for n in ("covered", "position", "sources"))
        further = () if fed is None else (fed,)

        def attend(query: Value) -> tuple[Value, Value]:
            scores = _scores(score, memory, query, "", covered)
            weights = softmax(scores) if window is None else _local(scores, query, position, sources, window)
            context = weighted_sum(weights, memory)
            observe(WEIGHTS, weights)
            observe("context", context)
            return weights, context

        if place == "before":
            weights, context = attend(values[asking])
            made, states = with_operands(cell, readers, values, *further, context)
        else:
            made, states = with_operands(cell, readers, values, *further)
            weights, context = attend(made)
        result = tanh(affine("readout", made, context, width=output.width))
        states = (*states, *(() if fed is None else (result,)), *(() if covered is None else (covered + weights,)))
        return result, states

    states: dict[str, Width] = {"fed": output.width} if feeding else {}
    places: dict[str, Width] = {} if window is None else {"position": 1, "sources": 1}
    added = Additions(
        memories={"memory": width if score in ("dot", "scaled") else "M"} | places,
        states=states | ({"covered": 1} if coverage else {}),
        source_states=("covered",) if coverage else (),
    )
    return around(cell, "attentive", step, added)


def attend(memory: Value, query: Value, score: str = "additive", *, name: str = "") -> tuple[Value, Value]:
    """What a query finds in a memory, inside a cell: the context Σₛ αₛ memoryₛ, and the weights α of the sources.

    Args:
        memory: with a row for every source, of width M: an argument named in ``memory=``.
        query: what asks, the same for all sources.
        score: of a query and a source, by name, as of :func:`attentive`.
        name: what the names of the parameters begin with, where a cell attends more than once.

    Raises:
        ValueError: there is no such score.
        CellError: of ``dot`` and ``scaled``, the memory is not as wide as the query.
    """
    if score not in SCORES:
        raise ValueError(f"the score {score!r} is none of {', '.join(SCORES)}")
    weights = softmax(_scores(score, memory, query, name))
    return weighted_sum(weights, memory), weights


def _scores(score: str, memory: Value, query: Value, name: str, covered: Value | None = None) -> Value:
    if score in ("dot", "scaled"):
        return dot(query, memory, scaled=score == "scaled")
    if score == "general":
        return dot(affine(f"{name}query", query, width="M", bias=False), memory)
    hidden = affine(f"{name}key", memory, width="A", bias=score == "additive")
    hidden = hidden + affine(f"{name}query", query, width="A", bias=False)
    if covered is not None:
        hidden = hidden + covered * vector("w_covered", "A")
    return dot(vector(f"v_{name}score", "A"), tanh(hidden))


def _local(scores: Value, query: Value, position: Value, sources: Value, window: int) -> Value:
    """The weights near the place that the query points to."""
    pointing = dot(vector("v_place", "A"), tanh(affine("place", query, width="A", bias=False)))
    away = position - sources * sigmoid(pointing)
    near = softmax(select(abs(away) > float(window), _FAR, scores))
    return near * exp(-2.0 / window**2 * away * away)


def _check(score: str, place: str, window: int | None, coverage: bool) -> None:
    if score not in SCORES:
        raise ValueError(f"the score {score!r} is none of {', '.join(SCORES)}")
    if place not in PLACES:
        raise ValueError(f"the place {place!r} is none of {', '.join(PLACES)}")
    if window is not None and window < 1:
        raise ValueError(f"a window of {window} sources to either side: expected at least 1, or None for all sources")
    if coverage and score not in ("additive", "concat"):
        raise ValueError(f"the score {score!r} has no place for a coverage; take additive or concat")
