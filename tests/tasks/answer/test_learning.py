"""A reader must learn what takes a look at the passage, and point at words that it has never met."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from recurra.tasks.answer.config import AnswerConfig
from recurra.tasks.answer.task import Answering
from recurra.training.config import build_config


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def accuracy(data: Path, test: Path, steps: int, *words: str) -> float:
    small = ("model.hidden=24", "model.embedding=16", "model.looks=1")
    task = Answering.open(build_config(AnswerConfig, {"data": str(data)}, [*small, *words]))
    torch.manual_seed(0)
    model = task.model()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    stream = task.training_stream()
    for _ in range(steps):
        optimizer.zero_grad()
        batch = stream.next() or stream.next()
        task.loss(model, batch, None)[0].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return task.evaluate(model, test)["accuracy"]


def wardrobe(path: Path, people: list[str], colours: list[str], count: int) -> Path:
    """Three people wear a colour each; what does one of them wear?"""
    random = np.random.default_rng(count)
    rows = []
    for _ in range(count):
        who, wear = random.choice(people, 3, replace=False), random.choice(colours, 3)
        passage = " ".join(f"{a} wears {b}." for a, b in zip(who, wear, strict=True))
        k = random.integers(3)
        rows.append(f"{passage}\tWhat does {who[k]} wear?\t{wear[k]}")
    path.write_text("\n".join(rows) + "\n")
    return path


def test_the_right_sentence_is_found(tmp_path):
    people, colours = ["Ann", "Ben", "Cleo", "Dan"], ["red", "blue", "green", "pink"]
    learnt = wardrobe(tmp_path / "a.tsv", people, colours, 2000)
    tested = wardrobe(tmp_path / "b.tsv", people, colours, 200)
    assert accuracy(learnt, tested, 300) > 0.95


def test_a_word_never_met_is_pointed_at(tmp_path):
    people, colours = ["Ann", "Ben", "Cleo", "Dan"], ["red", "blue", "green", "pink"]
    learnt = wardrobe(tmp_path / "a.tsv", people, colours, 2000)
    tested = wardrobe(tmp_path / "b.tsv", people, ["mauve", "teal", "ochre"], 200)
    assert accuracy(learnt, tested, 400, "model.answer=pointed", "text.unknown=0.2") > 0.85
