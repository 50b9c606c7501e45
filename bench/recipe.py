"""A recipe's training step with our layers and with torch.nn.LSTM in their place, side by side in one run.

    python bench/recipe.py recipes/ptb-small.yaml [--steps 500] [key=value …]

Both models learn from the same stream, with the recipe's optimiser and clipping at its first rate, and take turns of 25
steps. Printed are tokens a second, and the time that all steps of the recipe would take at that rate.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from recurra.tasks import get
from recurra.training.clipping import clip_gradients
from recurra.training.config import build_config, read_recipe
from recurra.training.optimizer import build_optimizer

TURN = 25


class TorchLSTM(nn.Module):
    """torch.nn.LSTM with the call of `Recurrent`."""

    def __init__(self, inputs: int, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, layers, dropout=dropout, batch_first=True)

    def forward(self, x: Tensor, state: Any, lengths: None = None, *, static: None = None) -> tuple[Tensor, Any]:
        return self.lstm(x, state)


class Side:
    """One of the two models with all that its training needs."""

    def __init__(self, task: Any, config: Any, swap: bool) -> None:
        torch.manual_seed(config.seed)
        self.model = task.model()
        if swap:
            m = config.model
            self.model.recurrent = TorchLSTM(m.embedding, m.hidden, m.layers, m.dropout)
            if m.init:
                for parameter in self.model.recurrent.parameters():
                    nn.init.uniform_(parameter, -m.init, m.init)
        self.task, self.settings = task, config.optimizer
        self.parameters = list(self.model.parameters())
        self.optimizer = build_optimizer(config.optimizer, self.parameters)
        self.stream = task.training_stream(0, 1)
        self.state: Any = None
        self.seconds, self.tokens, self.nats = 0.0, 0, 0.0

    def turn(self, steps: int, counts: bool) -> None:
        self.model.train()
        start = time.perf_counter()
        for _ in range(steps):
            batch = self.stream.next() or self.stream.next()
            loss, state = self.task.loss(self.model, batch, None if batch.fresh else self.state)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.state = tuple(s.detach() for s in state)
            clip_gradients(self.parameters, self.settings.clip, self.settings.clip_by)
            self.optimizer.step()
            if counts:
                self.tokens += batch.tokens
                self.nats = loss.item()
        if counts:
            self.seconds += time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("words", nargs="*", help="key=value")
    parser.add_argument("--steps", type=int, default=500)
    options = parser.parse_args()
    recipe = read_recipe(options.recipe)
    task_class = get(str(recipe["task"]))
    config = build_config(task_class.Config, recipe, options.words)
    task = task_class.open(config)
    sides = {"recurra": Side(task, config, swap=False), "torch.nn.LSTM": Side(task, config, swap=True)}
    for done in range(-TURN, options.steps, TURN):
        for side in sides.values():
            side.turn(TURN, counts=done >= 0)
    tokens = sides["recurra"].stream.epoch_batches * config.train.batch * config.train.bptt * (config.train.epochs or 1)
    print("| layers | tokens/s | the whole recipe, without validation | loss at the end |\n|---|---|---|---|")
    for name, side in sides.items():
        rate = side.tokens / side.seconds
        print(f"| {name} | {rate:,.0f} | {tokens / rate / 60:.1f} min | {side.nats:.3f} nats |")
    ours, theirs = (side.tokens / side.seconds for side in sides.values())
    print(f"\nratio {ours / theirs:.2f}")


if __name__ == "__main__":
    main()
