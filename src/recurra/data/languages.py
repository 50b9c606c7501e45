"""Names of countries, languages, currencies, months and days in twenty languages: whose word is it?

The words are those of the Unicode Common Locale Data Repository, as the package Babel carries them.
"""

import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from recurra.data.errors import DataError
from recurra.data.labelled import Labelled

# All of them in Latin letters: by its script alone a word would be told too easily.
CODES = (
    "cs", "cy", "da", "de", "en", "es", "et", "eu", "fi", "fr",
    "hu", "id", "it", "lt", "nl", "pl", "pt", "ro", "sv", "tr",
)  # fmt: skip
# One meaning in so many is kept for testing, in all languages at once.
_TEST_SHARE = 5


def languages(test: bool) -> list[Labelled]:
    """Words with the English name of their language.

    What is written alike in two of the languages tells neither and is left out. A meaning (the country Estonia, the
    month of May) is for learning or for testing in all languages, so no word of one part stands in the other in a
    neighbour's spelling.

    Raises:
        DataError: Babel is not installed.
    """
    try:
        from babel import Locale
    except ImportError:
        raise DataError(
            "builtin:languages takes its words from the package babel, which is not here: pip install babel"
        ) from None
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)  # text -> its languages and meanings
    for code in CODES:
        locale = Locale(code)
        for meaning, text in _words(locale):
            found[text.casefold()].add((str(locale.english_name), meaning))
    examples = []
    for text, uses in found.items():
        names, meanings = {name for name, _ in uses}, sorted(meaning for _, meaning in uses)
        if len(names) == 1 and _is_tested(meanings[0]) == test:
            examples.append((text, names.pop()))
    place = Path("builtin:languages")
    return [Labelled(label, text, place, number) for number, (text, label) in enumerate(sorted(examples), 1)]


def _words(locale: object) -> Iterator[tuple[str, str]]:
    """The words of a language, each with a name of its meaning that is the same in all languages."""
    for kind in ("territories", "languages", "currencies"):
        yield from ((f"{kind} {key}", text) for key, text in getattr(locale, kind).items())
    for kind in ("months", "days"):
        yield from ((f"{kind} {key}", text) for key, text in getattr(locale, kind)["format"]["wide"].items())


def _is_tested(meaning: str) -> bool:
    return zlib.crc32(meaning.encode()) % _TEST_SHARE == 0
