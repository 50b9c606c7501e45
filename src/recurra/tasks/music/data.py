"""The pieces of modelling music: from collections to batches."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from recurra.data import Collection, DataError, Roll, pad, read_rolls, split
from recurra.tasks.music.config import MusicConfig

UNKNOWN = -1  # the style of a piece whose collection is none that was learnt from


@dataclass(frozen=True)
class RollBatch:
    """Pieces side by side.

    Attributes:
        frames: 1 where a key sounds, float32 [B, T, 88]; zeros behind a row's end.
        lengths: frames of each row, int64 [B], on the CPU.
        styles: which collection each row is from, int64 [B]; -1 where that is unknown.
        tokens: number of frames.
        fresh: no state is carried from one piece to another.
    """

    frames: Tensor
    lengths: Tensor
    styles: Tensor
    tokens: int
    fresh: bool = True


@dataclass(frozen=True)
class Pieces:
    """Pieces and the number of each one's style."""

    rolls: list[Roll]
    styles: list[int]

    def __len__(self) -> int:
        return len(self.rolls)

    @property
    def lengths(self) -> np.ndarray:
        """Frames of each piece, int64 [N]."""
        return np.array([len(roll.frames) for roll in self.rolls], dtype=np.int64)

    def batch(self, numbers: Sequence[int] | np.ndarray) -> RollBatch:
        """These pieces side by side."""
        frames, lengths = pad([self.rolls[k].frames for k in numbers])
        styles = torch.tensor([self.styles[k] for k in numbers])
        return RollBatch(frames, lengths, styles, int(lengths.sum()))

    def frequencies(self) -> np.ndarray:
        """In which part of all frames each key sounds, float32 [88]."""
        return np.concatenate([roll.frames for roll in self.rolls]).mean(0, dtype=np.float64).astype(np.float32)

    def checksum(self) -> int:
        """A number that other pieces would not have."""
        sums = [zlib.crc32(np.ascontiguousarray(roll.frames).data) for roll in self.rolls]
        return zlib.crc32(np.array(sums + [k + 1 for k in self.styles], dtype=np.uint32).tobytes())


@dataclass(frozen=True)
class Parts:
    """The pieces to learn from, to validate with and to test on."""

    training: Pieces
    validation: Pieces
    test: Pieces


def read_collections(config: MusicConfig) -> list[Collection]:
    """The collections that the settings name. Raises DataError where one cannot be read, or two have one name."""
    paths = [path.strip() for path in config.data.split(",") if path.strip()]
    if not paths:
        raise DataError(
            "no music to learn from: set data to an .npz file of piano rolls, a .json file of pitches, or a folder of "
            "MIDI files"
        )
    collections = [read_rolls(Path(path).expanduser(), config.notes.beats) for path in paths]
    names = [collection.name for collection in collections]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise DataError(f"two collections are called {twice!r}, and styles are known by that: rename one file")
    return collections


def parted(collections: Sequence[Collection], config: MusicConfig) -> Parts:
    """The pieces of all collections, in their own parts or, where they have none, in those that the seed draws.

    Raises:
        DataError: a part of a collection has no piece.
    """
    found = {"train": Pieces([], []), "valid": Pieces([], []), "test": Pieces([], [])}
    for style, collection in enumerate(collections):
        for part, numbers in (collection.parts or _drawn(collection, config)).items():
            if not len(numbers):
                raise DataError(
                    f"the collection {collection.name} of {len(collection.pieces)} pieces has none in its part {part}: "
                    "give more pieces, or larger split.valid and split.test"
                )
            found[part].rolls.extend(collection.pieces[k] for k in numbers)
            found[part].styles.extend(style for _ in numbers)
    return Parts(found["train"], found["valid"], found["test"])


def _drawn(collection: Collection, config: MusicConfig) -> dict[str, np.ndarray]:
    keys = [roll.frames.tobytes() for roll in collection.pieces]
    rest, test = split(keys, config.split.test, config.seed)
    # Another seed than that of the test pieces: the two choices have nothing to do with each other.
    train, valid = split([keys[k] for k in rest], config.split.valid, config.seed + 1)
    return {"train": rest[train], "valid": rest[valid], "test": test}


def one_hot(styles: Tensor, count: int) -> Tensor | None:
    """Styles int64 [B] as [B, count], zeros where one is unknown; None where there are no two to tell apart."""
    if count < 2:
        return None
    return torch.nn.functional.one_hot(styles.clamp(min=0), count) * (styles >= 0).unsqueeze(1).float()
