"""The hypotheses that have ended, and whether better ones can come."""

import torch
from torch import Tensor

from recurra.decoding.hypothesis import History, Hypothesis
from recurra.decoding.limits import NEVER, Limits
from recurra.decoding.settings import BeamSettings


class Finished:
    """The hypotheses of B sentences that have ended, at most `settings.size` of each.

    Attributes:
        count: int64 [B], how many there are.
    """

    def __init__(self, limits: Limits, settings: BeamSettings, source_lengths: Tensor | None) -> None:
        """
        Args:
            limits: the lengths of the sentences.
            settings: the beam and its penalties.
            source_lengths: int64 [B], positions of each source; None: all there are.
        """
        self._limits, self._settings, self._source_lengths = limits, settings, source_lengths
        self._ending = 0 if limits.end is None else 1  # predictions that are no token
        maximum = limits.maximum
        longest = int(maximum.max()) + 1 if len(maximum) else 1
        self._divisors = settings.penalties.divisors(longest, maximum)
        table = (len(maximum), settings.size)
        self.count = torch.zeros_like(maximum)
        self._scores = torch.full(table, NEVER, dtype=torch.float64, device=maximum.device)
        self._totals = self._scores.clone()
        self._times, self._rows = maximum.new_zeros(table), maximum.new_zeros(table)

    def add(self, sentences: Tensor, totals: Tensor, rows: Tensor, length: int, attended: Tensor | None) -> None:
        """More hypotheses of `length` tokens, which have ended.

        Args:
            sentences: int64 [F], in rising order.
            totals: float64 [F], their log-probabilities.
            rows: int64 [F], the rows of the history that they are.
            length: tokens before the end symbol.
            attended: [F, S], the attention that each position of the source received; None without coverage penalty.
        """
        scores = totals / self._divisors[length + self._ending]
        if attended is not None:
            lengths = None if self._source_lengths is None else self._source_lengths[sentences]
            scores = scores + self._settings.penalties.uncovered(attended, lengths)
        rank = torch.arange(len(sentences), device=sentences.device) - torch.searchsorted(sentences, sentences)
        at = (sentences, self.count[sentences] + rank)
        self._scores[at], self._totals[at], self._rows[at] = scores, totals, rows
        self._times[at] = torch.full_like(rows, length)
        self.count = self.count + torch.bincount(sentences, minlength=len(self.count))

    def final(self, live: Tensor, length: int) -> Tensor:
        """Whether the n best of each sentence are known, bool [B]; see `beam_search` for why.

        Args:
            live: float64 [B, …], log-probabilities of the live hypotheses, of `length` tokens; -∞ where there is none.
            length: their tokens.
        """
        full = self.count >= self._settings.size
        if not self._settings.early_stop:
            return full
        latest = self._limits.maximum
        earliest = self._limits.minimum.clamp(min=length).minimum(latest) if self._ending else latest
        # The table is monotone: its largest value between two places is at one of them.
        divisors = torch.maximum(self._divisors[earliest + self._ending], self._divisors[latest + self._ending])
        bound = live.flatten(1).amax(1) / divisors
        worst = self._scores.topk(self._settings.nbest, dim=1).values[:, -1]
        return full | (worst >= bound) & (worst > NEVER)

    def results(self, history: History) -> list[list[Hypothesis]]:
        """The best hypotheses of each sentence, the best first; of equal scores the one that ended first."""
        scores, order = self._scores.sort(dim=1, descending=True, stable=True)
        kept = torch.arange(scores.shape[1], device=scores.device) < self.count[:, None].clamp(max=self._settings.nbest)
        flat = [table.gather(1, order)[kept] for table in (self._times, self._rows, self._totals)]
        sequences, attention = history.trace(flat[0], flat[1])
        fields = zip(sequences, flat[2].tolist(), scores[kept].tolist(), attention, strict=True)
        found = (Hypothesis(*each) for each in fields)
        return [[next(found) for _ in range(n)] for n in kept.sum(1).tolist()]
