"""The symbols of a text and their ids, by characters or by words."""

import json
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, chain
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from recurra.data.errors import DataError

UNKNOWN = "<unk>"
LINE_END = "<eos>"  # the word that stands for the end of a line

FORMAT = "recurra vocabulary"
VERSION = 1

_CODE_POINTS = 0x110000


class Vocabulary(ABC):
    """Symbols numbered from 0, and the way from text to ids and back.

    Attributes:
        level: what a symbol is, `char` or `word`.
        symbols: the symbols; a symbol's id is its place.
        unknown: id of `<unk>`, which stands for every other symbol, or None where there is none.
        line_end: id of the end of a line, or None where the text had none.
    """

    level: ClassVar[str]
    line_end_symbol: ClassVar[str]

    def __init__(self, symbols: Iterable[str]) -> None:
        self.symbols = tuple(symbols)
        self._ids = {symbol: i for i, symbol in enumerate(self.symbols)}
        if not self.symbols:
            raise DataError("a vocabulary without symbols: the text is empty")
        if len(self._ids) < len(self.symbols):
            twice = Counter(self.symbols).most_common(1)[0][0]
            raise DataError(f"a vocabulary names each symbol once, but {twice!r} stands in it twice")
        self.unknown = self._ids.get(UNKNOWN)
        self.line_end = self._ids.get(self.line_end_symbol)

    def __len__(self) -> int:
        return len(self.symbols)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and (self.level, self.symbols) == (other.level, other.symbols)

    def __hash__(self) -> int:
        return hash((self.level, self.symbols))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} symbols)"

    @classmethod
    def build(
        cls,
        texts: Iterable[str],
        *,
        minimum_count: int = 1,
        maximum_size: int | None = None,
        unknown: bool = False,
    ) -> "Vocabulary":
        """The vocabulary of `texts`, read once, piece by piece.

        Args:
            texts: pieces of whole lines.
            minimum_count: symbols met fewer times than this become `<unk>`; 1: keep all, and have no `<unk>`.
            maximum_size: symbols kept at most, the most frequent ones, `<unk>` included; the others become `<unk>`.
            unknown: have `<unk>` in any case, for symbols that are met later.

        Raises:
            DataError: there is no text.
        """
        counts = Counter(cls._count(texts))
        known = sorted((s for s in counts if s != UNKNOWN), key=lambda s: (-counts[s], s))
        kept = [s for s in known if counts[s] >= minimum_count]
        too_many = maximum_size is not None and len(kept) > maximum_size
        if unknown or UNKNOWN in counts or minimum_count > 1 or too_many:
            if maximum_size is not None:
                kept = kept[: max(maximum_size - 1, 0)]
            counts[UNKNOWN] += sum(counts[s] for s in known[len(kept) :])
            kept = sorted([*kept, UNKNOWN], key=lambda s: (-counts[s], s))
        return cls(cls._ordered(kept))

    @classmethod
    @abstractmethod
    def _count(cls, texts: Iterable[str]) -> Mapping[str, int]:
        """How often each symbol occurs."""

    @classmethod
    def _ordered(cls, symbols: Sequence[str]) -> Sequence[str]:
        """The order of the ids, given the symbols by falling frequency."""
        return symbols

    @abstractmethod
    def encode(self, text: str, source: str = "the text", line: int = 1) -> np.ndarray:
        """The ids of `text`, int64 [tokens].

        Args:
            text: what to encode.
            source: where it comes from, for the error's text.
            line: number of its first line in `source`, from 1.

        Raises:
            DataError: a symbol is not in the vocabulary, which has no `<unk>`; it names symbol, source and line.
        """

    @abstractmethod
    def encode_each(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The ids of each of many short texts, int32 [tokens] each, looked up all at once.

        Raises:
            DataError: as `encode`, with places counted in all of the texts together.
        """

    def encode_lines(self, text: str, source: str = "the text", line: int = 1) -> np.ndarray:
        """As `encode`, for text made of whole lines: by words, a last line without a line end is ended."""
        return self.encode(text, source, line)

    @abstractmethod
    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`."""

    @abstractmethod
    def count_words(self, ids: np.ndarray) -> int:
        """How many words the text of `ids` [tokens] has: what stands between white space, and each line end."""

    def save(self, path: str | Path) -> None:
        """Write the vocabulary as JSON; a file that was there is replaced in one step.

        Raises:
            OSError: the file cannot be written.
        """
        path = Path(path)
        content = {"format": FORMAT, "version": VERSION, "level": self.level, "symbols": self.symbols}
        temporary = path.with_name(path.name + ".new")
        temporary.write_text(json.dumps(content, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
        os.replace(temporary, path)

    @staticmethod
    def load(path: str | Path) -> "Vocabulary":
        """Read what `save` wrote.

        Raises:
            DataError: the file is missing, damaged, or no vocabulary that this version can read.
        """
        path = Path(path)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise DataError(f"the vocabulary {path} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise DataError(f"{path} is no vocabulary: it is not valid JSON ({error})") from error
        return _from_content(content, path)

    def _unknown_symbol(self, symbol: str, source: str, line: int) -> DataError:
        names = {"char": "character", "word": "word"}
        code = f" (U+{ord(symbol):04X})" if self.level == "char" else ""
        return DataError(
            f"the {names[self.level]} {symbol!r}{code} in {source}, line {line}, was never seen in training: "
            "remove it there, or train with text.minimum_count=2, which teaches the model a symbol for rare ones"
        )


class CharacterVocabulary(Vocabulary):
    """One symbol for each character (Unicode code point), numbered in the order of the code points.

    Only `<unk>` is longer than a character: it takes the last id and is written as U+FFFD.
    """

    level = "char"
    line_end_symbol = "\n"

    def __init__(self, symbols: Iterable[str]) -> None:
        super().__init__(symbols)
        known = [(ord(symbol), i) for symbol, i in self._ids.items() if symbol != UNKNOWN]
        # A table of all code points: one look-up a character, whatever the script. -1: not in the vocabulary.
        self._table = np.full(_CODE_POINTS, -1 if self.unknown is None else self.unknown, dtype=np.int32)
        if known:
            codes, ids = zip(*known, strict=True)
            self._table[list(codes)] = ids
        self._written = ["\ufffd" if symbol == UNKNOWN else symbol for symbol in self.symbols]

    @classmethod
    def _count(cls, texts: Iterable[str]) -> Mapping[str, int]:
        totals = np.zeros(_CODE_POINTS, dtype=np.int64)
        for text in texts:
            counts = np.bincount(_code_points(text))
            totals[: len(counts)] += counts
        return {chr(code): int(totals[code]) for code in np.flatnonzero(totals)}

    @classmethod
    def _ordered(cls, symbols: Sequence[str]) -> Sequence[str]:
        return sorted(symbols, key=lambda symbol: (symbol == UNKNOWN, symbol))

    def encode(self, text: str, source: str = "the text", line: int = 1) -> np.ndarray:
        ids = self._table[_code_points(text)].astype(np.int64)
        if self.unknown is None and ids.size and ids.min() < 0:
            at = int(np.argmin(ids))
            raise self._unknown_symbol(text[at], source, line + text.count("\n", 0, at))
        return ids

    def encode_each(self, texts: Sequence[str]) -> list[np.ndarray]:
        return _cut(self.encode("".join(texts)), [len(text) for text in texts])

    def decode(self, ids: Iterable[int]) -> str:
        return "".join([self._written[i] for i in ids])

    def count_words(self, ids: np.ndarray) -> int:
        space = np.array([symbol.isspace() for symbol in self.symbols])[ids]
        begins = ~space & np.concatenate([[True], space])[:-1]
        return int(begins.sum() + (ids == self.line_end).sum())


class WordVocabulary(Vocabulary):
    """One symbol for each word, numbered by falling frequency; words are what stands between white space.

    The end of a line is a word of its own, `<eos>`; a `<unk>` in the text is the symbol for unknown words.
    """

    level = "word"
    line_end_symbol = LINE_END

    @classmethod
    def _count(cls, texts: Iterable[str]) -> Mapping[str, int]:
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(_words(_ended(text)))
        return counts

    def encode(self, text: str, source: str = "the text", line: int = 1) -> np.ndarray:
        return self._ids_of(_words(text), source, line)

    def encode_each(self, texts: Sequence[str]) -> list[np.ndarray]:
        words = [_words(text) for text in texts]
        return _cut(self._ids_of(list(chain.from_iterable(words))), [len(one) for one in words])

    def _ids_of(self, words: list[str], source: str = "the text", line: int = 1) -> np.ndarray:
        missing = -1 if self.unknown is None else self.unknown
        get = self._ids.get
        ids = np.fromiter((get(word, missing) for word in words), dtype=np.int64, count=len(words))
        if self.unknown is None and ids.size and ids.min() < 0:
            at = int(np.argmin(ids))
            raise self._unknown_symbol(words[at], source, line + words[:at].count(LINE_END))
        return ids

    def encode_lines(self, text: str, source: str = "the text", line: int = 1) -> np.ndarray:
        return self.encode(_ended(text), source, line)

    def count_words(self, ids: np.ndarray) -> int:
        return len(ids)

    def decode(self, ids: Iterable[int]) -> str:
        text = " ".join(["\n" if i == self.line_end else self.symbols[i] for i in ids])
        return "\n".join([line.strip(" ") for line in text.split("\n")])


_CLASSES: dict[str, type[Vocabulary]] = {c.level: c for c in (CharacterVocabulary, WordVocabulary)}
LEVELS = tuple(_CLASSES)


def build_vocabulary(
    level: str,
    texts: Iterable[str],
    *,
    minimum_count: int = 1,
    maximum_size: int | None = None,
    unknown: bool = False,
) -> Vocabulary:
    """The vocabulary of `texts` by characters (`level` `char`) or words (`word`); see `Vocabulary.build`.

    Raises:
        DataError: the level is neither, or there is no text.
    """
    if level not in _CLASSES:
        raise DataError(f"a vocabulary is built by {' or '.join(LEVELS)}, not {level!r}")
    return _CLASSES[level].build(texts, minimum_count=minimum_count, maximum_size=maximum_size, unknown=unknown)


def _from_content(content: Any, path: Path) -> Vocabulary:
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError(f"{path} is no vocabulary: expected a JSON object whose format is {FORMAT!r}")
    if content.get("version") != VERSION:
        raise DataError(
            f"{path} has the vocabulary version {content.get('version')!r}, but this recurra reads version {VERSION}: "
            "use the version that wrote it, or train anew"
        )
    level, symbols = content.get("level"), content.get("symbols")
    if (
        level not in _CLASSES
        or not isinstance(symbols, list)
        or not symbols
        or not all(isinstance(s, str) for s in symbols)
    ):
        raise DataError(f"{path} is a damaged vocabulary: expected a level ({', '.join(LEVELS)}) and a list of symbols")
    if level == "char" and any(len(symbol) != 1 and symbol != UNKNOWN for symbol in symbols):
        raise DataError(f"{path} is a damaged vocabulary: it is by characters, but a symbol is longer than one")
    return _CLASSES[level](symbols)


def _code_points(text: str) -> np.ndarray:
    """The code points of `text`, unsigned integers [characters]."""
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), dtype=np.uint8)
    # A prompt from the command line may hold lone surrogates: let them through, to be reported as unknown.
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def _cut(ids: np.ndarray, lengths: Sequence[int]) -> list[np.ndarray]:
    """Parts of these lengths, one after another, int32."""
    ids, ends = ids.astype(np.int32), list(accumulate(lengths))
    return [ids[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def _words(text: str) -> list[str]:
    return text.replace("\n", f" {LINE_END} ").split()


def _ended(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"
