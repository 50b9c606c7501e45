"""Cells of a user's own, from a Python file.

A file is run only where a person names it: on the command line, or by calling `load`. Settings that were read from
somewhere (a run folder, a recipe) may name it too, but that alone runs nothing.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

from recurra.equations import Cell, CellError, nearest

_FORM = "FILE.py:NAME, such as mycell.py:mycell"
_loaded: dict[str, Cell] = {}


def is_file(name: str) -> bool:
    """Whether a cell's name is that of one in a file: ``mycell.py:mycell``."""
    return ".py:" in name


def load(name: str) -> Cell:
    """Run a Python file and take a cell from it; from then on `recurra.cells.get` knows it by this name.

    Args:
        name: path of the file, a colon, and the name of the cell in it: ``mycell.py:mycell``. Options in brackets may
            follow, for `get` to read.

    Raises:
        CellError: there is no such file, it cannot be run, or no such cell is in it.
    """
    name = name.partition("(")[0] if name.endswith(")") else name
    place, colon, cell = name.rpartition(":")
    if not colon:
        raise CellError(f"{name} does not say which cell of the file it means", f"Give it as {_FORM}")
    path = Path(place)
    if not path.is_file():
        raise CellError(f"there is no file {place} to take a cell from", f"Give it as {_FORM}")
    # A name that no other file has, under which a pickled cell is found again.
    module_name = "cell_file_" + re.sub(r"\W", "_", str(path.resolve()))
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise CellError(f"{place} is no Python file", f"Give it as {_FORM}")
    module = sys.modules[module_name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise CellError(f"{place} cannot be run: {type(error).__name__}: {error}") from error
    found = getattr(module, cell, None)
    if not isinstance(found, Cell):
        there = [n for n, value in vars(module).items() if isinstance(value, Cell)]
        raise CellError(
            f"there is no cell `{cell}` in {place}{nearest(cell, there)}",
            f"The cells in it: {', '.join(there)}" if there else "A cell is a function under @cell(state=…)",
        )
    _loaded[name] = found
    return found


def loaded(name: str) -> Cell:
    """The cell of that name, from a file that was loaded.

    Raises:
        CellError: it was not; a name that settings bring along runs no file.
    """
    if name not in _loaded:
        raise CellError(
            f"the cell {name} is in a file, and settings alone run no file",
            f"Name it yourself if you trust it: model.cell={name} to train, --cell {name} for a run that exists, "
            "recurra.cells.load in Python",
        )
    return _loaded[name]
