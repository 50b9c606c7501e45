"""Where a run stands, when it ends, and what is due after an update."""

import math
import time
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from recurra.tasks.config import LoopConfig


@dataclass
class Position:
    """How far a run has come."""

    step: int = 0  # updates made
    epoch: int = 0  # whole passes over the data
    window: int = 0  # batches of the current epoch
    best: float = math.inf  # lowest value of what validation is judged by
    best_step: int | None = None  # where it was measured
    stale: int = 0  # validations since then
    seconds: float = 0.0  # wall time up to the last `tick`

    _since: float = field(default_factory=time.perf_counter, repr=False)

    def tick(self) -> float:
        """Bring `seconds` up to date and return it."""
        now = time.perf_counter()
        self.seconds += now - self._since
        self._since = now
        return self.seconds

    def advance(self, epoch_batches: int) -> None:
        """Count one update."""
        self.step += 1
        self.window += 1
        if self.window == epoch_batches:
            self.epoch, self.window = self.epoch + 1, 0

    def judge(self, loss: float) -> bool:
        """Count a validation that is judged by `loss`, the lower the better; whether it is the best so far."""
        if loss < self.best:
            self.best, self.best_step, self.stale = loss, self.step, 0
            return True
        self.stale += 1
        return False

    def state_dict(self) -> dict[str, Any]:
        names = ("step", "epoch", "window", "best", "best_step", "stale", "seconds")
        return {name: getattr(self, name) for name in names}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in self.state_dict():
            setattr(self, name, state[name])
        self._since = time.perf_counter()


@dataclass(frozen=True)
class Plan:
    """When a run ends and what is due when, in updates; `epoch_batches` of them make an epoch."""

    settings: LoopConfig
    epoch_batches: int

    def reached(self, at: Position) -> str | None:
        """The limit that ends the run here: `steps`, `epochs`, `seconds` or `patience`; None where it goes on."""
        settings = self.settings
        limits = (
            ("steps", settings.steps, at.step),
            ("epochs", settings.epoch_limit, at.epoch),
            ("seconds", settings.seconds, at.seconds),
            ("patience", settings.patience or None, at.stale),
        )
        for name, limit, value in limits:
            if limit is not None and value >= limit:
                return name
        return None

    def fraction(self, at: Position) -> float:
        """How much of the run is done, from 0 to 1: that of the limit that is nearest."""
        settings = self.settings
        parts = [0.0]
        if settings.steps is not None:
            parts.append(at.step / settings.steps)
        if settings.epoch_limit is not None:
            parts.append((at.epoch + at.window / self.epoch_batches) / settings.epoch_limit)
        if settings.seconds is not None:
            parts.append(at.seconds / settings.seconds)
        return min(1.0, max(parts))

    def line_due(self, at: Position) -> bool:
        return at.step % self.settings.log_every == 0

    def validation_due(self, at: Position) -> bool:
        every = self.settings.validate_every
        return at.window == 0 if every is None else _every(at.step, every)

    def sample_due(self, at: Position) -> bool:
        """Whether a sample is due of its own, not only because there is a validation."""
        return _every(at.step, self.settings.sample_every or 0)

    def checkpoint_due(self, at: Position) -> bool:
        return _every(at.step, self.settings.checkpoint_every)


class Meter:
    """Loss, gradient norm, tokens and seconds since the last line of metrics.

    The sums stay on the `device`: to read them is to wait for it, so they are read when a line is due.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._sums = torch.zeros(2, dtype=torch.float64, device=device)  # loss, gradient norms
        self._steps = 0
        self._tokens = 0
        self._since = time.perf_counter()

    def add(self, loss: Tensor, norm: Tensor, tokens: int) -> None:
        """Count one update: its mean `loss` over `tokens` and its gradient `norm`, both scalar tensors."""
        self._sums[0].add_(loss.detach(), alpha=tokens)
        self._sums[1].add_(norm)
        self._steps += 1
        self._tokens += tokens

    def totals(self) -> list[float]:
        """Summed loss, summed gradient norms, tokens and updates since the last line."""
        return [*self._sums.tolist(), float(self._tokens), float(self._steps)]

    def seconds(self) -> float:
        """Seconds since the last line."""
        return time.perf_counter() - self._since

    def reset(self) -> None:
        """Begin a new line."""
        self._sums.zero_()
        self._steps = self._tokens = 0
        self._since = time.perf_counter()

    def state_dict(self) -> dict[str, Any]:
        return {"totals": self.totals(), "seconds": self.seconds()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        nats, norms, tokens, steps = state["totals"]
        self._sums.copy_(torch.tensor([nats, norms], dtype=torch.float64))
        self._tokens, self._steps = int(tokens), int(steps)
        self._since = time.perf_counter() - state["seconds"]


def _every(step: int, interval: int) -> bool:
    return interval > 0 and step % interval == 0
