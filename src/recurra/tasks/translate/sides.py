"""The two sides of pairs of texts: how a text becomes the numbers that a model reads, and back."""

import json
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from recurra.data import DataError, Pair, Symbols, Tokenizer, new_tokenizer
from recurra.data.vocabulary import UNKNOWN
from recurra.tasks.translate.config import TranslateTextConfig

FILE = "vocabulary.json"
_FORMAT = "recurra translation vocabularies"

# Numbers of what is no symbol of a text: unknown, the beginning and the end.
START, END = 1, 2
_MARKS = (UNKNOWN, "<s>", "</s>")


@dataclass(frozen=True)
class Side:
    """One side: how its texts are cut, and the numbers of their symbols."""

    tokenizer: Tokenizer
    symbols: Symbols

    def numbers(self, symbols: Sequence[str]) -> np.ndarray:
        """The numbers of the symbols of a text, int32 [T + 1], with the end behind them."""
        return np.append(self.symbols.encode(symbols), END).astype(np.int32)

    def names(self, numbers: Iterable[int]) -> list[str]:
        """The symbols with these numbers, up to the end if it is among them."""
        found: list[str] = []
        for number in numbers:
            if number == END:
                break
            found.append(self.symbols.names[number])
        return found

    def text(self, symbols: Sequence[str]) -> str:
        """The text of symbols."""
        return self.tokenizer.join(symbols)

    def __len__(self) -> int:
        return len(self.symbols)

    def content(self) -> dict[str, Any]:
        """What `of` needs, for JSON."""
        return {"tokenizer": self.tokenizer.content(), "symbols": self.symbols.names}

    @classmethod
    def of(cls, content: dict[str, Any]) -> "Side":
        """The side whose `content` it is. Raises KeyError, ValueError or TypeError where that is damaged."""
        names = list(map(str, content["symbols"]))
        if tuple(names[: len(_MARKS)]) != _MARKS:
            raise ValueError(f"its symbols do not begin with {', '.join(_MARKS)}")
        return cls(Tokenizer.of(content["tokenizer"]), Symbols(names))


@dataclass(frozen=True)
class Sides:
    """Source and target; one and the same where they are joint."""

    source: Side
    target: Side

    @classmethod
    def build(cls, pairs: Sequence[Pair], config: TranslateTextConfig) -> "Sides":
        """Of the pairs to learn from. Raises DataError where pieces are to be learnt without their package."""
        sources, targets = [pair.source for pair in pairs], [pair.target for pair in pairs]
        if config.joint:
            side = _side(sources + targets, config)
            return cls(side, side)
        return cls(_side(sources, config), _side(targets, config))

    @property
    def joint(self) -> bool:
        """Whether both sides have the same symbols."""
        return self.source is self.target

    def fingerprint(self) -> int:
        """A number that other symbols would not have."""
        return zlib.crc32("\n".join(self.source.symbols.names + self.target.symbols.names).encode())

    def save(self, run_dir: str | Path) -> None:
        """Write both into a run folder. Raises OSError."""
        content = {
            "format": _FORMAT,
            "source": self.source.content(),
            "target": None if self.joint else self.target.content(),
        }
        text = json.dumps(content, ensure_ascii=False, indent=0) + "\n"
        (Path(run_dir) / FILE).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, run_dir: str | Path) -> "Sides":
        """Read what `save` wrote. Raises DataError where it is missing or damaged."""
        path = Path(run_dir) / FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] != _FORMAT:
                raise ValueError("it is of another format")
            source = Side.of(content["source"])
            return cls(source, source if content["target"] is None else Side.of(content["target"]))
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from error
        except DataError:
            raise
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} is damaged ({error}); restore it, or train anew") from error


def _side(texts: list[str], config: TranslateTextConfig) -> Side:
    tokenizer = new_tokenizer(config.level, texts, lowercase=config.lowercase, size=config.pieces)
    counts = Counter(symbol for text in texts for symbol in tokenizer.cut(text))
    for mark in _MARKS:
        counts.pop(mark, None)
    kept = sorted((s for s in counts if counts[s] >= config.minimum_count), key=lambda s: (-counts[s], s))
    if config.maximum_size is not None:
        kept = kept[: config.maximum_size - len(_MARKS)]
    return Side(tokenizer, Symbols([*_MARKS, *kept]))
