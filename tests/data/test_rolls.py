import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from recurra.data import DataError, Roll, frame_of, name_of, read_rolls, text_of

PIECES = {"train": [[[60, 64, 67], [60], []], [[21]]], "valid": [[[108, -1]]], "test": [[[62], [62]]]}


def frames(pieces: list) -> list[np.ndarray]:
    made = [np.zeros((len(piece), 88), dtype=np.uint8) for piece in pieces]
    for array, piece in zip(made, pieces, strict=True):
        for row, pitches in zip(array, piece, strict=True):
            row[[pitch - 21 for pitch in pitches if pitch >= 0]] = 1
    return made


def arrays(**changed) -> dict[str, np.ndarray]:
    found = {}
    for part, pieces in PIECES.items():
        made = frames(pieces)
        found |= {part: np.concatenate(made), f"{part}_len": np.array([len(one) for one in made], dtype=np.int32)}
    return {name: array for name, array in {**found, **changed}.items() if array is not None}


@pytest.mark.parametrize("ending", ["npz", "json", "json.gz"])
def test_a_file_of_parts_gives_its_pieces(tmp_path: Path, ending: str):
    path = tmp_path / f"some.music.{ending}"
    text = json.dumps(PIECES).encode()
    if ending == "npz":
        np.savez(path, **arrays())
    else:
        path.write_bytes(gzip.compress(text) if ending.endswith("gz") else text)
    collection = read_rolls(path, 0.5)
    assert collection.name == "some.music"
    for part, pieces in PIECES.items():
        rolls = collection.part(part)
        assert [roll.name for roll in rolls] == [f"{part} {k}" for k in range(len(pieces))]
        for roll, expected in zip(rolls, frames(pieces), strict=True):
            np.testing.assert_array_equal(roll.frames, expected)


def test_a_list_of_pieces_has_no_parts(tmp_path: Path):
    (tmp_path / "a.json").write_text(json.dumps(PIECES["train"]))
    collection = read_rolls(tmp_path / "a.json", 0.5)
    assert collection.parts is None and [len(roll.frames) for roll in collection.part("test")] == [3, 1]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"train": np.zeros((4, 87))}, r"`train` has the shape \[4, 87\]"),
        ({"valid_len": np.array([2])}, "`valid_len` the sum 2"),
        ({"train_len": np.array([4, 0])}, "piece 1 of `train`"),
        ({"test": 2 * np.ones((2, 88), dtype=np.uint8)}, "`test` holds 2 at frame 0, key 0"),
        ({"test": None}, "for each of train, valid and test"),
    ],
)
def test_arrays_that_are_no_rolls(tmp_path: Path, changed: dict, said: str):
    np.savez(tmp_path / "a.npz", **arrays(**changed))
    with pytest.raises(DataError, match=rf"a\.npz.*{said}"):
        read_rolls(tmp_path / "a.npz", 0.5)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot be read as JSON"),
        ('{"train": []}', "holds train; expected"),
        ("3", "holds int; expected"),
        ("[[]]", "piece 0 .*at least one"),
        ("[[[60], 61]]", "piece 0, frame 1 .*not 61"),
        ("[[[60]], [[60], [60.5]]]", "piece 1, frame 1"),
        ("[[[60], [109]]]", "piece 0, frame 1: the MIDI pitch 109"),
        ('{"train": {}, "valid": [], "test": []}', "train: expected a list of pieces"),
    ],
)
def test_json_that_is_no_music(tmp_path: Path, content: str, said: str):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(DataError, match=rf"a\.json.*{said}"):
        read_rolls(tmp_path / "a.json", 0.5)


def test_what_is_no_music_at_all(tmp_path: Path):
    (tmp_path / "a.txt").write_text("C4")
    for path, said in (
        (tmp_path, "has no MIDI files"),
        (tmp_path / "a.txt", "no music"),
        (tmp_path / "b.npz", "there"),
    ):
        with pytest.raises(DataError, match=said):
            read_rolls(path, 0.5)


def test_keys_have_names():
    assert [name_of(key) for key in (0, 39, 48, 87)] == ["A0", "C4", "A4", "C8"]
    frame = np.zeros(88, dtype=np.uint8)
    frame[[0, 40, 87]] = 1
    assert text_of(frame) == "A0 C♯4 C8" and text_of(0 * frame) == "-"
    for one in (frame, 0 * frame, 0 * frame + 1):
        np.testing.assert_array_equal(frame_of(text_of(one)), one)
    for text in ("H4", "C♭4", "C9", "c4"):
        with pytest.raises(DataError, match=text):
            frame_of(text)


def test_the_standard_collections(data_folder: Path):
    folder = data_folder / "poly-music"
    chorales, again = (read_rolls(folder / f, 1) for f in ("JSB_Chorales.npz", "jsb-chorales-quarter.json.gz"))
    counts = [
        (len(rolls), sum(len(r.frames) for r in rolls)) for rolls in map(chorales.part, ("train", "valid", "test"))
    ]
    assert counts == [(229, 13807), (76, 4602), (77, 4725)]
    for one, other in zip(chorales.pieces, again.pieces, strict=True):
        assert isinstance(one, Roll) and one.name == other.name
        np.testing.assert_array_equal(one.frames, other.frames)
