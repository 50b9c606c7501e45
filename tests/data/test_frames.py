import numpy as np
import pytest

from recurra.data import DataError, read_frames


def test_frames_of_one_length_or_of_several(tmp_path):
    x = np.arange(24.0).reshape(2, 4, 3)
    np.savez(tmp_path / "even.npz", x=x, y=[["a", "b", "", "a"], ["b"] * 4])
    even = read_frames(tmp_path / "even.npz")
    assert even.tags == [("a", "b", None, "a"), ("b",) * 4]
    assert (even.width, even.sequences[1].tolist()) == (3, x[1].tolist())
    np.savez(tmp_path / "ragged.npz", x=x.reshape(8, 3), lengths=[3, 5], y=[0, 1, -1, 1, 1, 1, 0, 0])
    ragged = read_frames(tmp_path / "ragged.npz")
    assert ragged.tags == [("0", "1", None), ("1", "1", "1", "0", "0")]
    assert [len(one) for one in ragged.sequences] == [3, 5]
    np.savez(tmp_path / "bare.npz", x=x)
    assert read_frames(tmp_path / "bare.npz").tags is None


def test_what_does_not_fit_is_said(tmp_path):
    path = tmp_path / "bad.npz"
    for arrays, said in (
        ({"y": [1]}, "no array `x`"),
        ({"x": np.ones((2, 4, 3)), "y": [1, 2]}, r"`y` has the shape \[2\].*expected a tag for each of the 8 vectors"),
        ({"x": np.ones((2, 1, 3)), "y": [0.5, 1.0]}, "texts or whole numbers"),
        ({"x": np.full((2, 4, 3), np.nan)}, "not finite"),
    ):
        np.savez(path, **arrays)
        with pytest.raises(DataError, match=said):
            read_frames(path)
