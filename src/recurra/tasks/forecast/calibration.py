"""Bands that hold the share they speak of: what past forecasts missed, added to those to come."""

import math

import numpy as np

from recurra.models.outlook import LEVELS

# Windows from which on even the widest band, 5 % to 95 %, has an edge among the scores.
FEWEST = math.ceil((1 - 2 * LEVELS[0]) / (2 * LEVELS[0]))


def conformal_shift(quantiles: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """What conformalised quantile regression adds to quantiles (Romano et al. 2019, arXiv 1905.03222).

    The band from the level q to 1 − q is moved outwards on both sides by the same amount, at each step ahead and for
    each target: the ⌈(N + 1)(1 − 2q)⌉-th smallest of the N scores max(lower − y, y − upper). The amount is negative,
    and the band becomes narrower, where it held too much. The median stays. A new value from the same source then lies
    in the band with a chance of at least 1 − 2q.

    Args:
        quantiles: of forecasts that the model was not trained on, at LEVELS, [N, h, K, 19].
        truth: what came, [N, h, K].

    Returns:
        [h, K, 19].

    Raises:
        ValueError: there are fewer than FEWEST forecasts.
    """
    count, pairs = len(truth), len(LEVELS) // 2
    if count < FEWEST:
        raise ValueError(f"{count} forecasts are too few to calibrate bands of {1 - 2 * LEVELS[0]:.0%}: give {FEWEST}")
    shift = np.zeros(quantiles.shape[1:], dtype=np.float32)
    for k in range(pairs):
        lower, upper = quantiles[..., k], quantiles[..., -1 - k]
        scores = np.sort(np.maximum(lower - truth, truth - upper), 0)
        # Rounded first: 101 · 0.9 is a little more than its true value.
        rank = math.ceil(round((count + 1) * (1 - 2 * LEVELS[k]), 6))
        shift[..., k], shift[..., -1 - k] = -scores[rank - 1], scores[rank - 1]
    return shift
