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


class _Pool:
    """Memory that is free, never more than was in use at once."""

    def __init__(self) -> None:
        self._in_use = 0  # floats, as are the next two
        self.clear()

    def clear(self) -> None:
        """Forget what is free."""
        self._lock = threading.RLock()  # a block may be given back while another is taken: the garbage collector does
        self._free: dict[int, list[Tensor]] = {}  # by size, that which was given back last behind the others
        self._most_in_use, self._idle = self._in_use, 0

    def take(self, size: int) -> Tensor:
        with self._lock:
            self._in_use += size
            self._most_in_use = max(self._most_in_use, self._in_use)
            blocks = self._free.get(size)
            if blocks:
                self._idle -= size
                return blocks.pop()
        with torch.inference_mode(False):  # it may be used again where torch lets nobody change an inference tensor
            return torch.empty(size, **NUMBERS)

    def give_back(self, tensor: Tensor) -> None:
        size = tensor.numel()
        with self._lock:
            self._in_use -= size
            self._idle += size
            blocks = self._free.pop(size, [])
            blocks.append(tensor)
            self._free[size] = blocks
            while self._idle > self._most_in_use:
                oldest = next(iter(self._free))
                if self._free[oldest]:
                    self._free[oldest].pop()
                    self._idle -= oldest
                else:
                    del self._free[oldest]

    def leave(self, tensor: Tensor) -> None:
        """A block that was taken does not come back."""
        with self._lock:
            self._in_use -= tensor.numel()

    def __iter__(self) -> Iterator[Tensor]:
        return iter([tensor for blocks in self._free.values() for tensor in blocks])


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


# Another thread may hold the lock at the moment of a fork, and does not live on to let it go.
os.register_at_fork(after_in_child=forget)
