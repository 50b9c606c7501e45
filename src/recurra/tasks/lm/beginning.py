"""How a command begins a text: what it is written for, and with which word."""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from recurra.tasks.base import Trained
from recurra.tasks.config import names_in


def beginning(trained: Trained) -> str:
    """The options of `recurra generate` for the fields that are conditions and for a prompt, each after a blank."""
    fields = "".join(f" --{name} {name.upper()}" for name in _conditions(trained.config))
    word = _common_word(trained.samples)
    return fields + (f" --prompt {shlex.quote(word)}" if word else "")


def _conditions(config: Mapping[str, Any]) -> list[str]:
    """The fields of documents that the settings of a run name as conditions."""
    named: Mapping[str, str] = config.get("condition", {})
    return [name for key in ("category", "encoded", "prefix") for name in names_in(named.get(key, ""))]


def _common_word(samples: Sequence[str]) -> str | None:
    """A word that the model wrote often: it is certain to be in its vocabulary, and a fair start."""
    counts = Counter(word for text in samples for word in text.split() if word.isalpha() and len(word) <= 12)
    # Weighed by length: letters that stand alone are the most frequent ones early on.
    return max(counts, key=lambda word: counts[word] * (len(word) - 1), default=None)
