"""What a task found out, drawn: matrices, tables, and texts with their symbols marked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from recurra.inspect import page
from recurra.inspect.charts import number
from recurra.inspect.curves import title

# Facts of an evaluation that are no measures.
_NOT_MEASURES = ("run", "data")
# Texts of so many signs stand in narrow columns.
_SHORT = 60


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
        draw = _KINDS.get(str(one.get("kind")))
        if draw is not None:
            panels.append(page.panel(draw(one), str(one["title"]), str(one["note"])))
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
    return f"<td>{escape(str(value))}</td>"


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


_KINDS: dict[str, Callable[[Mapping[str, Any]], str]] = {"matrix": _matrix, "table": _table, "marks": _marks}
