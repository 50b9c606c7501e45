"""Lists of the best answers that a search found."""

from collections.abc import Iterator, Sequence
from typing import Protocol


class Ranked(Protocol):
    """An answer of a search: its text, what it was ranked by, and its log-probability in nats."""

    @property
    def text(self) -> str: ...
    @property
    def score(self) -> float: ...
    @property
    def log_probability(self) -> float: ...


def ranked(found: Sequence[Ranked]) -> Iterator[str]:
    """An n-best list: rank, score, log-probability and text, parted by tabs."""
    for rank, one in enumerate(found, 1):
        yield f"{rank}\t{one.score:.4f}\t{one.log_probability:.4f}\t{one.text}"
