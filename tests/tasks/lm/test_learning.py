"""A model must learn what can be learnt, not only run."""

import math
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from recurra.models import LanguageModel
from recurra.tasks.config import TrainConfig
from recurra.tasks.lm.config import LanguageModellingConfig, ModelConfig
from recurra.tasks.lm.task import LanguageModelling

# Each line is a word of three letters and the same word again: of eight characters three are free, at log 3 nats each,
# and the second word can be known only by remembering four characters back.
LEAST_NATS = 3 * math.log(3) / 8
NATS_WITHOUT_MEMORY = 2 * LEAST_NATS


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("learning") / "echo.txt"
    draw = random.Random(0)
    words = ["".join(draw.choices("abc", k=3)) for _ in range(4000)]
    path.write_text("".join(f"{word} {word}\n" for word in words))
    return path


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """So small a model gains nothing from more, and waits for them where other programs use the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def trained(text: Path, **settings) -> tuple[LanguageModelling, LanguageModel]:
    model_settings = ModelConfig(**{"hidden": 32, "embedding": 8, **settings})
    config = LanguageModellingConfig(data=str(text), model=model_settings, train=TrainConfig(batch=32, bptt=24))
    task = LanguageModelling.open(config)
    torch.manual_seed(0)
    model, stream, state = task.model(), task.training_stream(), None
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(200):
        if (batch := stream.next()) is None:
            continue
        loss, state = task.loss(model, batch, None if batch.fresh else state)
        state = tuple(part.detach() for part in state)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return task, model


@pytest.mark.parametrize(
    "settings", [{"cell": "lstm"}, {"cell": "gru", "tied": True, "embedding": 24}], ids=["lstm", "gru-tied"]
)
def test_a_model_learns_what_it_must_remember(text, settings):
    task, model = trained(text, **settings)
    assert LEAST_NATS - 0.01 < task.validate(model)["valid_nats"] < LEAST_NATS + 0.05 < NATS_WITHOUT_MEMORY

    lines = "".join(task.generate(model, length=800)).split("\n")[:-1]
    echoes = [line for line in lines if len(line) == 7 and line[:3] == line[4:] and line[3] == " "]
    assert len(echoes) / len(lines) > 0.9

    right, wrong = task.score(model, ["cab cab", "cab abc"])
    assert right.log_probability > wrong.log_probability + 3
    assert right.log_probability == pytest.approx(-3 * math.log(3), abs=0.5)
