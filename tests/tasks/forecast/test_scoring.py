import numpy as np
import pytest
import torch

from recurra.data import Scaler
from recurra.models.outlook import LEVELS
from recurra.tasks.forecast.data import Ground
from recurra.tasks.forecast.scoring import Scored, measures


def ground(deviation: float = 1.0, naive: tuple[float, ...] = (1.0,)) -> Ground:
    count = len(naive)
    scaler = Scaler(np.zeros(count), np.full(count, deviation))
    return Ground(("y",) * count, (), (), 0, None, 1, scaler, np.array(naive), np.zeros((count, 2)))


def test_errors_of_points():
    point = np.array([[[1.0], [2.0]]], dtype=np.float32)
    truth = np.array([[[1.0], [4.0]]], dtype=np.float32)
    found = measures(Scored(point, None, truth), ground(deviation=10, naive=(5.0,)))
    assert found["mse"] == 2 and found["mae"] == found["crps"] == 1 and found["rmse"] == 2**0.5
    assert found["smape"] == pytest.approx(200 * (20 / 60) / 2)
    assert found["mase"] == pytest.approx(10 / 5)  # in the units of the target
    assert "coverage_80" not in found


def test_each_target_has_its_own_scale():
    point = np.zeros((3, 2, 2), dtype=np.float32)
    truth = np.stack([np.ones((3, 2)), np.full((3, 2), 4.0)], -1).astype(np.float32)
    scored, both = Scored(point, None, truth), ground(naive=(2.0, 1.0))
    assert measures(scored, both)["mase"] == pytest.approx((0.5 + 4) / 2)
    assert measures(scored, both, 0)["mase"] == pytest.approx(0.5) and measures(scored, both, 1)["mae"] == 4


def test_a_true_distribution_covers_what_it_says_and_beats_a_wrong_one():
    random = np.random.default_rng(0)
    truth = random.normal(size=(4000, 1, 1)).astype(np.float32)
    standard = torch.special.ndtri(torch.tensor(LEVELS)).numpy()
    crps = {}
    for scale in (0.5, 1.0, 2.0):
        quantiles = np.broadcast_to(scale * standard, (4000, 1, 1, len(LEVELS))).astype(np.float32)
        found = measures(Scored(np.zeros_like(truth), quantiles, truth), ground())
        crps[scale] = found["crps"]
        if scale == 1:
            assert found["coverage_80"] == pytest.approx(0.8, abs=0.02)
    # That of a standard normal forecast of one is 1/√π.
    assert crps[1.0] == pytest.approx(np.pi**-0.5, abs=0.02) and crps[1.0] < min(crps[0.5], crps[2.0])
