"""Language modelling: predict each character or word of a text from all before it."""

import functools
import itertools
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import numpy as np
import torch
from torch import Tensor, nn

from recurra.data import Batch, Corpus, DataError, TextStream, Vocabulary, build_vocabulary, lines_of
from recurra.decoding import BeamSettings, Sampler, sample
from recurra.layers import State
from recurra.models import Condition, LanguageModel
from recurra.models.evaluation import evaluating
from recurra.tasks.base import Task, Trained, Use
from recurra.tasks.lm.beginning import beginning
from recurra.tasks.lm.completion import Completion, completions
from recurra.tasks.lm.config import LanguageModellingConfig
from recurra.tasks.lm.scoring import LineScore, exp, line_nats, text_nats
from recurra.tasks.lm.wording import WISHES, TextWording
from recurra.tasks.recurrence import layer_options
from recurra.tasks.sampling import build_sampling

VOCABULARY_FILE = "vocabulary.json"

# Length of the samples that show how training goes, in symbols.
_SAMPLE_LENGTH = {"char": 300, "word": 60}
SAMPLE_TEMPERATURE = 0.8
# Lines scored at a time.
_LINES = 1024


@dataclass(frozen=True)
class _Text:
    """The text a model is trained on."""

    corpus: Corpus
    characters: int
    training: np.ndarray  # ids [tokens]
    validation: np.ndarray  # ids [tokens]


class LanguageModelling(Task):
    """Language modelling by characters or by words.

    A text is a single file or all text files of a folder, one after another. Its vocabulary is made from all of `data`,
    the part kept for validation included; separate validation files have no part in it.

    Where the settings say that the data are documents, `open` and `load` give a `documents.DocumentModelling`.
    """

    name = "lm"
    Config: ClassVar[type] = LanguageModellingConfig
    config: LanguageModellingConfig
    wishes: Mapping[str, str] = WISHES
    in_use: ClassVar[tuple[str, ...]] = ("document.samples", "document.rhymes")

    def __init__(self, config: LanguageModellingConfig, vocabulary: Vocabulary, text: _Text | None = None) -> None:
        """A task with a vocabulary, and with the text where it is to be trained; see `open` and `load`."""
        self.config = config
        self.vocabulary = vocabulary
        self._text = text

    # -- data --------------------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, config: LanguageModellingConfig) -> Self:
        """Read the text, make its vocabulary, and part off what validation needs.

        Raises:
            DataError: the text is missing, empty, no UTF-8 text or too short, or the validation file holds a symbol
                that the vocabulary lacks.
        """
        if cls is LanguageModelling and config.document.each != "none":
            return cast(Self, _of_documents().open(config))
        if not config.data:
            raise DataError("no text to learn from: set data to a .txt or .txt.gz file, or to a folder of such files")
        settings = config.text
        corpus = Corpus.open(config.data)
        if not any(piece.text for piece in corpus.pieces()):
            raise DataError(f"{config.data} is empty: expected text to learn from")
        vocabulary = build_vocabulary(
            settings.level,
            (piece.text for piece in corpus.pieces()),
            minimum_count=settings.minimum_count,
            maximum_size=settings.maximum_size,
        )
        encoded = corpus.encode(vocabulary)
        fraction = settings.valid_fraction
        if fraction is None:
            training, validation = encoded.ids, Corpus.open(settings.valid).encode(vocabulary).ids
        else:
            cut = int(len(encoded.ids) * (1 - fraction))
            training, validation = encoded.ids[:cut], encoded.ids[cut:]
        if len(validation) < 2:
            raise DataError(
                f"the validation text (text.valid={settings.valid}) has {len(validation)} tokens, but at least 2 are "
                "needed: give a larger fraction, or the path of a longer text"
            )
        text = _Text(corpus, encoded.characters, training, validation[: settings.valid_tokens])
        return cls(config, vocabulary, text)

    @classmethod
    def load(cls, config: LanguageModellingConfig, run_dir: str | Path) -> Self:
        """The task of a run folder, without its text. Raises DataError where the vocabulary is missing or damaged."""
        if cls is LanguageModelling and config.document.each != "none":
            return cast(Self, _of_documents().load(config, run_dir))
        return cls(config, Vocabulary.load(Path(run_dir) / VOCABULARY_FILE))

    def save(self, run_dir: str | Path) -> None:
        """Write the vocabulary into a run folder. Raises OSError where that fails."""
        self.vocabulary.save(Path(run_dir) / VOCABULARY_FILE)

    def training_stream(self, rank: int = 0, world: int = 1) -> TextStream:
        """The training text in `train.batch` rows for each process, in windows of `train.bptt` tokens.

        Raises:
            DataError: the text is shorter than one window of all rows, or was not read.
        """
        train = self.config.train
        ids = self._opened().training
        return TextStream(ids, batch=train.batch, bptt=train.bptt, rank=rank, world=world)

    def describe(self) -> dict[str, Any]:
        """Facts about the text and its vocabulary."""
        facts: dict[str, Any] = {"level": self.vocabulary.level, "vocabulary": len(self.vocabulary)}
        if self._text is not None:
            facts |= {
                "path": str(self._text.corpus.path),
                "files": len(self._text.corpus.files),
                "skipped_files": len(self._text.corpus.skipped),
                "characters": self._text.characters,
                "training_tokens": len(self._text.training),
                "validation_tokens": len(self._text.validation),
            }
        return facts

    def _opened(self) -> _Text:
        if self._text is None:
            raise DataError("this task was loaded from a run folder without its text: open it on its data to train it")
        return self._text

    # -- model and loss ----------------------------------------------------------------------------------------------

    def model(self) -> LanguageModel:
        """A new model over the vocabulary.

        Raises:
            ValueError: the cell is unknown.
            ConfigError: a width of the cell is not given, or one is given that it does not have.
        """
        settings = self.config.model
        return LanguageModel(
            len(self.vocabulary),
            cell=settings.cell,
            embedding=settings.embedding,
            hidden=settings.hidden,
            layers=settings.layers,
            dropout=settings.dropout,
            tied=settings.tied,
            engine=self.config.engine,
            init=settings.init,
            condition=self._condition(),
            sampling=build_sampling(self.config.sampling),
            **layer_options(settings.cell, settings.widths, self.config.recurrent),
        )

    def _condition(self) -> Condition | None:
        """What makes the vector that a document is written for; nothing of one long text."""
        return None

    def loss(self, model: nn.Module, batch: Batch, state: Any) -> tuple[Tensor, Any]:
        """The mean negative log-probability of the batch's targets, nats a token, and the state after its inputs."""
        device = next(model.parameters()).device
        return model(batch.inputs.to(device), state, batch.targets.to(device))

    # -- measures ----------------------------------------------------------------------------------------------------

    def validate(self, model: LanguageModel) -> dict[str, float]:
        """The loss on the validation text, as `evaluate` measures it.

        Returns:
            `valid_nats`, nats a token; by characters `valid_bits`, bits a character; by words `valid_perplexity`.
        """
        ids = self._opened().validation
        with evaluating(model):
            nats = text_nats(model, ids) / (len(ids) - 1)
        return self._valid(nats)

    def _valid(self, nats: float) -> dict[str, float]:
        if self.vocabulary.level == "char":
            return {"valid_nats": nats, "valid_bits": nats / math.log(2)}
        return {"valid_nats": nats, "valid_perplexity": exp(nats)}

    def evaluate(self, model: LanguageModel, path: str | Path | None) -> dict[str, float]:
        """How well the model predicts the text at `path`, a file or a folder.

        Every token but the first is predicted exactly once, given all before it: for a text of n tokens, n - 1
        predictions (82,429 for the Penn Treebank's test text of 82,430). To be quick, a long text is read in up to 32
        rows side by side; each starts with the state after the 128 tokens before it.

        Returns:
            `nats_per_token`; `nats_per_character` and `bits_per_character`: the sum over all predictions, divided by
            the characters of the text (by characters: but the first); `perplexity_per_word`: e to that sum divided by
            the words, each line end counted as one; `tokens`, `characters` and `words`: what was divided by;
            `unknown_tokens`: how many were `<unk>`; `seconds` and `tokens_per_second`: time to predict them.

        Raises:
            DataError: no text is given, or it cannot be read, is shorter than 2 tokens, or holds a symbol never seen
                in training.
        """
        if path is None:
            raise DataError("no text to measure the model on: give the path of a file or a folder")
        encoded = Corpus.open(path).encode(self.vocabulary)
        tokens = len(encoded.ids) - 1
        if tokens < 1:
            raise DataError(f"{path} is too short to evaluate: it has 1 token, but at least 2 are needed")
        start = time.perf_counter()
        with evaluating(model):
            nats = text_nats(model, encoded.ids)
        seconds = time.perf_counter() - start
        predicted = encoded.ids[1:]
        characters = tokens if self.vocabulary.level == "char" else encoded.characters
        words = self.vocabulary.count_words(predicted)
        unknown = 0 if self.vocabulary.unknown is None else int((predicted == self.vocabulary.unknown).sum())
        return {
            "nats_per_token": nats / tokens,
            "nats_per_character": nats / characters,
            "bits_per_character": nats / characters / math.log(2),
            "perplexity_per_word": exp(nats / max(words, 1)),
            "tokens": tokens,
            "characters": characters,
            "words": words,
            "unknown_tokens": unknown,
            "seconds": seconds,
            "tokens_per_second": tokens / seconds,
        }

    def score(self, model: LanguageModel, source: str | Path | Iterable[str]) -> Iterator[LineScore]:
        """The log-probability of each line on its own, so that lines can be ranked by how plausible they are.

        Each line is read from a fresh state, after a line end, and the line end after it is part of it. (Where the
        training text had no line end, the first symbol is context and not scored, and no end is.)

        Args:
            model: a model of this task.
            source: the path of a text, or the lines themselves, without line ends.

        Yields:
            one LineScore for each line, in order.

        Raises:
            DataError: the text cannot be read, or a line holds a symbol never seen in training.
        """
        if isinstance(source, str | Path):
            pieces = Corpus.open(source).pieces()
            lines = ((line.number, line.text, str(line.file)) for piece in pieces for line in lines_of(piece))
        else:
            lines = ((number, line, "the lines") for number, line in enumerate(source, 1))
        while block := list(itertools.islice(lines, _LINES)):
            ids = [self._framed(self.vocabulary.encode(text, place, number)) for number, text, place in block]
            with evaluating(model):
                nats = line_nats(model, ids)
            for (number, text, _), line, value in zip(block, ids, nats, strict=True):
                yield LineScore(number, text, -value, max(len(line) - 1, 0))

    def _framed(self, ids: np.ndarray) -> np.ndarray:
        """A line between two line ends."""
        end = self.vocabulary.line_end
        return ids if end is None else np.concatenate([[end], ids, [end]])

    # -- text --------------------------------------------------------------------------------------------------------

    def generate(
        self,
        model: LanguageModel,
        prompt: str = "",
        *,
        length: int | None = 500,
        sampler: Sampler | None = None,
        seed: int = 0,
        wishes: Mapping[str, str] | None = None,
    ) -> Iterator[str]:
        """Write on from `prompt`, symbol by symbol.

        The prompt is read from a fresh state, after a line end. (Where the training text had no line end and there is
        no prompt, the text starts after the vocabulary's first symbol.)

        Args:
            model: a model of this task.
            prompt: the text to go on from.
            length: symbols to write, characters or words; None: without end.
            sampler: how symbols are drawn; None: from the model's own probabilities.
            seed: the same seed gives the same text.
            wishes: symbols that are `forbidden`, and what a document is written for, by the names of `wishes`.

        Yields:
            pieces of text; the prompt followed by all of them is the whole text.

        Raises:
            ValueError: length is negative, or a wish is for searching, or names a symbol never seen (at once).
            DataError: the prompt holds a symbol never seen in training (at once).
        """
        forbidden, rest = TextWording(self.vocabulary).of_draws(wishes or {})
        ids, state = self._begin(model, prompt, rest)
        device = model.output_bias.device
        generator = torch.Generator(device).manual_seed(seed)
        context = torch.from_numpy(ids).to(device)[None]
        tokens = sample(
            model.decoder(), state, context, length=length, sampler=sampler, generator=generator, forbidden=forbidden
        )
        return self._written(model, tokens, prompt)

    def complete(
        self, model: LanguageModel, prompt: str, search: BeamSettings, wishes: Mapping[str, str] | None = None
    ) -> list[Completion]:
        """The likeliest ways to go on from `prompt` to the end of the line, or of the document.

        Args:
            model: a model of this task.
            prompt: the text to go on from, as for `generate`.
            search: how they are searched for; its end symbol becomes the task's. Of a text without line ends that is
                none, and all are `search.maximum` symbols long.
            wishes: as for `generate`; and the `minimum` of symbols, and what is `required`.

        Returns:
            at most `search.nbest`, the best first.

        Raises:
            DataError: the prompt holds a symbol never seen in training.
            ConfigError: a wish cannot be had.
        """
        search, rest = TextWording(self.vocabulary).of_search(replace(search, end=self._end), wishes or {})
        context = self._begin(model, prompt, rest)
        write = functools.partial(self._written, model, prompt=prompt)
        return completions(model, context, search, write)

    @property
    def _end(self) -> int | None:
        """The symbol that ends what is completed."""
        return self.vocabulary.line_end

    def _begin(self, model: LanguageModel, prompt: str, wishes: Mapping[str, str]) -> tuple[np.ndarray, State | None]:
        """The ids that are read before anything is written, at least one, and the state before them."""
        ids = self.vocabulary.encode(prompt, "the prompt")
        if self.vocabulary.line_end is not None:
            ids = np.concatenate([[self.vocabulary.line_end], ids])
        return (ids if len(ids) else np.zeros(1, dtype=np.int64)), None

    def _written(self, model: LanguageModel, tokens: Iterator[Tensor], prompt: str) -> Iterator[str]:
        spaced = self.vocabulary.level == "word"
        at_start = not prompt or prompt[-1].isspace()
        with evaluating(model):
            for token in tokens:
                number = int(token)
                text = self.vocabulary.decode([number])
                yield f" {text}" if spaced and not at_start and text != "\n" else text
                at_start = number == self.vocabulary.line_end

    def sample(self, model: LanguageModel, seed: int) -> str:
        """A few lines of text, from an empty prompt."""
        length = _SAMPLE_LENGTH[self.vocabulary.level]
        return "".join(self.generate(model, length=length, sampler=Sampler(SAMPLE_TEMPERATURE), seed=seed))

    @classmethod
    def uses(cls, trained: Trained) -> list[Use]:
        return [
            Use(
                "write",
                "Let it write. A lower temperature is more careful, a higher one more daring.",
                f"recurra generate {trained.run}{beginning(trained)} --length 500 --temperature 0.8 --seed 1",
            ),
            *super().uses(trained),
            Use(
                "rank",
                "The log-probability of each line of a file, to rank lines by how plausible they are.",
                f"recurra score {trained.run} FILE",
            ),
        ]


def _of_documents() -> "type[LanguageModelling]":
    """The class for documents, which is made from the one here and so can be imported only now."""
    from recurra.tasks.lm.documents import DocumentModelling

    return DocumentModelling
