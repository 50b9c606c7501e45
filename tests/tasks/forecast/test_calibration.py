import numpy as np
import pytest
import torch

from recurra.models.outlook import LEVELS
from recurra.tasks.forecast.calibration import FEWEST, conformal_shift
from recurra.tasks.forecast.scoring import HIGH, LOW

NORMAL = torch.special.ndtri(torch.tensor(LEVELS)).numpy()


def drawn(count: int, spread: tuple[float, ...], seed: int = 0) -> np.ndarray:
    """Values of one target, [N, h, 1], normal with a deviation for each step ahead."""
    return np.random.default_rng(seed).normal(size=(count, len(spread), 1)) * np.array(spread)[:, None]


def inside(quantiles: np.ndarray, truth: np.ndarray, k: int) -> np.ndarray:
    """Share of the values in the band of the k-th pair of levels, at each step ahead, [h]."""
    return ((quantiles[..., k] <= truth) & (truth <= quantiles[..., -1 - k])).mean((0, 2))


def test_each_step_gets_the_width_it_needs():
    """Bands of one width for steps that spread half, as much and three times as much."""
    spread = (0.5, 1.0, 3.0)
    first, later = drawn(2000, spread), drawn(4000, spread, seed=1)
    quantiles = np.broadcast_to(NORMAL, (4000, 3, 1, len(LEVELS)))
    shift = conformal_shift(quantiles[:2000], first)
    assert shift.shape == (3, 1, len(LEVELS)) and (shift[:, :, LEVELS.index(0.5)] == 0).all()
    assert np.ptp(inside(quantiles, later, LOW)) > 0.5  # before
    for k in range(len(LEVELS) // 2):
        assert np.allclose(inside(quantiles + shift, later, k), 1 - 2 * LEVELS[k], atol=0.04)
    assert shift[0, 0, HIGH] < -0.5 and shift[2, 0, HIGH] > 2


def test_the_chance_is_the_promised_one_however_few_there_are():
    """Split-conformal bands hold a new value with a chance of at least 1 − 2q, and less than 1/(N + 1) more."""
    count, held = 12, []
    for seed in range(2000):
        values = drawn(count + 1, (1.0,), seed)
        quantiles = np.zeros((count + 1, 1, 1, len(LEVELS)))
        shift = conformal_shift(quantiles[:count], values[:count])
        held.append(inside(quantiles[count:] + shift, values[count:], LOW)[0])
    assert 0.8 - 0.02 < np.mean(held) < 0.8 + 1 / (count + 1) + 0.02


def test_too_few_forecasts_are_refused():
    quantiles = np.zeros((FEWEST, 1, 1, len(LEVELS)))
    conformal_shift(quantiles, np.zeros((FEWEST, 1, 1)))
    with pytest.raises(ValueError, match=f"{FEWEST - 1} forecasts are too few.*90%: give {FEWEST}"):
        conformal_shift(quantiles[1:], np.zeros((FEWEST - 1, 1, 1)))
