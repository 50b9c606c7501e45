"""Tasks whose data are examples of their own lengths, drawn anew each epoch."""

from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from recurra.data import DataError, ExampleStream
from recurra.tasks.base import Task


class Examples(Protocol):
    """Examples that batches are made of."""

    @property
    def lengths(self) -> Any:
        """Steps of each example, an array [N]; it may be a cached property."""
        ...

    def batch(self, numbers: np.ndarray, /) -> Any:
        """The examples with these numbers, side by side."""
        ...

    def checksum(self) -> int:
        """A number that other examples would not have."""
        ...


class Parts(Protocol):
    """The examples of a run, of which `training` are those to learn from."""

    @property
    def training(self) -> Examples: ...


P = TypeVar("P", bound=Parts)


class ExampleTask(Task, Generic[P]):
    """A task that was opened on parts of examples, or loaded without them."""

    _data: P | None

    @property
    def _opened(self) -> P:
        """The examples. Raises DataError where the task was loaded without them."""
        if self._data is None:
            raise DataError("this task was loaded from a run folder without its data: open it on them to train it")
        return self._data

    def _tokens(self) -> int | None:
        """Most tokens of a batch, or None where its rows are counted."""
        return None

    def training_stream(self, rank: int = 0, world: int = 1) -> ExampleStream[Any]:
        """The examples to learn from, `train.batch` of them at once in each process, those of like length together.

        Raises:
            DataError: the task was loaded without its data, or there are fewer examples than processes.
        """
        training = self._opened.training
        return ExampleStream(
            training.lengths,
            training.batch,
            batch=self.config.train.batch,
            tokens=self._tokens(),
            seed=self.config.seed,
            checksum=training.checksum(),
            rank=rank,
            world=world,
        )
