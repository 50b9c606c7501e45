"""Tagging: a tag for each token of a sentence or each vector of a sequence (N→N in step)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from recurra.data import DataError, FrameSet, Line, line_blocks, read_frames, read_pieces
from recurra.models import Tagger
from recurra.tasks.base import Trained, Use
from recurra.tasks.examples import ExampleTask
from recurra.tasks.findings import Finding, Table
from recurra.tasks.tag.alphabet import Alphabet
from recurra.tasks.tag.answers import Text, answer, joined, of_columns, record, written
from recurra.tasks.tag.config import TagConfig
from recurra.tasks.tag.data import Examples, Raw, TagBatch, all_tags, columns, counts_of, parts, read, require_one_form
from recurra.tasks.tag.model import build, chooses_together
from recurra.tasks.tag.scoring import figures, judge, pictures
from recurra.tasks.word_vectors import word_vectors

_BASELINE_FILE = "commonest.npy"
_SHOWN = 10  # sentences in the report


@dataclass(frozen=True)
class _Data:
    """The examples of a run, and how often each known token was met in those to learn from, [V]."""

    training: Examples
    validation: Examples
    test: Examples | None
    met: np.ndarray


class Tagging(ExampleTask[_Data]):
    """Tagging of tokens: parts of speech, names, the words of a text without blanks, senses; and of frames."""

    name = "tag"
    Config: ClassVar[type] = TagConfig
    config: TagConfig
    unit = "tag"
    options: ClassVar[dict[str, str]] = {
        "records": "print the spans of each sentence as a JSON record, such as a company, a year and a revenue",
        "columns": "read a token a line, with a blank line behind each sentence, and print token, tab and tag",
    }

    def __init__(self, config: TagConfig, alphabet: Alphabet, commonest: np.ndarray, data: _Data | None = None) -> None:
        """A task with its tags and symbols; see `open` and `load`.

        Args:
            config: its settings.
            alphabet: tags and symbols.
            commonest: number of the commonest tag of each known token, [V].
            data: the examples, where it is to be trained.
        """
        self.config, self.alphabet, self.commonest, self._data = config, alphabet, commonest, data
        self._vectors: Tensor | None = None  # word vectors to start from, [V, E]
        self.criterion = "valid_accuracy" if alphabet.scheme is None else "valid_f1"

    # -- data --------------------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, config: TagConfig) -> Self:
        """Read the examples, part them, and make the alphabet of those to learn from.

        Raises:
            DataError: the data cannot be read, have one tag only, contradict their scheme, or a part has a tag of its
                own.
        """
        whole = read(config.data, config)
        tags = all_tags(whole, config.data)
        if config.tokens.scheme == "auto":
            require_one_form(whole, tags, config.data)
        raw, valid, test = parts(whole, config)
        alphabet, vectors = Alphabet.build(raw, tags, config), None
        if alphabet.tokens is not None and config.model.symbols not in ("learned", "onehot"):
            vectors = word_vectors(Path(config.model.symbols), alphabet.tokens.names)
            alphabet = replace(alphabet, vectors=vectors.shape[1])
        met, commonest = counts_of(raw, alphabet)
        task = cls(config, alphabet, commonest)
        task._vectors = vectors
        training = task._examples(raw, config.data)
        validation = task._examples(valid, config.split.valid)
        held = None if test is None else task._examples(test, config.split.test or config.data)
        task._data = _Data(training, validation, held, met)
        return task

    @classmethod
    def load(cls, config: TagConfig, run_dir: str | Path) -> Self:
        """The task of a run folder, without its data. Raises DataError where a file is missing or damaged."""
        path = Path(run_dir) / _BASELINE_FILE
        try:
            commonest = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataError(f"{path} cannot be read ({error}); restore it, or train anew") from error
        return cls(config, Alphabet.load(run_dir), commonest)

    def save(self, run_dir: str | Path) -> None:
        """Write tags, symbols and the commonest tags into a run folder. Raises OSError."""
        self.alphabet.save(run_dir)
        np.save(Path(run_dir) / _BASELINE_FILE, self.commonest)

    def describe(self) -> dict[str, Any]:
        """Facts about the examples."""
        alphabet = self.alphabet
        facts: dict[str, Any] = {
            "tags": len(alphabet.tags),
            "scheme": alphabet.scheme.name if alphabet.scheme else "none",
        }
        facts |= {f"known_{name}": size for name, size in alphabet.sizes().items()}
        if alphabet.width:
            facts["width"] = alphabet.width
        if self._data is not None:
            for name, part in vars(self._data).items():
                if isinstance(part, Examples):
                    facts |= {f"{name}_sequences": len(part), f"{name}_tags": part.tagged}
            lengths = self._data.training.lengths
            facts |= {"mean_length": float(lengths.mean()), "longest": int(lengths.max())}
        return facts

    def _examples(self, raw: Raw, path: str) -> Examples:
        """Examples with their tags. Raises DataError for tags that are unknown, or missing where all are needed."""
        examples = Examples.of(raw, self.alphabet, path)
        if chooses_together(self.config, self.alphabet) and examples.tagged < int(examples.lengths.sum()):
            raise DataError(
                f"some tokens of {path} have no tag, and a random field needs them all: give them one, or train with "
                "model.output=softmax"
            )
        return examples

    # -- model and loss ----------------------------------------------------------------------------------------------

    def model(self) -> Tagger:
        """A new model. Raises ValueError where the cell is unknown or options exclude each other."""
        model = build(self.config, self.alphabet)
        if self._data is not None and isinstance(self._data.training.raw, FrameSet):
            values = np.concatenate(self._data.training.raw.sequences)
            model.inputs.standardise(torch.from_numpy(values.mean(0)), torch.from_numpy(values.std(0)))
        if self._vectors is not None:
            model.inputs.start(self._vectors, fixed=self.config.model.symbols_fixed)
        return model

    def loss(self, model: nn.Module, batch: TagBatch, state: Any) -> tuple[Tensor, Any]:
        """The mean negative log-probability of the tags, nats a tag; no state is carried."""
        device = next(model.parameters()).device
        tokens = batch.read
        if self._rare is not None:
            hidden = self._rare[tokens.inputs] & (torch.rand(tokens.inputs.shape) < self.config.tokens.unknown)
            tokens = replace(tokens, inputs=tokens.inputs.masked_fill(hidden, 0))
        tokens, targets, tagger = tokens.to(device), batch.targets.to(device), _tagger(model)
        return tagger.nats(tagger(tokens, targets), targets, tokens.lengths).sum() / max(batch.tokens, 1), None

    @property
    def _rare(self) -> Tensor | None:
        """Which tokens were met only once, bool [V]; None where none is ever hidden."""
        if self.alphabet.tokens is None or not self.config.tokens.unknown:
            return None
        return torch.from_numpy(self._opened.met == 1)

    # -- measures ----------------------------------------------------------------------------------------------------

    def validate(self, model: Tagger) -> dict[str, float]:
        """`valid_nats`, `valid_accuracy` and, where tags write spans, their `valid_precision`, `…_recall`, `…_f1`."""
        validation = self._opened.validation
        measures = figures(judge(model, validation), validation, self.commonest)
        kept = ("nats", "accuracy", "precision", "recall", "f1", "exact_records")
        return {f"valid_{name}": measures[name] for name in kept if name in measures}

    def evaluate(self, model: Tagger, path: str | Path | None) -> Mapping[str, float | Finding]:
        """How well the model tags the examples at `path`; None: those kept for testing, or else for validation.

        Returns:
            What `tag_scoring.figures` says, and as findings each tag's or kind's precision, recall and F1, the
            confusion matrix, and the worst mistakes.
        """
        if path is None:
            data = type(self).open(self.config)._opened
            examples = data.test or data.validation
        else:
            examples = self._examples(read(str(path), self.config, test=True), str(path))
        judged = judge(model, examples)
        return {**figures(judged, examples, self.commonest), **pictures(judged, examples)}

    def findings(self, model: Tagger) -> list[Finding]:
        """Some sentences as they are tagged, confusion matrix, each tag or kind of span, and the worst mistakes."""
        validation = self._opened.validation
        found = pictures(judge(model, validation), validation)
        return [*self._sentences(model, validation), *found.values()]

    def _sentences(self, model: Tagger, examples: Examples) -> list[Finding]:
        """Some sentences, evenly drawn, as the model tags them; where it tags fields, with their records."""
        if isinstance(examples.raw, FrameSet):
            return []
        some = examples.raw[:: -(-len(examples) // _SHOWN)]
        shown = [list(one.tokens) for one in some]
        rows = []
        for tokens, tags in zip(shown, answer(model, self.alphabet, shown), strict=True):
            text = self._text(tokens)
            with_record = (text.text, record(self.alphabet, text, tags))
            rows.append(with_record if self.alphabet.kinds else (written(self.alphabet, text, tags),))
        columns = ["sentence", "record"] if self.alphabet.kinds else ["sentence"]
        return [Table("Some sentences", "of the validation data, as the model tags them", columns, rows)]

    # -- prediction --------------------------------------------------------------------------------------------------

    def predict(
        self, model: Tagger, source: Path | Iterable[Sequence[Line]], options: Sequence[str] = ()
    ) -> Iterator[str]:
        """Each line with its tags, as `token/tag`; of a model of segmented text, its words, parted by blanks.

        A blank line stays blank. With `columns`, and from a file called `.conll` or `.conllu`: each token, a tab and
        its tag, and a blank line behind each sentence. With `records`: the spans of each sentence as a JSON object. A
        model of vectors reads an `.npz` file and prints the tags of each sequence, parted by blanks.

        Raises:
            DataError: the source is not what the model reads, or `records` is asked for where tags write no spans.
        """
        if "records" in options and not self.alphabet.kinds:
            raise DataError(
                "--records groups spans by their kind, but the tags of this model write none: they would be "
                "such as B-company, I-company and O"
            )
        if self.alphabet.width:
            yield from self._of_frames(model, source)
            return
        name = source.name.removesuffix(".gz") if isinstance(source, Path) else ""
        blocks = line_blocks(read_pieces(source)) if isinstance(source, Path) else source
        conllu = name.endswith(".conllu") or self.config.tokens.format == "conllu"
        if "columns" in options or name.endswith((".conll", ".conllu")):
            yield from self._of_columns(model, blocks, "records" in options, conllu=conllu)
            return
        show = record if "records" in options else written
        for block in blocks:
            texts = [Text(line.text, self.alphabet.places(line.text)) for line in block]
            for text, tags in zip(texts, answer(model, self.alphabet, [one.tokens for one in texts]), strict=True):
                yield show(self.alphabet, text, tags) if text.places else ""

    def _of_columns(
        self, model: Tagger, blocks: Iterable[Sequence[Line]], records: bool, *, conllu: bool
    ) -> Iterator[str]:
        for sentences in of_columns(blocks, columns(self.config), conllu=conllu):
            for tokens, tags in zip(sentences, answer(model, self.alphabet, sentences), strict=True):
                if records:
                    yield record(self.alphabet, self._text(tokens), tags)
                else:
                    yield from (f"{token}\t{tag}" for token, tag in zip(tokens, tags, strict=True))
                    yield ""

    def _of_frames(self, model: Tagger, source: Path | Iterable[Sequence[Line]]) -> Iterator[str]:
        if not isinstance(source, Path):
            raise DataError("the model was trained on vectors, which no line of text holds: give an .npz file")
        frames = read_frames(source)
        self.alphabet.require_kind(frames, str(source))
        yield from map(" ".join, answer(model, self.alphabet, frames.sequences))

    def _text(self, tokens: Sequence[str]) -> Text:
        if self.alphabet.cut == "characters":
            return Text("".join(tokens), [(k, k + 1) for k in range(len(tokens))])
        return joined(tokens)

    @classmethod
    def uses(cls, trained: Trained) -> list[Use]:
        return [
            Use("predict", "Tag each line of a file, or of what you type.", f"recurra predict {trained.run} FILE"),
            Use("measure", "Measure it on the test data, or on other data.", f"recurra evaluate {trained.run}"),
        ]


def _tagger(model: nn.Module) -> Tagger:
    if not isinstance(model, Tagger):
        raise TypeError(f"a {type(model).__name__} is no tagger: expected what `model` gives")
    return model
