"""A run with scheduled sampling that is stopped goes on as if it had not been."""

import random
from pathlib import Path

import pytest
import torch

from recurra.tasks.lm import LanguageModelling
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


@pytest.mark.parametrize("way", ["exact", "parallel"])
def test_killed_in_the_middle_it_ends_as_if_it_had_not_been(way: str, tmp_path: Path):
    text = tmp_path / "text.txt"
    draw = random.Random(0)
    text.write_text("".join(draw.choices("abc \n", k=3000)))
    words = [
        "model.hidden=8", "model.embedding=4", "model.dropout=0.2", "train.batch=4", "train.bptt=10", "train.steps=30",
        "train.checkpoint_every=10", "sampling.schedule=linear", "sampling.slope=0.02", f"sampling.way={way}",
    ]  # fmt: skip

    def config(name: str):
        settings = {"task": "lm", "data": str(text), "run": str(tmp_path / name)}
        return build_config(LanguageModelling.Config, settings, words)

    whole = begin(LanguageModelling, config("whole"), Silent())
    with pytest.raises(Killed):
        begin(LanguageModelling, config("killed"), KilledAt(17))
    parted = resume(tmp_path / "killed", [], lambda _: LanguageModelling, Silent())
    first, second = (load_checkpoint(ended.folder / "checkpoint") for ended in (whole, parted))
    assert int(first["model"]["sampling.updates"]) == 30
    for part in ("model", "optimizer"):
        torch.testing.assert_close(first[part], second[part], rtol=0, atol=0)
