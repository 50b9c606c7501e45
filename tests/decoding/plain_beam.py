"""Beam search as one would write it down: one sentence, one hypothesis after another, every list sorted anew."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Live:
    total: float
    tokens: tuple
    last: int
    state: object
    attended: tuple


def lp(length, alpha):
    return ((5 + length) / 6) ** alpha


def most_met(tokens, phrases):
    """The most tokens of phrases that some tokens hold, none counted twice; of the last phrase it may be a part."""
    best = 0
    for k, phrase in enumerate(phrases):
        rest = phrases[:k] + phrases[k + 1 :]
        best = max(best, *(n for n in range(len(phrase)) if tokens[len(tokens) - n :] == phrase[:n]))
        for start in range(len(tokens) - len(phrase) + 1):
            if tokens[start : start + len(phrase)] == phrase:
                # This one is the first to stand: what the others are is to be found behind it.
                best = max(best, len(phrase) + most_met(tokens[start + len(phrase) :], rest))
    return best


def plain_beam(model, sentence, settings, prefix=(), required=(), maximum=None, minimum=None):
    """The scores and tokens of all that ended, the best first; no early stop."""
    s, constraints = settings, settings.constraints
    maximum = s.maximum if maximum is None else maximum
    minimum = constraints.minimum if minimum is None else minimum
    phrases = [(one,) if isinstance(one, int) else tuple(one) for one in required]
    needed = sum(map(len, phrases))
    grid = {0: [Live(0.0, (), int(model.start[sentence]), model.state[sentence : sentence + 1], (0.0, 0.0, 0.0))]}
    finished = []
    for length in range(maximum + 1):
        # For each number of tokens of required phrases that are met: continuations and whether they end.
        following = {met: [] for met in range(needed + 1)}
        for met, rows in grid.items():
            for live in rows:
                logits, state, extras = model.step(torch.tensor([live.last]), live.state)
                scores = logits.log_softmax(-1)[0].tolist()
                attended = tuple(a + b for a, b in zip(live.attended, extras["attention"][0].tolist(), strict=True))
                for token, score in enumerate(scores):
                    if token in constraints.forbidden or score == float("-inf"):
                        continue
                    if length < len(prefix) and token != prefix[length]:
                        continue
                    ends = s.end is not None and token == s.end
                    if ends and (length < minimum or met < needed):
                        continue
                    if not ends and length == maximum:
                        continue
                    tokens = live.tokens if ends else (*live.tokens, token)
                    after = most_met(tokens, phrases)
                    if not ends and needed - after > maximum - length - 1:
                        continue
                    one = Live(live.total + score, tokens, token, state, attended)
                    following[after].append((one, ends or (s.end is None and length + 1 == maximum)))
        grid = {}
        for met, some in following.items():
            places = s.size - (len(finished) if met == needed else 0)
            some.sort(key=lambda one: -one[0].total)
            for one, ends in some[:places]:
                if ends:
                    predictions = length + 1
                    covered = sum(torch.tensor(one.attended).double().clamp(1e-10, 1).log().tolist())
                    score = one.total / lp(predictions, s.length_penalty) + s.coverage_penalty * covered
                    finished.append((score, one.tokens))
                else:
                    grid.setdefault(met, []).append(one)
        if len(finished) == s.size:
            break
    return sorted(finished, key=lambda one: -one[0])[: s.nbest]
