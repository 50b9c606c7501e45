"""Things and the sequences that describe them: names of a language, sentences about a picture, values of a curve."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from recurra.data.errors import DataError
from recurra.data.labelled import Columns, read_labelled
from recurra.data.text import lines_of, read_pieces
from recurra.data.vectors import cut_sequences, load_arrays

PARTS = {"train": "train", "valid": "valid", "dev": "valid", "test": "test"}


@dataclass(frozen=True)
class Described:
    """N things with E sequences, each about one of them.

    Attributes:
        kind: `class`, `vector` or `grid`.
        things: number of each class, int64 [N]; features, float32 [N, F]; or features of R places, [N, R, F].
        names: what each thing is called; of classes, the class.
        of: the thing that each sequence is about, int64 [E].
        texts: the sequences, where they are texts.
        frames: the sequences, where they are values, float32 [T, K] each.
        parts: of each thing `train`, `valid` or `test`, or an empty text for none; None where they are not parted.
        columns: names of the features, where they have names.
    """

    kind: str
    things: np.ndarray
    names: list[str]
    of: np.ndarray
    texts: list[str] | None = None
    frames: list[np.ndarray] | None = None
    parts: list[str] | None = None
    columns: list[str] = field(default_factory=list)

    def take(self, numbers: np.ndarray) -> "Described":
        """The sequences with these numbers, and all things."""
        texts = None if self.texts is None else [self.texts[k] for k in numbers]
        frames = None if self.frames is None else [self.frames[k] for k in numbers]
        return Described(self.kind, self.things, self.names, self.of[numbers], texts, frames, self.parts, self.columns)


def read_described(path: Path, columns: Columns, array: str, captions: Path | None) -> Described:
    """What `path` holds.

    - a table of labels and texts, or a folder with a text file for each label (see `read_labelled`): classes.
    - `.npz`: the features of things as the array called `array`, [N, F] or [N, R, F]; and what is said of each as `y`:
      texts [N], or values [N, T] or [N, T, K], or, where they differ in length, [ΣT, K] with `lengths` [N]. Their names
      may stand in `image` or `names` [N], those of the features in `columns` [F], and their parts in `split` [N]:
      train, valid (or dev), test; a thing with another word there is left out. The texts may also come from a file of
      `captions`: on each line a name, perhaps with # and a number behind it, a tab, and a text.

    Raises:
        DataError: nothing is there, or it cannot be read; it names the file and the place in it.
    """
    if path.suffix != ".npz":
        return of_labels(path, columns)
    features, names, arrays = read_features(path, array)
    kind = "grid" if features.ndim == 3 else "vector"
    parts = None if "split" not in arrays else [PARTS.get(str(word), "") for word in arrays["split"]]
    if parts is not None and len(parts) != len(features):
        raise DataError(f"{path}: `split` has {len(parts)} words for {len(features)} things")
    if captions is not None:
        of, texts = _captions(captions, names)
        return Described(kind, features, names, of, texts=texts, parts=parts)
    if "y" not in arrays:
        raise DataError(f"{path} has no array `y` with what is said of each thing: add it, or name a file of captions")
    y, of = arrays["y"], np.arange(len(features))
    columns_of = [str(name) for name in arrays.get("columns", ())]
    if columns_of and len(columns_of) != features.shape[-1]:
        raise DataError(f"{path}: `columns` names {len(columns_of)} features, but `{array}` has {features.shape[-1]}")
    if "lengths" in arrays:
        frames = cut_sequences(path, _finite(path, "y", y), arrays["lengths"])
        if len(frames) != len(features):
            raise DataError(f"{path}: `lengths` has {len(frames)} sequences for {len(features)} things")
        return Described(kind, features, names, of, frames=frames, parts=parts, columns=columns_of)
    if len(y) != len(features) or y.ndim not in (1, 2, 3):
        raise DataError(f"{path}: `y` has the shape {list(y.shape)}; expected texts [N] or values [N, T] or [N, T, K], "
                        f"N = {len(features)}; or [ΣT, K] with `lengths`")  # fmt: skip
    if y.ndim == 1:
        texts = [str(text) for text in y]
        if "" in texts:
            raise DataError(f"{path}: `y` holds an empty text at {texts.index('')} (counted from 0); remove the thing")
        return Described(kind, features, names, of, texts=texts, parts=parts, columns=columns_of)
    values = _finite(path, "y", y)
    frames = list(values.reshape(*values.shape[:2], -1))
    return Described(kind, features, names, of, frames=frames, parts=parts, columns=columns_of)


def of_labels(path: Path, columns: Columns) -> Described:
    """Labelled texts, each about its label."""
    labelled = read_labelled(path, columns, whole=True)
    classes = sorted({one.label for one in labelled})
    number = {label: k for k, label in enumerate(classes)}
    of = np.array([number[one.label] for one in labelled])
    return Described("class", np.arange(len(classes)), classes, of, texts=[one.text.strip() for one in labelled])


def read_features(path: Path, array: str) -> tuple[np.ndarray, list[str], dict[str, np.ndarray]]:
    """The features in an `.npz` file, float32 [N, F] or [N, R, F]; names of the things, numbers where there are none;
    and all arrays. Raises DataError where that cannot be."""
    arrays = load_arrays(path)
    if not isinstance(arrays, dict) or array not in arrays:
        there = ", ".join(arrays) if isinstance(arrays, dict) else "one array without a name"
        raise DataError(f"{path} has no array `{array}` with features (it has {there}); see things.array")
    features = arrays[array]
    if features.ndim not in (2, 3) or 0 in features.shape:
        raise DataError(f"{path}: `{array}` has the shape {list(features.shape)}; expected [N, F] or [N, R, F]")
    features = _finite(path, array, features)
    named = arrays.get("image", arrays.get("names"))
    names = [str(name) for name in (np.arange(len(features)) if named is None else named)]
    if len(names) != len(features):
        raise DataError(f"{path} has {len(names)} names for {len(features)} things")
    return features, names, arrays


def _finite(path: Path, array: str, values: np.ndarray) -> np.ndarray:
    if values.dtype.kind not in "fiub":
        raise DataError(f"{path}: `{array}` is of the type {values.dtype}; expected numbers")
    values = values.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(1))
    if len(bad):
        raise DataError(f"{path}: `{array}` holds a number that is not finite at {bad[0]} (counted from 0); mend it")
    return values


def _captions(path: Path, names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Thing and text of each caption of a thing that there is."""
    number = {name: k for k, name in enumerate(names)}
    of, texts = [], []
    for piece in read_pieces(path):
        for line in lines_of(piece):
            if not line.text.strip():
                continue
            name, tab, text = line.text.partition("\t")
            if not tab or not text.strip():
                raise DataError(f"{path}, line {line.number}: expected a name, a tab and a text; mend or remove it")
            thing = number.get(name.rpartition("#")[0] or name)
            if thing is not None:
                of.append(thing)
                texts.append(text.strip())
    silent = set(range(len(names))) - set(of)
    if silent:
        raise DataError(f"{path} says nothing of {names[min(silent)]}, nor of {len(silent) - 1} others of the features")
    return np.array(of, dtype=np.int64), texts
