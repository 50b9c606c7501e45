"""Heat maps as small SVG texts: a cell for each row and column, the larger its value, the darker."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from recurra.data.letters import width_of

_WIDE = 970  # pixels of a panel that takes the page
_SIGN = 6.6  # pixels of a sign of a label; of one as wide as two, such as a Chinese one, twice as many
_LINE = 14.0  # pixels of a row that has a label
_MANY = 24  # so many rows are drawn flat, and only some of their labels
_FAINT = 0.02  # values below leave no trace


def draw(rows: Sequence[str], columns: Sequence[str], values: Sequence[Sequence[float]]) -> str:
    """One `<svg>` of `values` [rows, columns], each 0 to 1, the first row at the top; an empty text of no values."""
    if not rows or not columns:
        return ""
    left, top = _SIGN * max(map(width_of, rows)) + 8, _SIGN * max(map(width_of, columns)) + 8
    width = min(22.0, (_WIDE - left) / len(columns))
    height = _LINE if len(rows) <= _MANY else 8.0
    right, bottom = left + width * len(columns), top + height * len(rows)
    parts = [f'<rect class="ground" {_place(left, top, right - left, bottom - top)}/>']
    for k in range(0, len(rows), math.ceil(10 / height)):
        parts.append(_text(left - 5, top + (k + 0.5) * height + 4, rows[k], "end"))
    for k, name in enumerate(columns):
        x, y = left + (k + 0.5) * width + 4, top - 5
        parts.append(_text(x, y, name, "start", f' transform="rotate(-90 {x:.1f} {y:.1f})"'))
    for k, (name, row) in enumerate(zip(rows, values, strict=True)):
        for start, end, value in _runs(row):
            at = _place(left + start * width, top + k * height, (end - start) * width, height)
            reading = escape(f"{name}, {columns[start] or start}: {value:.2f}")
            parts.append(f'<rect {at} opacity="{value:.2f}"><title>{reading}</title></rect>')
    size = f'viewBox="0 0 {right + 2:.0f} {bottom + 2:.0f}" style="width:{right + 2:.0f}px"'
    return f'<svg class="heatmap" {size} role="img">{"".join(parts)}</svg>'


def _runs(row: Sequence[float]) -> list[tuple[int, int, float]]:
    """Start, end and value of each run of cells that look alike; those that leave no trace are left out."""
    runs: list[tuple[int, int, float]] = []
    for k, value in enumerate(row):
        shown = round(float(value), 2)
        if shown < _FAINT:
            continue
        if runs and runs[-1][1:] == (k, shown):
            runs[-1] = (runs[-1][0], k + 1, shown)
        else:
            runs.append((k, k + 1, shown))
    return runs


def _place(x: float, y: float, width: float, height: float) -> str:
    return f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>' if text else ""
