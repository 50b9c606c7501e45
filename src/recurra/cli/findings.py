"""Measures and findings of a task as plain text."""

from collections.abc import Mapping

from recurra.data.letters import width_of
from recurra.tasks.findings import Finding, Matrix, Table

_NAME = 26  # columns for the name of a measure
_LONG = 40  # letters of a text that is no name or number
_MOST_CLASSES = 24  # a confusion matrix of more is too wide for a terminal; it is in the JSON file


def show(figures: Mapping[str, float | Finding]) -> None:
    """Print measures, one a line, and what else was found below them."""
    for name, value in figures.items():
        if not isinstance(value, Finding):
            print(f"{name.replace('_', ' ')}{_space(name, _NAME)}{_number(value)}")
    for value in figures.values():
        if isinstance(value, Finding):
            _show_finding(value)


def _show_finding(finding: Finding) -> None:
    """Print a table or a matrix; the rest, and a matrix too wide for a terminal, the report draws for the eye."""
    if isinstance(finding, Table):
        rows = [list(finding.columns), *([_cell(value) for value in row] for row in finding.rows)]
    elif isinstance(finding, Matrix) and len(finding.labels) <= _MOST_CLASSES:
        head = ["", *(label[:8] for label in finding.labels)]
        rows = [
            head,
            *([label, *map(str, counts)] for label, counts in zip(finding.labels, finding.counts, strict=True)),
        ]
    else:
        return
    note = f" ({finding.note})" if finding.note else ""
    print(f"\n{finding.title}{note}")
    _print_rows(rows)


def _print_rows(rows: list[list[str]]) -> None:
    """Print rows in columns, the first of them, and a last one of long texts, from the left."""
    widths = [max(width_of(row[k]) for row in rows) for k in range(len(rows[0]))]
    last = len(widths) - 1
    for row in rows:
        cells = []
        for k, (text, width) in enumerate(zip(row, widths, strict=True)):
            left = k == 0 or (k == last and width > _LONG)
            cells.append(text + _space(text, width) if left else _space(text, width) + text)
        print("  ".join(cells).rstrip())


def _space(text: str, width: int) -> str:
    """What is missing in a text to so many columns of a screen, where some letters take two, some none."""
    return " " * (width - width_of(text))


def _cell(value: str | float) -> str:
    return value if isinstance(value, str) else _number(value)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4f}" if abs(value) < 1000 else f"{value:,.0f}"
