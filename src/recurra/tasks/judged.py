"""What a person should see of answers that were judged: how good they are by length, the best of them, the worst."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from recurra.tasks.findings import Curve, Curves, Finding, Table

_EXTREMES = 8  # of the best and of the worst each
_BUCKETS = 6  # of lengths, at most
_FEWEST = 20  # answers of a bucket


def score_by_length(
    lengths: np.ndarray, score: Callable[[np.ndarray], float], name: str, *, of: str, unit: str, counted: str
) -> dict[str, Finding]:
    """A table and a curve of a measure by length, about as many answers in each group; nothing where all are alike.

    Args:
        lengths: of what was answered, int64 [N].
        score: the measure of the answers with these numbers, int64 [n].
        name: what it is called.
        of: what has the length, such as `source`.
        unit: what it is counted in, such as `symbols`.
        counted: what is counted in a group, such as `sentences`.
    """
    bounds = np.unique(np.quantile(lengths, np.linspace(0, 1, min(_BUCKETS, len(lengths) // _FEWEST) + 1)).astype(int))
    if len(bounds) < 3:
        return {}
    rows: list[list[str | float]] = []
    points: list[tuple[float, float]] = []
    for low, high in pairwise([*bounds[:-1].tolist(), int(bounds[-1]) + 1]):
        inside = np.flatnonzero((low <= lengths) & (lengths < high))
        if not len(inside):
            continue
        value = score(inside)
        rows.append([f"{low}–{high - 1}" if high - 1 > low else str(low), len(inside), value])
        points.append((float(lengths[inside].mean()), value))
    title = f"{name[:1].upper()}{name[1:]} by length of the {of}"
    return {
        "by_length": Table(title, f"in {unit}", ["length", counted, name], rows),
        "length_curve": Curves(title, "", [Curve(name, points, "model")], axis=unit),
    }


def best_and_worst(
    marks: np.ndarray, lengths: np.ndarray, right: np.ndarray, count: int = _EXTREMES
) -> tuple[list[int], list[int]]:
    """Numbers of the best answers, and of the worst that are not right.

    Args:
        marks: how good each answer is, [N].
        lengths: of equal ones the longer comes first among the best, the shorter among the worst: there each is a
            surprise; int64 [N].
        right: which are right, bool [N].
        count: of each, at most.
    """
    order = np.lexsort((-lengths, -marks)).tolist()
    return order[:count], [k for k in order[::-1] if not right[k]][:count]


def overlap(found: Sequence[str], wanted: Sequence[str]) -> float:
    """The F-measure of the bigrams of two sequences of symbols, their ends among them, 0 to 1."""
    one, other = (set(pairwise(["", *symbols, ""])) for symbols in (found, wanted))
    return 2 * len(one & other) / (len(one) + len(other))
