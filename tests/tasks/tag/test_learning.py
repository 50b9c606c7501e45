"""A tagger must learn what can be learnt, and a net without memory must not learn what needs it."""

from collections.abc import Iterator

import pytest
import torch

from recurra.tasks.tag.config import TagConfig
from recurra.tasks.tag.task import Tagging
from recurra.training.config import build_config


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def figures(data: str, steps: int, *words: str) -> dict:
    task = Tagging.open(build_config(TagConfig, {"data": data}, ["model.dropout=0", *words]))
    torch.manual_seed(0)
    model = task.model()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    stream = task.training_stream()
    for _ in range(steps):
        optimizer.zero_grad()
        task.loss(model, stream.next() or stream.next(), None)[0].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return task.evaluate(model, None)


def test_a_transducer_needs_a_memory_its_own_or_its_output():
    """The states of a regular language, learnt on up to 20 symbols, named on 200."""
    small = ("model.hidden=32", "model.embedding=8", "model.bidirectional=false")
    assert figures("builtin:automaton", 300, *small, "model.kind=feedforward")["accuracy"] < 0.6
    assert figures("builtin:automaton", 300, *small, "model.kind=feedforward", "model.feedback=true")["accuracy"] > 0.99
    assert figures("builtin:automaton", 600, *small)["accuracy"] > 0.99


def test_records_of_names_and_numbers_that_are_new():
    found = figures("builtin:reports", 250, "model.hidden=48", "model.embedding=32", "model.characters=16")
    assert found["exact_records"] > 0.9
