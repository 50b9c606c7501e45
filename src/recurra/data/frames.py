"""Sequences of vectors with a tag for each of them: frames of a film, of sound, readings of a sensor."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recurra.data.errors import DataError
from recurra.data.vectors import cut_sequences, load_arrays


@dataclass(frozen=True)
class FrameSet:
    """Sequences of vectors, and the tag of each vector.

    Attributes:
        sequences: float32 [T, I] each.
        tags: T of them for each sequence, None where a vector has none; None where the source has no tags at all.
        names: what each sequence is called.
    """

    sequences: list[np.ndarray]
    tags: list[tuple[str | None, ...]] | None
    names: list[str]

    @property
    def width(self) -> int:
        """Columns of each vector, I."""
        return self.sequences[0].shape[1]


def read_frames(path: Path) -> FrameSet:
    """The sequences in an `.npz` file.

    It holds `x`, numbers [N, T, I] or, where sequences differ in length, all of them one after another [ΣT, I] with
    `lengths` [N]; and `y`, the tags [N, T] or [ΣT]: texts, or whole numbers. An empty text or a number below 0 says
    that a vector has no tag.

    Raises:
        DataError: the file is missing, damaged, of another shape, or holds what is no finite number.
    """
    arrays = load_arrays(path)
    if not isinstance(arrays, dict) or "x" not in arrays:
        raise DataError(f"{path} has no array `x` with the sequences: save it with numpy.savez(x=…, y=…)")
    sequences = cut_sequences(path, arrays["x"], arrays.get("lengths"))
    tags = None
    if "y" in arrays:
        y, count = arrays["y"], sum(map(len, sequences))
        if y.size != count or y.ndim > 2 or (y.ndim == 2 and "lengths" in arrays) or y.dtype.kind not in "iuUSb":
            raise DataError(
                f"{path}: `y` has the shape {list(y.shape)} and the type {y.dtype}; expected a tag for each of the "
                f"{count:,} vectors, texts or whole numbers, [N, T] or, with `lengths`, [ΣT]"
            )
        ends = np.cumsum([len(sequence) for sequence in sequences])[:-1]
        tags = [tuple(map(_tag, part.tolist())) for part in np.split(y.reshape(-1), ends)]
    return FrameSet(sequences, tags, [str(number) for number in range(len(sequences))])


def _tag(value: object) -> str | None:
    text = value.decode() if isinstance(value, bytes) else str(value)
    return None if not text or (isinstance(value, int) and value < 0) else text
