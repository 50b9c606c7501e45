"""A run with scheduled sampling that is stopped goes on as if it had not been."""

import random
from pathlib import Path

import pytest
import torch

from recurra.tasks.forecast.task import Forecasting
from recurra.tasks.lm.task import LanguageModelling
from recurra.tasks.translate.task import Translation
from recurra.training.checkpoint import load_checkpoint
from recurra.training.config import build_config
from recurra.training.observer import Silent
from recurra.training.session import begin, resume


class Killed(BaseException):
    """Stands for a kill: nothing in the loop may catch it."""


class KilledAt(Silent):
    def __init__(self, step: int) -> None:
        self.step = step

    def stepped(self, at, fraction, loss, norm) -> None:
        if at.step == self.step:
            raise Killed


RUNS = {
    "lm": (LanguageModelling, ["model.hidden=8", "model.embedding=4", "model.dropout=0.2", "train.bptt=10"]),
    "forecast": (
        Forecasting,
        ["data=builtin:henon", "forecast.mode=rollout", "forecast.window=6", "forecast.horizon=5", "model.hidden=8",
         "model.kind=encoder_decoder", "model.attention=additive", "loss.kind=gaussian", "baseline.order=2"],
    ),
    "translate": (
        Translation,
        ["text.level=char", "model.hidden=8", "model.embedding=4", "attention.score=general",
         "score.criterion=nats"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", ["exact", "parallel"])
@pytest.mark.parametrize("name", RUNS)
def test_killed_in_the_middle_it_ends_as_if_it_had_not_been(name: str, way: str, tmp_path: Path):
    task, words = RUNS[name]
    data, draw = tmp_path / "data.txt", random.Random(0)
    lines = ["".join(draw.choices("abc", k=5)) for _ in range(300)]
    if name == "translate":
        data = tmp_path / "data.tsv"
        lines = [f"{k} {line}\t{line[::-1]}" for k, line in enumerate(lines)]
    data.write_text("\n".join(lines))
    words = [
        *words, "train.batch=4", "train.steps=30", "train.validate_every=0", "train.sample_every=0",
        "train.checkpoint_every=10", "sampling.schedule=linear", "sampling.slope=0.02", f"sampling.way={way}",
    ]  # fmt: skip

    def config(name: str):
        settings = {"task": task.name, "data": str(data), "run": str(tmp_path / name)}
        return build_config(task.Config, settings, words)

    whole = begin(task, config("whole"), Silent())
    with pytest.raises(Killed):
        begin(task, config("killed"), KilledAt(17))
    parted = resume(tmp_path / "killed", [], lambda _: task, Silent())
    first, second = (load_checkpoint(ended.folder / "checkpoint") for ended in (whole, parted))
    assert int(first["model"]["sampling.updates"]) == 30
    for part in ("model", "optimizer"):
        torch.testing.assert_close(first[part], second[part], rtol=0, atol=0)
