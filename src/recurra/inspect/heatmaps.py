"""Heat maps as small SVG texts, one alone or many side by side: a cell each value, the larger, the darker."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from recurra.data.letters import width_of
from recurra.tasks.findings import Heatmap, Maps

_WIDE = 970  # pixels of a panel that takes the page
_SIGN = 6.6  # pixels of a sign of a label; of one as wide as two, such as a Chinese one, twice as many
_LINE = 14.0  # pixels of a row that has a label
_MANY = 24  # so many rows are drawn flat, and only some of their labels
_FAINT = 0.02  # values below leave no trace
_SIDE, _APART = 72.0, 12.0  # pixels of the longer side of a small map, and between two
# Of a file of its own: pixels of a line above a picture and, in bold, of a sign; the colours of a report; its ground.
_HEAD, _WIDE_SIGN = 18.0, 7.4
_STYLE = (
    "<style>text { font: 11px system-ui, sans-serif; fill: #667079; } rect { fill: #d9541e; } "
    ".title { font-size: 13.5px; font-weight: 600; fill: #1d2125; } .note { font-size: 12.5px; } "
    ".ground { fill: #f4f2ed; } .paper { fill: #fff; }</style>"
)
_PAPER = "M0 0H9999V99999H0Z"


def draw(rows: Sequence[str], columns: Sequence[str], values: Sequence[Sequence[float]]) -> str:
    """One `<svg>` of `values` [rows, columns], each 0 to 1, the first row at the top; an empty text of no values."""
    if not rows or not columns:
        return ""
    return _svg(*_drawn(rows, columns, values))


def draw_side_by_side(captions: Sequence[str], values: Sequence[Sequence[Sequence[float]]]) -> str:
    """One `<svg>` of small maps, `values` [maps, rows, columns], each under its caption; an empty text of none."""
    if not captions:
        return ""
    return _svg(*_side_by_side(captions, values))


def document(pictures: Sequence[Heatmap | Maps]) -> str:
    """An SVG file of pictures, one below the other, each with its title and its note above it.

    It brings its own colours, dark on white, and needs nothing beside it.
    """
    parts, top, widest = [], 12.0, 0.0
    for one in pictures:
        for kind, text in (("title", one.title), ("note", one.note)):
            if text:
                top += _HEAD
                parts.append(f'<text class="{kind}" x="12" y="{top:.0f}">{escape(text)}</text>')
                widest = max(widest, _WIDE_SIGN * width_of(text))
        if drawn := _content(one):
            width, height, inner = drawn
            parts.append(f'<g transform="translate(12 {top + 6:.0f})">{inner}</g>')
            top, widest = top + 6 + height, max(widest, width)
        top += 16
    size = f'width="{widest + 24:.0f}" height="{top:.0f}"'
    body = "".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{_STYLE}<path class="paper" d="{_PAPER}"/>{body}</svg>\n'


def _svg(width: float, height: float, inner: str) -> str:
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" style="width:{width:.0f}px"'
    return f'<svg class="heatmap" {size} role="img">{inner}</svg>'


def _content(one: Heatmap | Maps) -> tuple[float, float, str] | None:
    """Width and height of a picture in pixels, and what is in it; None of no values."""
    if isinstance(one, Maps):
        return _side_by_side(one.captions, one.values) if one.captions else None
    return _drawn(one.rows, one.columns, one.values) if one.rows and one.columns else None


def _drawn(rows: Sequence[str], columns: Sequence[str], values: Sequence[Sequence[float]]) -> tuple[float, float, str]:
    """Width and height of a picture in pixels, and what is in it."""
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
    parts += _cells(left, top, width, height, values, lambda k, j: f"{rows[k]}, {columns[j] or j}")
    return right + 2, bottom + 2, "".join(parts)


def _side_by_side(captions: Sequence[str], values: Sequence[Sequence[Sequence[float]]]) -> tuple[float, float, str]:
    """Width and height of small maps in pixels, as many in a line as the page takes, and what is in them."""
    rows, columns = len(values[0]), len(values[0][0])
    cell = _SIDE / max(rows, columns)
    wide, high = max(cell * columns, _SIGN * max(map(width_of, captions))), cell * rows
    in_line = max(1, min(len(captions), int(_WIDE / (wide + _APART))))
    parts = []
    for number, (caption, one) in enumerate(zip(captions, values, strict=True)):
        line, place = divmod(number, in_line)
        x, y = place * (wide + _APART), line * (high + _LINE + _APART) + _LINE
        parts.append(_text(x, y - 4, caption, "start"))
        parts.append(f'<rect class="ground" {_place(x, y, cell * columns, high)}/>')
        parts += _cells(x, y, cell, cell, one, lambda k, j, of=caption: f"{of}: row {k + 1}, column {j + 1}")
    lines = math.ceil(len(captions) / in_line)
    return in_line * (wide + _APART), lines * (high + _LINE + _APART), "".join(parts)


def _cells(
    left: float,
    top: float,
    width: float,
    height: float,
    values: Sequence[Sequence[float]],
    name: Callable[[int, int], str],
) -> list[str]:
    """What is seen of values [rows, columns], the first at the place `left`, `top`; `name` tells what a cell is."""
    parts = []
    for k, row in enumerate(values):
        for start, end, value in _runs(row):
            at = _place(left + start * width, top + k * height, (end - start) * width, height)
            reading = escape(f"{name(k, start)}: {value:.2f}")
            parts.append(f'<rect {at} opacity="{value:.2f}"><title>{reading}</title></rect>')
    return parts


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
