"""Tokens that must occur somewhere in a sequence."""

from collections.abc import Sequence

import torch
from torch import Tensor

from recurra.decoding.limits import NEVER, Limits

_NONE = -1


class Required:
    """The tokens that B sentences must hold, for grid beam search (Hokamp & Liu 2017).

    A beam is a grid of rows: row r holds hypotheses that lack C - r tokens still. A token that is lacking leads from a
    row to the next one, every other token stays in the row. A row competes within itself alone, so that hypotheses that
    took an unlikely token are not displaced by those that put it off. Tokens only, no phrases of several.

    Attributes:
        count: C, the most tokens that a sentence requires.
        lacking: bool [B, C], what each sentence requires; sentences that require less start in a later row.
    """

    def __init__(self, tokens: Sequence[Sequence[int]] | None, limits: Limits) -> None:
        """
        Args:
            tokens: those of each sentence; None: none.
            limits: the other constraints.

        Raises:
            ValueError: the tokens are not given for B sentences, are more than fit, or hold one that may not occur.
        """
        batch, device = len(limits.maximum), limits.maximum.device
        given = [sorted(one) for one in tokens or [()] * batch]
        if len(given) != batch:
            raise ValueError(
                f"required has {len(given)} lists of tokens for {batch} sentences: give each one, if only ()"
            )
        for at, (one, most) in enumerate(zip(given, limits.maximum.tolist(), strict=True)):
            if len(one) > most:
                raise ValueError(f"sentence {at}: {len(one)} tokens are required, but maximum={most}")
            if wrong := limits.never & set(one):
                raise ValueError(f"sentence {at}: {wrong.pop()} is required, but it is forbidden or the end symbol")
        self._named = {token for one in given for token in one}
        self.count = max(map(len, given), default=0)
        padded = [[*one, *[_NONE] * (self.count - len(one))] for one in given]
        self._tokens = torch.tensor(padded, dtype=torch.int64, device=device).view(batch, self.count)
        self.lacking = self._tokens != _NONE
        self._limits = limits

    def require_vocabulary(self, size: int) -> None:
        """Raise ValueError where a token is not among the `size` tokens of the vocabulary."""
        if any(not 0 <= token < size for token in self._named):
            raise ValueError(f"required names a token that is not among the model's 0 to {size - 1}")

    def take(self, scores: Tensor, sentences: Tensor, lacking: Tensor) -> tuple[Tensor, Tensor]:
        """Take the tokens that are lacking, and the end before them, out of the scores of those that stay in a row.

        Args:
            scores: log-probabilities [N, V], changed in place.
            sentences: int64 [N].
            lacking: bool [N, C].

        Returns:
            the scores [N, C] of the tokens that lead on, -∞ where one is not lacking, and the tokens [N, C].
        """
        tokens = self._tokens[sentences]
        leading = scores.gather(1, tokens.clamp(min=0))
        # The tokens are sorted: of one that is required twice, the first place is filled first.
        again = torch.zeros_like(lacking)
        again[:, 1:] = (tokens[:, 1:] == tokens[:, :-1]) & lacking[:, :-1]
        leading = leading.masked_fill(~lacking | again, NEVER)
        rows, places = torch.nonzero(lacking, as_tuple=True)
        scores[rows, tokens[rows, places]] = NEVER
        if self._limits.end is not None:
            scores[:, self._limits.end].masked_fill_(lacking.any(1), NEVER)
        return leading, tokens

    def after(self, tokens: Tensor, sentences: Tensor, lacking: Tensor) -> Tensor:
        """What hypotheses lack (bool [N, C], as before) after one more token, int64 [N]."""
        hits = (self._tokens[sentences] == tokens[:, None]) & lacking
        return lacking & ~(hits & (hits.cumsum(1) == 1))

    def too_late(self, length: int) -> Tensor:
        """Rows of the grid, bool [B, C + 1], that cannot be completed any more by hypotheses of `length` tokens."""
        lacking = torch.arange(self.count, -1, -1, device=self._tokens.device)
        return lacking > (self._limits.maximum - length)[:, None]
