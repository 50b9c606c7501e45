"""Which sequences may be decoded: how long, without which tokens, from which tokens on."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

NEVER = float("-inf")
_FREE = -1  # in the table of prefixes: any token may stand here


@dataclass(frozen=True, kw_only=True)
class Constraints:
    """What a decoded sequence must be beside likely.

    A constraint takes tokens out of the choice; the probabilities of the others stay what the model says.

    Attributes:
        minimum: tokens before the end symbol, at least; for all sentences or one for each.
        forbidden: tokens that never occur.
        prefixes: for each sentence the tokens that it begins with, which may be none; None: none for any.
    """

    minimum: int | Sequence[int] | Tensor = 0
    forbidden: Sequence[int] = ()
    prefixes: Sequence[Sequence[int]] | None = None


class Limits:
    """The constraints and the lengths of B sentences, as tensors.

    Attributes:
        end: the end symbol, or None where sequences have none.
        minimum, maximum: int64 [B], tokens before the end symbol.
        never: the tokens that are not chosen freely: those forbidden, and the end symbol.
    """

    def __init__(
        self, start: Tensor, end: int | None, maximum: int | Sequence[int] | Tensor, constraints: Constraints
    ) -> None:
        """
        Args:
            start: int64 [B], one token for each sentence.
            end: the end symbol; None: every sequence has `maximum` tokens.
            maximum: tokens before the end symbol, at most; for all sentences or one for each.
            constraints: the others.

        Raises:
            ValueError: they contradict one another, or are not given for B sentences.
        """
        if start.dim() != 1 or start.dtype != torch.int64:
            raise ValueError(f"start is {start.dtype} {list(start.shape)}: expected one token a sentence, int64 [B]")
        self.end = end
        self.maximum = _lengths("maximum", maximum, start)
        self.minimum = _lengths("minimum", constraints.minimum, start)
        self.never = {*constraints.forbidden, *([] if end is None else [end])}
        self._forbidden = torch.tensor(sorted(set(constraints.forbidden)), dtype=torch.int64, device=start.device)
        prefixes = [list(prefix) for prefix in constraints.prefixes or [()] * len(start)]
        if len(prefixes) != len(start):
            raise ValueError(f"{len(prefixes)} prefixes for {len(start)} sentences: give each one, if only ()")
        self._named = self.never.union(*prefixes)
        self._longest_prefix = longest = max(map(len, prefixes), default=0)
        padded = [[*prefix, *[_FREE] * (longest - len(prefix))] for prefix in prefixes]
        self._prefixes = torch.tensor(padded, dtype=torch.int64, device=start.device).view(len(start), longest)
        self._least_maximum = int(self.maximum.min()) if len(start) else 0
        self._most_minimum = int(self.minimum.max()) if len(start) else 0
        if end is not None and end in constraints.forbidden:
            raise ValueError(f"the end symbol {end} is forbidden: with end=None every sequence has `maximum` tokens")
        if end is None and not (self.maximum > 0).all():
            raise ValueError("maximum=0 without an end symbol leaves nothing to decode: expected 1 or more tokens")
        self._require_room(prefixes)

    def _require_room(self, prefixes: list[list[int]]) -> None:
        if (wrong := torch.nonzero(self.minimum > self.maximum)).numel():
            at = int(wrong[0])
            raise ValueError(f"sentence {at}: minimum={self.minimum[at]} is above maximum={self.maximum[at]}")
        for at, (prefix, most) in enumerate(zip(prefixes, self.maximum.tolist(), strict=True)):
            if len(prefix) > most:
                raise ValueError(f"sentence {at}: its prefix has {len(prefix)} tokens, but maximum={most}")
            if wrong := self.never & set(prefix):
                raise ValueError(f"sentence {at}: its prefix holds {wrong.pop()}, which is forbidden or the end symbol")

    def require_vocabulary(self, size: int) -> None:
        """Raise ValueError where a token is not among the `size` tokens of the vocabulary."""
        if any(not 0 <= token < size for token in self._named):
            raise ValueError(f"end, forbidden or prefixes name a token that is not among the model's 0 to {size - 1}")

    def apply(self, scores: Tensor, sentences: Tensor, length: int) -> None:
        """Set to -∞, in place, the scores of what may not come next.

        Args:
            scores: log-probabilities [N, V].
            sentences: int64 [N], the sentence each row belongs to.
            length: tokens that each row already has.
        """
        if len(self._forbidden):
            scores.index_fill_(1, self._forbidden, NEVER)
        if length < self._longest_prefix:
            wanted = self._prefixes[sentences, length]
            _leave(scores, wanted != _FREE, wanted)
        if self.end is None:
            return
        if length < self._most_minimum:
            scores[:, self.end].masked_fill_(self.minimum[sentences] > length, NEVER)
        if length >= self._least_maximum:
            _leave(scores, self.maximum[sentences] <= length, torch.full_like(sentences, self.end))


def _leave(scores: Tensor, rows: Tensor, tokens: Tensor) -> None:
    """Set to -∞ in some rows (bool [N]) the scores [N, V] of all tokens but one (int64 [N])."""
    places = torch.nonzero(rows)[:, 0]
    kept = scores[places, tokens[places]]
    scores.index_fill_(0, places, NEVER)
    scores[places, tokens[places]] = kept


def _lengths(name: str, given: int | Sequence[int] | Tensor, start: Tensor) -> Tensor:
    lengths = torch.as_tensor(given, device=start.device)
    if lengths.is_floating_point() or lengths.dim() > 1 or (lengths.dim() and len(lengths) != len(start)):
        raise ValueError(
            f"{name} is {lengths.dtype} {list(lengths.shape)}: expected one whole number, or one for each of the "
            f"{len(start)} sentences"
        )
    if lengths.numel() and int(lengths.min()) < 0:
        raise ValueError(f"{name}={int(lengths.min())}: expected a number of tokens, 0 or more")
    return lengths.to(torch.int64).expand(len(start))
