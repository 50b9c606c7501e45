"""What a text that is written must hold, and must not: words in settings as numbers of symbols."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from recurra.data.tokenizer import JOINER
from recurra.data.vocabulary import UNKNOWN
from recurra.equations import nearest
from recurra.tasks.config import ConfigError, names_in, require_range, setting


@dataclass
class WordingConfig:
    """What every text that is written must hold, and must not."""

    minimum: int = setting(0, "fewest symbols of a text")
    forbidden: str = setting("", "symbols that no text holds, with commas between; <unk>: the unknown one")
    required: str = setting(
        "", "words and phrases that every text holds, in any order, with commas between; needs a search, not a draw"
    )

    def __post_init__(self) -> None:
        require_range("decode.minimum", self.minimum, 0)


@dataclass
class DrawingConfig(WordingConfig):
    """How texts are drawn, where they are not searched for."""

    temperature: float = setting(1.0, "sample: below 1 more careful, above 1 more daring")
    top_k: int | None = setting(None, "sample: draw among the k likeliest symbols only; null: among all")
    top_p: float | None = setting(
        None, "sample: draw among the fewest symbols whose chances together reach this; null: among all"
    )
    seed: int | None = setting(None, "sample: seed of what is drawn; null: the run's, so that each call draws the same")

    def __post_init__(self) -> None:
        super().__post_init__()
        require_range("decode.temperature", self.temperature, 0.01, 100)
        require_range("decode.top_k", self.top_k, 1)
        require_range("decode.top_p", self.top_p, 0.001, 1)


@dataclass(frozen=True)
class Wording:
    """The symbols of a model, by which words are told.

    Attributes:
        cut: what cuts a text into symbols.
        names: the symbols; a symbol's number is its place.
    """

    cut: Callable[[str], Sequence[str]]
    names: Sequence[str]

    def forbidden(self, words: str, key: str = "decode.forbidden") -> list[int]:
        """The numbers of the symbols in a text that holds several, with commas between.

        A word stands for itself with and without a sign that joins it to another one.

        Raises:
            ConfigError: a word is no symbol of the model; `key` is what it was given as.
        """
        found: list[int] = []
        for word in names_in(words):
            symbols = [UNKNOWN] if word == UNKNOWN else self.cut(word)
            if len(symbols) != 1:
                raise ConfigError(
                    f"{key}: {word!r} is {len(symbols)} symbols to this model ({' '.join(symbols)}); only single "
                    "symbols can be forbidden"
                )
            alike = [number for number, name in enumerate(self.names) if _bare(name) == _bare(symbols[0])]
            if not alike or (symbols[0] == UNKNOWN and word != UNKNOWN):
                raise self._unknown(word, word, key)
            found += alike
        return found

    def phrases(self, words: str, key: str = "decode.required") -> list[list[int]]:
        """The numbers of the symbols of each word or phrase in a text that holds several, with commas between.

        Raises:
            ConfigError: a phrase holds a symbol that the model does not write.
        """
        return [self.phrase(one, key) for one in names_in(words)]

    def phrase(self, text: str, key: str) -> list[int]:
        """The numbers of the symbols of one phrase. Raises ConfigError as `phrases` does."""
        numbers = {name: number for number, name in enumerate(self.names)}
        symbols = list(self.cut(text))
        if symbols and symbols[0] not in numbers:
            # A sign at the beginning, which in texts is joined to the word before it.
            symbols[0] = JOINER + symbols[0] if JOINER + symbols[0] in numbers else symbols[0]
        for symbol in symbols:
            if symbol not in numbers or symbol == UNKNOWN:
                raise self._unknown(symbol, text, key)
        return [numbers[symbol] for symbol in symbols]

    def _unknown(self, symbol: str, given: str, key: str) -> ConfigError:
        within = f" (in {given!r})" if symbol not in (given, UNKNOWN) else ""
        shown = given if symbol == UNKNOWN else symbol
        known = sorted({_bare(name) for name in self.names} - {UNKNOWN})
        return ConfigError(f"{key}: the model writes no {shown!r}{within}{nearest(shown, known)}")


def require_room(maximum: int, minimum: int, phrases: Sequence[Sequence[int]]) -> None:
    """Raise a ConfigError where the most symbols of a text are fewer than the settings want of it."""
    if minimum > maximum:
        raise ConfigError(f"decode.minimum={minimum} is more than the {maximum} symbols that decode.maximum allows")
    if (needed := sum(map(len, phrases))) > maximum:
        raise ConfigError(f"{needed} symbols are required, more than the {maximum} that decode.maximum allows")


def _bare(symbol: str) -> str:
    """A symbol without what says that no blank stands beside it."""
    return symbol.strip(JOINER) if len(symbol) > 1 else symbol
