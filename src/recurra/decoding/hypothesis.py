"""A decoded sequence, and the steps it is traced back through."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """A sequence that a search has found.

    Attributes:
        tokens: the tokens, without the one that started it and without the end symbol.
        log_probability: log P of the tokens and of the end symbol after them, in nats, as the model gives it.
        score: what the search ranked it by; without penalties the log-probability.
        attention: [T, S], the weights with which each token was predicted; None where the model gives none.
    """

    tokens: tuple[int, ...]
    log_probability: float
    score: float
    attention: Tensor | None = None


class History:
    """The tokens of all live rows, step by step. Row r after t tokens is what the t-th call of `append` put at r."""

    def __init__(self) -> None:
        self._parents: list[Tensor] = []
        self._tokens: list[Tensor] = []
        self._attention: list[Tensor] = []

    def append(self, parents: Tensor, tokens: Tensor, attention: Tensor | None) -> None:
        """One more token.

        Args:
            parents: int64 [N], the row before that each new row goes on from.
            tokens: int64 [N], its token.
            attention: [N, S], the weights with which it was predicted, if there are any.
        """
        self._parents.append(parents)
        self._tokens.append(tokens)
        if attention is not None:
            self._attention.append(attention)

    def trace(self, times: Tensor, rows: Tensor) -> tuple[list[tuple[int, ...]], list[Tensor | None]]:
        """The tokens, and the attention [T, S] if there is any, of rows int64 [F] as they were after `times` tokens."""
        longest = int(times.max()) if len(times) else 0
        tokens = times.new_zeros(len(times), longest)
        weights = self._attention[0].new_zeros(*tokens.shape, self._attention[0].shape[1]) if self._attention else None
        rows = rows.clone()
        for t in reversed(range(longest)):
            here = torch.nonzero(times > t)[:, 0]
            at = rows[here]
            tokens[here, t] = self._tokens[t][at]
            if weights is not None:
                weights[here, t] = self._attention[t][at]
            rows[here] = self._parents[t][at]
        lengths = times.tolist()
        sequences = [tuple(row[:n]) for row, n in zip(tokens.tolist(), lengths, strict=True)]
        if weights is None:
            return sequences, [None] * len(lengths)
        return sequences, [row[:n].clone() for row, n in zip(weights, lengths, strict=True)]
