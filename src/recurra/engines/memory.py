"""Memory that is used again: fresh pages cost as much as the arithmetic on them."""

from __future__ import annotations

import torch
from torch import Tensor


class Block:
    """Float32 memory on a 64-byte boundary, given back to its pool when nothing holds it any more."""

    def __init__(self, pool: dict[int, list[Tensor]], floats: int) -> None:
        # Sizes in steps of an eighth, so that calls of nearly one size share memory.
        step = max(1024, 1 << max(0, floats.bit_length() - 4))
        self._size = -(-floats // step) * step
        self._pool = pool
        free = pool.get(self._size)
        self._tensor = free.pop() if free else torch.empty(self._size, dtype=torch.float32)

    @property
    def address(self) -> int:
        return self._tensor.data_ptr()

    def __del__(self) -> None:
        tensor = self.__dict__.get("_tensor")
        if tensor is None:  # torch.compile makes objects that are never initialised
            return
        free = self._pool.setdefault(self._size, [])
        if len(free) < _MOST_FREE:
            free.append(tensor)


_MOST_FREE = 8
_POOL: dict[int, list[Tensor]] = {}


def take(floats: int) -> Block:
    """At least this many floats, with whatever their last user left in them."""
    return Block(_POOL, floats)


def forget() -> None:
    """Give all free memory back to the system."""
    _POOL.clear()


def poison(value: float) -> None:
    """Fill all free memory with `value`, so that a test sees what is read before it is written."""
    for free in _POOL.values():
        for tensor in free:
            tensor.fill_(value)
