"""Data that need no file: made by a rule, or taken from a library that is installed anyway."""

import difflib
import importlib
from collections.abc import Callable

from recurra.data.errors import DataError
from recurra.data.labelled import Labelled
from recurra.data.vectors import VectorSet

PREFIX = "builtin:"

# Name of each set, and the module of this room whose function of that name makes it.
_SETS = {"languages": "languages", "motion": "motion", "automaton": "automaton"}


def is_builtin(path: str) -> bool:
    """Whether `path` names data of this kind."""
    return path.startswith(PREFIX)


def read_builtin(path: str, *, test: bool = False) -> list[Labelled] | VectorSet:
    """The examples that `path`, `builtin:NAME`, stands for: those to learn from or, with `test`, others to test on.

    Raises:
        DataError: there is no such set, or the library it is taken from is not installed.
    """
    name = path.removeprefix(PREFIX)
    if name not in _SETS:
        close = difflib.get_close_matches(name, _SETS, n=1)
        hint = f"; did you mean {PREFIX}{close[0]}?" if close else ""
        raise DataError(f"there is no {path}{hint}; there are: {', '.join(PREFIX + known for known in _SETS)}")
    make: Callable[[bool], list[Labelled] | VectorSet] = getattr(
        importlib.import_module(f"recurra.data.{_SETS[name]}"), name
    )
    return make(test)
