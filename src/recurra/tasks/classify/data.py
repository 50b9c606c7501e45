"""The examples of classification, whatever they are read from, as sequences and class numbers."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recurra.data import (
    Columns,
    DataError,
    Labelled,
    Mel,
    SequenceBatch,
    VectorSet,
    Vocabulary,
    build_vocabulary,
    is_audio,
    is_builtin,
    is_vectors,
    pad,
    read_audio,
    read_builtin,
    read_labelled,
    read_vectors,
    split,
)
from recurra.tasks.classify.config import ClassifyConfig
from recurra.tasks.config import as_fraction

# Texts of this many words on average are read word by word, shorter ones character by character.
_WORDY = 3

Raw = list[Labelled] | VectorSet


@dataclass(frozen=True)
class Examples:
    """Sequences with a class each.

    Attributes:
        sequences: ids int32 [T], or vectors float32 [T, I].
        classes: class numbers, int64 [N].
        shown: what a person knows each example by: its text, or its name.
    """

    sequences: list[np.ndarray]
    classes: np.ndarray
    shown: list[str]

    def __len__(self) -> int:
        return len(self.sequences)

    @property
    def lengths(self) -> np.ndarray:
        """Steps of each sequence, int64 [N]."""
        return np.array([len(sequence) for sequence in self.sequences], dtype=np.int64)

    def batch(self, numbers: np.ndarray) -> SequenceBatch:
        """These examples side by side, their classes as targets int64 [B]."""
        return batch_of([self.sequences[k] for k in numbers], self.classes[numbers])

    def checksum(self) -> int:
        """A number that other examples would not have."""
        sums = (zlib.crc32(np.ascontiguousarray(sequence).data) for sequence in self.sequences)
        return zlib.crc32(np.fromiter(sums, dtype=np.uint32).tobytes() + self.classes.tobytes())


def batch_of(sequences: Sequence[np.ndarray], classes: np.ndarray) -> SequenceBatch:
    """Sequences side by side, with their class numbers int64 [B]."""
    from torch import from_numpy

    inputs, lengths = pad(sequences)
    return SequenceBatch(inputs, lengths, from_numpy(classes), len(sequences))


def read(path: str, config: ClassifyConfig, *, test: bool = False) -> Raw:
    """The examples at `path`; with `test`, those that a builtin set has for testing.

    Raises:
        DataError: nothing is there, or it cannot be read.
    """
    if not path:
        raise DataError(
            "no data to learn from: set data to a table of labels and texts, a folder, an .npz file, or "
            "builtin:languages"
        )
    if is_builtin(path):
        return read_builtin(path, test=test)
    place, vectors = Path(path).expanduser(), config.vectors
    if not place.exists():
        raise DataError(f"there is no file or folder {path}")
    if is_audio(place):
        return read_audio(place, Mel(vectors.bands, vectors.window, vectors.hop))
    if is_vectors(place):
        labels = Path(vectors.labels) if vectors.labels and path == config.data else None
        return read_vectors(place, labels, vectors.width)
    text = config.text
    return read_labelled(place, Columns(text.label_column, text.text_column, text.separator))


def require_vectors(path: str) -> None:
    """Raise DataError where there is a file that is none of vectors or sound, by its name."""
    place = Path(path).expanduser()
    if not is_builtin(path) and place.is_file() and not is_audio(place) and not is_vectors(place):
        raise DataError(f"{path} holds texts, but the model was trained on vectors: give an .npz file or wav files")


def labels_of(raw: Raw, path: str) -> list[str]:
    """The label of each example. Raises DataError where a file has none."""
    if isinstance(raw, VectorSet):
        if raw.labels is None:
            raise DataError(
                f"{path} has no labels: give them as `y` in an .npz file, or name their file with vectors.labels"
            )
        return raw.labels
    return [example.label for example in raw]


def take(raw: Raw, numbers: np.ndarray) -> Raw:
    """The examples with these numbers."""
    if isinstance(raw, VectorSet):
        labels = None if raw.labels is None else [raw.labels[k] for k in numbers]
        return VectorSet([raw.sequences[k] for k in numbers], labels, [raw.names[k] for k in numbers], raw.rate)
    return [raw[k] for k in numbers]


def parts(raw: Raw, config: ClassifyConfig) -> tuple[Raw, Raw, Raw | None]:
    """The examples to learn from, to validate with, and to test on, where the settings part them off or name them."""
    if config.text.distinct and isinstance(raw, list):
        raw = list({(example.label, example.text): example for example in reversed(raw)}.values())[::-1]
    test = valid = None
    seed = config.seed
    if (fraction := as_fraction(config.split.test)) is not None:
        raw, test = _parted(raw, fraction, seed, "split.test")
    elif config.split.test is not None:
        test = read(config.split.test, config)
    elif is_builtin(config.data):
        test = read(config.data, config, test=True)
    if (fraction := as_fraction(config.split.valid)) is not None:
        # Another seed than that of the test data: the two choices have nothing to do with each other.
        raw, valid = _parted(raw, fraction, seed + 1, "split.valid")
    else:
        valid = read(config.split.valid, config)
    return raw, valid, test


def _parted(raw: Raw, fraction: float, seed: int, key: str) -> tuple[Raw, Raw]:
    keys = [example.text for example in raw] if isinstance(raw, list) else [s.tobytes() for s in raw.sequences]
    rest, kept = split(keys, fraction, seed)
    if len(kept) == 0 or len(rest) == 0:
        raise DataError(
            f"{key}={fraction:g} of {len(keys)} examples leaves nothing for one of the two parts: give more data "
            "or a path"
        )
    return take(raw, rest), take(raw, kept)


def new_vocabulary(examples: list[Labelled], config: ClassifyConfig) -> Vocabulary:
    """The vocabulary of the texts to learn from; it always has `<unk>`."""
    text = config.text
    level = text.level
    if level == "auto":
        words = sum(len(example.text.split()) for example in examples)
        level = "word" if words >= _WORDY * len(examples) else "char"
    return build_vocabulary(
        level,
        (normal(example.text, config) for example in examples),
        minimum_count=text.minimum_count,
        maximum_size=text.maximum_size,
        unknown=True,
    )


def _place(example: Labelled) -> str:
    return f"{example.file}, line {example.line}"


def normal(text: str, config: ClassifyConfig) -> str:
    """A text as the vocabulary knows it: without blanks around it."""
    text = text.strip()
    return text.lower() if config.text.lowercase else text


def class_numbers(raw: Raw, path: str, classes: Sequence[str]) -> np.ndarray:
    """The number of each example's class, int64 [N]. Raises DataError for a label that is none of `classes`."""
    ids = {label: k for k, label in enumerate(classes)}
    labels = labels_of(raw, path)
    for number, label in enumerate(labels):
        if label not in ids:
            place = f"{path}, sequence {raw.names[number]}" if isinstance(raw, VectorSet) else _place(raw[number])
            known = ", ".join(classes[:12]) + (", …" if len(classes) > 12 else "")
            raise DataError(
                f"{place}: the label {label!r} was never seen in training; known are {known}. Remove the example, or "
                "train with some of this label"
            )
    return np.array([ids[label] for label in labels], dtype=np.int64)
