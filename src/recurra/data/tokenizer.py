"""Texts cut into symbols that a model reads and writes one by one, and put together again."""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from recurra.data.errors import DataError
from recurra.data.vocabulary import UNKNOWN

# Stands at the side of a symbol where no blank stood.
JOINER = "￭"
# Stands for the blank before a word, in pieces of words.
_BLANK = "▁"
# A number with its points, a run of letters and digits with hyphens and apostrophes inside, or a single sign.
_WORD = re.compile(r"\d+(?:[.,:]\d+)+|\w+(?:['’-]\w+)*|[^\w\s]")
_BEGINS = re.compile(r"\w")


class Tokenizer(ABC):
    """A way to cut texts into symbols. White space becomes single blanks; apart from that a text comes back whole.

    Attributes:
        level: what a symbol is: `word`, `char` or `bpe`.
        lowercase: whether letters are read as their small ones, which is not undone.
    """

    level: ClassVar[str]

    def __init__(self, lowercase: bool = False) -> None:
        self.lowercase = lowercase

    def normal(self, text: str) -> str:
        """A text as it is known: single blanks, none around it, perhaps small letters."""
        text = " ".join(text.split())
        return text.lower() if self.lowercase else text

    def cut(self, text: str) -> list[str]:
        """The symbols of a text."""
        return self._cut(self.normal(text))

    @abstractmethod
    def _cut(self, text: str) -> list[str]: ...

    @abstractmethod
    def join(self, symbols: Sequence[str]) -> str:
        """The text of symbols."""

    def content(self) -> dict[str, Any]:
        """What `Tokenizer.of` needs, for JSON."""
        return {"level": self.level, "lowercase": self.lowercase}

    @staticmethod
    def of(content: dict[str, Any]) -> "Tokenizer":
        """The tokeniser whose `content` it is. Raises KeyError, ValueError or TypeError where that is damaged."""
        level, lowercase = content["level"], bool(content["lowercase"])
        if level == "bpe":
            return PieceTokenizer(json.dumps(content["pieces"]), lowercase)
        return {"word": WordTokenizer, "char": CharacterTokenizer}[level](lowercase)


class CharacterTokenizer(Tokenizer):
    """Each character is a symbol."""

    level = "char"

    def _cut(self, text: str) -> list[str]:
        return list(text)

    def join(self, symbols: Sequence[str]) -> str:
        return "".join(symbols)


class WordTokenizer(Tokenizer):
    """Words, with their inner hyphens and apostrophes, and single signs.

    Where no blank stood between two symbols, the sign among them says so with a `￭` at that side: `(yes), no` is cut
    into `(￭ yes ￭) ￭, no`. So a word is the same symbol wherever it stands.
    """

    level = "word"

    def _cut(self, text: str) -> list[str]:
        symbols: list[str] = []
        end = -1
        for match in _WORD.finditer(text):
            symbol = match[0]
            if match.start() == end:
                if not _BEGINS.match(symbol):
                    symbol = JOINER + symbol
                else:
                    symbols[-1] += JOINER
            symbols.append(symbol)
            end = match.end()
        return symbols

    def join(self, symbols: Sequence[str]) -> str:
        text, joined = "", True
        for symbol in symbols:
            bare = symbol.removeprefix(JOINER) if len(symbol) > 1 else symbol
            if not (joined or bare != symbol):
                text += " "
            joined = len(bare) > 1 and bare.endswith(JOINER)
            text += bare.removesuffix(JOINER) if joined else bare
        return text


class PieceTokenizer(Tokenizer):
    """Pieces of words by byte-pair encoding (Sennrich et al. 2016): frequent words whole, rare ones in pieces.

    The blank before a word is part of its first piece, as `▁`; signs are pieces of their own.

    Args:
        pieces: what was learnt, as the JSON text of the package tokenizers.
        lowercase: whether letters are read as their small ones.

    Raises:
        DataError: the package is not installed.
        ValueError: the text is damaged.
    """

    level = "bpe"

    def __init__(self, pieces: str, lowercase: bool = False) -> None:
        super().__init__(lowercase)
        self._pieces = pieces
        try:
            self._tokenizer = _library().Tokenizer.from_str(pieces)
        except ValueError:
            raise
        except Exception as error:  # the package raises nothing narrower
            raise ValueError(f"its pieces are damaged: {error}") from error

    @classmethod
    def learn(cls, texts: Iterable[str], size: int, lowercase: bool = False) -> "PieceTokenizer":
        """Learn at most `size` pieces, characters among them, of `texts`. Raises DataError without the package."""
        library = _library()
        tokenizer = library.Tokenizer(library.models.BPE(unk_token=UNKNOWN))
        tokenizer.pre_tokenizer = library.pre_tokenizers.Sequence(
            [library.pre_tokenizers.Metaspace(_BLANK), library.pre_tokenizers.Punctuation("isolated")]
        )
        trainer = library.trainers.BpeTrainer(
            vocab_size=size, min_frequency=2, special_tokens=[UNKNOWN], show_progress=False
        )
        plain = CharacterTokenizer(lowercase)
        tokenizer.train_from_iterator(map(plain.normal, texts), trainer)
        return cls(tokenizer.to_str(), lowercase)

    def _cut(self, text: str) -> list[str]:
        return self._tokenizer.encode(text).tokens

    def join(self, symbols: Sequence[str]) -> str:
        return "".join(symbols).replace(_BLANK, " ").strip()

    def content(self) -> dict[str, Any]:
        return {**super().content(), "pieces": json.loads(self._pieces)}


def new_tokenizer(level: str, texts: Iterable[str], *, lowercase: bool = False, size: int = 8000) -> Tokenizer:
    """A tokeniser of `level` `word`, `char` or `bpe`; the last learns at most `size` pieces of `texts`.

    Raises:
        DataError: the level is none of these, or pieces are to be learnt without the package tokenizers.
    """
    if level == "bpe":
        return PieceTokenizer.learn(texts, size, lowercase)
    if level not in ("word", "char"):
        raise DataError(f"texts are cut by word, char or bpe, not {level!r}")
    return WordTokenizer(lowercase) if level == "word" else CharacterTokenizer(lowercase)


def _library() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise DataError(
            "pieces of words (text.level=bpe) need the package tokenizers, which is not here: "
            "pip install 'recurra[text]'; or take text.level=word or char"
        ) from None
    return tokenizers
