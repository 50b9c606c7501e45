"""What a text that a language model writes must hold, and must not."""

from collections.abc import Mapping
from dataclasses import replace

from recurra.data import Vocabulary
from recurra.decoding import BeamSettings, Constraints
from recurra.tasks.config import ConfigError
from recurra.tasks.wording import Wording

WISHES = {
    "forbidden": "symbols that are not written, with commas between",
    "minimum": "with --beam: fewest symbols to write",
    "required": "with --beam: words and phrases that the text must hold, with commas between",
}


class TextWording:
    """The wishes of `WISHES` in the numbers of a vocabulary's symbols."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        cut = list if vocabulary.level == "char" else str.split
        self._wording = Wording(cut, vocabulary.symbols)

    def of_draws(self, wishes: Mapping[str, str]) -> tuple[list[int], dict[str, str]]:
        """The numbers that are not drawn, and the other wishes. Raises ConfigError where one is for searching."""
        for name in ("minimum", "required"):
            if name in wishes:
                raise ConfigError(f"--{name} is for searching: give --beam as well")
        return self._wording.forbidden(wishes.get("forbidden", ""), "--forbidden"), _others(wishes)

    def of_search(self, search: BeamSettings, wishes: Mapping[str, str]) -> tuple[BeamSettings, dict[str, str]]:
        """A search with what is wished of it, and the other wishes. Raises ConfigError where it cannot be had."""
        minimum, before = wishes.get("minimum", ""), search.constraints
        if minimum and not minimum.isdecimal():
            raise ConfigError(f"--minimum {minimum}: expected a number of symbols, 0 or more")
        constraints = Constraints(
            minimum=int(minimum) if minimum else before.minimum,
            forbidden=[*before.forbidden, *self._wording.forbidden(wishes.get("forbidden", ""), "--forbidden")],
            prefixes=before.prefixes,
        )
        phrases = self._wording.phrases(wishes.get("required", ""), "--required")
        return replace(search, constraints=constraints, required=[phrases] if phrases else None), _others(wishes)


def _others(wishes: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in wishes.items() if name not in WISHES}
