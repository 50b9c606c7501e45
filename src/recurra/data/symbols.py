"""Numbers for the symbols of tokens, pairs of tokens and characters, with 0 for all that are unknown."""

from collections import Counter
from collections.abc import Iterable

import numpy as np

from recurra.data.vocabulary import UNKNOWN


class Symbols:
    """Symbols numbered from 0, which is `<unk>`.

    Attributes:
        names: the symbols; a symbol's number is its place.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = list(names)
        self._numbers = {name: number for number, name in enumerate(self.names)}

    @classmethod
    def build(cls, symbols: Iterable[str], minimum_count: int = 1) -> "Symbols":
        """Those that are met `minimum_count` times or more, the most frequent first."""
        counts = Counter(symbols)
        counts.pop(UNKNOWN, None)
        kept = sorted((s for s in counts if counts[s] >= minimum_count), key=lambda s: (-counts[s], s))
        return cls([UNKNOWN, *kept])

    def __len__(self) -> int:
        return len(self.names)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Symbols) and self.names == other.names

    __hash__ = None  # type: ignore[assignment]  # a list inside

    def encode(self, symbols: Iterable[str]) -> np.ndarray:
        """Their numbers, int64 [N]; 0 for what is unknown."""
        get = self._numbers.get
        return np.array([get(symbol, 0) for symbol in symbols], dtype=np.int64)
