"""All the moving parts of a run, saved and put back together."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from recurra.tasks.base import Stream
from recurra.training.checkpoint import CheckpointError
from recurra.training.distributed import Ranks
from recurra.training.progress import Meter, Position
from recurra.training.random_state import random_state, restore_random_state
from recurra.training.run_folder import RunFolder
from recurra.training.schedule import Schedule


def map_tensors(function: Any, value: Any) -> Any:
    """`value`, a nest of tuples, lists and dicts, with each tensor in it replaced by `function(tensor)`."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, tuple | list):
        return type(value)(map_tensors(function, item) for item in value)
    if isinstance(value, dict):
        return {key: map_tensors(function, item) for key, item in value.items()}
    return value


@dataclass(frozen=True)
class Snapshot:
    """The parts of a run that change from update to update, but for the carried state, which the loop hands over."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    stream: Stream
    at: Position
    meter: Meter

    def save(self, run: RunFolder, ranks: Ranks, carried: Any) -> None:
        """Make all of it the checkpoint of `run`. All processes must call it. Raises OSError."""
        own = {
            "carried": map_tensors(lambda tensor: tensor.detach().cpu(), carried),
            "stream": self.stream.state_dict(),
            "meter": self.meter.state_dict(),
            "random": random_state(),
        }
        every_rank = ranks.gather(own)
        if not ranks.writer:
            return
        self.at.tick()
        run.save_checkpoint(
            {
                "position": self.at.state_dict(),
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state_dict(),
                "metrics_bytes": run.sync_metrics(),
                "ranks": every_rank,
            }
        )

    def restore(self, run: RunFolder, ranks: Ranks) -> tuple[Any, int]:
        """Put everything back as the checkpoint of `run` has it; return the carried state and the size of the metrics.

        All processes must call it. Raises CheckpointError, DataError where the training data is another.
        """
        saved = ranks.from_writer(run.load_checkpoint)
        device = next(self.model.parameters()).device
        try:
            own = self._own(saved["ranks"], run, ranks)
            self.stream.load_state_dict(own["stream"])
            self.model.load_state_dict(saved["model"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.schedule.load_state_dict(saved["schedule"])
            self.at.load_state_dict(saved["position"])
            self.meter.load_state_dict(own["meter"])
            restore_random_state(own["random"])
            return map_tensors(lambda tensor: tensor.to(device), own["carried"]), int(saved["metrics_bytes"])
        except (KeyError, TypeError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise CheckpointError(f"the checkpoint of {run.path} does not fit its config.yaml: {reason}") from error

    @staticmethod
    def _own(every_rank: list[dict[str, Any]], run: RunFolder, ranks: Ranks) -> dict[str, Any]:
        """The part of a checkpoint that is this process's own."""
        if len(every_rank) != ranks.world:
            start = f"torchrun --nproc-per-node {len(every_rank)} -m recurra" if len(every_rank) > 1 else "recurra"
            raise CheckpointError(
                f"the checkpoint of {run.path} is of {len(every_rank)} processes, this run has {ranks.world}; "
                f"resume it with {start} train --resume {run.path}"
            )
        return every_rank[ranks.rank]
