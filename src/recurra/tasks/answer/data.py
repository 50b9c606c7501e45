"""The examples of a reader: passages and questions as numbers, and which answers are right."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from recurra.data import Asked, DataError, is_builtin, pad, read_asked, read_builtin, split
from recurra.models import Questions
from recurra.tasks.answer.config import AnswerConfig
from recurra.tasks.answer.lexicon import Lexicon
from recurra.tasks.config import as_fraction

# So many answers may have one example each; more are rather to be pointed at.
_FEW_ANSWERS = 50


@dataclass(frozen=True)
class AnswerBatch:
    """Questions side by side.

    Attributes:
        questions: passages and questions.
        targets: the right candidate of each, int64 [B]; -1 where it is none.
        tokens: number of questions.
        fresh: no state is carried from one question to another.
    """

    questions: Questions
    targets: torch.Tensor
    tokens: int
    fresh: bool = True


@dataclass(frozen=True)
class Examples:
    """Questions about passages, as words and as numbers.

    Attributes:
        asked: as they were read; those to predict have an empty answer.
        passages: the words of each passage.
        questions: the words of each question.
        lexicon: what turns words into numbers.
        pointed: whether the candidates are the words of the passage, and not the known answers.
    """

    asked: list[Asked]
    passages: list[list[str]]
    questions: list[list[str]]
    lexicon: Lexicon
    pointed: bool

    @classmethod
    def of(cls, asked: list[Asked], lexicon: Lexicon, config: AnswerConfig) -> "Examples":
        """Raises DataError, with file and line, for a side without a word and for a passage that is too long."""
        passages = [lexicon.parted(one.passage) for one in asked]
        questions = [lexicon.parted(one.question) for one in asked]
        longest = config.text.longest
        for one, words in zip(asked, passages, strict=True):
            if len(words) > longest:
                raise DataError(
                    f"{one.file}, line {one.line}: the passage has {len(words):,} words, but text.longest is "
                    f"{longest:,}: shorten it, or set text.longest={len(words)}"
                )
        return cls(asked, passages, questions, lexicon, config.model.answer == "pointed")

    def __len__(self) -> int:
        return len(self.asked)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Words of each passage, int64 [N]."""
        return np.array([len(words) for words in self.passages], dtype=np.int64)

    @cached_property
    def targets(self) -> np.ndarray:
        """The right candidate of each question, int64 [N]; -1 where it is none of them."""
        answers = [self.lexicon.normal(one.answer) for one in self.asked]
        if not self.pointed:
            numbers = {answer: number for number, answer in enumerate(self.lexicon.answers)}
            return np.array([numbers.get(answer, -1) for answer in answers], dtype=np.int64)
        pairs = zip(self.passages, answers, strict=True)
        return np.array([words.index(one) if one in words else -1 for words, one in pairs], dtype=np.int64)

    @cached_property
    def _numbers(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The words of each passage and of each question, int64 [T]."""
        encode = self.lexicon.encode
        return [encode(words) for words in self.passages], [encode(words) for words in self.questions]

    def answer(self, number: int, candidate: int) -> str:
        """The text of a candidate for the question of this number."""
        return self.passages[number][candidate] if self.pointed else self.lexicon.answers[candidate]

    def take(self, numbers: Sequence[int]) -> "Examples":
        """Those with these numbers."""
        return Examples(
            [self.asked[k] for k in numbers],
            [self.passages[k] for k in numbers],
            [self.questions[k] for k in numbers],
            self.lexicon,
            self.pointed,
        )

    def batch(self, numbers: np.ndarray) -> AnswerBatch:
        """These examples side by side."""
        passages, questions = self._numbers
        forms = None
        if self.pointed:
            forms, _ = pad([_first_places(self.passages[k]) for k in numbers])
        read = Questions(
            *pad([passages[k] for k in numbers]),
            *pad([questions[k] for k in numbers]),
            forms,
        )
        return AnswerBatch(read, torch.from_numpy(self.targets[numbers]), len(numbers))

    def checksum(self) -> int:
        """A number that other examples would not have."""
        texts = ("\n".join(one[:3]).encode("utf-8", "surrogatepass") for one in self.asked)
        return zlib.crc32(np.fromiter(map(zlib.crc32, texts), dtype=np.uint32).tobytes())


def _first_places(words: Sequence[str]) -> np.ndarray:
    """Where each word of a passage stands there for the first time, int64 [T]."""
    places: dict[str, int] = {}
    return np.array([places.setdefault(word, place) for place, word in enumerate(words)], dtype=np.int64)


def read(path: str, *, test: bool = False) -> list[Asked]:
    """The questions at `path`; with `test`, those that a builtin set has for testing.

    Raises:
        DataError: nothing is there, or it cannot be read.
    """
    if not path:
        raise DataError(
            "no data to learn from: set data to a table with a passage, a question and an answer on each line, or "
            "builtin:stories"
        )
    return read_builtin(path, "asked", test=test) if is_builtin(path) else read_asked(path)


def parts(asked: list[Asked], config: AnswerConfig) -> tuple[list[Asked], list[Asked], list[Asked] | None]:
    """Those to learn from, to validate with, and to test on, where the settings part them off or name them."""
    test = None
    if (fraction := as_fraction(config.split.test)) is not None:
        asked, test = _parted(asked, fraction, config.seed, "split.test")
    elif config.split.test is not None:
        test = read(config.split.test)
    elif is_builtin(config.data):
        test = read(config.data, test=True)
    if (fraction := as_fraction(config.split.valid)) is not None:
        # Another seed than that of the test data: the two choices have nothing to do with each other.
        asked, valid = _parted(asked, fraction, config.seed + 1, "split.valid")
    else:
        valid = read(config.split.valid)
    return asked, valid, test


def _parted(asked: list[Asked], fraction: float, seed: int, key: str) -> tuple[list[Asked], list[Asked]]:
    """Those that stay and those that are kept apart; all questions about one passage are on one side."""
    rest, kept = split([one.passage for one in asked], fraction, seed)
    if len(kept) == 0 or len(rest) == 0:
        raise DataError(
            f"{key}={fraction:g} of {len(asked)} questions leaves nothing for one of the two parts: give more data or "
            "a path"
        )
    return [asked[k] for k in rest], [asked[k] for k in kept]


def require_answers(examples: Examples, path: str) -> None:
    """Raise DataError where a reader cannot learn these answers: too few or too many, or not in the passage."""
    if examples.pointed:
        for one, target in zip(examples.asked, examples.targets, strict=True):
            if target < 0:
                raise DataError(
                    f"{one.file}, line {one.line}: the answer {one.answer!r} is no word of its passage, so nothing can "
                    "point at it: mend it, or choose among the known answers with model.answer=known"
                )
        return
    answers = examples.lexicon.answers
    if len(answers) < 2:
        raise DataError(f"{path} has one answer only, {answers[0]!r}: there is nothing to choose")
    if len(answers) > max(_FEW_ANSWERS, len(examples) // 2):
        raise DataError(
            f"{path} has {len(answers):,} different answers to {len(examples):,} questions, too few of each to learn: "
            "where they stand in the passage, point at them with model.answer=pointed"
        )
