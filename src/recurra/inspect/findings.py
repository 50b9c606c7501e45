"""What a task found out, drawn: matrices, tables, texts with their symbols marked, curves and heat maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from recurra.data.letters import width_of
from recurra.inspect import heatmaps, page
from recurra.inspect.charts import Chart, Line, draw, number
from recurra.inspect.curves import title

# Facts of an evaluation that are no measures.
_NOT_MEASURES = ("run", "data")
# Texts of so many signs stand in narrow columns, and words of so many in a column that is as wide.
_SHORT = 60
_WORD = 24


def evaluation(record: Mapping[str, Any]) -> str:
    """The content of `evaluation.json` as HTML: its measures as a table, and what else was found."""
    measures = {key: value for key, value in record.items() if isinstance(value, (int, float))}
    found = [value for value in record.values() if isinstance(value, dict)]
    return section({key: value for key, value in measures.items() if key not in _NOT_MEASURES}, found)


def section(measures: Mapping[str, float], found: list[dict[str, Any]]) -> str:
    """Measures and findings as HTML; what this version does not know how to draw is left out."""
    rows = [(title(key), f"{value:,}" if isinstance(value, int) else number(value)) for key, value in measures.items()]
    table = page.facts(rows)
    panels = [page.panel(table, "Measures")] if table else []
    for one in found:
        show = _KINDS.get(str(one.get("kind")))
        if show is not None:
            panels.append(page.panel(show(one), str(one["title"]), str(one["note"]), _legend(one)))
    return f'<div class="findings">{"".join(panels)}</div>' if panels else ""


def _matrix(one: Mapping[str, Any]) -> str:
    """A confusion matrix: each row shaded by its share, so that a rare class is as easy to read as a common one."""
    labels, counts = one["labels"], one["counts"]
    head = "".join(f'<th scope="col"><span>{escape(str(label))}</span></th>' for label in labels)
    rows = []
    for k, (label, row) in enumerate(zip(labels, counts, strict=True)):
        total = sum(row) or 1
        cells = "".join(
            f'<td{" class=right" if k == j else ""} style="--share:{count / total:.3f}" '
            f'title="{escape(str(label), quote=True)} → {escape(str(labels[j]), quote=True)}: {count} of {sum(row)}">'
            f"{count or ''}</td>"
            for j, count in enumerate(row)
        )
        rows.append(f'<tr><th scope="row">{escape(str(label))}</th>{cells}</tr>')
    body = f"<thead><tr><td></td>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="scroll"><table class="matrix">{body}</table></div>'


def _table(one: Mapping[str, Any]) -> str:
    head = "".join(f"<th>{escape(str(name))}</th>" for name in one["columns"])
    rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in one["rows"])
    return f'<div class="scroll"><table class="rows"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _cell(value: object) -> str:
    if isinstance(value, int):
        return f'<td class="number">{value:,}</td>'
    if isinstance(value, float):
        return f'<td class="number">{value:.3f}</td>'
    text = str(value)
    # A column is as wide as its longest word; only one that is longer than a line may be broken.
    long = any(width_of(word) > _WORD for word in text.split())
    return f"<td{' class=long' if long else ''}>{escape(text)}</td>"


def _marks(one: Mapping[str, Any]) -> str:
    pieces = []
    for text in one["texts"]:
        largest = max((abs(weight) for weight in text["weights"]), default=0.0) or 1.0
        symbols = (
            f'<mark class="{"for" if weight > 0 else "against"}" style="--share:{abs(weight) / largest:.2f}" '
            f'title="{weight:+.3f}">{escape(str(symbol))}</mark>'
            for symbol, weight in zip(text["symbols"], text["weights"], strict=True)
        )
        joined = escape(str(text["joint"])).join(symbols)
        pieces.append(f'<p class="marked"><small>{escape(str(text["caption"]))}</small>{joined}</p>')
    wide = any(len(text["symbols"]) + len("".join(map(str, text["symbols"]))) > _SHORT for text in one["texts"])
    return f'<div class="marks{" wide" if wide else ""}">{"".join(pieces)}</div>'


def _curves(one: Mapping[str, Any]) -> str:
    lines = [
        Line(str(curve["label"]), _points(curve["points"]), _LINES.get(str(curve["kind"]), "plain"))
        for curve in one["curves"]
    ]
    band = (_points(one["band"][0]), _points(one["band"][1])) if one["band"] else None
    return f'<div class="scroll">{draw(Chart(lines, *_WIDE, band=band, axis=str(one["axis"])))}</div>'


def _heatmap(one: Mapping[str, Any]) -> str:
    return f'<div class="scroll">{heatmaps.draw(one["rows"], one["columns"], one["values"])}</div>'


def _maps(one: Mapping[str, Any]) -> str:
    return f'<div class="scroll">{heatmaps.draw_side_by_side(one["captions"], one["values"])}</div>'


def _points(points: Any) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in points if y is not None]


def _legend(one: Mapping[str, Any]) -> list[tuple[str, str]] | None:
    """What the lines of a chart are; None of what has none."""
    if "curves" not in one:
        return None
    lines = [(_LINES.get(str(curve["kind"]), "plain"), str(curve["label"])) for curve in one["curves"]]
    return [*lines, ("band", str(one["band_label"]))] if one["band"] else lines


# Classes of lines by what they stand for, and the size of a chart that takes the page.
_LINES = {"truth": "truth", "model": "model", "other": "plain"}
_WIDE = (1014, 260)

_KINDS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "matrix": _matrix,
    "table": _table,
    "marks": _marks,
    "curves": _curves,
    "heatmap": _heatmap,
    "maps": _maps,
}
