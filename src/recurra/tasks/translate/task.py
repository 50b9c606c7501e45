"""Translation: a text becomes another one, of any length (N→M)."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from torch import Tensor, nn

from recurra.data import DataError, Line, line_blocks, read_pieces
from recurra.models import EncoderDecoder
from recurra.tasks.base import Task, Trained, Use
from recurra.tasks.config import ConfigError
from recurra.tasks.examples import ExampleTask
from recurra.tasks.findings import Finding
from recurra.tasks.ranking import ranked
from recurra.tasks.translate.answers import alignment
from recurra.tasks.translate.channel import Channel
from recurra.tasks.translate.config import TranslateConfig
from recurra.tasks.translate.data import Examples, PairBatch, parts, read
from recurra.tasks.translate.measures import INSTALL, Corpus
from recurra.tasks.translate.model import build, require_own
from recurra.tasks.translate.report import References, alignments, by_source_length, extremes, picture, signatures
from recurra.tasks.translate.scoring import baseline, figures, loss, timed
from recurra.tasks.translate.search import Translation as Found
from recurra.tasks.translate.search import Translator
from recurra.tasks.translate.sides import Sides
from recurra.tasks.translate.suited import SUITED

logger = logging.getLogger("recurra.tasks")

_SAMPLES = 3  # translations that show how training goes


@dataclass(frozen=True)
class _Data:
    """The examples of a run."""

    training: Examples
    validation: Examples
    test: Examples | None


class Translation(ExampleTask[_Data]):
    """Translation of texts: by words, characters or pieces of words, with attention or without."""

    name = "translate"
    Config: ClassVar[type] = TranslateConfig
    config: TranslateConfig
    options: ClassVar[dict[str, str]] = {
        "attention": "also print what was looked at for each symbol, as a table",
        "nbest": "print the best translations of each line: rank, score, log-probability and text, parted by tabs",
        "required": "read behind each line, after tabs, words and phrases that its translation must hold",
        "rerank": "choose among them by a noisy channel: decode.reverse and decode.language name its two models",
        "symbols": "print each line, of the target language, cut into symbols: a text for a language model",
    }
    in_use: ClassVar[tuple[str, ...]] = ("decode", "score", "text.unfit")
    suited: ClassVar[Mapping[str, Mapping[str, Any]]] = SUITED

    def __init__(self, config: TranslateConfig, sides: Sides, data: _Data | None = None) -> None:
        """A task with the symbols of both sides, and with the examples where it is to be trained."""
        self.config, self.sides, self._data = config, sides, data
        self.criterion = f"valid_{config.score.criterion}"
        if config.loss.per == "sentence":
            self.loss_name, self.unit = "sentence_nats", "sentence"
            self.criterion = self.criterion.replace("valid_nats", "valid_sentence_nats")
        self.corpus = Corpus(config.score.tokenize, lowercase=config.text.lowercase)
        self._channel = Channel()

    # -- data --------------------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, config: TranslateConfig) -> Self:
        """Read the pairs, part them, and make the symbols of those to learn from.

        Raises:
            DataError: the data cannot be read, a side of a pair is empty or too long, or a package is missing that the
                pieces of words or the criterion need.
            ConfigError: `decode.replace` is asked of a model without attention.
        """
        if config.decode.replace and config.attention.score == "none":
            raise ConfigError("decode.replace needs a model with attention: set attention.score, or leave it out")
        raw, valid, test = parts(config)
        task = cls(config, Sides.build(raw, config.text))
        if not task.corpus.available and config.score.criterion in ("bleu", "chrf"):
            raise DataError(
                f"score.criterion={config.score.criterion} needs the package sacrebleu, which is not here: {INSTALL}; "
                "or set it to nats or exact"
            )
        task._data = _Data(task._examples(raw), task._examples(valid), None if test is None else task._examples(test))
        return task

    @classmethod
    def load(cls, config: TranslateConfig, run_dir: str | Path) -> Self:
        """The task of a run folder, without its data. Raises DataError where its symbols are missing or damaged."""
        return cls(config, Sides.load(run_dir))

    def save(self, run_dir: str | Path) -> None:
        """Write the symbols of both sides into a run folder. Raises OSError."""
        self.sides.save(run_dir)

    def _tokens(self) -> int | None:
        return self.config.train.tokens

    def describe(self) -> dict[str, Any]:
        """Facts about the pairs."""
        facts: dict[str, Any] = {
            "level": self.sides.source.tokenizer.level,
            "source_symbols": len(self.sides.source),
            "target_symbols": len(self.sides.target),
        }
        if self._data is not None:
            for name, part in vars(self._data).items():
                if part is not None:
                    facts[f"{name}_pairs"] = len(part)
            training = self._data.training
            facts |= {
                "mean_source_length": float(training.source_lengths.mean()) - 1,
                "longest_source": int(training.source_lengths.max()) - 1,
                "mean_target_length": float(np.mean([len(target) for target in training.targets])) - 1,
                "longest_target": max(map(len, training.targets)) - 1,
            }
        return facts

    def _examples(self, pairs: Sequence[Any]) -> Examples:
        return Examples.of(pairs, self.sides, self.config)

    # -- model and loss ----------------------------------------------------------------------------------------------

    def model(self) -> EncoderDecoder:
        """A new model. Raises ValueError where the cell is unknown or options exclude each other."""
        return build(self.config, self.sides)

    def loss(self, model: nn.Module, batch: PairBatch, state: Any) -> tuple[Tensor, Any]:
        """The negative log-probability of the targets, teacher-forced, nats a symbol or a sentence; no state."""
        translator = require_own(model, self.sides)
        batch = batch.to(next(model.parameters()).device)
        encoded = translator.encode(batch.source, batch.source_lengths)
        smoothing = self.config.loss.smoothing
        nats = translator.nats(encoded, batch.inputs, batch.targets, batch.lengths, smoothing, "sum")
        return nats / batch.tokens, None

    def _translator(self, model: nn.Module) -> Translator:
        own = require_own(model, self.sides)
        return Translator(own, self.sides, reverse=self.config.text.reverse, seed=self.config.seed)

    # -- measures ----------------------------------------------------------------------------------------------------

    def validate(self, model: EncoderDecoder) -> dict[str, float]:
        """The loss on all of the validation data; of greedy translations of some `valid_exact`, `…_bleu` and others."""
        validation, score, translator = self._opened.validation, self.config.score, self._translator(model)
        measures = {self.loss_name: loss(translator, validation)}
        if score.sentences:
            wanted = self._wanted(validation.some(score.sentences))
            found = translator.greedy(wanted.sources, self.config.decode)
            measures |= figures(found, wanted, self.corpus)
        return {f"valid_{name}": value for name, value in measures.items()}

    def evaluate(self, model: EncoderDecoder, path: str | Path | None) -> Mapping[str, float | Finding]:
        """How well the model translates the pairs at `path`; None: those kept for testing, or else for validation.

        Returns:
            `nats` a symbol; of translations found as `decode` says: `bleu` and `chrf`, as sacreBLEU has them, `exact`
            matches, `token_accuracy`; `sentences`, `seconds` and `sentences_per_second` of the search; `reranked_…`
            where `decode.reverse` and `decode.language` are set; `baseline_…` where `score.baseline` is; and as
            findings how it was measured, the score by length, the best and worst translations, and alignments.
        """
        guess = None if self.config.score.baseline == "none" else self.config.score.baseline
        data = type(self).open(self.config)._opened if path is None or guess else None
        if path is None and data is not None:
            examples = data.test or data.validation
        else:
            examples = self._examples(read(str(path), self.config, test=True))
        translator, decode = self._translator(model), self.config.decode
        wanted = self._wanted(examples)
        lists, seconds = timed(translator, wanted.sources, decode)
        found = [one[0] for one in lists]
        measures: dict[str, float | Finding] = {
            self.loss_name: loss(translator, examples),
            **figures(found, wanted, self.corpus),
        }
        if self._channel.whole:
            chosen = [self._channel.order(text, one, decode)[0] for text, one in zip(wanted.texts, lists, strict=True)]
            measures |= {f"reranked_{name}": value for name, value in figures(chosen, wanted, self.corpus).items()}
        if data is not None and guess:
            guessed = baseline(guess, data.training, translator, wanted)
            measures |= {f"baseline_{name}": value for name, value in figures(guessed, wanted, self.corpus).items()}
        measures |= {"sentences": len(wanted), "seconds": seconds, "sentences_per_second": len(wanted) / seconds}
        if not self.corpus.available:
            logger.warning("BLEU and chrF are left out: they need the package sacrebleu; %s", INSTALL)
        tables = [one for one in (signatures(found, wanted, self.corpus),) if one is not None]
        tables += extremes(found, wanted)
        pictures = {one.title.lower().replace(" ", "_"): one for one in [*tables, *alignments(found)]}
        return {**measures, **by_source_length(found, wanted, self.corpus, self._by), **pictures}

    def findings(self, model: EncoderDecoder) -> list[Finding]:
        """Scores by length, best and worst translations, and alignments, of greedy translations."""
        translator = self._translator(model)
        wanted = self._wanted(self._opened.validation.some(max(self.config.score.sentences, 100)))
        found = translator.greedy(wanted.sources, self.config.decode)
        lengths = by_source_length(found, wanted, self.corpus, self._by)
        return [*alignments(found), *lengths.values(), *extremes(found, wanted)]

    def sample(self, model: EncoderDecoder, seed: int) -> str:
        """Some of the validation data, as the model translates them, and as they should be."""
        translator = self._translator(model)
        wanted = self._wanted(self._opened.validation.some(_SAMPLES))
        found = translator.greedy(wanted.sources, self.config.decode)
        return "\n".join(
            f"{text}\n  → {one.text}\n  = {known[0]}"
            for text, one, known in zip(wanted.texts, found, wanted.references, strict=True)
        )

    @property
    def _by(self) -> str:
        """The measure that is told by length: the one that is best for the data, as far as the settings say it."""
        criterion = self.config.score.criterion
        if not self.corpus.available:
            return "exact"
        return "bleu" if criterion == "nats" else criterion

    def _wanted(self, examples: Examples) -> References:
        return References.of(examples, self.sides, together=self.config.score.together)

    # -- prediction --------------------------------------------------------------------------------------------------

    def companions(self) -> dict[str, str]:
        decode = self.config.decode
        named = {"decode.reverse": decode.reverse, "decode.language": decode.language}
        return {key: path for key, path in named.items() if path}

    def accompany(self, key: str, task: Task, model: nn.Module) -> None:
        self._channel.take(key, task, model, self)

    def predict(
        self, model: EncoderDecoder, source: Path | Iterable[Sequence[Line]], options: Sequence[str] = ()
    ) -> Iterator[str]:
        """The translation of each line, found as `decode` says; a blank line stays blank. See `options`.

        Raises:
            ConfigError: `rerank` is asked for without its two models, `attention` of a model without, or a phrase that
                the model cannot write; that one with file and line.
        """
        for text, found in self._found(model, source, options):
            yield from self._shown(found, options) if found else [text]

    def pictures(
        self, model: EncoderDecoder, source: Path | Iterable[Sequence[Line]], options: Sequence[str] = ()
    ) -> list[Finding]:
        """What was looked at for each symbol of the translation of each line.

        Raises:
            ConfigError: the model was trained without attention; or as `predict`.
        """
        found = self._found(model, source, [*options, "attention"])
        return [picture(ones[0], text, ones[0].text) for text, ones in found if ones]

    def _found(
        self, model: EncoderDecoder, source: Path | Iterable[Sequence[Line]], options: Sequence[str]
    ) -> Iterator[tuple[str, list[Found]]]:
        """The text of each line and its translations, the best first; none of a blank one.

        With `symbols`, the text is the line cut into those of the target, and there are no translations.
        """
        translator, decode = self._translator(model), self.config.decode
        if "rerank" in options:
            self._channel.require_whole()
        if "attention" in options and self.config.attention.score == "none":
            raise ConfigError("--attention: this model was trained without (attention.score=none)")
        for block in line_blocks(read_pieces(source)) if isinstance(source, Path) else source:
            if "symbols" in options:
                yield from ((" ".join(self.sides.target.tokenizer.cut(line.text)), []) for line in block)
                continue
            texts, required = [line.text for line in block], None
            if "required" in options:
                texts, required = _parted(block, translator)
            cut = [self.sides.source.tokenizer.cut(text) for text in texts]
            there = [k for k, symbols in enumerate(cut) if symbols]
            phrases = None if required is None else [required[k] for k in there]
            answers = iter(translator.search([cut[k] for k in there], decode, phrases))
            for text, symbols in zip(texts, cut, strict=True):
                if not symbols:
                    yield "", []
                elif "rerank" in options:
                    yield text, self._channel.order(text, next(answers), decode)
                else:
                    yield text, next(answers)

    def _shown(self, found: list[Found], options: Sequence[str]) -> Iterator[str]:
        if "nbest" in options:
            yield from ranked(found)
        else:
            yield found[0].text
        if "attention" in options:
            yield from alignment(found[0])

    def log_probabilities(self, model: EncoderDecoder, sources: Sequence[str], targets: Sequence[str]) -> np.ndarray:
        """log p(target|source) of texts, in nats, the end of the target included, float64 [N]."""
        return self._translator(model).log_probabilities(sources, targets)

    @classmethod
    def uses(cls, trained: Trained) -> list[Use]:
        predict = f"recurra predict {trained.run} FILE"
        looks = trained.config.get("attention", {}).get("score") != "none"
        look = Use("look", "See what it looks at for each symbol.", f"{predict} --attention")
        return [
            Use("predict", "Translate each line of a file, or of what you type.", predict),
            *([look] if looks else []),
            Use("measure", "Measure it on the test data, or on other data.", f"recurra evaluate {trained.run}"),
        ]


def _parted(block: Sequence[Line], translator: Translator) -> tuple[list[str], list[list[list[int]]]]:
    """The text of each line up to its first tab, and the phrases behind it. Raises ConfigError."""
    texts, required = [], []
    for line in block:
        text, *phrases = line.text.split("\t")
        place = f"{line.file}, line {line.number}"
        texts.append(text)
        required.append([translator.wording.phrase(one, place) for one in phrases if one.strip()])
    return texts, required
