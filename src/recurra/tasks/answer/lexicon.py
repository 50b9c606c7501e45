"""What a reader knows before it learns: words, answers, how text is cut, and what can be guessed without reading."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recurra.data import Asked, DataError, Symbols, cut
from recurra.tasks.answer.config import AnswerConfig

FILE = "lexicon.json"
_FORMAT = "recurra lexicon"

# A question met only once says nothing of what is usually answered to it.
_MET_OFTEN = 2


@dataclass(frozen=True)
class Lexicon:
    """The words and answers of a reader.

    Attributes:
        words: known words of passages and questions.
        answers: the answers met in training, the commonest first.
        guesses: to each question met twice or more in training, its commonest answer.
        cut: how a text is cut: words or characters.
        lowercase: whether texts are known by their small letters.
    """

    words: Symbols
    answers: list[str]
    guesses: dict[str, str]
    cut: str
    lowercase: bool

    @classmethod
    def build(cls, asked: Sequence[Asked], config: AnswerConfig) -> "Lexicon":
        """Of the questions to learn from."""
        text = config.text
        way = text.cut
        if way == "auto":
            way = "words" if any(" " in one.passage for one in asked) else "characters"
        bare = cls(Symbols([]), [], {}, way, text.lowercase)
        words = Symbols.build(
            (word for one in asked for side in (one.passage, one.question) for word in bare.parted(side)),
            text.minimum_count,
        )
        answers = Counter(bare.normal(one.answer) for one in asked)
        given: dict[str, Counter[str]] = {}
        for one in asked:
            given.setdefault(bare.normal(one.question), Counter())[bare.normal(one.answer)] += 1
        guesses = {
            question: counts.most_common(1)[0][0] for question, counts in given.items() if counts.total() >= _MET_OFTEN
        }
        return cls(words, [answer for answer, _ in answers.most_common()], guesses, way, text.lowercase)

    def normal(self, text: str) -> str:
        """A text as it is known."""
        return text.strip().lower() if self.lowercase else text.strip()

    def parted(self, text: str) -> list[str]:
        """The words of a text, as they are known."""
        known = self.normal(text)
        if self.cut == "characters":
            return [letter for letter in known if not letter.isspace()]
        return [known[start:end] for start, end in cut(known)]

    def encode(self, words: Sequence[str]) -> np.ndarray:
        """The numbers of words, int64 [T]; 0 for unknown ones."""
        return self.words.encode(words)

    def guess(self, question: str) -> str:
        """The commonest answer to a question, or the commonest of all where it was hardly ever met."""
        return self.guesses.get(self.normal(question), self.answers[0])

    def save(self, run_dir: str | Path) -> None:
        """Write the lexicon into a run folder. Raises OSError."""
        content = {"format": _FORMAT, **vars(self), "words": self.words.names}
        text = json.dumps(content, ensure_ascii=False, indent=0) + "\n"
        (Path(run_dir) / FILE).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, run_dir: str | Path) -> "Lexicon":
        """Read what `save` wrote. Raises DataError where it is missing or damaged."""
        path = Path(run_dir) / FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content.pop("format") != _FORMAT:
                raise ValueError("it is of another format")
            return cls(**{**content, "words": Symbols(content["words"])})
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path} is damaged ({error}); restore it, or train anew") from error
