"""Sequences of vectors with a label each: NumPy files, and images in the IDX format read row by row."""

import gzip
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recurra.data.errors import DataError

_IDX_KINDS = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


@dataclass(frozen=True)
class VectorSet:
    """Sequences of vectors.

    Attributes:
        sequences: float32 [T, I] each.
        labels: one for each, or None where the source has none.
        names: what each sequence is called.
        rate: samples a second of the sound that the vectors were made of; None where they were not made of sound.
    """

    sequences: list[np.ndarray]
    labels: list[str] | None
    names: list[str]
    rate: int | None = None

    @property
    def width(self) -> int:
        """Columns of each vector, I."""
        return self.sequences[0].shape[1]


def is_vectors(path: Path) -> bool:
    """Whether a file holds vectors, by its name."""
    return path.suffix in (".npz", ".npy") or "-idx" in path.name


def read_vectors(path: Path, labels: Path | None = None, width: int | None = None) -> VectorSet:
    """The sequences in `path`.

    An `.npz` file holds `x`, numbers [N, T, I] or, where sequences differ in length, all of them one after another
    [ΣT, I] with `lengths` [N]; and `y`, the labels [N]. An `.npy` file holds `x` alone. An IDX file, plain or packed
    with gzip, holds images [N, rows, columns] in bytes, which become 0 to 1.

    Args:
        path: the file.
        labels: file with the labels, `.npy` or IDX, where they are in one of their own; None: beside an IDX file of
            images the one that is called `labels` in its place.
        width: read the numbers of each sequence in vectors of this width instead: 1 is pixel by pixel.

    Raises:
        DataError: the file is missing, damaged, of another shape, or holds what is no finite number.
    """
    known: np.ndarray | None = None
    lengths: np.ndarray | None = None
    if path.suffix == ".npz":
        arrays = load_arrays(path)
        if not isinstance(arrays, dict) or "x" not in arrays:
            names = ", ".join(arrays) if isinstance(arrays, dict) else "one array"
            raise DataError(
                f"{path} has no array `x` with the sequences (it has {names}): save it with numpy.savez(x=…)"
            )
        x, known, lengths = arrays["x"], arrays.get("y"), arrays.get("lengths")
    else:
        x = _array(path)
    if (labels is None and "-images-idx" in path.name) or path.name.startswith("images-idx"):
        beside = path.with_name(path.name.replace("images-idx3", "labels-idx1"))
        labels = beside if beside.exists() else None
    if labels is not None:
        known = _array(labels)
    sequences = cut_sequences(path, x, lengths)
    if width is not None:
        sequences = [_in_vectors(path, sequence, width) for sequence in sequences]
    texts = None if known is None else _labels(known, labels or path)
    if texts is not None and len(texts) != len(sequences):
        raise DataError(f"{labels or path} holds {len(texts)} labels for the {len(sequences)} sequences of {path}")
    return VectorSet(sequences, texts, [str(number) for number in range(len(sequences))])


def cut_sequences(path: Path, x: np.ndarray, lengths: np.ndarray | None) -> list[np.ndarray]:
    """The sequences, float32 [T, I] each, of an array [N, T, I], [N, T], or [ΣT, I] with `lengths` [N].

    Raises:
        DataError: the shape is another, or a number is not finite; `path` is the file they are from.
    """
    if not np.issubdtype(x.dtype, np.number) or np.iscomplexobj(x):
        raise DataError(f"the sequences in {path} are of type {x.dtype}: expected real numbers")
    scale = 1 / 255 if x.dtype == np.uint8 else 1.0
    x = x.astype(np.float32) * np.float32(scale)
    if lengths is None:
        if x.ndim == 2:
            x = x[:, :, None]
        if x.ndim != 3 or 0 in x.shape:
            raise DataError(
                f"the sequences in {path} have the shape {list(x.shape)}: expected [N, T, I], N sequences of T "
                "steps of I numbers; or [ΣT, I] with an array `lengths` [N]"
            )
        parts = list(x)
    else:
        if lengths.dtype.kind not in "iu":
            raise DataError(f"the `lengths` in {path} are of type {lengths.dtype}: expected whole numbers, [N]")
        if x.ndim != 2 or lengths.ndim != 1 or int(lengths.sum()) != len(x) or int(lengths.min(initial=1)) < 1:
            raise DataError(
                f"the sequences in {path} have the shape {list(x.shape)} and {lengths.size} `lengths` with the sum "
                f"{int(lengths.sum())}: expected [ΣT, I] and lengths [N] of at least 1 that sum up to ΣT"
            )
        parts = np.split(x, np.cumsum(lengths)[:-1])
    for number, part in enumerate(parts):
        if not np.isfinite(part).all():
            step = int(np.argmin(np.isfinite(part).all(1)))
            raise DataError(
                f"{path}: sequence {number}, step {step} holds a number that is not finite (NaN or infinite); mend or "
                "remove it (counted from 0)"
            )
    return parts


def _labels(known: np.ndarray, path: Path) -> list[str]:
    """Labels as texts. Raises DataError where they are not one for each sequence, or one of them is NaN."""
    if known.ndim != 1:
        raise DataError(f"the labels in {path} have the shape {list(known.shape)}: expected [N], one for each sequence")
    if known.dtype.kind == "f" and not np.isfinite(known).all():
        number = int(np.argmin(np.isfinite(known)))
        raise DataError(f"{path}: label {number} is {known[number]} (counted from 0); mend it or remove its sequence")
    return [one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in known.tolist()]


def _in_vectors(path: Path, sequence: np.ndarray, width: int) -> np.ndarray:
    if sequence.size % width:
        raise DataError(
            f"vectors.width={width} does not divide the {sequence.size} numbers of a sequence in {path} "
            f"(shape {list(sequence.shape)})"
        )
    return sequence.reshape(-1, width)


def _array(path: Path) -> np.ndarray:
    if "-idx" in path.name:
        return _read_idx(path)
    arrays = load_arrays(path)
    if isinstance(arrays, dict):
        raise DataError(f"{path} holds several arrays ({', '.join(arrays)}): expected one, as numpy.save writes it")
    return arrays


def load_arrays(path: Path) -> np.ndarray | dict[str, np.ndarray]:
    """The arrays of a NumPy file; none that would need code to run is read."""
    try:
        with path.open("rb") as file:
            # NumPy takes everything else for a pickle, and its error speaks of that.
            if not file.read(6).startswith((b"\x93NUMPY", b"PK")):
                raise DataError(f"{path} is no NumPy file: expected one that numpy.save or numpy.savez wrote")
        content = np.load(path, allow_pickle=False)
        return content if isinstance(content, np.ndarray) else {name: content[name] for name in content.files}
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} cannot be read as a NumPy file ({error}): write it anew with numpy.save or numpy.savez; sequences "
            "of several lengths go one after another into `x`, with their `lengths`"
        ) from error


def _read_idx(path: Path) -> np.ndarray:
    try:
        with path.open("rb") as file:
            content = file.read()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _IDX_KINDS:
        raise DataError(f"{path} is no IDX file: expected one as the MNIST database is written in")
    dimensions = content[3]
    if len(content) < 4 + 4 * dimensions:
        raise DataError(f"{path} is cut off in its head: fetch it anew")
    shape = struct.unpack(f">{dimensions}I", content[4 : 4 + 4 * dimensions])
    kind = np.dtype(_IDX_KINDS[content[2]])
    values = np.frombuffer(content, kind, offset=4 + 4 * dimensions)
    if values.size != int(np.prod(shape)):
        raise DataError(
            f"{path} is cut off: its head promises {int(np.prod(shape)):,} values, it holds {values.size:,}"
        )
    return values.reshape(shape).astype(kind.newbyteorder("="))
