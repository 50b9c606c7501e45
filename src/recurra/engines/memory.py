"""Memory that is used again: fresh pages cost as much as the arithmetic on them."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

NUMBERS: dict[str, Any] = {"dtype": torch.float32, "device": torch.device("cpu")}
"""What the native engine computes with, whatever torch's defaults are set to."""


_LITTLE = 1 << 21  # floats


class _Pool:
    """Memory that is free: little, or at most three times what was in use at once.

    To take what is there, and to give it back, is a single step of Python and needs no lock.
    """

    def __init__(self) -> None:
        self._free: dict[int, list[Tensor]] = {}  # by size
        self._held = 0  # floats of all blocks, in use or free
        self.clear()

    def clear(self) -> None:
        """Forget what is free."""
        self._held -= self._idle()
        self._free.clear()
        self._most_in_use = 0
        self._lock = (
            threading.Lock()
        )  # another thread may hold the old one at a fork, and does not live on to let it go

    def take(self, size: int) -> Tensor:
        blocks = self._free.get(size)
        tensor = _last(blocks) if blocks else None
        return self._new(size) if tensor is None else tensor

    def give_back(self, tensor: Tensor) -> None:
        self._free.setdefault(tensor.numel(), []).append(tensor)

    def leave(self, tensor: Tensor) -> None:
        """A block that was taken does not come back."""
        with self._lock:
            self._held -= tensor.numel()

    def _idle(self) -> int:
        return sum(size * len(blocks) for size, blocks in list(self._free.items()))

    def _new(self, size: int) -> Tensor:
        with self._lock:
            idle = self._idle()
            self._held += size
            self._most_in_use = max(self._most_in_use, self._held - idle)
            for other, blocks in list(self._free.items()):
                # A forward and a backward pass leave up to twice as much between them.
                while idle > max(2 * self._most_in_use, _LITTLE) and _last(blocks) is not None:
                    idle, self._held = idle - other, self._held - other
        with torch.inference_mode(False):  # it may be used again where torch lets nobody change an inference tensor
            return torch.empty(size, **NUMBERS)

    def __iter__(self) -> Iterator[Tensor]:
        return iter([tensor for blocks in list(self._free.values()) for tensor in blocks])


def _last(blocks: list[Tensor]) -> Tensor | None:
    try:
        return blocks.pop()
    except IndexError:  # another thread was faster, or there is none
        return None


class Block:
    """Float32 memory on a 64-byte boundary, given back to its pool when nothing holds it any more."""

    def __init__(self, tensor: Tensor, pool: _Pool | None) -> None:
        self._tensor, self._pool = tensor, pool

    @property
    def address(self) -> int:
        return self._tensor.data_ptr()

    def leave(self) -> Tensor:
        """The memory as the caller's own, which does not come back to the pool."""
        if self._pool is not None:
            self._pool.leave(self._tensor)
        self._pool = None
        return self._tensor

    def view(self, *shape: int) -> Tensor:
        """The first elements as a tensor, which is of use as long as this object lives."""
        return self._tensor[: math.prod(shape)].view(shape)

    def __del__(self) -> None:
        pool = self.__dict__.get("_pool")
        if pool is not None:  # torch.compile makes objects that are never initialised
            pool.give_back(self._tensor)


_POOL = _Pool()


def take(floats: int) -> Block:
    """At least this many floats, with whatever their last user left in them."""
    # Sizes in steps of an eighth, so that calls of nearly one size share memory.
    step = max(1024, 1 << max(0, floats.bit_length() - 4))
    size = -(-floats // step) * step
    return Block(_POOL.take(size), _POOL)


def around(tensor: Tensor) -> Block:
    """Memory that is the caller's and stays so."""
    return Block(tensor, None)


def forget() -> None:
    """Give all free memory back to the system."""
    _POOL.clear()


def plain(tensor: Tensor) -> Tensor:
    """The tensor with its values in memory one after another."""
    return tensor.resolve_neg().contiguous()


def poison(value: float) -> None:
    """Fill all free memory with `value`, so that a test sees what is read before it is written."""
    for tensor in _POOL:
        tensor.fill_(value)


os.register_at_fork(after_in_child=forget)
