"""What a task found out that is more than a number: a matrix, a table, texts with marks, curves, heat maps.

A task says what was found, as plain values; the commands print it, and the report draws it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Matrix:
    """Counts of what was taken for what."""

    title: str
    note: str
    labels: Sequence[str]  # of the rows (true) and of the columns (predicted)
    counts: Sequence[Sequence[int]]


@dataclass(frozen=True)
class Table:
    """Rows of texts and numbers under names."""

    title: str
    note: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | float]]


@dataclass(frozen=True)
class Marked:
    """One text or sequence, and how much each of its symbols moved the decision: towards it above 0, away below."""

    caption: str
    symbols: Sequence[str]
    weights: Sequence[float]
    joint: str = ""  # what stands between two symbols: a blank between words


@dataclass(frozen=True)
class Marks:
    """Texts whose symbols are marked by their weights."""

    title: str
    note: str
    texts: Sequence[Marked]


@dataclass(frozen=True)
class Curve:
    """One line of a chart. `kind` says what it stands for: `truth`, `model` or `other`."""

    label: str
    points: Sequence[tuple[float, float]]
    kind: str = "other"


@dataclass(frozen=True)
class Curves:
    """Lines over a common axis, and perhaps a band that one of them lies in: its lower and its upper edge."""

    title: str
    note: str
    curves: Sequence[Curve]
    axis: str = "step"  # what stands on the horizontal axis
    band: tuple[Sequence[tuple[float, float]], Sequence[tuple[float, float]]] | None = None
    band_label: str = ""


@dataclass(frozen=True)
class Heatmap:
    """Values from 0 to 1 over rows and columns, such as the keys that sound over time: the larger, the darker.

    Labels may be empty; `values` are [rows, columns], the first row at the top.
    """

    title: str
    note: str
    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[float]]


@dataclass(frozen=True)
class Maps:
    """Small maps of one size side by side, such as where each symbol of a text looked: the larger a value, the darker.

    `values` are [maps, rows, columns], each 0 to 1, the first row at the top; there is a caption for each map.
    """

    title: str
    note: str
    captions: Sequence[str]
    values: Sequence[Sequence[Sequence[float]]]


Finding = Matrix | Table | Marks | Curves | Heatmap | Maps


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with each finding among them as a dict that says its `kind`, for JSON."""
    return {key: as_dict(value) if isinstance(value, Finding) else value for key, value in values.items()}


def as_dict(finding: Finding) -> dict[str, Any]:
    """A finding as plain containers, its `kind` among them."""
    return {"kind": type(finding).__name__.lower(), **asdict(finding)}
