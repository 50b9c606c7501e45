"""Piano rolls: which keys sound in each frame of a piece, from files of several kinds."""

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recurra.data.errors import DataError
from recurra.data.midi import is_midi, read_midi
from recurra.data.pitches import KEYS, key_of
from recurra.data.vectors import load_arrays

PARTS = ("train", "valid", "test")
_ENDINGS = (".gz", ".json", ".npz", ".mid", ".midi")


@dataclass(frozen=True)
class Roll:
    """A piece of music.

    Attributes:
        name: what it is called.
        frames: 1 where a key sounds, uint8 [T, 88]; column k is the MIDI pitch 21 + k.
    """

    name: str
    frames: np.ndarray


@dataclass(frozen=True)
class Collection:
    """Pieces of one kind.

    Attributes:
        name: what they are called together: the name of their file or folder, without its ending.
        pieces: all of them.
        parts: numbers of the pieces of each part, `train`, `valid` and `test`; None where they are not parted.
    """

    name: str
    pieces: list[Roll]
    parts: dict[str, list[int]] | None

    def part(self, name: str) -> list[Roll]:
        """The pieces of a part; all of them where they are not parted."""
        return self.pieces if self.parts is None else [self.pieces[k] for k in self.parts[name]]


def read_rolls(path: Path, beats: float) -> Collection:
    """The pieces at `path`.

    - `.npz`: of each part `train`, `valid` and `test` the frames of all pieces one after another, 0 or 1, [ΣT, 88], and
      as `train_len` … the frames of each piece, [N].
    - `.json`, or packed as `.json.gz`: of each part a list of pieces, a piece a list of frames, a frame a list of MIDI
      pitches from 21 to 108, below 0 where a voice is silent; or without parts a list of pieces.
    - a MIDI file, or a folder with such files, in whatever folders of its own: cut into frames of `beats` quarter
      notes.

    Raises:
        DataError: nothing is there, or it cannot be read; it names the file and the place in it.
    """
    if not path.exists():
        raise DataError(f"there is no file or folder {path}")
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if is_midi(file))
        if not files:
            raise DataError(f"the folder {path} has no MIDI files (.mid, .midi); expected some to read pieces from")
        rolls = [Roll(str(file.relative_to(path)), read_midi(file, beats)) for file in files]
        return Collection(path.resolve().name, rolls, None)
    if is_midi(path):
        return Collection(_name(path), [Roll(path.name, read_midi(path, beats))], None)
    if path.suffix == ".npz":
        return _of_arrays(path)
    if path.name.endswith((".json", ".json.gz")):
        return _of_json(path)
    raise DataError(
        f"{path} is no music this can read: expected .npz, .json, .json.gz, .mid, or a folder of .mid files"
    )


def _name(path: Path) -> str:
    name = path.name
    while name.endswith(_ENDINGS):
        name = name[: name.rindex(".")]
    return name


def _of_arrays(path: Path) -> Collection:
    arrays = load_arrays(path)
    form = "expected, for each of train, valid and test, its frames [ΣT, 88] and the lengths of its pieces as train_len"
    if not isinstance(arrays, dict) or any(f"{part}{end}" not in arrays for part in PARTS for end in ("", "_len")):
        there = ", ".join(arrays) if isinstance(arrays, dict) else "one array"
        raise DataError(f"{path} holds {there}; {form}")
    pieces: list[Roll] = []
    parts: dict[str, list[int]] = {}
    for part in PARTS:
        frames, lengths = arrays[part], arrays[f"{part}_len"]
        if frames.ndim != 2 or frames.shape[1] != KEYS or lengths.ndim != 1 or lengths.sum() != len(frames):
            raise DataError(
                f"{path}: `{part}` has the shape {list(frames.shape)} and `{part}_len` the sum {int(lengths.sum())}; "
                f"{form}"
            )
        if (wrong := np.flatnonzero(lengths < 1)).size:
            raise DataError(f"{path}: piece {wrong[0]} of `{part}` (counted from 0) has no frame; remove it")
        odd = np.argwhere((frames != 0) & (frames != 1))
        if len(odd):
            row, column = odd[0]
            raise DataError(
                f"{path}: `{part}` holds {frames[row, column]} at frame {row}, key {column}; expected 0 (silent) or 1 "
                "(sounds)"
            )
        start = len(pieces)
        cut = np.split(frames.astype(np.uint8), np.cumsum(lengths)[:-1])
        pieces += [Roll(f"{part} {k}", piece) for k, piece in enumerate(cut) if len(lengths)]
        parts[part] = list(range(start, len(pieces)))
    return Collection(_name(path), pieces, parts)


def _of_json(path: Path) -> Collection:
    content = _loaded(path)
    if isinstance(content, list):
        return Collection(_name(path), list(_of_lists(content, path, "")), None)
    if not isinstance(content, dict) or set(content) != set(PARTS):
        there = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise DataError(f"{path} holds {there}; expected a list of pieces, or train, valid and test with one each")
    pieces: list[Roll] = []
    parts: dict[str, list[int]] = {}
    for part in PARTS:
        start = len(pieces)
        pieces += _of_lists(content[part], path, f"{part} ")
        parts[part] = list(range(start, len(pieces)))
    return Collection(_name(path), pieces, parts)


def _loaded(path: Path) -> Any:
    try:
        content = path.read_bytes()
        return json.loads(gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(f"{path} cannot be read as JSON ({error}); write it anew") from error


def _of_lists(pieces: object, path: Path, part: str) -> Iterator[Roll]:
    if not isinstance(pieces, list):
        raise DataError(f"{path}, {part.strip()}: expected a list of pieces, not {type(pieces).__name__}")
    for number, piece in enumerate(pieces):
        name = f"{part}{number}"
        if not isinstance(piece, list) or not piece:
            raise DataError(f"{path}, piece {name} (counted from 0): expected a list of frames, at least one")
        yield Roll(name, _of_pitches(piece, f"{path}, piece {name}"))


def _of_pitches(piece: Sequence[Any], place: str) -> np.ndarray:
    frames = np.zeros((len(piece), KEYS), dtype=np.uint8)
    for number, pitches in enumerate(piece):
        if not isinstance(pitches, list) or not all(isinstance(pitch, int) for pitch in pitches):
            raise DataError(f"{place}, frame {number} (counted from 0): expected a list of MIDI pitches, not {pitches}")
        for pitch in pitches:
            if pitch >= 0:
                frames[number, key_of(pitch, f"{place}, frame {number}")] = 1
    return frames
