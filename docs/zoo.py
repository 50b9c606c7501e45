"""Writes the equations of all cells into docs/zoo.md, from the cells themselves: `python docs/zoo.py`.

A test holds the page against what this script would write, so a cell cannot change without its lines on the page.
"""

import re
import sys
from pathlib import Path

from recurra import cells
from recurra.equations import Cell, unicode
from recurra.equations.printing import polynomial
from recurra.equations.program import Program

PAGE = Path(__file__).resolve().parent / "zoo.md"
_MARKS = re.compile(r"<!-- (overview|cells) -->\n.*?<!-- end -->", re.DOTALL)


def families() -> dict[str, list[Cell]]:
    """The cells of each file, by what the file says it holds."""
    found: dict[str, list[Cell]] = {}
    for name in cells.names():
        cell = cells.get(name)
        title = (sys.modules[cell.function.__module__].__doc__ or "").partition("\n")[0].rstrip(".")
        found.setdefault(title, []).append(cell)
    return found


def overview() -> str:
    """A table of all cells: state, parameters, options."""
    rows = ["| cell | state | parameters | options |", "|---|---|---|---|"]
    for cell in (cell for family in families().values() for cell in family):
        state = ", ".join(f"{name} [{width}]" for name, width in cell.states.items())
        numbers = polynomial(p.shape for p in Program(cell).parameters.values())
        options = ", ".join(f"`{name}={value!r}`" for name, value in cell.options.items())
        rows.append(f"| [`{cell.name}`](#{cell.name}) | {state} | {numbers} | {options} |")
    return "\n".join(rows)


def pages() -> str:
    """Every cell as `recurra cells NAME` prints it, family by family."""
    parts: list[str] = []
    for title, family in families().items():
        parts.append(f"## {title}")
        parts += [f"### {cell.name}\n\n```text\n{unicode(cell)}\n```" for cell in family]
    return "\n\n".join(parts)


def filled(page: str) -> str:
    """The text of the page with its table and its equations written anew."""
    made = {"overview": overview, "cells": pages}
    return _MARKS.sub(lambda mark: f"<!-- {mark[1]} -->\n\n{made[mark[1]]()}\n\n<!-- end -->", page)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
