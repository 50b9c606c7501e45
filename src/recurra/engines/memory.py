"""Memory that is used again: fresh pages cost as much as the arithmetic on them."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class Block:
    """Float32 memory on a 64-byte boundary, given back to its pool when nothing holds it any more."""

    def __init__(self, tensor: Tensor, pool: dict[int, list[Tensor]] | None) -> None:
        self._tensor, self._pool = tensor, pool

    @property
    def address(self) -> int:
        return self._tensor.data_ptr()

    def leave(self) -> Tensor:
        """The memory as the caller's own, which does not come back to the pool."""
        self._pool = None
        return self._tensor

    def view(self, *shape: int) -> Tensor:
        """The first elements as a tensor, which is of use as long as this object lives."""
        return self._tensor[: math.prod(shape)].view(shape)

    def __del__(self) -> None:
        pool = self.__dict__.get("_pool")
        if pool is None:  # torch.compile makes objects that are never initialised
            return
        free = pool.setdefault(self._tensor.numel(), [])
        if len(free) < _MOST_FREE:
            free.append(self._tensor)


_MOST_FREE = 8
_POOL: dict[int, list[Tensor]] = {}


def take(floats: int) -> Block:
    """At least this many floats, with whatever their last user left in them."""
    # Sizes in steps of an eighth, so that calls of nearly one size share memory.
    step = max(1024, 1 << max(0, floats.bit_length() - 4))
    size = -(-floats // step) * step
    free = _POOL.get(size)
    return Block(free.pop() if free else torch.empty(size, dtype=torch.float32), _POOL)


def around(tensor: Tensor) -> Block:
    """Memory that is the caller's and stays so."""
    return Block(tensor, None)


def forget() -> None:
    """Give all free memory back to the system."""
    _POOL.clear()


def poison(value: float) -> None:
    """Fill all free memory with `value`, so that a test sees what is read before it is written."""
    for free in _POOL.values():
        for tensor in free:
            tensor.fill_(value)
