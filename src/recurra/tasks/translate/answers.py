"""What `predict` prints: translations, n-best lists, alignments, and the choice by a noisy channel."""

from collections.abc import Iterator

import numpy as np

from recurra.data.letters import width_of
from recurra.tasks.translate.search import END_SIGN, Translation

_SHADES = " ░▒▓█"


def alignment(found: Translation) -> Iterator[str]:
    """A row for each symbol of the translation, shaded by what it looked at; below, the symbols of the source.

    These stand from top to bottom, each below its column, and behind them `∎` for the source's end.
    """
    if found.attention is None:
        return
    source = [*found.source, END_SIGN]
    margin = max(map(width_of, found.symbols), default=0)
    for symbol, row in zip(found.symbols, found.attention, strict=False):
        shades = np.minimum((row * len(_SHADES)).astype(int), len(_SHADES) - 1)
        cells = "".join(_SHADES[shade] * 2 for shade in shades)
        yield f"{' ' * (margin - width_of(symbol))}{symbol} │{cells}│"
    for depth in range(max(map(len, source))):
        letters = [symbol[depth : depth + 1] or " " for symbol in source]
        yield f"{' ' * margin}  {''.join(letter + ' ' * (2 - width_of(letter)) for letter in letters)}".rstrip()
