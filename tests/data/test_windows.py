import numpy as np
import pytest

from recurra.data import DataError, Layout, Scaler, Windows, chronological, origins, require_no_leak
from recurra.data.windows import Stretch


def counted(length: int = 30, window: int = 4, horizon: int = 2, stretch: Stretch | None = None) -> Windows:
    frame = (np.arange(length)[:, None] + np.array([0.0, 100.0, 200.0])).astype(np.float32)
    starts = origins([stretch or Stretch(0, 0, length)], window, horizon)
    return Windows([frame], Layout(1, 1, 1), starts, window, horizon)


def test_a_batch_holds_what_is_known_and_what_comes():
    windows = counted()
    assert windows.origins[:, 1].tolist() == list(range(4, 29))
    batch = windows.batch(np.array([3, 0]))
    assert batch.past[0].tolist() == [[3, 103, 203], [4, 104, 204], [5, 105, 205], [6, 106, 206]]
    assert batch.targets[0].tolist() == [[7], [8]] and batch.ahead[0].tolist() == [[207], [208]]
    assert batch.past[1, 0, 0] == 0 and batch.tokens == 4 and batch.fresh


def test_a_part_may_look_back_but_its_forecasts_stay_in_it():
    starts = origins([Stretch(0, 10, 16)], window=8, horizon=3)
    assert starts.tolist() == [[0, 10], [0, 11], [0, 12], [0, 13]]
    assert origins([Stretch(0, 2, 9)], 5, 2, stride=2).tolist() == [[0, 5], [0, 7]]
    assert len(origins([Stretch(0, 0, 3)], 5, 2)) == 0


def test_one_series_is_parted_by_time_and_several_as_wholes():
    assert chronological([100], 0.1, 0.2) == [[Stretch(0, 0, 70)], [Stretch(0, 70, 80)], [Stretch(0, 80, 100)]]
    assert chronological([100], 20, 0, train=30) == [[Stretch(0, 0, 30)], [Stretch(0, 30, 50)], []]
    parts = chronological([5, 6, 7, 8], 1, 0.25)
    assert parts == [[Stretch(0, 0, 5), Stretch(1, 0, 6)], [Stretch(2, 0, 7)], [Stretch(3, 0, 8)]]
    for sizes in ((0.5, 0.5, None), (0, 10, None), (50, 60, 10)):
        with pytest.raises(DataError, match=r"100 rows cannot be parted.*split\.train"):
            chronological([100], *sizes)


def test_a_scaler_knows_the_training_rows_alone():
    values = np.array([[1.0, 7], [3, 7], [5, 7]])
    scaler = Scaler.fit([values[:1], values[1:]])
    assert np.allclose(scaler.apply(values).mean(0), 0) and np.allclose(scaler.apply(values)[:, 0].std(), 1)
    assert np.allclose(scaler.undo(scaler.apply(values)), values) and scaler.deviation[1] == 1
    assert np.allclose(scaler.undo(np.array([[1.0]]), slice(0, 1)), 3 + values[:, 0].std())


def test_an_input_that_runs_ahead_of_a_target_is_found():
    random = np.random.default_rng(0)
    target = random.normal(size=400).cumsum()
    honest = np.stack([random.normal(size=400).cumsum(), target], 1)  # a copy of the present is no leak
    names = ("wind", "copy", "price")
    require_no_leak(honest, target[:, None], names, 5)
    leak = np.stack([honest[:, 0], np.roll(3 * target + 1, -2)], 1)
    with pytest.raises(DataError, match=r"'copy' holds what the target 'price' will be 2 steps later"):
        require_no_leak(leak, target[:, None], names, 5)
    sine = np.sin(np.arange(400) / 4)
    require_no_leak(np.roll(sine, -3)[:, None], sine[:, None], ("a", "b"), 5)


def test_windows_of_other_values_have_another_checksum():
    assert counted().checksum() == counted().checksum()
    assert len({counted().checksum(), counted(31).checksum(), counted(horizon=3).checksum()}) == 3
