"""Lists of the best answers that a search found."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from recurra.tasks.config import ConfigError


class Ranked(Protocol):
    """An answer of a search: its text, what it was ranked by, and its log-probability in nats."""

    @property
    def text(self) -> str: ...
    @property
    def score(self) -> float: ...
    @property
    def log_probability(self) -> float: ...


def require_in_beam(nbest: int | None, beam: int) -> None:
    """Raise a ConfigError where `decode.nbest` asks for more answers than `decode.beam` holds."""
    if nbest is not None and nbest > beam:
        raise ConfigError(f"decode.nbest={nbest} is more than decode.beam={beam}: a beam holds no more")


def ranked(found: Sequence[Ranked]) -> Iterator[str]:
    """An n-best list: rank, score, log-probability and text, parted by tabs."""
    for rank, one in enumerate(found, 1):
        yield f"{rank}\t{one.score:.4f}\t{one.log_probability:.4f}\t{one.text}"
