"""Data that need no file: made by a rule, or taken from a library that is installed anyway."""

import difflib
import importlib
from typing import Any

from recurra.data.errors import DataError

PREFIX = "builtin:"

# For each purpose the sets there are: the module of this room and its function that makes the set.
_SETS = {
    "labelled": {
        "languages": ("languages", "languages"),
        "motion": ("motion", "motion"),
        "automaton": ("automaton", "automaton"),
    },
    "described": {"waves": ("waves", "waves")},
    "tagged": {
        "automaton": ("automaton", "automaton_states"),
        "motion": ("motion", "motion_frames"),
        "pseudowords": ("pseudowords", "pseudowords"),
        "reports": ("reports", "reports"),
    },
    "paired": {
        "addition": ("sums", "addition"),
        "dates": ("written_dates", "dates"),
    },
    "asked": {
        "stories": ("stories", "stories"),
        "stories-1": ("stories", "one_fact"),
        "stories-2": ("stories", "two_facts"),
    },
}
# Sets that are made from a file of the user's: builtin:NAME:FILE.
_OF_A_FILE = ("pseudowords",)


def is_builtin(path: str) -> bool:
    """Whether `path` names data of this kind."""
    return path.startswith(PREFIX)


def read_builtin(path: str, purpose: str = "labelled", *, test: bool = False) -> Any:
    """The examples that `path`, `builtin:NAME` or `builtin:NAME:FILE`, stands for.

    Args:
        path: the name.
        purpose: `labelled` gives a list of Labelled or a VectorSet, `tagged` a list of Tagged or a FrameSet,
            `paired` a list of Pair, `asked` a list of Asked, `described` a Described.
        test: give other examples, to test on, instead of those to learn from.

    Raises:
        DataError: there is no such set for the purpose, it lacks its file or has one too many, or the library it is
            taken from is not installed.
    """
    name, _, file = path.removeprefix(PREFIX).partition(":")
    known = _SETS[purpose]
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {PREFIX}{close[0]}?" if close else ""
        raise DataError(
            f"there is no {PREFIX}{name} of {purpose} data{hint}; there are: {', '.join(PREFIX + one for one in known)}"
        )
    if bool(file) != (name in _OF_A_FILE):
        form = f"{PREFIX}{name}:FILE" if name in _OF_A_FILE else f"{PREFIX}{name}"
        raise DataError(f"{path} is not understood: expected {form}")
    module, function = known[name]
    make = getattr(importlib.import_module(f"recurra.data.{module}"), function)
    return make(test, file) if file else make(test)
