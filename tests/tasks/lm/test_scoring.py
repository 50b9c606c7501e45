import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.models import LanguageModel
from recurra.models.evaluation import evaluating
from recurra.tasks.lm import scoring as lm_scoring
from recurra.tasks.lm.scoring import line_nats, text_nats


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    torch.manual_seed(0)
    # Larger than usual parameters, so that each token depends on those before it.
    return LanguageModel(9, embedding=6, hidden=8, layers=2, init=1.0).eval()


def nats_one_by_one(model: LanguageModel, ids: np.ndarray) -> float:
    """The plain definition: one step after another."""
    state, total = None, 0.0
    with torch.no_grad():
        for token, following in itertools.pairwise(ids):
            logits, state, _ = model.step(torch.tensor([int(token)]), state)
            total += F.cross_entropy(logits, torch.tensor([int(following)])).item()
    return total


def text(tokens: int) -> np.ndarray:
    return np.random.default_rng(tokens).integers(0, 9, tokens).astype(np.uint8)


@pytest.mark.parametrize("tokens", [2, 3, 257, 300])
def test_a_short_text_is_scored_as_one_row(model, tokens):
    ids = text(tokens)
    assert text_nats(model, ids) == pytest.approx(nats_one_by_one(model, ids), rel=1e-5)


def test_rows_side_by_side_score_as_one_row(model, monkeypatch):
    ids = text(3000)
    whole = nats_one_by_one(model, ids)
    reads = []
    monkeypatch.setattr(
        model, "features", lambda *args: reads.append(args[0].shape) or type(model).features(model, *args)
    )
    assert text_nats(model, ids) == pytest.approx(whole, rel=1e-4)
    assert max(shape[0] for shape in reads) == 2  # 2999 // (8 · 128)


@settings(deadline=None, max_examples=15)
@given(st.integers(2, 300), st.integers(5, 50), st.integers(1, 12))
def test_every_token_but_the_first_counts_once(tokens, window, context):
    uniform = LanguageModel(9, embedding=2, hidden=3, init=1e-30).eval()
    before = lm_scoring.WINDOW, lm_scoring.CONTEXT
    lm_scoring.WINDOW, lm_scoring.CONTEXT = window, context
    try:
        assert text_nats(uniform, text(tokens)) == pytest.approx((tokens - 1) * math.log(9), rel=1e-5)
    finally:
        lm_scoring.WINDOW, lm_scoring.CONTEXT = before


def test_lines_are_scored_on_their_own_and_in_order(model, monkeypatch):
    monkeypatch.setattr(lm_scoring, "WINDOW", 16)
    lines = [text(n).astype(np.int64) for n in (5, 1, 40, 2, 17, 16, 18)] * 6
    expected = [nats_one_by_one(model, line) for line in lines]
    assert line_nats(model, lines) == pytest.approx(expected, rel=1e-4)
    assert line_nats(model, []) == []


def test_the_mode_of_the_model_comes_back():
    model = torch.nn.Dropout()
    with evaluating(model):
        assert not model.training
    assert model.training
    with pytest.raises(KeyError), evaluating(model):
        raise KeyError
    assert model.training
    model.eval()
    with evaluating(model):
        pass
    assert not model.training
