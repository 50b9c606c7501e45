"""One sequence for each sentence, a token at a time: the likeliest token, or one that is drawn."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from recurra.decoding.hypothesis import History, Hypothesis
from recurra.decoding.limits import Constraints, Limits
from recurra.decoding.sampling import Sampler
from recurra.decoding.step import ATTENTION, Select, Step, log_probabilities, nothing_fits


def greedy(
    step: Step,
    state: Any,
    start: Tensor,
    *,
    end: int | None,
    maximum: int | Sequence[int] | Tensor,
    select: Select | None = None,
    constraints: Constraints | None = None,
) -> list[Hypothesis]:
    """Take the likeliest token at each step, until the end symbol.

    A sequence that reaches `maximum` tokens is ended there, and the end symbol's probability counts as everywhere.

    Args:
        step: one step of the model.
        state: the state before `start`, of B rows, in whatever form `step` takes it.
        start: int64 [B], the first token that is read.
        end: the end symbol; None: every sequence has `maximum` tokens.
        maximum: tokens before the end symbol, at most; for all sentences or one for each.
        select: rows of a state. With it, sentences that have ended cost nothing more.
        constraints: what else the sequences must be.

    Returns:
        a hypothesis for each sentence; its score is its log-probability.

    Raises:
        ValueError: the settings contradict one another; the model's logits are not finite; or nothing that the
            constraints allow has a probability above 0.
    """
    limits = Limits(start, end, maximum, constraints or Constraints())
    return _roll_out(step, select, state, start, limits, lambda scores, likeliest: likeliest)


def sample_sequences(  # noqa: PLR0913 - as greedy, and how it draws
    step: Step,
    state: Any,
    start: Tensor,
    *,
    end: int | None,
    maximum: int | Sequence[int] | Tensor,
    sampler: Sampler | None = None,
    generator: torch.Generator | None = None,
    select: Select | None = None,
    constraints: Constraints | None = None,
) -> list[Hypothesis]:
    """Draw a token at each step, until the end symbol; `sample` gives tokens as they are drawn, and without an end.

    Args:
        step, state, start, end, maximum, select, constraints: as for `greedy`.
        sampler: how to draw; None: from the model's own probabilities.
        generator: source of the random numbers, on the device of the logits; None: torch's global one.

    Returns:
        a hypothesis for each sentence, with the log-probability that the model itself gives it.

    Raises:
        ValueError: as for `greedy`.
    """
    limits = Limits(start, end, maximum, constraints or Constraints())
    chosen = sampler or Sampler()
    return _roll_out(step, select, state, start, limits, lambda scores, likeliest: chosen.draw(scores, generator))


@torch.no_grad()
def _roll_out(
    step: Step,
    select: Select | None,
    state: Any,
    start: Tensor,
    limits: Limits,
    choose: Callable[[Tensor, Tensor], Tensor],
) -> list[Hypothesis]:
    history, length = History(), 0
    tokens, sentences = start, torch.arange(len(start), device=start.device)
    totals = torch.zeros(len(start), dtype=torch.float64, device=start.device)
    live = torch.ones_like(start, dtype=torch.bool)
    # Of each sentence, once it has ended: how many tokens, in which row, with which log-probability.
    times, rows, sums = torch.zeros_like(start), torch.zeros_like(start), torch.zeros_like(totals)

    def finish(ended: Tensor, origins: Tensor) -> Tensor:
        done = torch.nonzero(ended & live)[:, 0]
        at = sentences[done]
        times[at], rows[at], sums[at] = length, origins[done], totals[done]
        return live & ~ended

    while True:
        kept = torch.arange(len(live), device=live.device)
        if limits.end is None:
            live = finish(limits.maximum[sentences] <= length, kept)
        if not live.any():
            break
        if select is not None and not live.all():
            kept = kept[live]
            state = select(state, kept)
            tokens, sentences, totals, live = tokens[kept], sentences[kept], totals[kept], live[kept]
        logits, state, extras = step(tokens, state)
        if select is None:
            # Rows that have ended are computed on, and nobody looks at them.
            logits = logits.masked_fill(~live[:, None], 0.0)
        scores = log_probabilities(logits)
        if length == 0:
            limits.require_vocabulary(scores.shape[1])
        limits.apply(scores, sentences, length)
        largest, likeliest = scores.max(-1)
        if largest.isneginf().any():
            raise nothing_fits(int(sentences[largest.isneginf()][0]), length)
        tokens = choose(scores, likeliest)
        totals = totals + scores.gather(1, tokens[:, None])[:, 0]
        if limits.end is not None:
            live = finish(tokens == limits.end, kept)
        history.append(kept, tokens, extras.get(ATTENTION))
        length += 1
    sequences, weights = history.trace(times, rows)
    return [
        Hypothesis(sequence, total, total, attention)
        for sequence, total, attention in zip(sequences, sums.tolist(), weights, strict=True)
    ]
