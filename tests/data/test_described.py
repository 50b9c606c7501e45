from pathlib import Path

import numpy as np
import pytest

from recurra.data import Columns, DataError, picture_features, read_builtin, read_described
from recurra.data.waves import SHAPES, curve

FEATURES = np.arange(12, dtype=np.float16).reshape(3, 2, 2)


def described(path: Path, array: str = "x", captions: Path | None = None):
    return read_described(path, Columns(), array, captions)


def test_labels_are_classes(tmp_path: Path):
    for name, lines in (("French", "Simon\nRoux\n"), ("Irish", "Daly\n")):
        (tmp_path / f"{name}.txt").write_text(lines)
    found = described(tmp_path)
    assert (found.kind, found.names, found.texts) == ("class", ["French", "Irish"], ["Simon", "Roux", "Daly"])
    assert found.of.tolist() == [0, 0, 1] and found.things.tolist() == [0, 1]
    assert found.take(np.array([2])).texts == ["Daly"]


def test_a_text_that_is_empty_is_named(tmp_path: Path):
    (tmp_path / "names.tsv").write_text("A\tAnn\nB\t\nA\tAda\n")
    with pytest.raises(DataError, match=r"names\.tsv, line 2: the text is empty"):
        described(tmp_path / "names.tsv")
    (tmp_path / "folder").mkdir()
    for name, text in (("A", "Ann\n\nAda\n"), ("B", "\n")):
        (tmp_path / "folder" / f"{name}.txt").write_text(text)
    with pytest.raises(DataError, match=r"B\.txt holds no text for its label"):
        described(tmp_path / "folder")


def test_pictures_with_several_captions_each(tmp_path: Path):
    split, images = np.array(["train", "dev", "other"]), np.array(["a.jpg", "b.jpg", "c.jpg"])
    np.savez(tmp_path / "f.npz", grid=FEATURES, split=split, image=images)
    (tmp_path / "said.txt").write_text("b.jpg#0\tA cat .\nz.jpg#0\tNothing .\na.jpg\tOne\nb.jpg#1\tTwo .\nc.jpg#0\tx\n")
    found = described(tmp_path / "f.npz", "grid", tmp_path / "said.txt")
    assert (found.kind, found.parts) == ("grid", ["train", "valid", ""])
    assert found.texts == ["A cat .", "One", "Two .", "x"] and found.of.tolist() == [1, 0, 1, 2]
    assert found.things.dtype == np.float32 and found.things.shape == (3, 2, 2)


def test_vectors_with_texts_or_values(tmp_path: Path):
    np.savez(tmp_path / "t.npz", x=FEATURES[:, 0], y=np.array(["a", "b b", "c"]))
    found = described(tmp_path / "t.npz")
    assert (found.kind, found.texts, found.frames, found.names) == ("vector", ["a", "b b", "c"], None, ["0", "1", "2"])
    for shape, columns in (((3, 4), 1), ((3, 4, 2), 2)):
        np.savez(tmp_path / "v.npz", x=FEATURES[:, 0], y=np.ones(shape))
        assert [frame.shape for frame in described(tmp_path / "v.npz").frames] == [(4, columns)] * 3


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"z": FEATURES}, "no array `x`.*it has z"),
        ({"x": FEATURES}, "no array `y`"),
        ({"x": np.ones(3), "y": np.ones(3)}, r"`x` has the shape \[3\]"),
        ({"x": FEATURES, "y": np.ones((2, 5))}, r"`y` has the shape \[2, 5\].*N = 3"),
        ({"x": np.where(FEATURES == 5, np.nan, FEATURES), "y": np.ones((3, 1))}, "`x` holds .* not finite at 1"),
        ({"x": FEATURES, "y": np.array(["a", "", "c"])}, "`y` holds an empty text at 1"),
        ({"x": FEATURES, "y": np.ones((3, 1)), "split": np.array(["train"])}, "`split` has 1 words for 3"),
        ({"x": FEATURES, "y": np.ones((3, 1)), "names": np.array(["a"])}, "1 names for 3"),
        ({"x": np.array([["a"]]), "y": np.ones((1, 1))}, "expected numbers"),
    ],
)
def test_arrays_that_describe_nothing(tmp_path: Path, arrays: dict, said: str):
    np.savez(tmp_path / "f.npz", **arrays)
    with pytest.raises(DataError, match=rf"f\.npz.*{said}"):
        described(tmp_path / "f.npz")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a.jpg#0 no tab\n", "line 1"),
        ("a.jpg\tx\nb.jpg#0\t \n", "line 2"),
        ("a.jpg\tx\n", "nothing of b.jpg, nor of 1"),
    ],
)
def test_captions_that_cannot_be_used(tmp_path: Path, text: str, said: str):
    np.savez(tmp_path / "f.npz", x=FEATURES, image=np.array(["a.jpg", "b.jpg", "c.jpg"]))
    (tmp_path / "said.txt").write_text(text)
    with pytest.raises(DataError, match=rf"said\.txt.*{said}"):
        described(tmp_path / "f.npz", "x", tmp_path / "said.txt")


def test_waves_are_what_their_features_say():
    found, again, others = (read_builtin("builtin:waves", "described", test=test) for test in (False, False, True))
    assert (
        (found.things == again.things).all() and len(others.frames) == 500 and others.things[0, 0] != found.things[0, 0]
    )
    for features, values in zip(found.things[:20], found.frames, strict=False):
        shape = SHAPES[int(features[2:].argmax())]
        assert np.abs(values).max() <= 1
        if shape in ("sine", "triangle"):  # the others jump, where rounding may decide
            np.testing.assert_allclose(values[:, 0], curve(features[0], features[1], shape), atol=1e-3)
    np.testing.assert_allclose(curve(1, 0.25, "sine")[[0, 15, 30]], [1, 0, -1], atol=1e-6)
    np.testing.assert_allclose(curve(1, 0, "triangle")[[0, 15, 30, 45]], [0, 1, 0, -1], atol=1e-6)
    np.testing.assert_allclose(curve(2, 0, "sawtooth")[[0, 15, 30]], [-1, 0, -1], atol=1e-6)
    assert set(curve(3, 0.1, "square").tolist()) == {1.0, -1.0}


def test_features_of_a_picture(tmp_path: Path):
    image = pytest.importorskip("PIL.Image", reason="pictures are read with Pillow, an extra")
    pixels = np.zeros((192, 192, 3), dtype=np.uint8)
    pixels[:, :96] = (255, 0, 0)  # the left half red, the right one black
    image.fromarray(pixels).save(tmp_path / "a.png")
    grid = picture_features(tmp_path / "a.png").reshape(6, 6, 15)
    np.testing.assert_allclose(grid[:, 0, :6], np.tile([1, 0, 0, 0, 0, 0], (6, 1)), atol=1e-6)
    assert not grid[:, 5].any() and not grid[:, 0, 6:].any()
    edge = grid[:, 3, 6:] + grid[:, 2, 6:]
    assert (edge.argmax(1) == 0).all() and edge[:, 1:].max() < 0.01, "across: the first direction"
    np.testing.assert_allclose(np.linalg.norm(grid[:, 2, 6:], axis=1), 1, rtol=1e-5)


def test_pictures_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("PIL.Image", reason="pictures are read with Pillow, an extra")
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    image = pytest.importorskip("PIL.Image")
    image.new("1", (64, 64)).save(tmp_path / "huge.png")
    monkeypatch.setattr(image, "MAX_IMAGE_PIXELS", 64)  # of twice as many it is feared that they burst the memory
    for name, said in (
        ("a.jpg", "cannot be read as a picture"),
        ("b.jpg", "there is no file"),
        ("huge.png", "exceeds"),
    ):
        with pytest.raises(DataError, match=said):
            picture_features(tmp_path / name)
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(DataError, match=r"pip install 'recurra\[pictures\]'"):
        picture_features(tmp_path / "a.jpg")


def test_the_flickr_features(data_folder: Path):
    folder = data_folder / "flickr8k"
    found = described(folder / "features_1000.npz", "grid", folder / "Flickr8k.token.txt.gz")
    assert found.things.shape == (1000, 36, 15) and len(found.texts) == 5000
    assert [found.parts.count(part) for part in ("train", "valid", "test", "")] == [753, 113, 125, 9]
