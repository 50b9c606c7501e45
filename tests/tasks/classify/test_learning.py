"""A classifier must learn what can be learnt, and a model without memory must not learn what needs it."""

from collections.abc import Iterator

import pytest
import torch

from recurra.tasks.classify.config import ClassifyConfig
from recurra.tasks.classify.task import Classification
from recurra.training.config import build_config


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def accuracy(data: str, steps: int, *words: str) -> float:
    task = Classification.open(build_config(ClassifyConfig, {"data": data}, words))
    torch.manual_seed(0)
    model = task.model()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    stream = task.training_stream()
    for _ in range(steps):
        optimizer.zero_grad()
        batch = stream.next() or stream.next()
        task.loss(model, batch, None)[0].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return task.evaluate(model, None)["accuracy"]


def test_the_order_of_frames_is_learnt_by_a_recurrent_net_alone():
    assert accuracy("builtin:motion", 400, "model.hidden=64") > 0.97
    for kind in ("bag", "positions"):
        assert accuracy("builtin:motion", 400, f"model.kind={kind}", "model.hidden=64") < 0.32


def test_a_regular_language_is_learnt_from_short_strings():
    """On ten times the length it was trained with."""
    assert accuracy("builtin:automaton", 1200, "model.hidden=32", "model.embedding=8") > 0.99
