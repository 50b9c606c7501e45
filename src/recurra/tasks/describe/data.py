"""The examples of describing: things and sequences as batches of numbers."""

import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from recurra.data import (
    NO_TARGET,
    UNKNOWN,
    Columns,
    DataError,
    Described,
    Symbols,
    is_builtin,
    pad,
    read_builtin,
    read_described,
    split,
)
from recurra.tasks.config import as_fraction
from recurra.tasks.describe.config import DescribeConfig

FILE = "describe_alphabet.json"
START, END = 1, 2
_SPECIAL = [UNKNOWN, "<s>", "</s>"]


@dataclass(frozen=True)
class Alphabet:
    """What the two sides of a model are made of.

    Attributes:
        kind: what is given: `class`, `vector` or `grid`.
        size: number of classes, or of features.
        classes: names of the classes; none of features.
        columns: names of the features, where they have names.
        level: what a symbol of a text is, `char` or `word`; empty: values are written.
        symbols: `<unk>`, `<s>`, `</s>` and the symbols of the texts.
        width: columns of the values that are written, K; 0: texts are.
        steps: length of the longest sequence learnt from.
    """

    kind: str
    size: int
    classes: list[str]
    columns: list[str]
    level: str
    symbols: list[str]
    width: int
    steps: int

    @classmethod
    def build(cls, data: Described, config: DescribeConfig) -> "Alphabet":
        """That of the sequences to learn from."""
        classes = data.names if data.kind == "class" else []
        size = len(classes) or data.things.shape[-1]
        if data.frames is not None:
            steps = max(map(len, data.frames))
            return cls(data.kind, size, classes, data.columns, "", [], data.frames[0].shape[1], steps)
        level = config.text.level
        if level == "auto":
            level = "char" if data.kind == "class" else "word"
        texts = [cut(text, level, config) for text in data.texts or []]
        known = Symbols.build((symbol for one in texts for symbol in one), config.text.minimum_count).names
        symbols = [*_SPECIAL, *(name for name in known if name not in _SPECIAL)]
        return cls(data.kind, size, classes, data.columns, level, symbols, 0, max(map(len, texts)))

    def save(self, run_dir: str | Path) -> None:
        """Write it into a run folder. Raises OSError."""
        (Path(run_dir) / FILE).write_text(json.dumps(asdict(self), ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, run_dir: str | Path) -> "Alphabet":
        """Read what `save` wrote. Raises DataError where it is missing or damaged."""
        path = Path(run_dir) / FILE
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"{path} cannot be read ({error}); restore it, or train anew") from error

    def numbers(self, text: str, config: DescribeConfig) -> np.ndarray:
        """The numbers of a text's symbols and of its end, int64 [T]; those never met are `<unk>`."""
        return np.append(Symbols(self.symbols).encode(cut(text, self.level, config)), END)

    def text(self, numbers: Sequence[int]) -> str:
        """The text of symbols."""
        return (" " if self.level == "word" else "").join(self.symbols[k] for k in numbers)

    def require_same(self, data: Described, path: str) -> None:
        """Raise DataError where data have other things, or something else is said of them."""
        if data.kind != self.kind or (self.kind != "class" and data.things.shape[-1] != self.size):
            raise DataError(
                f"{path} holds things of the kind {data.kind} and the shape {list(data.things.shape)}; the model reads "
                f"the kind {self.kind} of the size {self.size}: give it such"
            )
        if (data.frames is None) != (self.width == 0) or (data.frames and data.frames[0].shape[1] != self.width):
            raise DataError(
                f"{path} has {'texts' if data.frames is None else 'values'} of another kind than the model writes"
            )


def normal(text: str, config: DescribeConfig) -> str:
    """A text as it is known: single blanks, perhaps small letters."""
    text = " ".join(text.split())
    return text.lower() if config.text.lowercase else text


def cut(text: str, level: str, config: DescribeConfig) -> list[str]:
    """The symbols of a text."""
    text = normal(text, config)
    return text.split() if level == "word" else list(text)


@dataclass(frozen=True)
class DescribeBatch:
    """Examples side by side.

    Attributes:
        things: classes int64 [B], features float32 [B, F] or [B, R, F].
        inputs: what is read: int64 [B, T], `<s>` first, or values [B, T, K], zeros first.
        targets: what is to be written: int64 [B, T], the end last, -100 behind it; or values [B, T, K].
        lengths: steps of each row, int64 [B], on the CPU.
        tokens: number of steps.
        fresh: no state is carried from one example to another.
    """

    things: Tensor
    inputs: Tensor
    targets: Tensor
    lengths: Tensor
    tokens: int
    fresh: bool = True


@dataclass(frozen=True)
class Examples:
    """Things and, of each example, the thing and the sequence, int64 [T] or float32 [T, K]."""

    data: Described
    sequences: list[np.ndarray]

    @classmethod
    def of(cls, data: Described, alphabet: Alphabet, config: DescribeConfig, path: str) -> "Examples":
        """Raises DataError where they are not what the alphabet is of, or a class was never met."""
        alphabet.require_same(data, path)
        if alphabet.kind == "class" and data.names != alphabet.classes:
            number = {name: k for k, name in enumerate(alphabet.classes)}
            strange = [name for name in data.names if name not in number]
            if strange:
                raise DataError(f"{path}: the class {strange[0]!r} was never met in training; remove it")
            things = np.array([number[name] for name in data.names])
            data = Described(data.kind, np.arange(alphabet.size), alphabet.classes, things[data.of], data.texts)
        if data.frames is not None:
            return cls(data, data.frames)
        return cls(data, [alphabet.numbers(text, config) for text in data.texts or []])

    def __len__(self) -> int:
        return len(self.sequences)

    @property
    def lengths(self) -> np.ndarray:
        """Steps of each sequence, int64 [E]."""
        return np.array([len(one) for one in self.sequences], dtype=np.int64)

    def batch(self, numbers: Sequence[int] | np.ndarray) -> DescribeBatch:
        """These examples side by side."""
        return self.about(numbers, self.data.of[np.asarray(numbers)])

    def about(self, numbers: Sequence[int] | np.ndarray, things: np.ndarray) -> DescribeBatch:
        """The sequences with these numbers, each as if it were about another thing."""
        chosen = [self.sequences[k] for k in numbers]
        targets, lengths = pad(chosen, 0 if chosen[0].ndim > 1 else NO_TARGET)
        first = torch.zeros_like(targets[:, :1]) if targets.dim() == 3 else torch.full_like(targets[:, :1], START)
        inputs = torch.cat([first, targets[:, :-1]], 1)
        inputs = inputs if inputs.dim() == 3 else inputs.clamp(min=0)
        given = torch.from_numpy(self.data.things[things])
        return DescribeBatch(given, inputs, targets, lengths, int(lengths.sum()))

    def checksum(self) -> int:
        """A number that other examples would not have."""
        sums = [zlib.crc32(np.ascontiguousarray(one).data) for one in self.sequences]
        return zlib.crc32(np.array(sums, dtype=np.uint32).tobytes() + self.data.of.tobytes())


def read(path: str, config: DescribeConfig, *, test: bool = False) -> Described:
    """The things at `path` and what is said of them; with `test`, what a builtin set has for testing.

    Raises:
        DataError: nothing is there, or it cannot be read.
    """
    if not path:
        raise DataError(
            "nothing to learn from: set data to a table of labels and texts, a folder with a text file for each label, "
            "an .npz file of features, or builtin:waves"
        )
    if is_builtin(path):
        return read_builtin(path, "described", test=test)
    place, text = Path(path).expanduser(), config.text
    captions = None if config.things.captions is None else Path(config.things.captions).expanduser()
    return read_described(
        place, Columns(text.label_column, text.text_column, text.separator), config.things.array, captions
    )


def parted(data: Described, config: DescribeConfig) -> tuple[Described, Described, Described | None]:
    """The examples to learn from, to validate with and to test on.

    All sequences about one thing stay together; of classes, all equal texts.

    Raises:
        DataError: a part is left with nothing.
    """
    if data.parts is not None:
        parts = np.array(data.parts)[data.of]
        train, valid, test = (data.take(np.flatnonzero(parts == name)) for name in ("train", "valid", "test"))
        for name, part in (("train", train), ("valid", valid)):
            if not len(part.of):
                raise DataError(f"no thing of {config.data} is of the part {name}: see its array `split`")
        return train, valid, test if len(test.of) else None
    test = None
    if is_builtin(config.data):
        test = read(config.data, config, test=True)
    elif (fraction := as_fraction(config.split.test)) is not None:
        data, test = _drawn(data, fraction, config.seed, "split.test")
    # Another seed than that of the test data: the two choices have nothing to do with each other.
    train, valid = _drawn(data, as_fraction(config.split.valid) or 0.1, config.seed + 1, "split.valid")
    return train, valid, test


def _drawn(data: Described, fraction: float, seed: int, key: str) -> tuple[Described, Described]:
    keys = data.texts if data.kind == "class" and data.texts else data.of.tolist()
    rest, kept = split(keys, fraction, seed)
    if not len(rest) or not len(kept):
        raise DataError(
            f"{key}={fraction:g} of {len(keys)} examples leaves nothing for one of the parts: give more data"
        )
    return data.take(rest), data.take(kept)
