"""Word-by-word translation, to compare with: IBM model 1 and bigrams, as translation was done before networks."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from recurra.tasks.translate.data import Examples

_ROUNDS = 6  # of expectation and maximisation
_CANDIDATES = 10  # target symbols that a source symbol may become
_FLOOR = 1e-9


class WordByWord:
    """Each symbol of the source becomes one of the target, in the same order.

    Which one: the path f₁ … f_S → e₁ … e_S with the largest Π t(eᵢ|fᵢ) p(eᵢ|eᵢ₋₁), found by the Viterbi algorithm among
    the likeliest candidates. t is IBM model 1 (Brown et al. 1993), learnt by expectation and maximisation; p mixes
    bigrams with single symbols (Witten–Bell). Nothing is reordered, added or left out.

    Args:
        examples: pairs to learn from; their ends are left out.
        size: number of target symbols.
        reverse: whether their sources stand from the end.
    """

    def __init__(self, examples: Examples, size: int, *, reverse: bool = False) -> None:
        sources = [source[:-1][::-1] if reverse else source[:-1] for source in examples.sources]
        targets = [target[:-1] for target in examples.targets]
        self._choices = _candidates(*_model_1(sources, targets))
        self._bigrams = _Bigrams(targets, size)

    def translate(self, source: Sequence[int]) -> list[int]:
        """The translation of a source, both as numbers of symbols without the end; unknown symbols are left out."""
        steps = [self._choices[number] for number in source if number in self._choices]
        if not steps:
            return []
        symbols, scores = steps[0]
        best = scores + self._bigrams.logs(np.array([self._bigrams.start]), symbols)[0]
        came: list[np.ndarray] = []
        for (before, _), (after, logs) in pairwise(steps):
            paths = best[:, None] + self._bigrams.logs(before, after)
            came.append(paths.argmax(0))
            best = paths.max(0) + logs
        at = int((best + self._bigrams.logs(steps[-1][0], np.array([self._bigrams.start]))[:, 0]).argmax())
        found = [int(steps[-1][0][at])]
        for (symbols, _), back in zip(reversed(steps[:-1]), reversed(came), strict=True):
            at = int(back[at])
            found.append(int(symbols[at]))
        return found[::-1]


def _model_1(sources: list[np.ndarray], targets: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """t(e|f) of all symbols that stand in one pair: source symbols [P], target symbols [P], probabilities [P].

    The number -1 stands for no symbol of the source, which every target may come from.
    """
    lengths = np.array([len(source) + 1 for source in sources])
    with_none = [np.append(source, -1).astype(np.int64) for source in sources]
    # For each target symbol of each pair, all symbols of its source, one after another.
    f = np.concatenate([np.tile(source, len(target)) for source, target in zip(with_none, targets, strict=True)])
    e = np.concatenate(
        [np.repeat(target.astype(np.int64), length) for target, length in zip(targets, lengths, strict=True)]
    )
    counts = np.repeat(lengths, [len(target) for target in targets])
    begins = np.concatenate([[0], np.cumsum(counts)[:-1]])
    width = int(e.max()) + 1
    keys, kind = np.unique((f + 1) * width + e, return_inverse=True)
    of, to = keys // width - 1, keys % width
    t = np.ones(len(keys))
    for _ in range(_ROUNDS):
        expected = t[kind]
        expected /= np.repeat(np.add.reduceat(expected, begins), counts)
        t = np.bincount(kind, expected, minlength=len(keys))
        t /= np.bincount(of + 1, t)[of + 1]
    return of, to, t


def _candidates(of: np.ndarray, to: np.ndarray, t: np.ndarray) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """For each source symbol its likeliest target symbols and their log t(e|f)."""
    order = np.lexsort((-t, of))
    of, to, t = of[order], to[order], t[order]
    first = np.flatnonzero(np.append(True, of[1:] != of[:-1]))
    ends = np.append(first[1:], len(of))
    return {
        int(of[low]): (to[low : min(high, low + _CANDIDATES)], np.log(t[low : min(high, low + _CANDIDATES)] + _FLOOR))
        for low, high in zip(first, ends, strict=True)
        if of[low] >= 0
    }


class _Bigrams:
    """p(e|d) = (n(d e) + k(d) p(e)) / (n(d) + k(d)), k(d) being the number of symbols met behind d.

    It is the mixture of Witten & Bell (1991). The number `start` stands for what is before the first symbol and behind
    the last.
    """

    def __init__(self, texts: list[np.ndarray], size: int) -> None:
        self.start = size
        edge = [size]
        pairs = np.concatenate(
            [np.stack([np.concatenate([edge, text]), np.concatenate([text, edge])], 1) for text in texts]
        ).astype(np.int64)
        width = size + 1
        keys, counts = np.unique(pairs[:, 0] * width + pairs[:, 1], return_counts=True)
        self._keys, self._counts, self._width = keys, counts, width
        self._total = np.bincount(pairs[:, 0], minlength=width)
        self._kinds = np.bincount(keys // width, minlength=width)
        single = np.bincount(pairs[:, 1], minlength=width) + 0.5
        self._single = single / single.sum()

    def logs(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """log p(after|before), [N, M]."""
        wanted = before[:, None].astype(np.int64) * self._width + after[None]
        at = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        met = np.where(self._keys[at] == wanted, self._counts[at], 0)
        kinds = np.maximum(self._kinds[before], 1)[:, None]
        return np.log((met + kinds * self._single[after][None]) / (self._total[before][:, None] + kinds))
