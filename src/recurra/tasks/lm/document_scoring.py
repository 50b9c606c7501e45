"""How likely a language model finds documents, and documents that it writes."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recurra.data import by_length
from recurra.decoding import Sampler, sample
from recurra.layers import State
from recurra.models import LanguageModel
from recurra.models.evaluation import evaluating
from recurra.tasks.lm.document_data import DocumentBatch, Documents

# Rows and steps of a batch that is measured, and documents that are written side by side.
_ROWS, _STEPS = 64, 1 << 14


def static(model: Any, batch: DocumentBatch) -> Tensor | None:
    """What the documents of a batch are written for, [B, S]; None of a model without a condition."""
    if model.condition is None:
        return None
    device = next(model.parameters()).device
    texts = [(tokens.to(device), lengths) for tokens, lengths in batch.texts]
    return model.condition(batch.categories.to(device), texts)


@torch.no_grad()
def start(model: LanguageModel, batch: DocumentBatch) -> State | None:
    """The state in which the documents of a batch begin."""
    vector = static(model, batch)
    return None if vector is None else model.start(vector)


@torch.no_grad()
def document_nats(model: LanguageModel, documents: Documents) -> np.ndarray:
    """The negative log-probability of each document given its fields, its end included, in nats, float64 [N]."""
    found = np.zeros(len(documents))
    device = model.output_bias.device
    with evaluating(model):
        for numbers in by_length(documents.lengths, _ROWS, _STEPS):
            batch = documents.batch(numbers)
            features, _ = model.features(batch.inputs.to(device), lengths=batch.lengths, static=static(model, batch))
            losses = model.loss(features, batch.targets.to(device), "none")
            found[numbers] = losses.sum(1, dtype=torch.float64).cpu().numpy()
    return found


@torch.no_grad()
def written(
    model: LanguageModel, documents: Documents, numbers: np.ndarray, sampler: Sampler, *, end: int, seed: int
) -> list[np.ndarray]:
    """A new document for the fields of each of some documents, as ids without marks.

    One that does not end stops at twice the length of the longest of these documents.

    Args:
        model: the model.
        documents: where the fields come from.
        numbers: which, int64 [B].
        sampler: how symbols are drawn.
        end: id of the end mark.
        seed: the same seed writes the same documents.
    """
    texts: dict[int, np.ndarray] = {}
    headings = np.array([len(documents.heading(number)) for number in numbers])
    longest = 2 * max(len(documents.bodies[number]) for number in numbers)
    device = model.output_bias.device
    generator = torch.Generator(device).manual_seed(seed)
    with evaluating(model):
        # Rows are drawn side by side, so what they begin with must be of one length.
        for length in np.unique(headings):
            alike = numbers[headings == length]
            for side in np.array_split(alike, -(-len(alike) // _ROWS)):
                batch = documents.batch(side)
                opening = batch.inputs[:, : length + 1].to(device)
                step, state = model.decoder(len(side)), start(model, batch)
                tokens = sample(step, state, opening, length=longest, sampler=sampler, generator=generator)
                texts |= zip(side.tolist(), _until(end, tokens), strict=True)
    return [texts[number] for number in numbers.tolist()]


def _until(end: int, tokens: Iterator[Tensor]) -> list[np.ndarray]:
    """What each row writes before its end; drawing stops when all have ended."""
    columns: list[Tensor] = []
    for column in tokens:
        columns.append(column)
        if (torch.stack(columns) == end).any(0).all():
            break
    rows = torch.stack(columns, 1).cpu().numpy()
    return [row[: np.argmax(row == end)] if (row == end).any() else row for row in rows]
