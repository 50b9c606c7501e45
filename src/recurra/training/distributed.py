"""Several processes that train one model, as `torchrun` starts them; alone, every call is the plain thing.

Each process (rank) reads rows of its own and carries its own state; after each backward pass the gradients are averaged
by torch's DistributedDataParallel, so all processes keep the same parameters. Rank 0 alone writes.
"""

import gc
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """This process among those of the run: number `rank` of `world`, number `local` on its machine."""

    rank: int = 0
    world: int = 1
    local: int = 0

    @classmethod
    def join(cls) -> Self:
        """Meet the other processes that `torchrun` started; alone where it did not start this one."""
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls()
        # Its functions have the group that is there when they are first imported as their default, and keep it alive.
        import torch.distributed.nn

        # gloo carries what lies on the CPU (flags, checkpoints), also where gradients travel by nccl.
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
        return cls(dist.get_rank(), dist.get_world_size(), int(os.environ.get("LOCAL_RANK", "0")))

    @property
    def alone(self) -> bool:
        return self.world == 1

    @property
    def writer(self) -> bool:
        """Whether this is the one process that writes files and speaks to the user."""
        return self.rank == 0

    def leave(self) -> None:
        """Part from the other processes, once nothing that `wrap` gave is in use any more.

        The threads of the group end here. One that still ran when Python ends could be the last to hold a tensor, and
        freeing it would take the whole process down.
        """
        if not self.alone:
            gc.collect()
            dist.destroy_process_group()

    def wrap(self, module: nn.Module, device: torch.device) -> nn.Module:
        """`module` with its gradients averaged over all processes, and rank 0's parameters given to all."""
        if self.alone:
            return module
        return DistributedDataParallel(module, device_ids=[device] if device.type == "cuda" else None)

    def any(self, flag: bool) -> bool:
        """Whether `flag` is set in any process. All processes must call it."""
        if self.alone:
            return flag
        shared = torch.tensor(int(flag))
        dist.all_reduce(shared, dist.ReduceOp.MAX)
        return bool(shared.item())

    def sum(self, values: list[float]) -> list[float]:
        """`values` added up over all processes. All processes must call it."""
        if self.alone:
            return values
        shared = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(shared)
        return shared.tolist()

    def gather(self, value: T) -> list[T]:
        """The `value` of every process, in order of rank, in every process. All processes must call it."""
        if self.alone:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value)
        return values

    def from_writer(self, make: Callable[[], T]) -> T:
        """What `make` returns in the writer, given to every process; the others do not call it.

        All processes must call this.
        """
        if self.alone:
            return make()
        box: list[Any] = [make() if self.writer else None]
        dist.broadcast_object_list(box, device=torch.device("cpu"))
        return box[0]


ALONE = Ranks()
