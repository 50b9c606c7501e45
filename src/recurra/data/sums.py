"""Sums as texts: `374+85` becomes `459`."""

from pathlib import Path

import numpy as np

from recurra.data.pairs import Pair

DIGITS = 3
_SUMS, _TESTS = 50_000, 5_000


def addition(test: bool) -> list[Pair]:
    """About 50,000 sums of two numbers of up to three digits to learn from, or 5,000 others to test on.

    Two numbers that are learnt from in one order are not tested in the other. The lengths of the numbers are drawn
    first, so that short ones are not rare.
    """
    random = np.random.default_rng(19)
    drawn: dict[tuple[int, int], None] = {}
    while len(drawn) < _SUMS + _TESTS:
        bounds = 10 ** random.integers(1, DIGITS + 1, size=(_SUMS, 2))
        numbers = (random.random((_SUMS, 2)) * bounds).astype(np.int64)
        drawn |= dict.fromkeys(map(tuple, numbers.tolist()))
    groups: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for a, b in list(drawn)[: _SUMS + _TESTS]:
        groups.setdefault((min(a, b), max(a, b)), []).append((a, b))
    # In an order of chance: among the first ones drawn are more of the short ones, which soon are all there.
    members = list(groups.values())
    shuffled = [pair for k in random.permutation(len(members)) for pair in members[k]]
    cut = _TESTS
    while sorted(shuffled[cut]) == sorted(shuffled[cut - 1]):
        cut += 1
    sums = shuffled[:cut] if test else shuffled[cut:]
    return [Pair(f"{a}+{b}", str(a + b), Path("builtin:addition"), k) for k, (a, b) in enumerate(sums, 1)]
