"""Scheduled sampling: in training, some of the outputs that are read back are the model's own."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from recurra.models.evaluation import evaluating

SCHEDULES = ("linear", "exponential", "inverse_sigmoid")
WAYS = ("exact", "parallel")
FEEDS = ("sample", "best")

# What k is where nothing else is said.
_K = {"linear": 1.0, "exponential": 0.9999, "inverse_sigmoid": 1000.0}

OneStep = Callable[[Tensor, Any, int], tuple[Tensor, Any]]
"""What is read at a step [B] or [B, K], the state (None: the start) and the step's number, to the model's own output
and the state to go on from."""
AllSteps = Callable[[Tensor, Tensor], Tensor]
"""All that is read [B, T] or [B, T, K], and at which steps the model's own output is wanted, bool [B, T], to these
outputs, of the shape of what is read; anything elsewhere."""


class ScheduledSampling(nn.Module):
    """In place of the true output of a step, the next one reads what the model would have said (Bengio et al. 2015).

    A coin for each output decides; the chance ε of the true one falls with the number i of updates made:

    | schedule          | ε                          | k                            |
    |-------------------|----------------------------|------------------------------|
    | `linear`          | k − slope · i              | at most 1; None: 1           |
    | `exponential`     | kⁱ                         | below 1; None: 0.9999        |
    | `inverse_sigmoid` | k / (k + exp(i / k))       | at least 1; None: 1000       |

    and never below `minimum`. No gradient goes through what the model said, so what is read is found first, without
    gradients and as the model is used, without dropout; a teacher-forced pass over it then gives loss and gradients:

    | way        | how what is read is found                                                                          |
    |------------|----------------------------------------------------------------------------------------------------|
    | `exact`    | step by step: each own output follows from all that was read before, own outputs among it          |
    | `parallel` | in one pass over the true outputs: own outputs follow from these (Mihaylova & Martins 2019;        |
    |            | Duckworth et al. 2019). It is about twice the time of teacher forcing, however long the sequence   |

    The updates are counted here, in a buffer that is saved with the parameters: a run that is resumed goes on exactly.
    Coins and samples come from torch's global generator.

    Args:
        schedule: one of these.
        k: see above.
        slope: of `linear`, by how much ε falls with an update.
        minimum: the least ε.
        way: `exact` or `parallel`.
        feed: the model's own output is a `sample` of what it says, or the `best`: the likeliest token, or the value
            that is expected.

    Raises:
        ValueError: there is no such schedule, way or feed, or a number is out of range.
    """

    updates: Tensor

    def __init__(
        self,
        schedule: str,
        *,
        k: float | None = None,
        slope: float = 1e-4,
        minimum: float = 0.0,
        way: str = "parallel",
        feed: str = "sample",
    ) -> None:
        super().__init__()
        for name, value, known in (("schedule", schedule, SCHEDULES), ("way", way, WAYS), ("feed", feed, FEEDS)):
            if value not in known:
                raise ValueError(f"{name}={value!r} of scheduled sampling is none of {', '.join(known)}")
        self.schedule, self.k = schedule, _K[schedule] if k is None else k
        self.slope, self.minimum, self.way, self.feed = slope, minimum, way, feed
        low, high = {"linear": (0.0, 1.0), "exponential": (0.0, 1.0)}.get(schedule, (1.0, math.inf))
        if not low <= self.k <= high:
            raise ValueError(f"k={self.k:g}: the {schedule} schedule expects a number from {low:g} to {high:g}")
        if slope < 0 or not 0 <= minimum <= 1:
            raise ValueError(
                f"slope={slope:g}, minimum={minimum:g}: expected a slope of 0 or above, and a chance from 0 to 1"
            )
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def extra_repr(self) -> str:
        slope = f", slope={self.slope:g}" if self.schedule == "linear" else ""
        return f"{self.schedule}, k={self.k:g}{slope}, minimum={self.minimum:g}, way={self.way!r}, feed={self.feed!r}"

    @property
    def chance(self) -> float:
        """ε, the chance with which the true output is read after as many updates as were made."""
        done = int(self.updates)
        if self.schedule == "linear":
            chance = self.k - self.slope * done
        elif self.schedule == "exponential":
            chance = self.k**done
        else:
            chance = self.k / (self.k + math.exp(min(done / self.k, 700.0)))
        return max(self.minimum, chance)

    @torch.no_grad()
    def mix(
        self,
        model: nn.Module,
        given: Tensor,
        one_step: OneStep,
        all_steps: AllSteps,
        lengths: Tensor | None = None,
    ) -> Tensor:
        """What is read in an update: true outputs, and the model's own where the coin says so. Counts the update.

        Args:
            model: is put in evaluation mode meanwhile.
            given: the true outputs in the order in which they are read, [B, T] or [B, T, K]. The first of each row,
                such as a start symbol, is always read.
            one_step: the model's own output after a step; of the way `exact`.
            all_steps: its own outputs after all steps; of the way `parallel`.
            lengths: steps of each row, int64 [B]; None: T for all. Behind a row's end nothing is changed.

        Returns:
            the shape of `given`.
        """
        own_read = torch.rand(given.shape[:2], device=given.device) >= self.chance
        own_read[:, 0] = False
        if lengths is not None:
            own_read &= torch.arange(given.shape[1], device=given.device) < lengths.to(given.device).unsqueeze(1)
        self.updates += 1
        if not own_read.any():
            return given
        with evaluating(model):
            if self.way == "exact":
                return _step_by_step(given, own_read, one_step)
            own = all_steps(given, own_read.roll(-1, 1))
        mixed = given.clone()
        mixed[own_read] = own[own_read.roll(-1, 1)]
        return mixed


def _step_by_step(given: Tensor, own_read: Tensor, one_step: OneStep) -> Tensor:
    """`given` with what follows from all that was read before, where `own_read` says so."""
    mixed, state = given.clone(), None
    last = int(own_read.any(0).nonzero().max())
    for step in range(last):
        own, state = one_step(mixed[:, step], state, step)
        chosen = own_read[:, step + 1]
        mixed[chosen, step + 1] = own[chosen]
    return mixed
