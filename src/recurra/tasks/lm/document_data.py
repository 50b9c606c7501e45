"""Documents as ids, and their batches."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from recurra.data import DOCUMENT_MARKS, NO_TARGET, DataError, Document, Vocabulary, pad
from recurra.tasks.lm.conditions import Conditions

_HEADING, _START, _END = DOCUMENT_MARKS


@dataclass(frozen=True)
class DocumentBatch:
    """Documents side by side.

    Attributes:
        inputs: heading, start mark and text, int64 [B, T].
        lengths: tokens of each row, int64 [B], on the CPU.
        targets: the token after each input from the start mark on, int64 [B, T]; `NO_TARGET` elsewhere.
        categories: the number of each category, int64 [B, F].
        texts: tokens int64 [B, T] and lengths of each field that is encoded.
        tokens: number of targets.
        fresh: each document begins anew.
    """

    inputs: torch.Tensor
    lengths: torch.Tensor
    targets: torch.Tensor
    categories: torch.Tensor
    texts: Sequence[tuple[torch.Tensor, torch.Tensor]]
    tokens: int
    fresh: bool = True


@dataclass(frozen=True)
class Documents:
    """Documents as ids.

    Attributes:
        sources: the documents as they were read.
        bodies: start mark, text and end mark of each, int32 [T].
        categories: the number of each category, int64 [N, F].
        encoded: ids of each field that is encoded, int32 [T], document by document.
        headings: ids of each field that stands before the document, int32 [T], document by document.
        between: the mark between two parts of a heading.
    """

    sources: Sequence[Document]
    bodies: Sequence[np.ndarray]
    categories: np.ndarray
    encoded: Sequence[Sequence[np.ndarray]]
    headings: Sequence[Sequence[np.ndarray]]
    between: np.ndarray

    def __len__(self) -> int:
        return len(self.bodies)

    @property
    def lengths(self) -> np.ndarray:
        """Steps of each document, int64 [N]."""
        return np.array([len(self.heading(k)) + len(body) - 1 for k, body in enumerate(self.bodies)], dtype=np.int64)

    @property
    def targets(self) -> int:
        """Predictions of all documents: their symbols and each one's end."""
        return sum(len(body) - 1 for body in self.bodies)

    def heading(self, number: int, keep: Sequence[bool] | None = None) -> np.ndarray:
        """What stands before a document, of the fields that `keep` says; None: of all."""
        parts: list[np.ndarray] = []
        for k, part in enumerate(self.headings[number]):
            if k:
                parts.append(self.between)
            if keep is None or keep[k]:
                parts.append(part)
        return np.concatenate(parts) if parts else self.between[:0]

    def batch(self, numbers: np.ndarray, withheld: float = 0.0) -> DocumentBatch:
        """These documents side by side.

        Args:
            numbers: which, int64 [B].
            withheld: chance that a field is left out, drawn for each document and field with torch's generator.
        """
        fields = [self.categories.shape[1], len(self.encoded[0]), len(self.headings[0])]
        # Where nothing is withheld nothing is drawn, so that measuring leaves the random numbers alone.
        keep = torch.rand(len(numbers), sum(fields)) >= withheld if withheld else torch.ones(len(numbers), sum(fields))
        of_categories, of_texts, of_headings = keep.bool().split(fields, 1)
        sequences, starts = [], []
        for number, kept in zip(numbers, of_headings.tolist(), strict=True):
            heading = self.heading(number, kept)
            starts.append(len(heading))
            sequences.append(np.concatenate([heading, self.bodies[number]]))
        inputs, lengths = pad([sequence[:-1] for sequence in sequences])
        targets, _ = pad([sequence[1:] for sequence in sequences], NO_TARGET)
        for row, start in zip(targets, starts, strict=True):
            row[:start] = NO_TARGET
        texts = []
        for k in range(fields[1]):
            kept = of_texts[:, k].tolist()
            texts.append(
                pad_texts([self.encoded[n][k] if use else _NOTHING for n, use in zip(numbers, kept, strict=True)])
            )
        categories = torch.from_numpy(self.categories[numbers]) * of_categories
        return DocumentBatch(inputs, lengths, targets, categories, texts, int((targets != NO_TARGET).sum()))

    def checksum(self) -> int:
        """A number that other documents, or other conditions, would not have."""
        sums = [zlib.crc32(np.ascontiguousarray(body).data) for body in self.bodies]
        for parts in (*self.encoded, *self.headings):
            sums += [zlib.crc32(np.ascontiguousarray(part).data) for part in parts]
        return zlib.crc32(np.array(sums, dtype=np.uint32).tobytes() + self.categories.tobytes())


_NOTHING = np.zeros(0, dtype=np.int32)


def pad_texts(texts: Sequence[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """Texts, any of which may be empty, as int64 [B, T] with T at least 1, and their lengths."""
    padded, _ = pad([text if len(text) else np.zeros(1, dtype=np.int32) for text in texts])
    return padded, torch.tensor([len(text) for text in texts])


def encode(
    documents: Sequence[Document], vocabulary: Vocabulary, conditions: Conditions, *, longest: int, each: str
) -> Documents:
    """Documents as ids.

    Args:
        documents: at least one.
        vocabulary: their symbols.
        conditions: which of their fields count.
        longest: symbols that a document may have.
        each: what a document is, a `line` or a `file`, for the place in a message.

    Raises:
        DataError: a symbol or a category was never seen in training, a document is too long, or the documents lack a
            field; with file and line.
    """
    marks = {mark: vocabulary.encode(mark, "the marks of a document") for mark in (_START, _END)}
    conditions.require_fields(documents[0])
    between = vocabulary.encode(_HEADING).astype(np.int32) if len(conditions.prefix) > 1 else _NOTHING
    bodies, categories, encoded, headings = [], [], [], []
    for document in documents:
        step = int(each == "file")  # a document of a table stands on one line, however many it has itself
        text = lines_as_ids(document.text, vocabulary, str(document.file), document.line, step)
        if len(text) > longest:
            raise DataError(
                f"{document.file}, line {document.line}: a document of {len(text):,} symbols, but document.longest="
                f"{longest}: part it, or raise that where memory allows"
            )
        bodies.append(np.concatenate([marks[_START], text, marks[_END]]).astype(np.int32))
        categories.append(conditions.numbers(document.fields, f"{document.file}, line {document.line}"))
        for names, parts in ((conditions.encoded, encoded), (conditions.prefix, headings)):
            texts = (vocabulary.encode(document.fields[name], str(document.file), document.line) for name in names)
            parts.append([text.astype(np.int32) for text in texts])
    numbers = np.array(categories, dtype=np.int64).reshape(len(documents), len(conditions.categories))
    return Documents(documents, bodies, numbers, encoded, headings, between)


def lines_as_ids(text: str, vocabulary: Vocabulary, source: str, line: int, step: int = 1) -> np.ndarray:
    """The ids of a text, line by line, each `step` lines of the source after the one before."""
    parts: list[np.ndarray] = []
    for k, one in enumerate(text.split("\n")):
        if k:
            parts.append(np.array([vocabulary.line_end]))
        parts.append(vocabulary.encode(one, source, line + step * k))
    return np.concatenate(parts)


def all_text(documents: Sequence[Document], conditions: Conditions, level: str) -> str:
    """Everything that the vocabulary of these documents must hold, as one text."""
    blank = " " if level == "word" else ""
    marks = [_START, _END, *([_HEADING] if len(conditions.prefix) > 1 else [])]
    names = [*conditions.encoded, *conditions.prefix]
    return "\n".join(
        blank.join([*marks, *(document.fields[name] + blank for name in names), document.text])
        for document in documents
    )


def lines_of_ids(ids: np.ndarray, vocabulary: Vocabulary) -> list[list[str]]:
    """The symbols of each line of a text without marks."""
    ends = np.flatnonzero(ids == vocabulary.line_end).tolist()
    bounds = pairwise([-1, *ends, len(ids)])
    return [[vocabulary.symbols[k] for k in ids[begin + 1 : end]] for begin, end in bounds]
