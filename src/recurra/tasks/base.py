"""What the training loop and the commands know about a task, and nothing else.

A new task is a class of this kind in a file of its own and one line in `recurra.tasks`.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

from torch import Tensor, nn


class Batch(Protocol):
    """What the loop sees of a batch; the rest is between the task's stream and its loss."""

    @property
    def fresh(self) -> bool:
        """Whether the carried state must start anew with this batch."""
        ...

    @property
    def tokens(self) -> int:
        """Number of predictions the loss is the mean of."""
        ...


class Stream(Protocol):
    """Batches, epoch after epoch, from a place that can be saved and found again."""

    epoch_batches: int  # number of batches in an epoch

    def next(self) -> Batch | None:
        """The next batch, or None at the end of an epoch; the call after that begins the next epoch."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """The exact place, as plain numbers; the same in every process."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a place that `state_dict` noted.

        Raises:
            ValueError: the place belongs to other data or settings.
        """
        ...


class Task(ABC):
    """A task, with its settings and its data or the vocabularies made from them.

    Attributes:
        name: what the task is called on the command line.
        Config: dataclass of all its settings, with the groups `train` (TrainConfig) and `optimizer` (OptimizerConfig)
            and the keys `task`, `data`, `seed`, `run` and `engine` beside the task's own.
        config: the settings, a `Config`.
    """

    name: ClassVar[str]
    Config: ClassVar[type]
    config: Any

    @classmethod
    @abstractmethod
    def open(cls, config: Any) -> Self:
        """The task on its data, read as `config` says.

        Raises:
            ValueError: the data cannot be read or does not fit the settings.
        """

    @classmethod
    @abstractmethod
    def load(cls, config: Any, run_dir: str | Path) -> Self:
        """The task of a run folder, without its data: for everything but training and validation.

        Raises:
            ValueError: what `save` wrote is missing or damaged.
        """

    @abstractmethod
    def save(self, run_dir: str | Path) -> None:
        """Write what `load` needs into a run folder.

        Raises:
            OSError: it cannot be written.
        """

    @abstractmethod
    def model(self) -> nn.Module:
        """A new model, its parameters drawn with torch's global generator."""

    @abstractmethod
    def training_stream(self, rank: int = 0, world: int = 1) -> Stream:
        """The training data of process `rank` among `world`, at its start.

        Raises:
            ValueError: the task was loaded without its data, or they do not fill one batch.
        """

    @abstractmethod
    def loss(self, model: nn.Module, batch: Any, state: Any) -> tuple[Tensor, Any]:
        """The mean loss of a batch, nats a prediction (a scalar), and the state to carry on; not detached.

        Args:
            model: a model of this task.
            batch: a batch of its stream.
            state: what the call before returned, detached; None where the batch is fresh.
        """

    @abstractmethod
    def validate(self, model: nn.Module) -> dict[str, float]:
        """Measures on the validation data, `valid_nats` (the lower the better) among them.

        Computes without gradients and without dropout, draws no random number, and leaves the model as it was.
        """

    @abstractmethod
    def evaluate(self, model: nn.Module, path: str | Path) -> dict[str, float]:
        """Measures on the data at `path`.

        Raises:
            ValueError: the data cannot be read or do not fit the model.
        """

    @abstractmethod
    def sample(self, model: nn.Module, seed: int) -> str:
        """A short text that shows what the model has learnt; torch's global generator is left alone."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Facts about the data, for the report: numbers, texts and lists by name."""
