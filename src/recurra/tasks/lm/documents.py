"""Language modelling of documents, each of its own, written for what is known about them: poems, lyrics."""

import itertools
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from torch import Tensor, nn

from recurra.data import (
    DOCUMENT_MARKS,
    DataError,
    Document,
    DocumentLayout,
    ExampleStream,
    Vocabulary,
    build_vocabulary,
    read_documents,
    read_rhymes,
    rhymed,
    split,
)
from recurra.decoding import Sampler
from recurra.layers import State
from recurra.models import Condition, LanguageModel
from recurra.tasks.config import names_in
from recurra.tasks.findings import Finding, Table
from recurra.tasks.lm.conditions import Conditions
from recurra.tasks.lm.config import LanguageModellingConfig
from recurra.tasks.lm.document_data import DocumentBatch, Documents, all_text, encode, lines_as_ids, lines_of_ids
from recurra.tasks.lm.document_scoring import document_nats, start, static, written
from recurra.tasks.lm.scoring import LineScore, exp
from recurra.tasks.lm.task import SAMPLE_TEMPERATURE, LanguageModelling
from recurra.tasks.lm.wording import WISHES

_, _, _END = DOCUMENT_MARKS

# Documents whose fields are kept as examples of what can be asked for, and that the report shows.
_EXAMPLES = 6


@dataclass(frozen=True)
class _Data:
    training: Documents
    validation: Documents


class DocumentModelling(LanguageModelling):
    """Language modelling of documents by characters or words; see `LanguageModelling` for what both share.

    The state starts anew with each document. Its vocabulary is made from all of `data`, texts and fields.
    """

    config: LanguageModellingConfig

    def __init__(
        self,
        config: LanguageModellingConfig,
        vocabulary: Vocabulary,
        conditions: Conditions,
        data: _Data | None = None,
    ) -> None:
        """A task with vocabulary and conditions, and with the documents where it is to be trained."""
        super().__init__(config, vocabulary)
        self.conditions = conditions
        self.wishes = {**WISHES, **{name: f"the {name} that the text is written for" for name in conditions.fields}}
        self._data = data

    # -- data --------------------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, config: LanguageModellingConfig) -> Self:
        """Read the documents, make vocabulary and conditions, and part off what validation needs.

        Raises:
            DataError: they cannot be read, lack a field, or the validation data hold what the vocabulary lacks.
        """
        if not config.data:
            raise DataError("no documents to learn from: set data to a table or a folder")
        if config.document.rhymes is not None:
            read_rhymes(config.document.rhymes)  # of use only once the model writes: by then it is too late to mend
        settings, fraction = config.text, config.text.valid_fraction
        whole = read_documents(config.data, _layout(config))
        conditions = Conditions.of(whole, config.condition)
        vocabulary = build_vocabulary(
            settings.level,
            [all_text(whole, conditions, settings.level)],
            minimum_count=settings.minimum_count,
            maximum_size=settings.maximum_size,
        )
        if fraction is None:
            training, validation = whole, read_documents(settings.valid, _layout(config))
        else:
            rest, kept = split([document.text for document in whole], fraction, config.seed)
            if len(rest) == 0 or len(kept) == 0:
                raise DataError(
                    f"text.valid={settings.valid} of {len(whole)} documents leaves none for one of the two parts: give "
                    "more documents, or the path of others"
                )
            training, validation = [whole[k] for k in rest], [whole[k] for k in kept]
        task = cls(config, vocabulary, replace(conditions, examples=_examples(validation, conditions)))
        task._data = _Data(task._encoded(training), task._shortened(task._encoded(validation)))
        return task

    def _shortened(self, documents: Documents) -> Documents:
        """The first documents, as many as text.valid_tokens lets in."""
        limit = self.config.text.valid_tokens
        if limit is None:
            return documents
        ends = np.cumsum([len(body) - 1 for body in documents.bodies])
        return self._encoded(documents.sources[: max(1, int(np.searchsorted(ends, limit, "right")))])

    def _encoded(self, documents: Sequence[Document]) -> Documents:
        settings = self.config.document
        return encode(documents, self.vocabulary, self.conditions, longest=settings.longest, each=settings.each)

    @classmethod
    def load(cls, config: LanguageModellingConfig, run_dir: str | Path) -> Self:
        """The task of a run folder, without its documents. Raises DataError where a file is missing or damaged."""
        return cls(config, Vocabulary.load(Path(run_dir) / "vocabulary.json"), Conditions.load(run_dir))

    def save(self, run_dir: str | Path) -> None:
        """Write vocabulary and conditions into a run folder. Raises OSError where that fails."""
        super().save(run_dir)
        self.conditions.save(run_dir)

    def training_stream(self, rank: int = 0, world: int = 1) -> ExampleStream[DocumentBatch]:  # type: ignore[override]
        """The documents to learn from, `train.batch` of them at once in each process, those of like length together.

        Raises:
            DataError: the task was loaded without its data, or there are fewer documents than processes.
        """
        training = self._opened_data().training
        return ExampleStream(
            training.lengths,
            lambda numbers: training.batch(numbers, self.config.condition.dropout),
            batch=self.config.train.batch,
            seed=self.config.seed,
            checksum=training.checksum(),
            rank=rank,
            world=world,
        )

    def describe(self) -> dict[str, Any]:
        """Facts about the documents, their fields and the vocabulary."""
        facts = super().describe()
        for name, values in self.conditions.categories.items():
            facts[f"condition_{name}"] = f"one of {len(values)}"
        facts |= {f"condition_{name}": "encoded" for name in self.conditions.encoded}
        facts |= {f"condition_{name}": "in front" for name in self.conditions.prefix}
        if self._data is not None:
            training, validation = self._data.training, self._data.validation
            facts |= {
                "path": self.config.data,
                "training_documents": len(training),
                "validation_documents": len(validation),
                "training_tokens": training.targets,
                "validation_tokens": validation.targets,
            }
        return facts

    def _opened_data(self) -> _Data:
        if self._data is None:
            raise DataError("this task was loaded from a run folder without its data: open it on them to train it")
        return self._data

    # -- model and loss ----------------------------------------------------------------------------------------------

    def _condition(self) -> Condition | None:
        given, model = self.conditions, self.config.model
        if not given.categories and not given.encoded:
            return None
        return Condition(
            [len(values) + 1 for values in given.categories.values()],
            len(given.encoded),
            vocabulary_size=len(self.vocabulary),
            width=self.config.condition.width,
            embedding=model.embedding,
            engine=self.config.engine,
        )

    def loss(self, model: nn.Module, batch: DocumentBatch, state: Any) -> tuple[Tensor, Any]:  # type: ignore[override]
        """The mean negative log-probability of the batch's targets, nats a token; no state is carried."""
        device = next(model.parameters()).device
        inputs, targets = batch.inputs.to(device), batch.targets.to(device)
        loss, _ = model(inputs, None, targets, lengths=batch.lengths, static=static(model, batch))
        return loss, None

    # -- measures ----------------------------------------------------------------------------------------------------

    def validate(self, model: LanguageModel) -> dict[str, float]:
        """`valid_nats` a token on the validation documents, and as with one long text bits or perplexity."""
        validation = self._opened_data().validation
        return self._valid(float(document_nats(model, validation).sum()) / validation.targets)

    def evaluate(self, model: LanguageModel, path: str | Path | None) -> dict[str, float | Finding]:  # type: ignore[override]
        """How well the model predicts the documents at `path`; None: those kept for validation.

        Each document is predicted whole, symbols, line ends and its own end, given its fields.

        Returns:
            `nats_per_token`: over all that is predicted; `nats_per_character`, `bits_per_character` and
            `perplexity_per_character`: the same sum over the characters but line ends, which are easily told in a form
            that is fixed; `tokens`, `characters`, `documents`, `unknown_tokens`, `seconds`, `tokens_per_second`; with
            `document.samples`, `well_formed`: of so many documents, written for the fields of the first ones at `path`,
            the share that have as many lines, of as many symbols, as the document itself; with `document.rhymes`,
            `rhymed`: the share whose second, fourth … lines end in one rhyme, and `rhymed_in_data`: that of the true
            documents; and as a finding the first that were written.

        Raises:
            DataError: the documents cannot be read, or hold a symbol or a category never seen in training.
        """
        if path is None:
            documents = type(self).open(self.config)._opened_data().validation
        else:
            documents = self._encoded(read_documents(path, _layout(self.config)))
        began = time.perf_counter()
        nats = float(document_nats(model, documents).sum())
        seconds = time.perf_counter() - began
        characters = sum(len(document.text) - document.text.count("\n") for document in documents.sources)
        unknown = self.vocabulary.unknown
        figures: dict[str, float | Finding] = {
            "nats_per_token": nats / documents.targets,
            "nats_per_character": nats / characters,
            "bits_per_character": nats / characters / math.log(2),
            "perplexity_per_character": exp(nats / characters),
            "tokens": documents.targets,
            "characters": characters,
            "documents": len(documents),
            "unknown_tokens": sum(int((body == unknown).sum()) for body in documents.bodies),
            "seconds": seconds,
            "tokens_per_second": documents.targets / seconds,
        }
        count = min(self.config.document.samples, len(documents))
        if count:
            texts = self._write(model, documents, count)
            shapes = (self._shape(body[1:-1]) for body in documents.bodies)
            alike = [self._shape(ids) == shape for ids, shape in zip(texts, shapes, strict=False)]
            figures["well_formed"] = sum(alike) / count
            figures |= self._rhymed([body[1:-1] for body in documents.bodies[:count]], texts)
            figures["written"] = self._table(documents, texts[:_EXAMPLES])
        return figures

    def _shape(self, ids: np.ndarray) -> list[int]:
        """The symbols in each line."""
        return [len(line) for line in lines_of_ids(ids, self.vocabulary)]

    def _rhymed(self, true: Sequence[np.ndarray], texts: Sequence[np.ndarray]) -> dict[str, float]:
        """The share of rhymed documents among those written and among the true ones, where there is a table for it."""
        if self.config.document.rhymes is None:
            return {}
        rhymes = read_rhymes(self.config.document.rhymes)

        def share(part: Sequence[np.ndarray]) -> float:
            return sum(rhymed(lines_of_ids(ids, self.vocabulary), rhymes) for ids in part) / len(part)

        return {"rhymed": share(texts), "rhymed_in_data": share(true)}

    def findings(self, model: LanguageModel) -> list[Finding]:
        """Documents that the model writes for the fields of the first ones of the validation data."""
        validation = self._opened_data().validation
        return [self._table(validation, self._write(model, validation, min(_EXAMPLES, len(validation))))]

    def _write(self, model: LanguageModel, documents: Documents, count: int) -> list[np.ndarray]:
        sampler = Sampler(SAMPLE_TEMPERATURE)
        return written(model, documents, np.arange(count), sampler, end=self._end, seed=self.config.seed)

    def _table(self, documents: Documents, texts: Sequence[np.ndarray]) -> Table:
        rows = [
            [*(document.fields[name] for name in self.conditions.fields), self._shown(ids)]
            for document, ids in zip(documents.sources, texts, strict=False)
        ]
        note = f"drawn at the temperature {SAMPLE_TEMPERATURE} for the fields of the first documents"
        return Table("Written by the model", note, [*self.conditions.fields, "text"], rows)

    def _shown(self, ids: np.ndarray) -> str:
        """A text on one line."""
        return self.vocabulary.decode(ids.tolist()).replace("\n", self.config.document.line_end or " / ")

    def score(self, model: LanguageModel, source: str | Path | Iterable[str]) -> Iterator[LineScore]:
        """The log-probability of each document of a file or folder, given its fields.

        Raises:
            DataError: the documents cannot be read, or hold a symbol or a category never seen in training.
        """
        if not isinstance(source, str | Path):
            raise DataError("lines have no fields: give the path of a file or a folder with documents")
        documents = self._encoded(read_documents(source, _layout(self.config)))
        nats = document_nats(model, documents)
        for document, body, value in zip(documents.sources, documents.bodies, nats.tolist(), strict=True):
            text = document.text.replace("\n", self.config.document.line_end or " / ")
            yield LineScore(document.line, text, -value, len(body) - 1)

    # -- text --------------------------------------------------------------------------------------------------------

    def _begin(self, model: LanguageModel, prompt: str, wishes: Mapping[str, str]) -> tuple[np.ndarray, State | None]:
        """The heading, the start mark and the prompt, and the state that holds what is written for."""
        document = Document("", self.conditions.given(wishes), Path("the conditions"), 1)
        documents = self._encoded([document])
        prompted = lines_as_ids(prompt, self.vocabulary, "the prompt", 1)
        ids = np.concatenate([documents.heading(0), documents.bodies[0][:1], prompted]).astype(np.int64)
        return ids, start(model, documents.batch(np.zeros(1, dtype=np.int64)))

    def _written(self, model: LanguageModel, tokens: Iterator[Tensor], prompt: str) -> Iterator[str]:
        """The text up to the end of the document."""
        return super()._written(model, itertools.takewhile(lambda token: int(token) != self._end, tokens), prompt)

    @property
    def _end(self) -> int:
        return int(self.vocabulary.encode(_END)[0])

    def sample(self, model: LanguageModel, seed: int) -> str:
        """A document for the fields of one of the validation data's, and these in front of it."""
        fields = self.conditions.examples[seed % len(self.conditions.examples)]
        sampler = Sampler(SAMPLE_TEMPERATURE)
        pieces = self.generate(model, length=self.config.document.longest, sampler=sampler, seed=seed, wishes=fields)
        heading = self.conditions.shown(fields)
        return "".join([f"[{heading}]\n" if heading else "", *pieces])


def _examples(documents: Sequence[Document], conditions: Conditions) -> list[dict[str, str]]:
    """The fields of some documents that can all be asked for."""
    conditions.require_fields(documents[0])
    found = []
    for document in documents:
        fields = {name: document.fields[name] for name in conditions.fields if document.fields[name]}
        if conditions.can_be_asked_for(fields):
            found.append(fields)
        if len(found) == _EXAMPLES:
            break
    return found or [{}]


def _layout(config: LanguageModellingConfig) -> DocumentLayout:
    settings = config.document
    return DocumentLayout(settings.each, names_in(settings.columns), settings.text, settings.line_end)
