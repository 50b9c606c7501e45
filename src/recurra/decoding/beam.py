"""Beam search: the best of many sequences, found side by side."""

from typing import Any

import torch
from torch import Tensor

from recurra.decoding.finished import Finished
from recurra.decoding.hypothesis import History, Hypothesis
from recurra.decoding.largest import largest
from recurra.decoding.limits import NEVER, Limits
from recurra.decoding.required import Required
from recurra.decoding.settings import BeamSettings
from recurra.decoding.step import ATTENTION, Select, Step, log_probabilities, nothing_fits


@torch.no_grad()
def beam_search(
    step: Step,
    select: Select,
    state: Any,
    start: Tensor,
    settings: BeamSettings,
    source_lengths: Tensor | None = None,
) -> list[list[Hypothesis]]:
    """Find likely sequences for each of B sentences.

    After each step the `settings.size` likeliest continuations of a sentence's hypotheses stay; those that end keep
    their place, so that the search of a sentence is over when all have ended. While they grow hypotheses compete by
    their log-probabilities, at the end by their scores. A beam of 1 is `greedy`; one as wide as the tree of all
    sequences finds the best one.

    **Early stop.** A sentence's search is over as soon as no live hypothesis can still come among the n best. Let one
    have t predictions and the log-probability ℓ. Whatever it ends as, Y, is of a length |Y| from a to b, where b is
    given by the maximum, and a = t + 1 or by the minimum if that is later. Each further factor is a probability, so
    log P(Y) ≤ ℓ ≤ 0. The coverage penalty is a sum of logarithms of values of at most 1, so cp(Y) ≤ 0. Hence

        s(Y) = log P(Y) / lp(Y) + cp(Y) ≤ ℓ / lp(Y) ≤ ℓ / max(lp(a), …, lp(b)),

    the last since ℓ ≤ 0, whatever the sign of α. Where this bound of every live hypothesis is no better than the n-th
    best score of those that have ended, the n best are known; of equal scores the one that ended first is the better.
    The bound holds in floating point too: adding a value of at most 0, dividing by a larger number and rounding are
    monotone, and lp is a table that is made so. A finished hypothesis frees no place, so that the search with the stop
    is the same as the one without it up to there.

    Args:
        step: one step of the model. If its extras hold "attention" [rows, S], the hypotheses do.
        select: rows of a state; a sentence's state is repeated by it, and left out when its search is over.
        state: the state before `start`, of B rows, in whatever form `step` takes it.
        start: int64 [B], the first token that is read.
        settings: how wide and how long.
        source_lengths: int64 [B], positions of each source, which the coverage penalty counts; None: all S are.

    Returns:
        for each sentence at most `settings.nbest` hypotheses, and at least one, the best first.

    Raises:
        ValueError: the settings contradict one another; the model's logits are not finite; nothing that the
            constraints allow has a probability above 0; or the coverage penalty is set and there is no attention.
    """
    search = _Search(start, settings, source_lengths)
    while len(tokens := search.tokens):
        logits, state, extras = step(tokens, state)
        parents = search.advance(log_probabilities(logits), extras.get(ATTENTION))
        if len(parents):
            state = select(state, parents)
    return search.finished.results(search.history)


class _Search:
    """All hypotheses of all sentences.

    The live ones are rows of flat tensors [N], and only they are computed by the model. Each has a place in a table
    [B, R, K]: its sentence, its row in the grid of required phrases, its rank.

    Attributes:
        finished: the hypotheses that have ended.
        history: the way to each hypothesis.
        tokens: int64 [N], the last token of each live hypothesis.
    """

    def __init__(self, start: Tensor, settings: BeamSettings, source_lengths: Tensor | None) -> None:
        self._limits = Limits(start, settings.end, settings.maximum, settings.constraints)
        self._required = Required(settings.required, self._limits)
        self._settings = settings
        self.finished = Finished(self._limits, settings, source_lengths)
        self.history = History()
        self._length = 0
        self._shape = (len(start), self._required.rows, settings.size)
        self.tokens = start
        self._sentences = torch.arange(len(start), device=start.device)
        self._totals = torch.zeros(len(start), dtype=torch.float64, device=start.device)
        self._progress = self._required.start  # with the phrases, of each row
        row = self._required.row(self._progress)
        self._places = (self._sentences * self._shape[1] + row) * settings.size
        self._origins = self._sentences  # the row of the history that each row is
        self._attended: Tensor | None = None

    def advance(self, scores: Tensor, attention: Tensor | None) -> Tensor:
        """One more token for each live hypothesis, and the choice among what comes of it.

        Args:
            scores: log-probabilities [N, V], which are changed.
            attention: [N, S], or None.

        Returns:
            int64 [N'], the rows that those which live now go on from.
        """
        if self._length == 0:
            self._limits.require_vocabulary(scores.shape[1])
            self._required.require_vocabulary(scores.shape[1])
        self._limits.apply(scores, self._sentences, self._length)
        if self._settings.coverage_penalty:
            self._attended = _attended(self._attended, attention)
        values, parents, tokens = self._choose(scores)
        live = values > NEVER
        if self._limits.end is not None:
            ended = live & (tokens == self._limits.end)
            self._end(torch.nonzero(ended)[:, 0], values[ended], parents[ended])
            live &= ~ended
        self._length += 1
        live &= ~self._required.too_late(self._length)[:, :, None]
        self._require_some(live)
        live &= ~self.finished.final(values.masked_fill(~live, NEVER), self._length)[:, None, None]
        parents, tokens = parents[live], tokens[live]
        self.history.append(self._origins[parents], tokens, None if attention is None else attention[parents])
        self._keep(parents, values[live], tokens, torch.nonzero(live.flatten())[:, 0])
        if self._shape[1] > 1:
            self._progress = self._required.after(tokens, self._sentences, self._progress)
        return parents if self._limits.end is not None else parents[self._end_full()]

    def _choose(self, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What to put at each place, of scores [N, V]: log-probabilities, rows gone on from, tokens, [B, R, K] each.

        Where there is nothing to put, the log-probability is -∞.
        """
        _, R, K = self._shape
        if R > 1:
            values, parents, tokens = self._choose_by_row(scores)
        else:
            values, parents, tokens = self._table(*largest(scores, min(K, scores.shape[1])))
            values, at = values.topk(K, dim=2)
            parents, tokens = parents.gather(2, at), tokens.gather(2, at)
        # Those that have ended keep their places: so many fewer go on, or end as well.
        places = torch.arange(K, device=values.device) < K - self.finished.count[:, None]
        values[:, -1].masked_fill_(~places, NEVER)
        return values, parents, tokens

    def _choose_by_row(self, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same where phrases are required: each token of one may lead to another row, all others lead to one."""
        _, R, K = self._shape
        named = self._required.take(scores, self._sentences, self._progress)
        others = largest(scores, min(K, scores.shape[1]))
        values, tokens = (torch.cat(pair, 1) for pair in zip(others, named, strict=True))
        values = self._totals[:, None] + values
        parents = torch.arange(len(tokens), device=tokens.device)[:, None].expand_as(tokens)
        sentences = self._sentences[:, None].expand_as(tokens)
        progress = self._required.after(tokens, sentences, self._progress[:, None].expand_as(tokens))
        rows = sentences * R + self._required.row(progress)
        return self._table_of_best(*(part[values > NEVER] for part in (values, rows, parents, tokens)))

    def _table_of_best(
        self, values: Tensor, rows: Tensor, parents: Tensor, tokens: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The K best continuations [M] of each row of the grid, int64 [M], in tables [B, R, K], as `_choose` has it."""
        B, R, K = self._shape
        order = values.argsort(descending=True, stable=True)
        order = order[rows[order].argsort(stable=True)]
        rows = rows[order]
        rank = torch.arange(len(rows), device=rows.device) - torch.searchsorted(rows, rows)
        order, at = order[rank < K], (rows * K + rank)[rank < K]
        tables = values.new_full((B * R * K,), NEVER), parents.new_zeros(B * R * K), parents.new_zeros(B * R * K)
        for table, part in zip(tables, (values, parents, tokens), strict=True):
            table[at] = part[order]
        best, origins, chosen = (table.view(B, R, K) for table in tables)
        return best, origins, chosen

    def _table(self, scores: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Continuations of the live rows [N, M] in a table [B, R, K·M]: log-probabilities, rows, tokens."""
        B, R, K = self._shape
        values = scores.new_full((B * R * K, scores.shape[1]), NEVER, dtype=torch.float64)
        values[self._places] = self._totals[:, None] + scores
        parents = tokens.new_zeros(values.shape)
        parents[self._places] = torch.arange(len(tokens), device=tokens.device)[:, None]
        placed = tokens.new_zeros(values.shape)
        placed[self._places] = tokens
        return values.view(B, R, -1), parents.view(B, R, -1), placed.view(B, R, -1)

    def _end(self, sentences: Tensor, totals: Tensor, parents: Tensor) -> None:
        """These hypotheses [F], of the rows `parents`, have ended."""
        if len(sentences):
            attended = None if self._attended is None else self._attended[parents]
            self.finished.add(sentences, totals, self._origins[parents], self._length, attended)

    def _end_full(self) -> Tensor:
        """Where sequences have no end symbol: end those of full length. The rows int64 [N'] that go on."""
        full = self._limits.maximum[self._sentences] <= self._length
        self._end(self._sentences[full], self._totals[full], torch.nonzero(full)[:, 0])
        rest = torch.nonzero(~full)[:, 0]
        self._keep(rest, self._totals[rest], self.tokens[rest], self._places[rest])
        self._origins = rest
        return rest

    def _keep(self, rows: Tensor, totals: Tensor, tokens: Tensor, places: Tensor) -> None:
        """Go on with hypotheses [N'] that come of these rows, int64 [N'], as each stands now."""
        self._progress, self._sentences = self._progress[rows], self._sentences[rows]
        self._attended = None if self._attended is None else self._attended[rows]
        self._origins = torch.arange(len(rows), device=rows.device)
        self._totals, self.tokens, self._places = totals, tokens, places

    def _require_some(self, live: Tensor) -> None:
        """Refuse constraints that leave a sentence without a hypothesis, given the live places bool [B, R, K]."""
        lost = ~live.flatten(1).any(1) & (self.finished.count == 0)
        if lost.any():
            raise nothing_fits(int(torch.nonzero(lost)[0]), self._length - 1)


def _attended(before: Tensor | None, attention: Tensor | None) -> Tensor:
    """The attention in all [N, S], after one more step."""
    if attention is None:
        raise ValueError(
            'a coverage penalty needs attention, but the step gives no "attention" among its extras: set '
            "coverage_penalty=0, or use a model with attention"
        )
    return attention if before is None else before + attention
