"""Tiny models to decode with, and all that they could say."""

import itertools
from typing import NamedTuple

import torch
from torch import Tensor


class Found(NamedTuple):
    """A sequence with its score and log-probability."""

    score: float
    log_probability: float
    tokens: tuple[int, ...]


def product(rows: Tensor, matrix: Tensor) -> Tensor:
    """Rows [N, K] times a matrix [K, M]: to the same bits whatever other rows there are, which torch's own product is
    not on every processor."""
    return sum(rows[:, k, None] * matrix[k] for k in range(len(matrix)))  # type: ignore[return-value]


class Toy:
    """A random recurrent network in float64 with attention over S places, whose every token depends on all before it.

    `calls` holds the number of rows of each step.
    """

    def __init__(self, seed: int, tokens: int = 3, places: int = 3, batch: int = 2, spread: float = 1.5) -> None:
        draw = torch.Generator().manual_seed(seed)

        def matrix(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=draw, dtype=torch.float64)

        self.tokens, self.places = tokens, places
        self.embedding, self.recurrent = matrix(tokens, 8), matrix(8, 8)
        self.output, self.look = matrix(8, tokens) * spread, matrix(8, places)
        self.state = matrix(batch, 8)
        self.start = torch.randint(tokens, (batch,), generator=draw)
        self.calls: list[int] = []

    def step(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        self.calls.append(len(tokens))
        state = torch.tanh(self.embedding[tokens] + product(state, self.recurrent))
        return product(state, self.output), state, {"attention": product(state, self.look).softmax(-1)}

    @staticmethod
    def select(state: Tensor, rows: Tensor) -> Tensor:
        return state[rows]

    def follow(self, sentence: int, tokens: tuple[int, ...], end: int | None) -> tuple[float, Tensor]:
        """The log-probability of tokens and of the end after them, and the attention [predictions, S]."""
        state, last, total, weights = self.state[sentence : sentence + 1], int(self.start[sentence]), 0.0, []
        for token in (*tokens, *([] if end is None else [end])):
            logits, state, extras = self.step(torch.tensor([last]), state)
            total += logits.log_softmax(-1)[0, token].item()
            weights.append(extras["attention"][0])
            last = token
        return total, torch.stack(weights)

    def all(
        self, sentence: int, end: int | None, maximum: int, penalties: tuple[float, float] = (0.0, 0.0)
    ) -> list[Found]:
        """Every sequence, the best first."""
        others = [token for token in range(self.tokens) if token != end]
        found = []
        for length in range(maximum + 1) if end is not None else [maximum]:
            for tokens in itertools.product(others, repeat=length):
                total, weights = self.follow(sentence, tokens, end)
                divisor = ((5 + len(weights)) / 6) ** penalties[0]
                coverage = weights.sum(0).clamp(max=1).log().sum().item()
                found.append(Found(total / divisor + penalties[1] * coverage, total, tokens))
        return sorted(found, reverse=True)


class Table:
    """A random automaton: the logits after a token are a row of a table, so that rows side by side change no bit.

    With `levels` the logits are one of so many whole numbers, and ties are frequent; with `impossible` that share of
    them is -∞, but for token 0.
    """

    def __init__(self, seed: int, tokens: int = 4, batch: int = 3, *, levels: int = 0, impossible: float = 0.0) -> None:
        draw = torch.Generator().manual_seed(seed)
        self.tokens, self.kinds = tokens, 997
        shape = (self.kinds, tokens)
        whole = torch.randint(max(levels, 1), shape, generator=draw).float()
        self.logits = whole if levels else torch.randn(shape, generator=draw) * 2
        never = torch.rand(shape, generator=draw) < impossible
        never[:, 0] = False
        self.logits[never] = float("-inf")
        self.weights = torch.rand(self.kinds, 3, generator=draw).softmax(-1)
        self.next = torch.randint(self.kinds, shape, generator=draw)
        self.state = torch.randint(self.kinds, (batch,), generator=draw)
        self.start = torch.randint(tokens, (batch,), generator=draw)
        self.calls: list[int] = []

    def step(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        self.calls.append(len(tokens))
        state = self.next[state, tokens]
        return self.logits[state], state, {"attention": self.weights[state]}

    @staticmethod
    def select(state: Tensor, rows: Tensor) -> Tensor:
        return state[rows]
