"""The learning rate over time."""

import math
from typing import Any

from recurra.tasks.config import SCHEDULES, ConfigError, OptimizerConfig, require_choice


class Schedule:
    """The learning rate of each update, by the schedule that `config` names.

    | schedule   | learning rate after the warm-up                                                                   |
    |------------|---------------------------------------------------------------------------------------------------|
    | `constant` | lr                                                                                                |
    | `cosine`   | minimum + (lr − minimum)·(1 + cos πp)/2, p from 0 after the warm-up to 1 at the end of the run    |
    | `step`     | lr·decay^⌊step / decay_every⌋                                                                     |
    | `plateau`  | times decay whenever more than `tolerance` validations in a row brought nothing better            |
    | `zaremba`  | lr for `hold` epochs, then times decay with each further epoch (Zaremba et al. 2014)              |

    Never below `minimum`, but for the warm-up, which rises in a straight line from 0. Raises ConfigError.
    """

    def __init__(self, config: OptimizerConfig) -> None:
        require_choice("optimizer.schedule", config.schedule, SCHEDULES)
        if config.minimum > config.lr:
            raise ConfigError(f"optimizer.minimum={config.minimum:g} is above optimizer.lr={config.lr:g}: lower it")
        self.config = config
        # Only `plateau` remembers anything: the factor reached, the best validation, and how many since were no better.
        self._factor = 1.0
        self._best = math.inf
        self._stale = 0

    def rate(self, step: int, epoch: int, progress: float) -> float:
        """The learning rate of an update: `step` updates and `epoch` whole epochs lie before it, and it stands at
        `progress` of the run, from 0 to 1."""
        config = self.config
        if step < config.warmup:
            return config.lr * (step + 1) / (config.warmup + 1)
        if config.schedule == "cosine":
            warm = progress * config.warmup / step if step else 0.0
            past = min(1.0, (progress - warm) / (1.0 - warm)) if warm < 1.0 else 1.0
            return config.minimum + (config.lr - config.minimum) * (1.0 + math.cos(math.pi * past)) / 2.0
        factor = 1.0
        if config.schedule == "step":
            factor = config.decay ** (step // config.decay_every)
        elif config.schedule == "plateau":
            factor = self._factor
        elif config.schedule == "zaremba":
            factor = config.decay ** max(0, epoch + 1 - config.hold)
        return max(config.minimum, config.lr * factor)

    def validated(self, loss: float) -> None:
        """Tell the schedule what a validation brought; less is better."""
        if loss < self._best:
            self._best, self._stale = loss, 0
            return
        self._stale += 1
        if self._stale > self.config.tolerance:
            self._factor, self._stale = self._factor * self.config.decay, 0

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to go on from here; numbers only."""
        return {"factor": self._factor, "best": self._best, "stale": self._stale}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken. Raises KeyError where `state` is not one of its own."""
        self._factor, self._best, self._stale = state["factor"], state["best"], state["stale"]
