"""Answering a question about a passage: two inputs, one answer."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recurra.data import Asked, Line, line_blocks, part_question, read_pieces
from recurra.layers import Attention
from recurra.models import Questions, Reader, ReaderSize
from recurra.tasks.answer.config import AnswerConfig
from recurra.tasks.answer.data import AnswerBatch, Examples, parts, read, require_answers
from recurra.tasks.answer.lexicon import Lexicon
from recurra.tasks.answer.scoring import figures, judge, looked, pictures
from recurra.tasks.base import Trained, Use
from recurra.tasks.examples import ExampleTask
from recurra.tasks.findings import Finding

# Words that were hardly looked at are not printed.
_LEAST_WEIGHT = 0.05


@dataclass(frozen=True)
class _Data:
    """The questions of a run."""

    training: Examples
    validation: Examples
    test: Examples | None


class Answering(ExampleTask[_Data]):
    """Answers to questions about passages, chosen among known ones or pointed at in the passage."""

    name = "answer"
    Config: ClassVar[type] = AnswerConfig
    config: AnswerConfig
    unit = "question"
    criterion = "valid_accuracy"
    options: ClassVar[dict[str, str]] = {
        "attention": "also print which words of the passage each look looked at, with their weights"
    }
    in_use: ClassVar[tuple[str, ...]] = ("text.longest",)

    def __init__(self, config: AnswerConfig, lexicon: Lexicon, data: _Data | None = None) -> None:
        """A task with its words and answers; see `open` and `load`.

        Args:
            config: its settings.
            lexicon: words and answers.
            data: the questions, where it is to be trained.
        """
        self.config, self.lexicon, self._data = config, lexicon, data

    # -- data --------------------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, config: AnswerConfig) -> Self:
        """Read the questions, part them, and collect words and answers of those to learn from.

        Raises:
            DataError: the data cannot be read, or the answers cannot be learnt so.
        """
        asked, valid, test = parts(read(config.data), config)
        lexicon = Lexicon.build(asked, config)
        training, validation = (Examples.of(part, lexicon, config) for part in (asked, valid))
        require_answers(training, config.data)
        return cls(
            config,
            lexicon,
            _Data(training, validation, None if test is None else Examples.of(test, lexicon, config)),
        )

    @classmethod
    def load(cls, config: AnswerConfig, run_dir: str | Path) -> Self:
        """The task of a run folder, without its data. Raises DataError where a file is missing or damaged."""
        return cls(config, Lexicon.load(run_dir))

    def save(self, run_dir: str | Path) -> None:
        """Write words and answers into a run folder. Raises OSError."""
        self.lexicon.save(run_dir)

    def describe(self) -> dict[str, Any]:
        """Facts about the questions."""
        facts: dict[str, Any] = {"known_words": len(self.lexicon.words), "known_answers": len(self.lexicon.answers)}
        if self._data is not None:
            for name, part in vars(self._data).items():
                if part is not None:
                    facts[f"{name}_questions"] = len(part)
            lengths = self._data.training.lengths
            facts |= {"mean_length": float(lengths.mean()), "longest": int(lengths.max())}
        return facts

    # -- model and loss ----------------------------------------------------------------------------------------------

    def model(self) -> Reader:
        """A new model. Raises ValueError where the cell is unknown or options exclude each other."""
        model = self.config.model
        size = ReaderSize(
            len(self.lexicon.words),
            None if model.answer == "pointed" else len(self.lexicon.answers),
            model.cell,
            model.embedding,
            model.hidden,
            model.layers,
            model.bidirectional,
            model.looks,
            model.words,
        )
        attention = Attention(model.attention, "before")  # pyright: ignore[reportArgumentType]  # checked by the config
        return Reader(size, attention, dropout=model.dropout, engine=self.config.engine)

    def loss(self, model: nn.Module, batch: AnswerBatch, state: Any) -> tuple[Tensor, Any]:
        """The mean negative log-probability of the right answers, nats a question; no state is carried."""
        device = next(model.parameters()).device
        logs = model(self._disturbed(batch.questions).to(device))
        return F.nll_loss(logs, batch.targets.to(device)), None

    def _disturbed(self, read: Questions) -> Questions:
        """Passages and questions of a training batch, some of their words unknown, as the settings say."""
        chance = self.config.text.unknown
        if not chance:
            return read
        hidden = (
            symbols.masked_fill(torch.rand(symbols.shape) < chance, 0) for symbols in (read.passages, read.questions)
        )
        passages, questions = hidden
        return replace(read, passages=passages, questions=questions)

    # -- measures ----------------------------------------------------------------------------------------------------

    def validate(self, model: Reader) -> dict[str, float]:
        """`valid_nats` and `valid_accuracy` on the validation data."""
        validation = self._opened.validation
        measures = figures(judge(model, validation), validation)
        return {f"valid_{name}": measures[name] for name in ("nats", "accuracy")}

    def evaluate(self, model: Reader, path: str | Path | None) -> Mapping[str, float | Finding]:
        """How right the model is on the questions at `path`; None: on those kept for testing, or else for validation.

        Returns:
            What `answer_scoring.figures` says, and as findings what was looked at, the accuracy by the length of the
            passage, and the best and the worst answers.
        """
        if path is None:
            data = type(self).open(self.config)._opened
            examples = data.test or data.validation
        else:
            examples = Examples.of(read(str(path), test=True), self.lexicon, self.config)
        judged = judge(model, examples)
        return {**figures(judged, examples), **pictures(model, judged, examples)}

    def findings(self, model: Reader) -> list[Finding]:
        """What was looked at, the accuracy by the length of the passage, and the best and the worst answers."""
        validation = self._opened.validation
        return list(pictures(model, judge(model, validation), validation).values())

    # -- prediction --------------------------------------------------------------------------------------------------

    def predict(
        self, model: Reader, source: Path | Iterable[Sequence[Line]], options: Sequence[str] = ()
    ) -> Iterator[str]:
        """Answer, probability and question of each line of a passage, a tab and a question; a blank line stays blank.

        With `attention`, a further column for each look: the words it looked at, as `garden:0.93`, those of a weight
        below 0.05 left out.

        Raises:
            DataError: a line is not of this form, or its passage is too long; with file and line.
        """
        for block in line_blocks(read_pieces(source)) if isinstance(source, Path) else source:
            yield from self._answers(model, block, "attention" in options)

    def _answers(self, model: Reader, block: Sequence[Line], attention: bool) -> Iterator[str]:
        there = [k for k, line in enumerate(block) if line.text.strip()]
        asked = [Asked(*part_question(block[k]), "", block[k].file, block[k].number) for k in there]
        answers = [""] * len(block)
        if asked:
            examples = Examples.of(asked, self.lexicon, self.config)
            judged = judge(model, examples)
            for k, one, answer, probability in zip(there, asked, judged.answers, judged.probabilities, strict=True):
                answers[k] = f"{answer}\t{probability:.4f}\t{one.question}"
            for number, weights in looked(model, examples) if attention else ():
                for look in weights:
                    words = zip(examples.passages[number], look, strict=True)
                    shown = " ".join(f"{word}:{weight:.2f}" for word, weight in words if weight >= _LEAST_WEIGHT)
                    answers[there[number]] += f"\t{shown}"
        yield from answers

    @classmethod
    def uses(cls, trained: Trained) -> list[Use]:
        return [
            Use(
                "predict",
                "The answer to each line of a passage, a tab and a question, of a file or as you type.",
                f"recurra predict {trained.run} FILE",
            ),
            Use("attention", "The same, and what was looked at.", f"recurra predict {trained.run} FILE --attention"),
            Use("measure", "Measure it on the test data, or on other data.", f"recurra evaluate {trained.run}"),
        ]
