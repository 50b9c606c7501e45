import numpy as np
import pytest

from recurra.data import DataError, read_made


def test_made_series_are_the_same_each_time_and_others_for_the_test():
    for name in ("sine", "walk", "system", "henon"):
        first, again, test = (read_made(f"builtin:{name}", test=test) for test in (False, False, True))
        assert np.array_equal(first[0].values, again[0].values) and not np.array_equal(first[0].values, test[0].values)
        assert np.isfinite(first[0].values).all() and set(first[0].ahead) <= set(first[0].names)


def test_the_changes_of_a_walk_know_nothing_of_each_other():
    changes = np.diff(read_made("builtin:walk")[0].values[:, 0])
    assert abs(np.corrcoef(changes[:-1], changes[1:])[0, 1]) < 0.05


def test_the_pendulum_swings_far_enough_to_be_non_linear():
    angle = read_made("builtin:system")[0].values[:, 1]
    assert 1.0 < np.abs(angle).max() < 3.1 and angle.std() > 0.3


def test_an_unknown_series_is_refused():
    with pytest.raises(DataError, match=r"no series builtin:sinus; there are: builtin:sine"):
        read_made("builtin:sinus")
