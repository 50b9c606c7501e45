"""The examples of tagging: sentences or sequences of vectors as batches of numbers."""

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from recurra.data import (
    NO_TARGET,
    DataError,
    FrameSet,
    TagColumns,
    Tagged,
    is_builtin,
    pad,
    read_builtin,
    read_frames,
    read_tagged,
    split,
    stray,
)
from recurra.models import Tokens
from recurra.tasks.config import as_fraction
from recurra.tasks.tag.alphabet import Alphabet
from recurra.tasks.tag.config import TagConfig

Raw = list[Tagged] | FrameSet


@dataclass(frozen=True)
class TagBatch:
    """Sequences side by side.

    Attributes:
        read: what the model reads.
        targets: numbers of the tags, int64 [B, T]; `NO_TARGET` where there is none, and behind a row's end.
        tokens: number of tags.
        fresh: no state is carried from one sequence to another.
    """

    read: Tokens
    targets: Tensor
    tokens: int
    fresh: bool = True


@dataclass(frozen=True)
class Examples:
    """Sequences with the numbers of their tags.

    Attributes:
        raw: as they were read.
        numbers: int64 [T] each, `NO_TARGET` where there is no tag.
        alphabet: what turns tokens into numbers.
    """

    raw: Raw
    numbers: list[np.ndarray]
    alphabet: Alphabet

    @classmethod
    def of(cls, raw: Raw, alphabet: Alphabet, path: str) -> "Examples":
        """Raises DataError for a tag that is unknown or against the scheme, with its place, and for data of another
        kind."""
        alphabet.require_kind(raw, path)
        if isinstance(raw, FrameSet):
            whole = require_tags(raw, path)
            places = [f"{path}, sequence {name}" for name in raw.names]
            return cls(raw, [alphabet.numbers(tags, at) for tags, at in zip(whole, places, strict=True)], alphabet)
        numbers = [alphabet.numbers(one.tags, _place(one), one.tokens) for one in raw]
        return cls(raw, numbers, alphabet)

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def lengths(self) -> np.ndarray:
        """Steps of each sequence, int64 [N]."""
        return np.array([len(one) for one in self.numbers], dtype=np.int64)

    @property
    def tagged(self) -> int:
        """Number of steps that have a tag."""
        return sum(int((one >= 0).sum()) for one in self.numbers)

    def batch(self, numbers: np.ndarray) -> TagBatch:
        """These examples side by side."""
        targets = [self.numbers[k] for k in numbers]
        if isinstance(self.raw, FrameSet):
            read = self.alphabet.read([self.raw.sequences[k] for k in numbers])
        else:
            read = self.alphabet.read([self.raw[k].tokens for k in numbers])
        return TagBatch(read, pad(targets, NO_TARGET)[0], sum(int((one >= 0).sum()) for one in targets))

    def checksum(self) -> int:
        """A number that other examples would not have."""
        if isinstance(self.raw, FrameSet):
            sums = [zlib.crc32(np.ascontiguousarray(sequence).data) for sequence in self.raw.sequences]
        else:
            sums = [zlib.crc32("\n".join(one.tokens).encode("utf-8", "surrogatepass")) for one in self.raw]
        sums += [zlib.crc32(one.tobytes()) for one in self.numbers]
        return zlib.crc32(np.array(sums, dtype=np.uint32).tobytes())


def columns(config: TagConfig) -> TagColumns:
    """How the settings say that sentences are written."""
    return TagColumns(config.tokens.format, config.tokens.column, config.tokens.tag_column)


def read(path: str, config: TagConfig, *, test: bool = False) -> Raw:
    """The examples at `path`; with `test`, those that a builtin set has for testing.

    Raises:
        DataError: nothing is there, or it cannot be read.
    """
    if not path:
        raise DataError(
            "no data to learn from: set data to a file of tokens and tags in columns, a CoNLL-U file, a text whose "
            "words are parted by blanks, an .npz file, or builtin:reports"
        )
    if is_builtin(path):
        return read_builtin(path, "tagged", test=test)
    place = Path(path).expanduser()
    return read_frames(place) if place.suffix == ".npz" else read_tagged(place, columns(config))


def parts(raw: Raw, config: TagConfig) -> tuple[Raw, Raw, Raw | None]:
    """The examples to learn from, to validate with, and to test on, where the settings part them off or name them."""
    test = None
    if (fraction := as_fraction(config.split.test)) is not None:
        raw, test = _parted(raw, fraction, config.seed, "split.test")
    elif config.split.test is not None:
        test = read(config.split.test, config)
    elif is_builtin(config.data):
        test = read(config.data, config, test=True)
    if (fraction := as_fraction(config.split.valid)) is not None:
        # Another seed than that of the test data: the two choices have nothing to do with each other.
        raw, valid = _parted(raw, fraction, config.seed + 1, "split.valid")
    else:
        valid = read(config.split.valid, config)
    return raw, valid, test


def _parted(raw: Raw, fraction: float, seed: int, key: str) -> tuple[Raw, Raw]:
    keys = [one.tobytes() for one in raw.sequences] if isinstance(raw, FrameSet) else [one.tokens for one in raw]
    rest, kept = split(keys, fraction, seed)
    if len(kept) == 0 or len(rest) == 0:
        raise DataError(
            f"{key}={fraction:g} of {len(keys)} sequences leaves nothing for one of the two parts: give more data or "
            "a path"
        )
    return _take(raw, rest), _take(raw, kept)


def _take(raw: Raw, numbers: np.ndarray) -> Raw:
    if isinstance(raw, FrameSet):
        tags = None if raw.tags is None else [raw.tags[k] for k in numbers]
        return FrameSet([raw.sequences[k] for k in numbers], tags, [raw.names[k] for k in numbers])
    return [raw[k] for k in numbers]


def tags_of(raw: Raw) -> list[Sequence[str | None]]:
    """The tags of each sequence."""
    if isinstance(raw, FrameSet):
        return list(raw.tags or [])
    return [one.tags for one in raw]


def all_tags(raw: Raw, path: str) -> list[str]:
    """The tags that there are, in order. Raises DataError where there are none, or one only."""
    if isinstance(raw, FrameSet):
        require_tags(raw, path)
    tags = sorted({tag for one in tags_of(raw) for tag in one if tag is not None})
    if len(tags) < 2:
        found = f"one tag only, {tags[0]!r}" if tags else "no tags"
        raise DataError(f"{path} has {found}: there is nothing to tell apart; see tokens.tag_column")
    return tags


def require_tags(raw: FrameSet, path: str) -> list[tuple[str | None, ...]]:
    """The tags of sequences of vectors. Raises DataError where their file has none."""
    if raw.tags is None:
        raise DataError(f"{path} has no tags: give them as `y`, one for each vector")
    return raw.tags


def require_one_form(raw: Raw, tags: Sequence[str], path: str) -> None:
    """Raise DataError, with the first place of it, for a tag of no form among tags that write spans."""
    wrong = stray(tags)
    if wrong is None:
        return
    number, row = next((k, row) for k, row in enumerate(tags_of(raw)) if wrong in row)
    place = f"{path}, sequence {raw.names[number]}" if isinstance(raw, FrameSet) else _place(raw[number])
    raise DataError(
        f"{place}, token {row.index(wrong) + 1}: the tag {wrong!r} is of another form than the others, which write "
        "spans as B-X, I-X and O; mend it, or take all tags as they are with tokens.scheme=none"
    )


def _place(sentence: Tagged) -> str:
    return f"{sentence.file}, line {sentence.line}"


def counts_of(raw: Raw, alphabet: Alphabet) -> tuple[np.ndarray, np.ndarray]:
    """How often each token was met, [V], and the number of its commonest tag, [V]; of vectors, as of one token.

    A token without any tag has the commonest of all.
    """
    size = 1 if alphabet.tokens is None else len(alphabet.tokens)
    met, pairs, total = np.zeros(size, np.int64), [Counter() for _ in range(size)], Counter()
    for k, tags in enumerate(tags_of(raw)):
        ids = np.zeros(len(tags), np.int64) if isinstance(raw, FrameSet) else alphabet.symbols(raw[k].tokens)
        for token, tag in zip(ids, tags, strict=True):
            met[token] += 1
            if tag is not None:
                pairs[token][tag] += 1
                total[tag] += 1
    number = {tag: k for k, tag in enumerate(alphabet.tags)}
    return met, np.array([number[(one or total).most_common(1)[0][0]] for one in pairs], dtype=np.int64)
