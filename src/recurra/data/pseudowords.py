"""Word senses without sense-labelled data: two words of a text become one, and context must tell which it was.

The classic test of disambiguation (Gale, Church & Yarowsky 1992; Schütze 1992): a pseudoword is as ambiguous as two
words can be, and the text itself says which sense is meant.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from recurra.data.errors import DataError
from recurra.data.tagged import Tagged
from recurra.data.text import lines_of, read_pieces

PAIRS = 20
# The commonest words are those of grammar; behind them come those that mean something and are still met often.
_FIRST_RANK, _RANKS = 80, 200
_LEAST_COUNT = 20
_LONGEST = 80  # words of a sentence that are read
_TEST_EVERY = 10  # one sentence in so many is for testing


def pseudowords(test: bool, file: str) -> list[Tagged]:
    """The sentences of a text (one a line) that hold one of 20 pseudowords, with the word it was as its tag.

    The words of a pair are of like frequency, so that guessing the more frequent one is right little more than half of
    the time. No other token has a tag. Every tenth sentence is for testing.

    Raises:
        DataError: the file cannot be read, or it has too few frequent words.
    """
    path = Path(file).expanduser()
    counts: Counter[str] = Counter()
    for words in _lines(path):
        counts.update(words)
    senses = {word: f"{a}|{b}" for a, b in pairs(counts, path) for word in (a, b)}
    found = []
    for number, words in enumerate(_lines(path), 1):
        if (number % _TEST_EVERY == 0) == test and any(word in senses for word in words):
            tokens = tuple(senses.get(word, word) for word in words)
            tags = tuple(word if word in senses else None for word in words)
            found.append(Tagged(tokens, tags, path, number))
    return found


def pairs(counts: Counter[str], path: Path) -> list[tuple[str, str]]:
    """Twenty pairs of neighbours in frequency, drawn among the words that mean something."""
    common = [word for word, count in counts.most_common() if word.isalpha() and count >= _LEAST_COUNT]
    words = common[_FIRST_RANK : _FIRST_RANK + _RANKS]
    if len(words) < 2 * PAIRS:
        raise DataError(
            f"{path} has {len(common)} words that are met {_LEAST_COUNT} times or more, too few to make {PAIRS} "
            f"pseudowords of: expected {_FIRST_RANK + 2 * PAIRS}; give a longer text"
        )
    chosen = sorted(np.random.default_rng(1).choice(len(words) // 2, PAIRS, replace=False))
    return [(words[2 * k], words[2 * k + 1]) for k in chosen]


def _lines(path: Path) -> Iterator[list[str]]:
    for piece in read_pieces(path):
        for line in lines_of(piece):
            if words := line.text.split()[:_LONGEST]:
                yield words
