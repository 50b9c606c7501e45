"""The history of a run as its ``metrics.jsonl`` tells it: numbers over steps, and the samples drawn on the way."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recurra.tasks.measures import more_is_better

Point = tuple[float, float]

# Keys that place a line in the run; they are axes, not curves.
_AXES = ("step", "epoch", "time")
# A number beyond this is a failure like an infinite one, and would overflow in the arithmetic of a chart.
_LARGEST = 1e100


@dataclass(frozen=True)
class Sample:
    """A text the model wrote at ``step``."""

    step: float
    text: str


@dataclass
class History:
    """The readable lines of a ``metrics.jsonl``, in order of step, one line for each step.

    ``unreadable`` counts the lines that were no JSON object (a run killed while it wrote leaves a half one at the
    end). ``diverged`` is the first step whose training loss was not finite, or None.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    unreadable: int = 0
    diverged: float | None = None

    @classmethod
    def read(cls, path: Path) -> History:
        """Reads the file at ``path``; a file that is not there gives an empty history."""
        if not path.is_file():
            return cls()
        merged: dict[float, dict[str, Any]] = {}
        unreadable = 0
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError:
                unreadable += 1
                continue
            step = _number(row.get("step")) if isinstance(row, dict) else None
            if step is None:
                unreadable += 1
                continue
            # Several lines may speak of one step (a sample, a validation); where they differ, the later one holds.
            merged.setdefault(step, {}).update(row)
        rows = [merged[step] for step in sorted(merged)]
        return cls(rows, unreadable, _first_not_finite(rows))

    @property
    def keys(self) -> list[str]:
        """The names of the metrics that have at least one finite number, in order of appearance."""
        seen: dict[str, None] = {}
        for row in self.rows:
            for key, value in row.items():
                if key not in _AXES and _number(value) is not None:
                    seen.setdefault(key)
        return list(seen)

    def points(self, key: str) -> list[Point]:
        """The finite ``(step, value)`` pairs of one metric."""
        pairs = ((float(row["step"]), _number(row.get(key))) for row in self.rows)
        return [(step, value) for step, value in pairs if value is not None]

    def last(self, key: str) -> float | None:
        """The last finite value of one metric, None where there is none."""
        points = self.points(key)
        return points[-1][1] if points else None

    def best(self, key: str) -> Point | None:
        """The ``(step, value)`` at which one metric was best, the first of equals; None where there is none."""
        points = self.points(key)
        if not points:
            return None
        return (max if more_is_better(key) else min)(points, key=lambda point: point[1])

    @property
    def samples(self) -> list[Sample]:
        """Every sample of the run, in order of step."""
        texts = ((row["step"], row.get("sample")) for row in self.rows)
        return [Sample(float(step), text) for step, text in texts if isinstance(text, str) and text.strip()]


def smooth(points: list[Point], window: int) -> list[Point]:
    """A moving mean over ``window`` neighbours.

    At the start it narrows to both sides, so that it does not lag behind a steep fall; at the end it looks back only.
    """
    if window <= 1 or len(points) <= 2:
        return points
    sums = [0.0]
    for _, value in points:
        sums.append(sums[-1] + value)
    half = window // 2
    result = []
    for index, (step, _) in enumerate(points):
        reach = min(half, index)
        low, high = index - reach, min(index + reach + 1, len(points))
        result.append((step, (sums[high] - sums[low]) / (high - low)))
    return result


def thin(points: list[Point], count: int) -> list[Point]:
    """At most ``count`` points: the means of equal runs of neighbours."""
    if len(points) <= count:
        return points
    runs = (points[len(points) * i // count : len(points) * (i + 1) // count] for i in range(count))
    return [(sum(x for x, _ in run) / len(run), sum(y for _, y in run) / len(run)) for run in runs]


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if abs(value) <= _LARGEST else None


def _first_not_finite(rows: list[dict[str, Any]]) -> float | None:
    for row in rows:
        for key, value in row.items():
            # JSON has no word for "not a number": it is written as null.
            if key.startswith("train_") and not isinstance(value, (str, bool)) and _number(value) is None:
                return float(row["step"])
    return None
