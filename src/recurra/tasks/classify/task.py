"""Classification: one class for a whole text, recording or sequence of vectors (N→1)."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recurra.data import (
    DataError,
    Line,
    SequenceBatch,
    VectorSet,
    Vocabulary,
    line_blocks,
    read_pieces,
)
from recurra.models import Classifier
from recurra.tasks.base import Trained, Use
from recurra.tasks.classify import explain
from recurra.tasks.classify.config import ClassifyConfig
from recurra.tasks.classify.data import (
    Examples,
    Raw,
    class_numbers,
    labels_of,
    new_vocabulary,
    normal,
    parts,
    read,
    require_vectors,
)
from recurra.tasks.classify.model import build
from recurra.tasks.classify.scoring import Judged, figures, judge, pictures
from recurra.tasks.examples import ExampleTask
from recurra.tasks.findings import Finding
from recurra.tasks.word_vectors import word_vectors

VOCABULARY_FILE = "vocabulary.json"
CLASSES_FILE = "classes.json"
_FORMAT = "recurra classes"
# So many classes may have one example each; more are rather texts that were taken for labels.
_FEW_CLASSES = 50


@dataclass(frozen=True)
class _Data:
    """The examples of a run, and where those for testing come from, in words."""

    training: Examples
    validation: Examples
    test: Examples | None


class Classification(ExampleTask[_Data]):
    """Classification of texts, by characters or words, and of sequences of vectors, sound among them."""

    name = "classify"
    Config: ClassVar[type] = ClassifyConfig
    config: ClassifyConfig
    unit = "example"
    criterion = "valid_accuracy"
    options: ClassVar[dict[str, str]] = {
        "explain": "also print how much each symbol or step moved the decision: input × gradient of its log-odds"
    }

    def __init__(
        self,
        config: ClassifyConfig,
        classes: Sequence[str],
        width: int,
        vocabulary: Vocabulary | None = None,
        data: _Data | None = None,
        rate: int | None = None,
    ) -> None:
        """A task with its classes; see `open` and `load`.

        Args:
            config: its settings.
            classes: the labels, by class number.
            width: columns of the vectors that are read, or of those that stand for a symbol.
            vocabulary: the symbols, where texts are read.
            data: the examples, where it is to be trained.
            rate: samples a second of the sound that is read; None where no sound is.
        """
        self.rate = rate
        self.config, self.classes, self.width, self.vocabulary = config, list(classes), width, vocabulary
        self._data = data
        self._vectors: Tensor | None = None  # word vectors to start from, [V, E]

    # -- data --------------------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, config: ClassifyConfig) -> Self:
        """Read the examples, part them, and make the vocabulary of those to learn from.

        Raises:
            DataError: the data cannot be read, have one class only, or a part of them has a label of its own.
        """
        whole = read(config.data, config)
        classes = _classes(labels_of(whole, config.data), config.data)
        raw, valid, test = parts(whole, config)
        vocabulary = new_vocabulary(raw, config) if isinstance(raw, list) else None
        width = config.model.embedding if isinstance(raw, list) else raw.width
        task = cls(config, classes, width, vocabulary, rate=whole.rate if isinstance(whole, VectorSet) else None)
        if vocabulary is not None and config.model.symbols not in ("learned", "onehot"):
            task._vectors = word_vectors(Path(config.model.symbols), vocabulary.symbols)
            task.width = task._vectors.shape[1]
        task._data = _Data(
            task._examples(raw, config.data),
            task._examples(valid, config.split.valid),
            None if test is None else task._examples(test, config.split.test or config.data),
        )
        return task

    @classmethod
    def load(cls, config: ClassifyConfig, run_dir: str | Path) -> Self:
        """The task of a run folder, without its data. Raises DataError where a file is missing or damaged."""
        path = Path(run_dir) / CLASSES_FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] != _FORMAT:
                raise ValueError(f"its format is {content['format']!r}")
            classes, width, symbols = list(map(str, content["classes"])), int(content["width"]), content["symbols"]
            rate = content.get("rate")
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} is damaged ({error}); restore it, or train anew") from error
        vocabulary = Vocabulary.load(Path(run_dir) / VOCABULARY_FILE) if symbols else None
        return cls(config, classes, width, vocabulary, rate=rate)

    def save(self, run_dir: str | Path) -> None:
        """Write classes and vocabulary into a run folder. Raises OSError."""
        content = {
            "format": _FORMAT,
            "classes": self.classes,
            "width": self.width,
            "symbols": bool(self.vocabulary),
            "rate": self.rate,
        }
        text = json.dumps(content, ensure_ascii=False, indent=0) + "\n"
        (Path(run_dir) / CLASSES_FILE).write_text(text, encoding="utf-8")
        if self.vocabulary is not None:
            self.vocabulary.save(Path(run_dir) / VOCABULARY_FILE)

    def describe(self) -> dict[str, Any]:
        """Facts about the examples."""
        facts: dict[str, Any] = {"classes": len(self.classes)}
        if self.vocabulary is not None:
            facts |= {"level": self.vocabulary.level, "vocabulary": len(self.vocabulary)}
        else:
            facts["width"] = self.width
        if self._data is not None:
            data = self._data
            facts |= {"training_examples": len(data.training), "validation_examples": len(data.validation)}
            if data.test is not None:
                facts["test_examples"] = len(data.test)
            lengths = data.training.lengths
            facts |= {"mean_length": float(lengths.mean()), "longest": int(lengths.max())}
            commonest = np.bincount(data.training.classes).argmax()
            facts["commonest_class"] = f"{self.classes[commonest]} ({np.mean(data.training.classes == commonest):.1%})"
        return facts

    def _examples(self, raw: Raw, path: str) -> Examples:
        """Examples with their classes. Raises DataError for a label that is unknown, or data of another kind."""
        sequences, shown = self._sequences(raw, path)
        return Examples(sequences, class_numbers(raw, path, self.classes), shown)

    def _sequences(self, raw: Raw | Sequence[Line], path: str) -> tuple[list[np.ndarray], list[str]]:
        """What the model reads, and what a person knows each of it by."""
        if isinstance(raw, VectorSet):
            if self.vocabulary is not None:
                raise DataError(f"{path} holds vectors, but the model was trained on texts: give texts")
            if raw.width != self.width:
                raise DataError(
                    f"{path} holds vectors of {raw.width} columns, but the model was trained on {self.width}"
                )
            if raw.rate is not None and raw.rate != self.rate:
                trained = f"sound of {self.rate:,}" if self.rate else "vectors that were no sound"
                raise DataError(
                    f"{path} holds sound of {raw.rate:,} samples a second, but the model was trained on {trained}: "
                    "convert it to the rate of what the model learnt from"
                )
            return raw.sequences, raw.names
        if self.vocabulary is None:
            raise DataError(f"{path} holds texts, but the model was trained on vectors: give an .npz file or wav files")
        texts = [normal(one.text, self.config) for one in raw]
        return self.vocabulary.encode_each(texts), [one.text for one in raw]

    # -- model and loss ----------------------------------------------------------------------------------------------

    def model(self) -> Classifier:
        """A new model. Raises ValueError where the cell is unknown or options exclude each other."""
        symbols = None if self.vocabulary is None else len(self.vocabulary)
        model = build(self.config, symbols, self.width, len(self.classes))
        if self._data is not None:
            model.prepare(self._vectors, self._statistics(), fixed=self.config.model.symbols_fixed)
        return model

    def _statistics(self) -> tuple[Tensor, Tensor] | None:
        """Mean and deviation of each column of the vectors to learn from, [I] each."""
        if self.vocabulary is not None or not self.config.vectors.standardise:
            return None
        values = np.concatenate(self._opened.training.sequences)
        return torch.from_numpy(values.mean(0)), torch.from_numpy(values.std(0))

    def loss(self, model: nn.Module, batch: SequenceBatch, state: Any) -> tuple[Tensor, Any]:
        """The mean negative log-probability of the classes, nats an example, weighted as the settings say; no state."""
        device = next(model.parameters()).device
        logits = model(self._disturbed(batch.inputs).to(device), batch.lengths)
        settings = self.config.loss
        weights = None if self._weights is None else self._weights.to(device)
        return F.cross_entropy(logits, batch.targets.to(device), weights, label_smoothing=settings.smoothing), None

    @cached_property
    def _weights(self) -> Tensor | None:
        """The weight of each class, [C]: N / (C n) for one of n examples among N; each present class has one."""
        if self.config.loss.weights == "none":
            return None
        counts = np.bincount(self._opened.training.classes, minlength=len(self.classes))
        return torch.from_numpy(len(self._opened.training) / (len(counts) * np.maximum(counts, 1))).float()

    def _disturbed(self, inputs: Tensor) -> Tensor:
        """The inputs of a training batch, with some symbols unknown or with noise, as the settings say."""
        if self.vocabulary is not None and self.config.text.unknown:
            hidden = torch.rand(inputs.shape) < self.config.text.unknown
            return inputs.masked_fill(hidden, self.vocabulary.unknown or 0)
        if self.vocabulary is None and self.config.vectors.noise:
            return inputs + self.config.vectors.noise * torch.randn(inputs.shape)
        return inputs

    # -- measures ----------------------------------------------------------------------------------------------------

    def validate(self, model: Classifier) -> dict[str, float]:
        """`valid_nats`, `valid_accuracy` and `valid_macro_f1` on the validation data."""
        judged = judge(model, self._opened.validation)
        measures = figures(judged, self.classes)
        return {f"valid_{name}": measures[name] for name in ("nats", "accuracy", "macro_f1")}

    def evaluate(self, model: Classifier, path: str | Path | None) -> dict[str, float | Finding]:
        """How well the model classifies the examples at `path`; None: those kept for testing, or else for validation.

        Returns:
            `nats`, `accuracy`, `macro_f1`, `examples`, and as findings each class's precision, recall and F1, the
            confusion matrix, and the worst mistakes.
        """
        if path is None:
            data = type(self).open(self.config)._opened
            examples = data.test or data.validation
        else:
            raw = read(str(path), self.config, test=True)
            examples = self._examples(raw, str(path))
        judged = judge(model, examples)
        return {**figures(judged, self.classes), **pictures(judged, examples, self.classes)}

    def findings(self, model: Classifier) -> list[Finding]:
        """Confusion matrix, measures of each class, saliency over some texts, and the worst mistakes."""
        validation = self._opened.validation
        judged = judge(model, validation)
        found = pictures(judged, validation, self.classes)
        return [*found.values(), *self._saliency(model, validation, judged)]

    def _saliency(self, model: Classifier, examples: Examples, judged: Judged) -> list[Finding]:
        if self.vocabulary is None:
            return []
        return [explain.marks(model, examples, judged, self.classes, self._symbols)]

    # -- prediction --------------------------------------------------------------------------------------------------

    def predict(
        self, model: Classifier, source: Path | Iterable[Sequence[Line]], options: Sequence[str] = ()
    ) -> Iterator[str]:
        """Label, probability and text (or name) of each example, parted by tabs; a blank line stays blank.

        With `explain`, a fourth column: each symbol (of vectors: the number of each step) and how much it moved the
        label's log-odds, as `symbol:+0.12`.
        """
        explained = "explain" in options
        blocks: Iterable[Raw | Sequence[Line]]
        if isinstance(source, Path) and self.vocabulary is None:
            require_vectors(str(source))
            blocks, place = [read(str(source), self.config)], str(source)
        elif isinstance(source, Path):
            blocks, place = line_blocks(read_pieces(source)), str(source)
        elif self.vocabulary is None:
            raise DataError(
                "the model was trained on vectors, which no line of text holds: give an .npz file or wav files"
            )
        else:
            blocks, place = source, "the lines"
        for block in blocks:
            yield from self._answers(model, block, place, explained)

    def _answers(self, model: Classifier, block: Raw | Sequence[Line], place: str, explained: bool) -> Iterator[str]:
        sequences, shown = self._sequences(block, place)
        numbers = np.array([k for k, sequence in enumerate(sequences) if len(sequence)], dtype=np.int64)
        answers = [""] * len(sequences)
        if len(numbers):
            examples = Examples([sequences[k] for k in numbers], np.full(len(numbers), -1), [shown[k] for k in numbers])
            judged = judge(model, examples)
            weights = explain.weights(model, examples, judged.predicted) if explained else None
            for place_in, k in enumerate(numbers):
                label = self.classes[judged.predicted[place_in]]
                answers[k] = f"{label}\t{judged.probabilities[place_in]:.4f}\t{shown[k]}"
                if weights is not None:
                    symbols = self._symbols(examples, place_in)
                    pairs = zip(symbols, weights[place_in], strict=True)
                    answers[k] += "\t" + " ".join(f"{symbol}:{weight:+.2f}" for symbol, weight in pairs)
        yield from answers

    def _symbols(self, examples: Examples, number: int) -> list[str]:
        """The symbols of an example as they stand in the text; of vectors, the numbers of the steps from 1."""
        if self.vocabulary is None:
            return [str(step) for step in range(1, len(examples.sequences[number]) + 1)]
        text = normal(examples.shown[number], self.config)
        return list(text) if self.vocabulary.level == "char" else text.split()

    @classmethod
    def uses(cls, trained: Trained) -> list[Use]:
        return [
            Use(
                "predict",
                "Label and probability of each line of a file, or of what you type.",
                f"recurra predict {trained.run} FILE",
            ),
            Use("explain", "The same, and what moved each decision.", f"recurra predict {trained.run} FILE --explain"),
            Use("measure", "Measure it on the test data, or on other data.", f"recurra evaluate {trained.run}"),
        ]


def _classes(labels: list[str], path: str) -> list[str]:
    """The labels that there are, in order. Raises DataError where they are too few or too many to be classes."""
    classes = sorted(set(labels))
    if len(classes) < 2:
        raise DataError(f"{path} has one class only, {classes[0]!r}: there is nothing to tell it from")
    if len(classes) > max(_FEW_CLASSES, len(labels) // 2):
        raise DataError(
            f"{path} has {len(classes):,} classes in {len(labels):,} examples: is the label in another column? "
            "(text.label_column, text.separator)"
        )
    return classes
