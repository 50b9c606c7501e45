"""A regular language by example: a door that `abc` opens and `cba` shuts; is it open after these symbols?"""

from pathlib import Path

import numpy as np

from recurra.data.labelled import Labelled
from recurra.data.tagged import Tagged

SYMBOLS = "abc"
# State by state, where each of a, b and c leads. Shut, having seen nothing, a, ab; open, having seen nothing, c, cb.
TRANSITIONS = ((1, 0, 0), (1, 2, 0), (1, 0, 3), (3, 3, 4), (3, 5, 4), (0, 3, 4))
OPEN = (False, False, False, True, True, True)
NAMES = ("shut", "shut+a", "shut+ab", "open", "open+c", "open+cb")

_EXAMPLES = 8000
_LONGEST = 20
_TESTS, _TEST_LENGTH = 1000, 200


def states(text: str) -> list[int]:
    """The state of the automaton after each symbol of `text`."""
    state, visited = 0, []
    for symbol in text:
        state = TRANSITIONS[state][SYMBOLS.index(symbol)]
        visited.append(state)
    return visited


def automaton(test: bool) -> list[Labelled]:
    """Strings and whether the door is `open` or `shut` after them, as many of each.

    8,000 of 3 to 20 symbols to learn from; 1,000 of 200 symbols to test on.
    """
    random = np.random.default_rng(2 if test else 1)
    examples, place = [], Path("builtin:automaton")
    for number in range(_TESTS if test else _EXAMPLES):
        length = _TEST_LENGTH if test else int(random.integers(3, _LONGEST + 1))
        wanted = number % 2 == 0
        text = _draw(random, length)
        while OPEN[states(text)[-1]] != wanted:
            text = _draw(random, length)
        examples.append(Labelled("open" if wanted else "shut", text, place, number + 1))
    return examples


def automaton_states(test: bool) -> list[Tagged]:
    """The same kind of strings as a transducer reads them: the tag of each symbol is the state after it.

    8,000 of 3 to 20 symbols to learn from; 1,000 of 200 symbols to test on.
    """
    place = Path("builtin:automaton")
    strings = [example.text for example in automaton(test)]
    return [
        Tagged(tuple(text), tuple(NAMES[state] for state in states(text)), place, number)
        for number, text in enumerate(strings, 1)
    ]


def _draw(random: np.random.Generator, length: int) -> str:
    return "".join(SYMBOLS[k] for k in random.integers(len(SYMBOLS), size=length))
