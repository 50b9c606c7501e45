"""A tiny task that knows nothing of the library's own: the loop must train it all the same."""

import math
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recurra.tasks.base import Task
from recurra.tasks.config import OptimizerConfig, TrainConfig
from recurra.training.config import build_config

SYMBOLS = 8


@dataclass
class ToyConfig:
    task: str = "toy"
    data: str = ""
    seed: int = 0
    run: str | None = None
    engine: str = "none"
    hidden: int = 12
    dropout: float = 0.2
    explode_at: int = 0
    train: TrainConfig = field(default_factory=lambda: TrainConfig(batch=4, bptt=5, log_every=3))
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(lr=0.01))


@dataclass(frozen=True)
class ToyBatch:
    inputs: Tensor
    targets: Tensor
    fresh: bool
    tokens: int


class ToyStream:
    def __init__(self, ids: Tensor, batch: int, bptt: int) -> None:
        self.rows = ids[: len(ids) // batch * batch].view(batch, -1)
        self.bptt = bptt
        self.epoch_batches = (self.rows.shape[1] - 1) // bptt
        self.place = 0

    def next(self) -> ToyBatch | None:
        if self.place == self.epoch_batches:
            self.place = 0
            return None
        start = self.place * self.bptt
        window = self.rows[:, start : start + self.bptt + 1]
        self.place += 1
        return ToyBatch(window[:, :-1], window[:, 1:], start == 0, window[:, 1:].numel())

    def state_dict(self) -> dict[str, Any]:
        return {"place": self.place}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.place = state["place"]


class ToyModel(nn.Module):
    def __init__(self, hidden: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS, hidden)
        self.recurrent = nn.GRU(hidden, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden, SYMBOLS)

    def forward(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        output, state = self.recurrent(self.dropout(self.embedding(tokens)), None if state is None else state[0])
        return self.output(output), (state,)


class ToyTask(Task):
    name = "toy"
    Config = ToyConfig

    def __init__(self, config: ToyConfig) -> None:
        self.config = config
        self.calls = 0

    @classmethod
    def open(cls, config: ToyConfig) -> "ToyTask":
        task = cls(config)
        generator = torch.Generator().manual_seed(5)
        noise = torch.rand(600, generator=generator) < 0.1
        task.ids = (torch.arange(600) * 3 + noise.cumsum(0)) % SYMBOLS
        return task

    @classmethod
    def load(cls, config: ToyConfig, run_dir: Path) -> "ToyTask":
        return cls(config)

    def save(self, run_dir: Path) -> None:
        (run_dir / "vocabulary.json").write_text("{}")

    def model(self) -> nn.Module:
        return ToyModel(self.config.hidden, self.config.dropout)

    def training_stream(self, rank: int = 0, world: int = 1) -> ToyStream:
        return ToyStream(self.ids[rank::world], self.config.train.batch, self.config.train.bptt)

    def loss(self, model: nn.Module, batch: ToyBatch, state: Any) -> tuple[Tensor, Any]:
        self.calls += 1
        random.random(), np.random.rand()  # generators that a checkpoint must hold as well
        logits, state = model(batch.inputs, state)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten())
        return loss * (math.nan if self.calls == self.config.explode_at else 1.0), state

    def evaluate(self, model: nn.Module, path: Path) -> dict[str, float]:
        raise NotImplementedError

    def validate(self, model: nn.Module) -> dict[str, float]:
        model.eval()
        with torch.no_grad():
            logits, _ = model(self.ids[None, :200], None)
        model.train()
        return {"valid_nats": nn.functional.cross_entropy(logits[0, :-1], self.ids[1:200]).item()}

    def sample(self, model: nn.Module, seed: int) -> str:
        return f"sample {seed} {random.random():.6f} {np.random.rand():.6f}"

    def describe(self) -> dict[str, Any]:
        return {"symbols": SYMBOLS}


@pytest.fixture(autouse=True)
def one_thread():
    """Models this small only wait for each other's threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def toy_task() -> type[ToyTask]:
    return ToyTask


@pytest.fixture
def toy_config(tmp_path: Path):
    """A function from `key=value` words to a configuration whose run folder is new."""
    counter = iter(range(1000))

    def make(*words: str) -> ToyConfig:
        return build_config(ToyConfig, {"run": str(tmp_path / f"run-{next(counter)}")}, words)

    return make
