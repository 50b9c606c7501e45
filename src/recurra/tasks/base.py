"""What the training loop and the commands know about a task, and nothing else.

A new task is a class of this kind in a file of its own and one line in `recurra.tasks`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, Self

from torch import Tensor, nn

from recurra.data import Line
from recurra.equations import nearest
from recurra.tasks.config import ConfigError
from recurra.tasks.findings import Finding


class Use(NamedTuple):
    """A way to use a trained model: one word for it, a sentence, and the command."""

    word: str
    meaning: str
    command: str


@dataclass(frozen=True)
class Trained:
    """What of a trained model its commands are made of.

    Attributes:
        run: the run folder, quoted for a shell, with the options that are needed to load it.
        data: data that the model can be measured on, quoted for a shell.
        samples: texts that `sample` gave.
        config: the run's settings, by section and name.
    """

    run: str
    data: str = "DATA"
    samples: Sequence[str] = ()
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])


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
        loss_name: unit of the loss; the metrics are called by it, such as `train_nats` and `valid_nats`.
        unit: what one prediction is made for, such as a token or an example; speed is told by it.
        criterion: the measure of `validate` that says which parameters are the best; by its name more or less is
            better (see `recurra.tasks.measures.more_is_better`).
        options: what `predict` can be asked for beside its predictions, each with its meaning.
        wishes: what `generate` can be told beside its prompt, each with its meaning; a task whose models write has a
            method `generate(model, prompt, *, length, sampler, seed, wishes)` that yields pieces of text, see
            `recurra.tasks.lm.task`; `wishes` is given only where there are some.
        in_use: groups of settings, and single ones, that may be set anew whenever a trained model is used.
        suited: settings that go with data of this library's own, by the data's name: below all that a user gives.
    """

    name: ClassVar[str]
    Config: ClassVar[type]
    config: Any
    loss_name: str = "nats"
    unit: str = "token"
    criterion: str = "valid_nats"
    options: ClassVar[Mapping[str, str]] = {}
    wishes: Mapping[str, str] = {}
    in_use: ClassVar[Sequence[str]] = ()
    suited: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

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
        """Measures on the validation data, named `valid_…`, the loss and the `criterion` among them.

        Computes without gradients and without dropout, draws no random number, and leaves the model as it was.
        """

    def calibrate(self, model: nn.Module) -> None:  # noqa: B027  # most tasks have nothing to find
        """Find on the validation data what is found only once parameters stand, such as how wide bands must be.

        Called before parameters are saved as the best, to be saved with them; in one process alone, and with the
        parameters left as they are.
        """

    @abstractmethod
    def evaluate(self, model: nn.Module, path: str | Path | None) -> Mapping[str, float | Finding]:
        """Measures and findings on the data at `path`; None: on what the settings keep for the purpose.

        Raises:
            ValueError: the data cannot be read or do not fit the model, or the settings keep none.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Facts about the data, for the report: numbers, texts and lists by name."""

    def predict(
        self, model: nn.Module, source: Path | Iterable[Sequence[Line]], options: Sequence[str] = ()
    ) -> Iterator[str]:
        """What the model says to each line or example of `source`, in order, as lines of text.

        Args:
            model: a model of this task, in evaluation mode.
            source: a file; or lines, block after block, each block answered before the next is asked for.
            options: names of `options`.

        Raises:
            ValueError: the task predicts nothing from lines, or the source does not fit the model.
        """
        known = "; ".join(use.command for use in self.uses(Trained("RUN")))
        raise ConfigError(f"a model of the task {self.name} does not answer line by line; try: {known}")

    def pictures(
        self, model: nn.Module, source: Path | Iterable[Sequence[Line]], options: Sequence[str] = ()
    ) -> list[Finding]:
        """What the model says to each line or example of `source`, drawn; arguments as for `predict`.

        Raises:
            ValueError: the task has no pictures of what its models say, or the source does not fit the model.
        """
        raise ConfigError(f"there are no pictures of what a model of the task {self.name} says: leave out --out")

    def predicted(
        self, model: nn.Module, source: Path | Iterable[Sequence[Line]], options: Sequence[str], path: Path
    ) -> bytes:
        """The file at `path` that is to hold what the model says, as for `predict`; its kind is told by its name.

        Raises:
            ValueError: the task writes no such file, or the source does not fit the model.
        """
        if path.suffix != ".txt":
            drawn = ", or draws, to a .svg or .html file" if type(self).pictures is not Task.pictures else ""
            raise ConfigError(
                f"--out {path}: a model of the task {self.name} writes lines of text, to a .txt file{drawn}"
            )
        return "".join(f"{line}\n" for line in self.predict(model, source, options)).encode()

    def companions(self) -> Mapping[str, str]:
        """Run folders of other models that the settings name for this one's use, each by the key of its setting."""
        return {}

    def accompany(self, key: str, task: "Task", model: nn.Module) -> None:
        """Take the model, and its task, of one of the `companions`.

        Raises:
            ValueError: it is of no use here.
        """
        raise ConfigError(f"{key}: a model of the task {self.name} uses no other models")

    def opening(self, prompt: str) -> str:
        """What is shown of a prompt before what `generate` writes after it."""
        return prompt

    def content(self, pieces: Iterable[str], path: Path) -> bytes:
        """The file at `path` that is to hold the `pieces` that `generate` gives; its kind is told by its name.

        Raises:
            ValueError: the task writes no such file (at once).
        """
        return "".join(pieces).encode()

    def sample(self, model: nn.Module, seed: int) -> str:
        """A short text that shows what the model has learnt, if the task has one to show.

        torch's global generator is left alone.
        """
        return ""

    def findings(self, model: nn.Module) -> list[Finding]:
        """What the report shows of the model on the validation data, beside its measures."""
        return []

    @classmethod
    def uses(cls, trained: Trained) -> list[Use]:
        """What a trained model is good for, as commands."""
        return [Use("measure", "Measure it on data of your own.", f"recurra evaluate {trained.run} {trained.data}")]

    def require_options(self, options: Iterable[str]) -> None:
        """Raise a ConfigError that names the nearest where one of `options` is none of the task's."""
        self._require_known(options, self.options)

    def require_wishes(self, wishes: Iterable[str]) -> None:
        """Raise a ConfigError that names the nearest where one of `wishes` is none of the task's."""
        self._require_known(wishes, self.wishes)

    def _require_known(self, given: Iterable[str], known: Mapping[str, str]) -> None:
        for option in given:
            if option not in known:
                there = f"; a {self.name} model knows: --{', --'.join(known)}" if known else ""
                raise ConfigError(f"there is no option --{option}{nearest(option, known) or there}")
