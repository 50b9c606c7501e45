"""How likely a language model finds a text."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from recurra.data import NO_TARGET, TextStream
from recurra.models import LanguageModel

# A long text is cut into this many rows at most, which are read side by side.
ROWS = 32
# Tokens before a row that are read first, without being scored, so that a row does not start without context.
CONTEXT = 128
# Tokens of a row that are read at once.
WINDOW = 256


@dataclass(frozen=True)
class LineScore:
    """What a model makes of one line."""

    number: int  # of the line, from 1
    text: str
    log_probability: float  # nats, at most 0, the line's end included
    tokens: int  # predictions it is the sum of


def exp(nats: float) -> float:
    """e to the power of nats, infinite where it is too large for a float."""
    return math.exp(nats) if nats < 700 else math.inf


@torch.no_grad()
def text_nats(model: LanguageModel, ids: np.ndarray) -> float:
    """The negative log-probability, in nats, of all tokens of a text but the first, each given all before it.

    The text is read in up to 32 rows side by side. Each row but the first begins with the state after the 128 tokens
    before it, which stand for the whole text before it. Each token but the first is counted exactly once.

    Args:
        model: the model, in evaluation mode.
        ids: the text, [tokens], at least 2.
    """
    targets = len(ids) - 1
    rows = max(1, min(ROWS, targets // (8 * CONTEXT)))
    stream = TextStream(ids, batch=rows, bptt=min(WINDOW, targets // rows))
    device = model.output_bias.device
    state = model.initial_state(1)
    if rows > 1:
        before = ids[stream.starts[1:, None] + np.arange(-CONTEXT, 0)].astype(np.int64)
        _, others = model.features(torch.from_numpy(before).to(device))
        state = tuple(torch.cat(pair, 1) for pair in zip(state, others, strict=True))
    total = 0.0
    while (batch := stream.next()) is not None:
        features, state = model.features(batch.inputs.to(device), state)
        total += model.loss(features, batch.targets.to(device), "none").sum(dtype=torch.float64).item()
    return total


def line_nats(model: LanguageModel, lines: Sequence[np.ndarray]) -> list[float]:
    """The negative log-probability, in nats, of each line on its own.

    Args:
        model: the model, in evaluation mode.
        lines: the ids of each line, [tokens]; the first is context and not scored.
    """
    nats = np.zeros(len(lines))
    # Lines of like length side by side, so that little is padding.
    order = sorted(range(len(lines)), key=lambda i: len(lines[i]))
    for numbers in (order[i : i + ROWS] for i in range(0, len(order), ROWS)):
        nats[numbers] = _rows_nats(model, [lines[i] for i in numbers])
    return nats.tolist()


@torch.no_grad()
def _rows_nats(model: LanguageModel, lines: list[np.ndarray]) -> np.ndarray:
    """The nats of a few lines, float64 [lines]."""
    longest = max(len(line) for line in lines)
    inputs = np.zeros((len(lines), longest), dtype=np.int64)
    targets = np.full((len(lines), longest), NO_TARGET, dtype=np.int64)
    for row, line in enumerate(lines):
        inputs[row, : len(line)] = line
        targets[row, : max(len(line) - 1, 0)] = line[1:]
    device = model.output_bias.device
    state, total = None, np.zeros(len(lines))
    for begin in range(0, longest - 1, WINDOW):
        window = slice(begin, begin + WINDOW)
        features, state = model.features(torch.from_numpy(inputs[:, window]).to(device), state)
        nats = model.loss(features, torch.from_numpy(targets[:, window]).to(device), "none")
        total += nats.sum(1, dtype=torch.float64).cpu().numpy()
    return total
