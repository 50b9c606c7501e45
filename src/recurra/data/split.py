"""Parting examples into those to learn from and those to keep."""

from collections.abc import Hashable, Sequence

import numpy as np


def split(keys: Sequence[Hashable], fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the examples to learn from and of those to keep, int64 each, in order.

    Examples of one key stay together: what stands in both parts could be learnt by heart.

    Args:
        keys: what each example is known by, such as its text.
        fraction: part of the examples to keep, 0 to 1.
        seed: the same seed draws the same examples.
    """
    groups: dict[Hashable, list[int]] = {}
    for number, key in enumerate(keys):
        groups.setdefault(key, []).append(number)
    members = list(groups.values())
    missing, kept = round(fraction * len(keys)), np.zeros(len(keys), dtype=bool)
    for group in np.random.default_rng(seed).permutation(len(members)):
        if missing <= 0:
            break
        kept[members[group]] = True
        missing -= len(members[group])
    return np.flatnonzero(~kept), np.flatnonzero(kept)
