"""Cells that attend to a memory, on every engine."""

import pytest
import torch

from recurra import cells
from recurra.equations import Cell, affine, cell, dot, relu, sigmoid, softmax, tanh, vector, weighted_sum
from recurra.equations.attention import SCORES, attentive

from .comparison import SIZES, Trial, assert_close, on_engine, on_oracle, results

pytestmark = pytest.mark.usefixtures("one_thread")

EQUAL = {**SIZES, "M": 8}  # scores by dot product need a memory as wide as the query


@cell(state={"h": "H", "used": "A"}, memory=("m", "used"))
def wandering(x, h, used, m):
    """A memory that is read through a gate made of what was read before, and changes as it goes."""
    key = tanh(affine("key", m, x, width="A") + used)
    weights = softmax(dot(key, vector("v", "A")) - 0.5 * dot(used, used))
    found = weighted_sum(weights * sigmoid(dot(key, affine("gate", h, width="A"))), relu(m))
    h = tanh(affine("h", x, h, found))
    return h, (h, 0.5 * used + weights * key)


@cell(state=("h",), memory=("first", "second"), static=("s",), width={"first": "M", "second": 3, "s": "I"})
def two_memories(x, h, first, second, s):
    """Two memories of one length; one query comes from the input alone, one is the same all along."""
    asked = softmax(dot(first, affine("a", x, width="M")))
    settled = softmax(dot(second, affine("b", s, width=3), scaled=True))
    read = affine("r", weighted_sum(asked, second), weighted_sum(settled, first), weighted_sum(asked * settled, first))
    h = tanh(affine("h", h) + read)
    return h, (h,)


def attending() -> list[Cell]:
    gru, lstm, elman = cells.get("gru"), cells.get("lstm"), cells.get("elman")
    return [
        *[attentive(gru, score) for score in SCORES],
        attentive(lstm, "general", place="after", feeding=True),
        attentive(lstm, "additive", coverage=True),
        attentive(elman, "concat", place="after", feeding=True, coverage=True, window=2),
        attentive(cells.get("layer_norm_lstm"), "dot", place="after"),
        wandering,
        two_memories,
    ]


def trial(made: Cell, steps: int = 5, sources: tuple[int, ...] = (4, 1, 6), seed: int = 0) -> Trial:
    return Trial(made, EQUAL, steps, len(sources), seed, sources)


@pytest.mark.parametrize("made", attending(), ids=lambda c: c.name)
def test_eager_agrees_with_the_equations(made: Cell):
    t = trial(made)
    assert_close(results(t, on_engine("eager"), torch.float64), results(t, on_oracle, torch.float64), tolerance=1e-12)
