"""Phrases that must stand somewhere in a sequence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from recurra.decoding.limits import NEVER, Limits

Phrase = int | Sequence[int]
"""A token, or several that stand one after another."""

_NONE = -1


class Required:
    """How far B sentences have come with the phrases that they must hold, for grid beam search (Hokamp & Liu 2017).

    A beam is a grid of rows: row r holds hypotheses that lack R - 1 - r tokens of their phrases still. A row competes
    within itself alone, so that hypotheses that took unlikely tokens are not displaced by those that put them off. A
    token that a phrase waits for leads to the next row; any other token in the middle of a phrase leads back to the row
    before that phrase, as in Post & Vilar (2018), since only whole phrases count.

    Phrases share no token: of `1 2` and `2 3` both stand in `1 2 2 3`, and not in `1 2 3`; a phrase that is named twice
    stands twice. What has been met is then a question of which token is counted for which phrase. So the place that a
    hypothesis has come to is the set of all ways to count its tokens, which depends on its tokens alone: it never
    stands in the grid twice. Places are numbered as they are come to.

    Attributes:
        rows: R, one more than the most tokens that a sentence requires.
        start: int64 [B], the place of each sentence before its first token.
    """

    def __init__(self, required: Sequence[Sequence[Phrase]] | None, limits: Limits) -> None:
        """
        Args:
            required: the phrases of each sentence; None: none.
            limits: the other constraints.

        Raises:
            ValueError: they are not given for B sentences, one is empty, they are longer than fits, or hold a token
                that may not occur.
        """
        batch, device = len(limits.maximum), limits.maximum.device
        given = [sorted(map(_tokens, one)) for one in required or [()] * batch]
        if len(given) != batch:
            raise ValueError(
                f"required has {len(given)} lists of phrases for {batch} sentences: give each one, if only ()"
            )
        totals = [sum(map(len, phrases)) for phrases in given]
        for at, (phrases, total, most) in enumerate(zip(given, totals, limits.maximum.tolist(), strict=True)):
            if () in phrases:
                raise ValueError(f"sentence {at}: an empty phrase is required: leave it out")
            if total > most:
                raise ValueError(f"sentence {at}: {total} tokens are required, but maximum={most}")
            if wrong := limits.never & {token for phrase in phrases for token in phrase}:
                raise ValueError(f"sentence {at}: {wrong.pop()} is required, but it is forbidden or the end symbol")
        self.rows = max(totals, default=0) + 1
        self._limits = limits
        alphabets = [sorted({token for phrase in phrases for token in phrase}) for phrases in given]
        self._named = {token for alphabet in alphabets for token in alphabet}
        width = max(map(len, alphabets), default=0)
        padded = [[*alphabet, *[_NONE] * (width - len(alphabet))] for alphabet in alphabets]
        self._alphabets = torch.tensor(padded, dtype=torch.int64, device=device).view(batch, width)
        self._places: list[_Place] = []
        self._numbers: dict[_Place, int] = {}
        # Of each place: the places after each token of its phrases and after any other one; none until it is come to.
        self._moves: list[list[int]] = []
        starts = [self._number(_Place(tuple(phrases), frozenset([_Way()]))) for phrases in given]
        self.start = torch.tensor(starts, dtype=torch.int64, device=device)
        self._tabulate()

    def require_vocabulary(self, size: int) -> None:
        """Raise ValueError where a token is not among the `size` tokens of the vocabulary."""
        if any(not 0 <= token < size for token in self._named):
            raise ValueError(f"required names a token that is not among the model's 0 to {size - 1}")

    def take(self, scores: Tensor, sentences: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Take the tokens of the phrases, and the end before them all, out of the scores of those of other tokens.

        Args:
            scores: log-probabilities [N, V], changed in place.
            sentences: int64 [N].
            places: int64 [N], the places that they have come to.

        Returns:
            the scores [N, A] of the tokens of the phrases, -∞ where there are fewer than A, and the tokens [N, A].
        """
        tokens = self._alphabets[sentences]
        known = tokens != _NONE
        taken = scores.gather(1, tokens.clamp(min=0)).masked_fill(~known, NEVER)
        rows, at = torch.nonzero(known, as_tuple=True)
        scores[rows, tokens[rows, at]] = NEVER
        if self._limits.end is not None:
            scores[:, self._limits.end].masked_fill_(self.row(places) < self.rows - 1, NEVER)
        return taken, tokens

    def after(self, tokens: Tensor, sentences: Tensor, places: Tensor) -> Tensor:
        """The places int64 [...] that are come to from others by one more token, of these sentences, [...] each."""
        self._require_moves(places)
        hits = self._alphabets[sentences] == tokens[..., None]
        return self._after[places, torch.where(hits.any(-1), hits.long().argmax(-1), hits.shape[-1])]

    def row(self, places: Tensor) -> Tensor:
        """The rows of the grid, int64 [...], that places are in, [...]."""
        return self._row[places]

    def too_late(self, length: int) -> Tensor:
        """Rows of the grid, bool [B, R], that cannot be completed any more by hypotheses of `length` tokens."""
        lacking = torch.arange(self.rows - 1, -1, -1, device=self._alphabets.device)
        return lacking > (self._limits.maximum - length)[:, None]

    def _number(self, place: "_Place") -> int:
        number = self._numbers.setdefault(place, len(self._places))
        if number == len(self._places):
            self._places.append(place)
            self._moves.append([])
        return number

    def _require_moves(self, places: Tensor) -> None:
        """Find the places after these, where they are not known yet."""
        new = [number for number in torch.unique(places).tolist() if not self._moves[number]]
        for number in new:
            place = self._places[number]
            tokens = sorted({token for phrase in place.phrases for token in phrase})
            self._moves[number] = [self._number(place.after(token)) for token in (*tokens, _NONE)]
        if new:
            self._tabulate()

    def _tabulate(self) -> None:
        """Put what is known of all places into tensors: the place after each token [P, A + 1], the row [P]."""
        width = self._alphabets.shape[1] + 1
        moves = [[*after, *after[-1:] * (width - len(after))] if after else [0] * width for after in self._moves]
        rows = [self.rows - 1 - place.lacking for place in self._places]
        self._after = torch.tensor(moves, dtype=torch.int64, device=self._alphabets.device).view(-1, width)
        self._row = torch.tensor(rows, dtype=torch.int64, device=self._alphabets.device)


class _Way(NamedTuple):
    """A way to count the tokens of a hypothesis: for which phrases (bits), and for the start of which one."""

    whole: int = 0
    begun: int = _NONE  # the number of that phrase
    met: int = 0  # so many of its tokens

    def covers(self, other: "_Way") -> bool:
        """Whether whatever completes the other completes this one as well, which comes as far or farther."""
        wanted = other.whole
        if other.begun != _NONE and self.begun == _NONE:
            wanted |= 1 << other.begun
        elif (other.begun, other.met) != (self.begun, self.met):
            return False
        return wanted & ~self.whole == 0


@dataclass(frozen=True)
class _Place:
    """How far a hypothesis has come with `phrases`: all ways to count its tokens but those that another one covers."""

    phrases: tuple[tuple[int, ...], ...]
    ways: frozenset[_Way]

    @cached_property
    def lacking(self) -> int:
        """How many tokens are still to come, at least."""
        lengths = [len(phrase) for phrase in self.phrases]
        return sum(lengths) - max(
            sum(length for k, length in enumerate(lengths) if way.whole >> k & 1) + way.met for way in self.ways
        )

    def after(self, token: int) -> "_Place":
        """The place after one more token; one below 0 is none of any phrase."""
        found = {new for way in self.ways for new in self._ways(way, token)}
        kept = [way for way in found if not any(other != way and other.covers(way) for other in found)]
        return _Place(self.phrases, frozenset(kept))

    def _ways(self, way: _Way, token: int) -> Iterator[_Way]:
        if way.begun == _NONE:
            yield way
            for k, phrase in enumerate(self.phrases):
                # The phrases are sorted: of one that is required twice, the first is met first.
                again = k > 0 and self.phrases[k - 1] == phrase and not way.whole >> (k - 1) & 1
                if phrase[0] == token and not way.whole >> k & 1 and not again:
                    yield self._met(way.whole, k, 1)
        elif self.phrases[way.begun][way.met] == token:
            yield self._met(way.whole, way.begun, way.met + 1)

    def _met(self, whole: int, k: int, met: int) -> _Way:
        return _Way(whole | 1 << k) if met == len(self.phrases[k]) else _Way(whole, k, met)


def _tokens(phrase: Phrase) -> tuple[int, ...]:
    return (phrase,) if isinstance(phrase, int) else tuple(phrase)
