import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from recurra.data import DataError, read_vectors


def save(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


def test_sequences_of_one_length_and_of_several(tmp_path):
    x = np.arange(12).reshape(2, 3, 2)
    whole = read_vectors(save(tmp_path / "a.npz", x=x, y=np.array(["up", "down"])))
    assert [s.tolist() for s in whole.sequences] == x.tolist() and whole.labels == ["up", "down"] and whole.width == 2
    ragged = read_vectors(save(tmp_path / "b.npz", x=x.reshape(6, 2), lengths=np.array([1, 5]), y=np.array([7, 8])))
    assert [len(s) for s in ragged.sequences] == [1, 5] and ragged.labels == ["7", "8"]
    assert np.concatenate(ragged.sequences).tolist() == x.reshape(6, 2).tolist()
    np.save(tmp_path / "c.npy", np.ones((4, 5)))
    np.save(tmp_path / "labels.npy", np.arange(4))
    alone = read_vectors(tmp_path / "c.npy", tmp_path / "labels.npy")
    assert alone.sequences[0].shape == (5, 1) and alone.labels == ["0", "1", "2", "3"]
    assert read_vectors(tmp_path / "a.npz", width=3).sequences[1].tolist() == [[6, 7, 8], [9, 10, 11]]


def test_labels_in_bytes_are_texts(tmp_path):
    assert read_vectors(save(tmp_path / "a.npz", x=np.ones((1, 2, 1)), y=np.array([b"up"]))).labels == ["up"]


def write_idx(path: Path, values: np.ndarray) -> Path:
    head = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    path.write_bytes(gzip.compress(head + values.astype(np.uint8).tobytes()))
    return path


def test_images_of_the_idx_format_are_rows_from_0_to_1(tmp_path):
    images = np.arange(24).reshape(2, 3, 4) * 10
    path = write_idx(tmp_path / "t-images-idx3-ubyte.gz", images)
    assert read_vectors(path).labels is None
    write_idx(tmp_path / "t-labels-idx1-ubyte.gz", np.array([3, 9]))
    both = read_vectors(path)
    assert both.labels == ["3", "9"]
    np.testing.assert_allclose(both.sequences[1], images[1] / 255, rtol=1e-6)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"data": np.ones((2, 3, 4))}, r"no array `x` .*it has data"),
        ({"x": np.ones(3)}, r"shape \[3\]: expected \[N, T, I\]"),
        ({"x": np.ones((5, 2)), "lengths": np.array([2, 2])}, r"sum up to ΣT"),
        ({"x": np.ones((5, 2)), "lengths": np.array([5, 0])}, r"at least 1"),
        ({"x": np.ones((2, 3, 4)), "y": np.arange(3)}, "3 labels for the 2 sequences"),
        ({"x": np.ones((2, 3, 4)), "y": np.ones((2, 1))}, r"labels in .* have the shape \[2, 1\]: expected \[N\]"),
        ({"x": np.ones((2, 3, 4)), "y": np.array([1, np.nan])}, "label 1 is nan"),
        ({"x": np.ones((5, 2)), "lengths": np.array([2.0, 3.0])}, "`lengths` .* of type float64: expected whole"),
        ({"x": np.array([[["a"]]])}, "expected real numbers"),
        ({"x": np.array([[[1j]]])}, "expected real numbers"),
        ({"x": np.array([[[1.0], [np.nan]]])}, "sequence 0, step 1 holds a number that is not finite"),
        ({"x": np.array([{"a": 1}], dtype=object)}, "cannot be read as a NumPy file"),
    ],
)
def test_arrays_of_another_form_are_refused(tmp_path, arrays, message):
    with pytest.raises(DataError, match=message):
        read_vectors(save(tmp_path / "a.npz", **arrays))


def test_damaged_files_are_named(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK nothing")
    (tmp_path / "x-idx3-ubyte").write_bytes(b"\0\0\x08\x01\0\0\0\x09abc")
    (tmp_path / "y-idx3-ubyte").write_bytes(b"what")
    (tmp_path / "z-idx3-ubyte").write_bytes(b"\0\0\x08\x03\0\0")
    (tmp_path / "lines.npz").write_bytes(b"some lines\nof text\n")
    packed = bytearray(gzip.compress(bytes(range(256)) * 9))
    packed[20] ^= 255
    (tmp_path / "w-idx3-ubyte.gz").write_bytes(packed)
    for name, message in (
        ("a.npz", "cannot be read as a NumPy file"),
        ("x-idx3-ubyte", "promises 9 values, it holds 3"),
        ("y-idx3-ubyte", "is no IDX file"),
        ("z-idx3-ubyte", "is cut off in its head"),
        ("w-idx3-ubyte.gz", "cannot be read"),
        ("lines.npz", "is no NumPy file: expected one that numpy.save"),
        ("absent.npy", "there is no file"),
    ):
        with pytest.raises(DataError, match=message):
            read_vectors(tmp_path / name)
    with pytest.raises(DataError, match=r"vectors\.width=5 does not divide the 6 numbers"):
        read_vectors(save(tmp_path / "b.npz", x=np.ones((1, 3, 2))), width=5)
