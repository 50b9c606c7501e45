"""Describing: one thing, a class, a vector or a grid of features, to a sequence (1→N)."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from recurra.data import (
    DataError,
    Described,
    Line,
    line_blocks,
    picture_features,
    pictures_at,
    read_features,
    read_pieces,
)
from recurra.equations import nearest
from recurra.models import VectorToSequence
from recurra.models.outputs import LabelOutput
from recurra.tasks.base import Task, Trained, Use
from recurra.tasks.config import ConfigError
from recurra.tasks.describe import sets
from recurra.tasks.describe.config import DescribeConfig
from recurra.tasks.describe.data import Alphabet, DescribeBatch, Examples, normal, parted, read
from recurra.tasks.describe.model import build
from recurra.tasks.describe.scoring import (
    Companion,
    bleu,
    curve,
    curves,
    look,
    losses,
    names,
    nats,
    sentences,
    shuffled,
)
from recurra.tasks.describe.writing import candidates, features_of, values, write
from recurra.tasks.examples import ExampleTask
from recurra.tasks.findings import Finding
from recurra.tasks.ranking import ranked

_CLASSIFIER = "decode.classifier"
_SAMPLED = 12  # things that a sample writes of
_NAMED = 12  # classes that a message names


@dataclass(frozen=True)
class _Data:
    """The examples of a run."""

    training: Examples
    validation: Examples
    test: Examples | None


class Describing(ExampleTask[_Data]):
    """From one thing to a sequence: names of a language, a sentence about a picture, a curve from its parameters."""

    name = "describe"
    Config: ClassVar[type] = DescribeConfig
    config: DescribeConfig
    unit = "symbol"
    options: ClassVar[dict[str, str]] = {
        "nbest": "print the best texts of each thing: rank, score, log-probability and text, parted by tabs"
    }
    in_use: ClassVar[Sequence[str]] = ("decode",)

    def __init__(self, config: DescribeConfig, alphabet: Alphabet, data: _Data | None = None) -> None:
        """A task with what its two sides are made of; see `open` and `load`."""
        self.config, self.alphabet, self._data = config, alphabet, data
        self._judge: Companion | None = None
        self._sets = alphabet.width > 0 and config.model.frames == sets.KIND
        if config.score.criterion == "bleu":
            if alphabet.width or alphabet.kind == "class":
                raise ConfigError("score.criterion=bleu is for texts about features: leave it out")
            self.criterion = "valid_bleu"
        if self._sets:
            self.unit = "frame"
        elif alphabet.width:
            self.unit, self.criterion = "step", "valid_mse"
            self.loss_name = {"gaussian": "nats", "student": "nats"}.get(config.model.frames, config.model.frames)

    # -- data --------------------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, config: DescribeConfig) -> Self:
        """Read the examples, part them, and make the alphabet of those to learn from. Raises DataError, ConfigError."""
        if config.score.criterion == "bleu" and find_spec("sacrebleu") is None:
            raise ConfigError("score.criterion=bleu needs the package sacrebleu: pip install 'recurra[translate]'")
        data = read(config.data, config)
        _require_kind(data, config, config.data)
        training, valid, test = parted(data, config)
        alphabet = Alphabet.build(training, config)
        parts = [None if part is None else Examples.of(part, alphabet, config, config.data)
                 for part in (training, valid, test)]  # fmt: skip
        return cls(config, alphabet, _Data(parts[0], parts[1], parts[2]))  # type: ignore[arg-type]  # two are there

    @classmethod
    def load(cls, config: DescribeConfig, run_dir: str | Path) -> Self:
        """The task of a run folder, without its data. Raises DataError where its file is missing or damaged."""
        return cls(config, Alphabet.load(run_dir))

    def save(self, run_dir: str | Path) -> None:
        """Write symbols, classes and features into a run folder. Raises OSError."""
        self.alphabet.save(run_dir)

    def describe(self) -> dict[str, Any]:
        """Facts about the examples."""
        alphabet = self.alphabet
        facts: dict[str, Any] = {"given": alphabet.kind, "size": alphabet.size}
        facts |= {"width": alphabet.width} if alphabet.width else {"level": alphabet.level}
        if alphabet.symbols:
            facts["symbols"] = len(alphabet.symbols)
        if self._data is not None:
            for name, part in vars(self._data).items():
                if part is not None:
                    facts |= {f"{name}_things": len(np.unique(part.data.of)), f"{name}_sequences": len(part)}
        return facts

    # -- other models ------------------------------------------------------------------------------------------------

    def companions(self) -> Mapping[str, str]:
        """The classifier that judges what is drawn, if the settings name one."""
        classifier = self.config.decode.classifier
        return {} if classifier is None else {_CLASSIFIER: classifier}

    def accompany(self, key: str, task: Task, model: nn.Module) -> None:
        """Take the classifier. Raises ConfigError where it is none, or has other classes."""
        classes = getattr(task, "classes", None)
        if task.name != "classify" or self.alphabet.kind != "class":
            raise ConfigError(
                f"{key} names a model of the task {task.name}; texts of classes are judged by a classifier"
            )
        if not set(self.alphabet.classes) <= set(classes or ()):
            missing = sorted(set(self.alphabet.classes) - set(classes or ()))
            raise ConfigError(
                f"{key}: the classifier does not know the class {missing[0]!r}; train it on the same data"
            )
        self._judge = task, model.eval()

    # -- model and loss ----------------------------------------------------------------------------------------------

    def model(self) -> VectorToSequence:
        """A new model. Raises ValueError where the cell or the engine is unknown, or options exclude each other."""
        model = build(self.config, self.alphabet)
        if self._data is not None and isinstance(model.output, LabelOutput):
            model.output.start(torch.from_numpy(np.concatenate(self._data.training.sequences).mean(0)))
        if self._data is not None and self.alphabet.kind != "class":
            data = self._data.training.data
            there = data.things[np.unique(data.of)].reshape(-1, self.alphabet.size)
            model.standardise(torch.from_numpy(there.mean(0)), torch.from_numpy(there.std(0)))
        return model

    def loss(self, model: nn.Module, batch: DescribeBatch, state: Any) -> tuple[Tensor, Any]:
        """The mean loss of a step; no state is carried."""
        sequences = _sequence_model(model)
        device = next(sequences.parameters()).device
        return nats(sequences, batch, device, self.config.loss.smoothing).sum() / batch.tokens, None

    # -- measures ----------------------------------------------------------------------------------------------------

    def validate(self, model: VectorToSequence) -> dict[str, float]:
        """`valid_nats` a symbol; of values, the loss of a step from true values, and `valid_mse` of the model's own; of
        labels, `valid_nats` a frame and `valid_f1`."""
        validation = self._opened.validation
        loss = float(losses(model, validation).sum() / validation.lengths.sum())
        if self._sets:
            return {"valid_nats": loss, "valid_f1": sets.agreement(model, validation)["f1"]}
        if not self.alphabet.width:
            if self.criterion == "valid_nats":
                return {"valid_nats": loss}
            return {"valid_nats": loss, "valid_bleu": bleu(model, self.alphabet, self.config, validation.data)}
        measures = curves(model, self.alphabet, validation.data)
        return {f"valid_{self.loss_name}_of_a_step": loss, "valid_mse": float(measures["mse"])}  # type: ignore[arg-type]

    def evaluate(self, model: VectorToSequence, path: str | Path | None) -> Mapping[str, float | Finding]:
        """How well the model describes the things at `path`; None: those kept for testing, or else for validation.

        Returns:
            of texts `nats` a symbol, of labels `nats` a frame, and of features `shuffled_nats`, with those of another
            thing; what `names` says of classes, `sentences` of features, `curves` of values, `sets.figures` of
            labels; the number of `things` and of `sequences`; of texts also how many were written a second.
        """
        if path is None:
            data = type(self).open(self.config)._opened
            examples = data.test or data.validation
        else:
            found = read(str(path), self.config, test=True)
            if found.parts is not None and "test" in found.parts:
                found = found.take(np.flatnonzero(np.array(found.parts)[found.of] == "test"))
            _require_kind(found, self.config, str(path))
            examples = Examples.of(found, self.alphabet, self.config, str(path))
        steps = int(examples.lengths.sum())
        measures: dict[str, float | Finding] = {}
        if self._sets or not self.alphabet.width:
            measures["nats"] = float(losses(model, examples).sum() / steps)
        if self.alphabet.kind != "class" and "nats" in measures and len(np.unique(examples.data.of)) > 1:
            others = shuffled(examples.data, self.config.seed)
            measures["shuffled_nats"] = float(losses(model, examples, others).sum() / steps)
        measures |= self._written(model, examples)
        return {**measures, "things": len(np.unique(examples.data.of)), "sequences": len(examples)}

    def findings(self, model: VectorToSequence) -> list[Finding]:
        """What the model writes of validation data, beside what is true of them."""
        written = self._written(model, self._opened.validation)
        return [one for one in written.values() if isinstance(one, Finding)]

    def _written(self, model: VectorToSequence, examples: Examples) -> dict[str, float | Finding]:
        if self._sets:
            return sets.figures(model, self.alphabet, examples)
        if self.alphabet.width:
            return curves(model, self.alphabet, examples.data)
        if self.alphabet.kind == "class":
            return names(model, self.alphabet, self.config, self._known, self._judge)
        return sentences(model, self.alphabet, self.config, examples.data)

    @property
    def _known(self) -> set[str]:
        """The texts that the model learnt from."""
        data = self._data or type(self).open(self.config)._opened
        return {normal(text, self.config) for text in data.training.data.texts or []}

    def sample(self, model: VectorToSequence, seed: int) -> str:
        """A text of each of some classes, or of some validation things; of values, nothing."""
        if self.alphabet.width or self._data is None:
            return ""
        things = self._data.validation.data
        some = np.unique(things.of)[:_SAMPLED]
        texts = write(model, self.alphabet, self.config, things.things[some], seed)
        return "\n".join(f"{things.names[k]}: {one.text}" for k, one in zip(some, texts, strict=True))

    # -- prediction --------------------------------------------------------------------------------------------------

    def predict(
        self, model: VectorToSequence, source: Path | Iterable[Sequence[Line]], options: Sequence[str] = ()
    ) -> Iterator[str]:
        """What the model says of each thing, a text or values parted by blanks.

        A thing is a line: the name of a class (a class named twice is written of twice), or features, numbers parted by
        blanks or commas. Or a source is an `.npz` file of features, or a picture, whose features are computed; or a
        folder of pictures, where the name of each and a tab stand before what is said of it.

        Raises:
            DataError: the source is no such thing.
            ConfigError: a line is not understood; it names the line.
        """
        if isinstance(source, Path) and _holds_features(source):
            answers = self._answers(model, self._features(source), self._seed, options)
            names = [f"{one.name}\t" for one in pictures_at(source)] if source.is_dir() else itertools.repeat("")
            yield from (name + line for name, lines in zip(names, answers, strict=False) for line in lines)
            return
        blocks = line_blocks(read_pieces(source)) if isinstance(source, Path) else source
        for number, block in enumerate(blocks):
            lines = [line for line in block if line.text.strip()]
            things = np.array([self._thing(line) for line in lines])
            answers = self._answers(model, things, self._seed + number, options)
            for line in block:
                yield from next(answers) if line.text.strip() else [""]

    def pictures(
        self, model: VectorToSequence, source: Path | Iterable[Sequence[Line]], options: Sequence[str] = ()
    ) -> list[Finding]:
        """The frames of each thing, or where each symbol of its text looked; the rest as `predict`.

        Raises:
            ConfigError: the model writes texts and does not look.
        """
        found: list[Finding] = []
        for things, seed in self._asked(source):
            if self.alphabet.width:
                for one in self._values(model, things, seed):
                    title = str(len(found) + 1)
                    found.append(sets.picture(title, "", one) if self._sets else curve(title, one))
                continue
            if self.config.model.attention == "none":
                raise ConfigError("--out: this model writes texts and looks at nothing: there is nothing to draw")
            for one in write(model, self.alphabet, self.config, things, seed):
                found += [picture for picture in (look(one, one.text),) if picture is not None]
        return found

    def predicted(
        self,
        model: VectorToSequence,
        source: Path | Iterable[Sequence[Line]],
        options: Sequence[str],
        path: Path,
    ) -> bytes:
        """Frames as an `.npz` file, or a piece of music as `.mid` or `.txt` (see `sets.file_of`); texts as `.txt`."""
        if not self.alphabet.width:
            return super().predicted(model, source, options, path)
        found = [self._values(model, things, seed) for things, seed in self._asked(source)]
        if not found:
            raise DataError(f"nothing was asked for, so there is nothing to write to {path}: give a thing on each line")
        return sets.file_of(np.concatenate(found), self.config.decode, path, sets=self._sets)

    def _asked(self, source: Path | Iterable[Sequence[Line]]) -> Iterator[tuple[np.ndarray, int]]:
        """The things of each block of a source, at least one, and the seed of what is drawn of them."""
        if isinstance(source, Path) and _holds_features(source):
            yield self._features(source), self._seed
            return
        for number, block in enumerate(line_blocks(read_pieces(source)) if isinstance(source, Path) else source):
            things = [self._thing(line) for line in block if line.text.strip()]
            if things:
                yield np.array(things), self._seed + number

    @property
    def _seed(self) -> int:
        """Of what is drawn when the model is used."""
        drawn = self.config.decode.seed
        return self.config.seed if drawn is None else drawn

    def _values(self, model: VectorToSequence, things: np.ndarray, seed: int) -> np.ndarray:
        """The values that are written of things, [N, T, K]."""
        decode = self.config.decode
        drawn = seed if decode.way == "sample" else None
        return values(model, self.alphabet, things, decode.steps or self.alphabet.steps, drawn)

    def _features(self, source: Path) -> np.ndarray:
        features = read_features(source, self.config.things.array)[0] if source.suffix == ".npz" else None
        if features is None:
            features = np.stack([picture_features(one) for one in pictures_at(source)])
        expected = {"vector": 2, "grid": 3}.get(self.alphabet.kind, 0)
        if features.ndim != expected or features.shape[-1] != self.alphabet.size:
            raise DataError(
                f"{source} gives features of the shape {list(features.shape)}; the model reads those of the kind "
                f"{self.alphabet.kind} and the size {self.alphabet.size}"
            )
        return features

    def _thing(self, line: Line) -> np.ndarray | int:
        place, text = f"{line.file}, line {line.number}", line.text.strip()
        if self.alphabet.kind == "grid":
            raise DataError(f"{place}: the model looks at grids, which no line holds; give an .npz file or a picture")
        if self.alphabet.kind == "class":
            classes = self.alphabet.classes
            if text not in classes:
                more = ", …" if len(classes) > _NAMED else ""
                close = nearest(text, classes) or f"; known are {', '.join(classes[:_NAMED])}{more}"
                raise DataError(f"{place}: there is no class {text!r}{close}")
            return classes.index(text)
        try:
            return features_of(text.replace(",", " ").split(), self.alphabet)
        except ConfigError as error:
            raise ConfigError(f"{place}: {error}") from None

    def _answers(
        self, model: VectorToSequence, things: np.ndarray, seed: int, options: Sequence[str]
    ) -> Iterator[list[str]]:
        """The lines that are printed of each thing."""
        listed = "nbest" in options
        if self.alphabet.width and listed:
            raise ConfigError("--nbest lists texts, and this model writes values")
        if not len(things):
            return
        if self.alphabet.width:
            for one in self._values(model, things, seed):
                yield [sets.as_line(one) if self._sets else " ".join(f"{value:.4g}" for value in one.reshape(-1))]
            return
        count = (self.config.decode.nbest or self.config.decode.beam) if listed else 1
        for found in candidates(model, self.alphabet, self.config, things, seed, count):
            yield list(ranked(found)) if listed else [found[0].text]

    @classmethod
    def uses(cls, trained: Trained) -> list[Use]:
        return [
            Use(
                "describe",
                "What it says of each line of a file (a class, or features), an .npz file, a picture, a folder.",
                f"recurra predict {trained.run} FILE",
            ),
            Use("measure", "Measure it on the test data, or on other data.", f"recurra evaluate {trained.run}"),
        ]


def _holds_features(source: Path) -> bool:
    """Whether a source is features, a picture or a folder of pictures. Raises DataError where that has none."""
    if source.is_dir() and not pictures_at(source):
        raise DataError(f"{source} is a folder without a picture; give one with .jpg or .png files, or a file")
    return source.suffix == ".npz" or bool(pictures_at(source))


def _require_kind(data: Described, config: DescribeConfig, path: str) -> None:
    """Raise a DataError where the settings say that sets of labels are written, and the data have others."""
    if config.model.frames == sets.KIND and data.frames is not None:
        sets.require_sets(data.frames, path)


def _sequence_model(model: nn.Module) -> VectorToSequence:
    if not isinstance(model, VectorToSequence):
        raise TypeError(f"a {type(model).__name__} writes no sequences of things: expected what `model` gives")
    return model
