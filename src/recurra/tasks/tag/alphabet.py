"""What a tagger knows before it learns: tags and their scheme, tokens, pairs, characters, and how text is cut."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from recurra.data import NO_TARGET, DataError, FrameSet, Scheme, Symbols, Tagged, cut, detect, pad
from recurra.models import Tokens
from recurra.tasks.tag.config import TagConfig

FILE = "alphabet.json"
_FORMAT = "recurra alphabet"

# What stands in a pair for the neighbour before the first token and behind the last.
_BEFORE, _BEHIND = "␂", "␃"
_DIGITS = re.compile(r"\d")
# Full-width letters, digits and signs, as Chinese and Japanese texts have them, and their plain forms.
_PLAIN = {0xFF01 + k: 0x21 + k for k in range(94)}
# Widths where the settings leave it open and pairs or characters are read.
PAIRS, CHARACTERS = 50, 50
# Characters that are read of each end of a token that has more than two times as many, such as an address.
_END = 16
_BLANKS = re.compile(r"\S+")


@dataclass(frozen=True)
class Alphabet:
    """The symbols of a tagger.

    Attributes:
        tags: the tags, by number.
        scheme: what they write, or None where nothing more.
        cut: how a line is cut into tokens: blanks, words or characters.
        tokens: known tokens; None where vectors are read.
        pairs: known pairs of neighbouring tokens; None where they are not read.
        characters: known characters of tokens; None where they are not read.
        width: columns of the vectors that are read; 0: tokens are.
        vectors: columns of the word vectors that tokens start from; 0: they start from none.
        lowercase: whether tokens are known by their small letters.
        digits: whether tokens are known with 0 for every digit.
    """

    tags: list[str]
    scheme: Scheme | None
    cut: str
    tokens: Symbols | None
    pairs: Symbols | None
    characters: Symbols | None
    width: int = 0
    lowercase: bool = False
    digits: bool = False
    vectors: int = 0

    @classmethod
    def build(cls, raw: list[Tagged] | FrameSet, tags: list[str], config: TagConfig) -> "Alphabet":
        """Of the examples to learn from, and all tags there are.

        Raises:
            DataError: the tags are not of the scheme that the settings name.
        """
        scheme = _scheme(tags, config.tokens.scheme)
        if isinstance(raw, FrameSet):
            return cls(tags, scheme, "blanks", None, None, None, width=raw.width)
        settings, model = config.tokens, config.model
        way = _way(raw) if settings.cut == "auto" else settings.cut
        pairs, characters = model.pairs, model.characters
        if pairs is None:
            pairs = PAIRS if way == "characters" and scheme is not None else 0
        if characters is None:
            characters = 0 if way == "characters" else CHARACTERS
        bare = cls(tags, scheme, way, None, None, None, 0, settings.lowercase, settings.digits)
        known = [bare.normal(one.tokens) for one in raw]
        return cls(
            tags,
            scheme,
            way,
            Symbols.build((token for tokens in known for token in tokens), settings.minimum_count),
            Symbols.build((pair for one in known for pair in _pairs(one)), settings.minimum_pairs) if pairs else None,
            Symbols.build(c for one in raw for token in one.tokens for c in token) if characters else None,
            lowercase=settings.lowercase,
            digits=settings.digits,
        )

    @property
    def kinds(self) -> set[str]:
        """The kinds of spans that the tags write; none where these are mere words, or there are none."""
        tags = self.tags if self.scheme is not None else []
        return {kind for _, hyphen, kind in (tag.partition("-") for tag in tags) if hyphen}

    def normal(self, tokens: Sequence[str]) -> list[str]:
        """Tokens as they are known."""
        known = [token.translate(_PLAIN) for token in tokens]
        if self.lowercase:
            known = [token.lower() for token in known]
        return [_DIGITS.sub("0", token) for token in known] if self.digits else known

    def symbols(self, tokens: Sequence[str]) -> np.ndarray:
        """The numbers of tokens, int64 [T]; 0 for unknown ones. Raises DataError where vectors are read."""
        if self.tokens is None:
            raise DataError("the model reads vectors, and no tokens")
        return self.tokens.encode(self.normal(tokens))

    def read(self, sequences: Sequence[Sequence[str]] | Sequence[np.ndarray]) -> Tokens:
        """Sentences, given by their tokens, or sequences of vectors [T, I], as the model reads them."""
        if self.width:
            return Tokens(*pad([np.asarray(one) for one in sequences]))
        sentences = [[str(token) for token in one] for one in sequences]
        inputs, lengths = pad([self.symbols(tokens) for tokens in sentences])
        pairs = forms = form_lengths = form_of = None
        if self.pairs is not None:
            numbers = [self.pairs.encode(_pairs(self.normal(tokens))) for tokens in sentences]
            # Of T tokens there are T + 1 pairs, those with the ends among them: one before, one behind each.
            before, _ = pad([one[:-1] for one in numbers])
            behind, _ = pad([one[1:] for one in numbers])
            pairs = before.new_empty(*before.shape, 2)
            pairs[..., 0], pairs[..., 1] = before, behind
        if self.characters is not None:
            number: dict[str, int] = {}
            of = [np.array([number.setdefault(token, len(number)) for token in tokens]) for tokens in sentences]
            form_of, _ = pad(of)
            forms, form_lengths = pad([self.characters.encode(_ends(form)) for form in number])
        return Tokens(inputs, lengths, pairs, forms, form_lengths, form_of)

    def numbers(self, tags: Sequence[str | None], place: str, tokens: Sequence[str] = ()) -> np.ndarray:
        """The numbers of a sequence's tags, int64 [T], `NO_TARGET` where there is none.

        Raises:
            DataError: a tag is unknown, or contradicts the scheme; `place` says where the sequence begins.
        """
        known = {tag: number for number, tag in enumerate(self.tags)}
        for step, tag in enumerate(tags):
            if tag is not None and tag not in known:
                some = ", ".join(self.tags[:12]) + (", …" if len(self.tags) > 12 else "")
                raise DataError(
                    f"{place}{_token(step, tokens)}: the tag {tag!r} was never seen in training; known are {some}. "
                    "Mend it, or train with some of it"
                )
        if self.scheme is not None:
            self._check_scheme(tags, place, tokens)
        return np.array([NO_TARGET if tag is None else known[tag] for tag in tags], dtype=np.int64)

    def _check_scheme(self, tags: Sequence[str | None], place: str, tokens: Sequence[str]) -> None:
        whole = [tag for tag in tags if tag is not None]
        if self.scheme is None or len(whole) < len(tags):
            return  # of a sequence with gaps nothing is known
        wrong = self.scheme.contradiction(whole)
        if wrong is not None:
            step, how = wrong
            marks = f" (told by {', '.join(self.scheme.marks[:3])})" if self.scheme.marks else ""
            raise DataError(
                f"{place}{_token(step, tokens)}: {how}, which the scheme {self.scheme.name} of these tags{marks} does "
                "not allow; mend it, or take the tags as they are with tokens.scheme=none"
            )

    def require_kind(self, raw: list[Tagged] | FrameSet, path: str) -> None:
        """Raise DataError where the model reads data of another kind or shape."""
        if isinstance(raw, FrameSet) != bool(self.width):
            found, expected = ("sentences", "vectors") if self.width else ("vectors", "sentences")
            raise DataError(f"{path} holds {found}, but the model was trained on {expected}")
        if isinstance(raw, FrameSet) and raw.width != self.width:
            raise DataError(f"{path} holds vectors of {raw.width} columns, but the model was trained on {self.width}")

    def places(self, text: str) -> list[tuple[int, int]]:
        """Where the tokens of a text begin and end."""
        if self.cut == "characters":
            return [(k, k + 1) for k, character in enumerate(text) if not character.isspace()]
        return cut(text) if self.cut == "words" else [match.span() for match in _BLANKS.finditer(text)]

    def save(self, run_dir: str | Path) -> None:
        """Write the alphabet into a run folder. Raises OSError."""
        content = {
            "format": _FORMAT,
            "tags": self.tags,
            "scheme": self.scheme.name if self.scheme else None,
            "cut": self.cut,
            "width": self.width,
            "vectors": self.vectors,
            "lowercase": self.lowercase,
            "digits": self.digits,
            **{name: one.names if one else None for name, one in self._symbols().items()},
        }
        text = json.dumps(content, ensure_ascii=False, indent=0) + "\n"
        (Path(run_dir) / FILE).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, run_dir: str | Path) -> "Alphabet":
        """Read what `save` wrote. Raises DataError where it is missing or damaged."""
        path = Path(run_dir) / FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content.pop("format") != _FORMAT:
                raise ValueError("it is of another format")
            for name in ("tokens", "pairs", "characters"):
                content[name] = Symbols(content[name]) if content[name] else None
            content["scheme"] = Scheme(content["scheme"], content["tags"]) if content["scheme"] else None
            return cls(**content)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path} is damaged ({error}); restore it, or train anew") from error

    def _symbols(self) -> dict[str, Symbols | None]:
        return {"tokens": self.tokens, "pairs": self.pairs, "characters": self.characters}

    def sizes(self) -> dict[str, int]:
        """How many tokens, pairs and characters are known, of those that are read."""
        return {name: len(one) for name, one in self._symbols().items() if one is not None}


def _scheme(tags: list[str], name: str) -> Scheme | None:
    if name == "none":
        return None
    try:
        return detect(tags) if name == "auto" else Scheme(name, tags)
    except ValueError as error:
        raise DataError(f"the tags do not fit tokens.scheme={name}: {error}") from error


def _way(sentences: list[Tagged]) -> str:
    """How the tokens of sentences look as if they were cut."""
    tokens = [token for one in sentences for token in one.tokens]
    if all(len(token) == 1 for token in tokens):
        return "characters"
    return "words" if all(cut(token) == [(0, len(token))] for token in tokens) else "blanks"


def _pairs(tokens: Sequence[str]) -> list[str]:
    """Each two neighbours of T tokens, and the ends with theirs: T + 1."""
    whole = [_BEFORE, *tokens, _BEHIND]
    return [f"{a} {b}" for a, b in pairwise(whole)]


def _ends(token: str) -> str:
    """A token, without the middle of a very long one."""
    return token if len(token) <= 2 * _END else token[:_END] + token[-_END:]


def _token(step: int, tokens: Sequence[str]) -> str:
    shown = f" ({tokens[step]!r})" if tokens else ""
    return f", token {step + 1}{shown}"
