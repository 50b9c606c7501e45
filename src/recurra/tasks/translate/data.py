"""Pairs of texts as examples and batches."""

import logging
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from recurra.data import (
    NO_TARGET,
    DataError,
    Pair,
    PairColumns,
    groups,
    is_builtin,
    pad,
    read_builtin,
    read_pairs,
    split,
)
from recurra.tasks.config import as_fraction
from recurra.tasks.translate.config import TranslateConfig
from recurra.tasks.translate.sides import START, Sides

logger = logging.getLogger("recurra.tasks")


@dataclass(frozen=True)
class PairBatch:
    """Pairs side by side.

    Attributes:
        source: symbols int64 [B, S], the end among them; zeros behind a row's end.
        source_lengths: int64 [B], on the CPU.
        inputs: what the decoder reads, int64 [B, T]: the start, then the target.
        targets: what it is to write, int64 [B, T]: the target, then the end; `NO_TARGET` behind it.
        lengths: of inputs and targets, int64 [B], on the CPU.
        tokens: what the loss is the mean over.
        fresh: no state is carried from one pair to another.
    """

    source: Tensor
    source_lengths: Tensor
    inputs: Tensor
    targets: Tensor
    lengths: Tensor
    tokens: int
    fresh: bool = True

    def to(self, device: torch.device) -> "PairBatch":
        """The same on another device; lengths stay on the CPU."""
        return replace(
            self, source=self.source.to(device), inputs=self.inputs.to(device), targets=self.targets.to(device)
        )


@dataclass(frozen=True)
class Examples:
    """Pairs with the numbers of their symbols.

    Attributes:
        pairs: the texts, in order.
        sources: numbers int32 [S] each, in the order in which they are read, the end last.
        targets: numbers int32 [T] each, the end last.
        per_sentence: whether the loss of a batch is the mean over its sentences, and not over their symbols.
    """

    pairs: list[Pair]
    sources: list[np.ndarray]
    targets: list[np.ndarray]
    per_sentence: bool = False

    @classmethod
    def of(cls, pairs: Sequence[Pair], sides: Sides, config: TranslateConfig) -> "Examples":
        """Pairs cut into symbols.

        Raises:
            DataError: a pair is longer than `text.longest` allows, and not to be left out; or none is left.
        """
        text, kept = config.text, []
        sources, targets = [], []
        for pair in pairs:
            source, target = sides.source.tokenizer.cut(pair.source), sides.target.tokenizer.cut(pair.target)
            if text.longest is not None and max(len(source), len(target)) > text.longest:
                if text.unfit == "error":
                    raise DataError(_too_long(pair, len(source), len(target), text.longest))
                continue
            kept.append(pair)
            sources.append(sides.source.numbers(source[::-1] if text.reverse else source))
            targets.append(sides.target.numbers(target))
        if not kept:
            raise DataError(
                f"every pair is longer than {text.longest} symbols: set text.longest higher, or to null for no limit"
            )
        if len(kept) < len(pairs):
            left_out = len(pairs) - len(kept)
            logger.info("left out %d of %d pairs, longer than %d symbols", left_out, len(pairs), text.longest)
        return cls(kept, sources, targets, config.loss.per == "sentence")

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def lengths(self) -> np.ndarray:
        """Symbols of both sides of each pair, int64 [N]."""
        return self.source_lengths + np.array([len(target) for target in self.targets], dtype=np.int64)

    @property
    def source_lengths(self) -> np.ndarray:
        """Symbols of each source, the end among them, int64 [N]."""
        return np.array([len(source) for source in self.sources], dtype=np.int64)

    def batch(self, numbers: np.ndarray) -> PairBatch:
        """These pairs side by side."""
        sources, targets = [self.sources[k] for k in numbers], [self.targets[k] for k in numbers]
        return side_by_side(sources, targets, per_sentence=self.per_sentence)

    def some(self, count: int) -> "Examples":
        """At most so many of them, evenly drawn."""
        if len(self) <= count:
            return self
        chosen = np.linspace(0, len(self) - 1, count).astype(np.int64)
        return Examples(
            [self.pairs[k] for k in chosen],
            [self.sources[k] for k in chosen],
            [self.targets[k] for k in chosen],
            self.per_sentence,
        )

    def checksum(self) -> int:
        """A number that other examples would not have."""
        sums = [zlib.crc32(one.tobytes()) for side in (self.sources, self.targets) for one in side]
        return zlib.crc32(np.array(sums, dtype=np.uint32).tobytes())


def side_by_side(
    sources: Sequence[np.ndarray], targets: Sequence[np.ndarray], *, per_sentence: bool = False
) -> PairBatch:
    """The numbers of pairs as a batch; arguments as the attributes of `Examples`."""
    source, source_lengths = pad(sources)
    wanted, lengths = pad(targets, NO_TARGET)
    inputs, _ = pad([np.concatenate([[START], target[:-1]]) for target in targets])
    tokens = len(sources) if per_sentence else int(lengths.sum())
    return PairBatch(source, source_lengths, inputs, wanted, lengths, tokens)


def read(path: str, config: TranslateConfig, *, test: bool = False) -> list[Pair]:
    """The pairs at `path`; with `test`, those that a builtin set has for testing.

    Raises:
        DataError: nothing is there, or it cannot be read.
    """
    if not path:
        raise DataError(
            "no data to learn from: set data to a file with source, tab and target on each line, to two files with a "
            "comma between, or to builtin:dates"
        )
    if is_builtin(path):
        return read_builtin(path, "paired", test=test)
    columns = PairColumns(config.text.source_column, config.text.target_column)
    return read_pairs(path, columns, skip_empty=config.text.unfit == "skip")


def parts(config: TranslateConfig) -> tuple[list[Pair], list[Pair], list[Pair] | None]:
    """The pairs to learn from, to validate with, and to test on, where the settings part them off or name them.

    No source and no conversation stands in two parts that were drawn from one set (see `recurra.data.groups`).
    """
    whole = read(config.data, config)
    test = None
    if (fraction := as_fraction(config.split.test)) is not None:
        whole, test = _parted(whole, fraction, config.seed, "split.test")
    elif config.split.test is not None:
        test = read(config.split.test, config)
    elif is_builtin(config.data):
        test = read(config.data, config, test=True)
    if (fraction := as_fraction(config.split.valid)) is not None:
        # Another seed than that of the test data: the two choices have nothing to do with each other.
        whole, valid = _parted(whole, fraction, config.seed + 1, "split.valid")
    else:
        valid = read(config.split.valid, config)
    return whole, valid, test


def _parted(pairs: list[Pair], fraction: float, seed: int, key: str) -> tuple[list[Pair], list[Pair]]:
    rest, kept = split(groups(pairs), fraction, seed)
    if len(kept) == 0 or len(rest) == 0:
        raise DataError(
            f"{key}={fraction:g} of {len(pairs)} pairs leaves nothing for one of the two parts: give more data or a "
            "path"
        )
    return [pairs[k] for k in rest], [pairs[k] for k in kept]


def _too_long(pair: Pair, source: int, target: int, longest: int) -> str:
    side, length = ("source", source) if source > longest else ("target", target)
    return (
        f"{pair.file}, line {pair.line}: the {side} has {length} symbols, but text.longest={longest}; raise it, "
        "shorten the text, or leave such pairs out with text.unfit=skip"
    )
