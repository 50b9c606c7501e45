"""A run from its settings to its end: data opened, folder made and locked, model built, trained, everything closed."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from recurra.cells import is_file
from recurra.tasks.base import Task
from recurra.tasks.config import ConfigError
from recurra.tasks.findings import as_dict
from recurra.training.config import RESUMABLE, build_config, read_recipe, split_word
from recurra.training.distributed import Ranks
from recurra.training.files import to_json
from recurra.training.loop import Outcome, train
from recurra.training.observer import Observer
from recurra.training.random_state import seed_everything
from recurra.training.run_folder import RunFolder, RunFolderError

# Longest ending of a file's name that tells a format: .conllu.
_LONGEST_ENDING = 6

# Gives a task's class by its name; `recurra.tasks.get`.
FindTask = Callable[[str], type[Task]]


@dataclass(frozen=True)
class Ended:
    """A run that has ended: its task and settings, folder, way it ended, number of processes, and whether this one
    speaks of it."""

    task: type[Task]
    config: Any
    folder: Path
    outcome: Outcome
    processes: int
    writer: bool

    @property
    def interrupted(self) -> bool:
        return self.outcome.reason == "interrupted"


def begin(task_class: type[Task], config: Any, observer: Observer, *, label: str | None = None) -> Ended:
    """Train a new model, with a `config` of the task's own kind.

    The run folder is `config.run`, or a fresh one under `runs/`, named by `label` or else by task and data. The data is
    opened before the folder is made, so data that cannot be used leaves nothing behind. Raises ConfigError,
    RunFolderError, DivergenceError, what the task raises for its data, and OSError.
    """
    ranks = Ranks.join()
    device = choose_device(config.train.device, ranks)
    task = task_class.open(config)
    run = _folder_for(task_class, config, ranks, label)
    try:
        config.run = str(run.path)
        seed_everything(config.seed)
        model = task.model().to(device)
        if not ranks.writer:
            seed_everything(config.seed + ranks.rank)  # the same parameters everywhere, but dropout of its own
        run.save_meanings(task.save)
        outcome = train(task, model, config, run, observer, ranks)
        _write_findings(task, model, run, outcome)
    finally:
        run.close()
    ranks.leave()
    return Ended(task_class, config, run.path, outcome, ranks.world, ranks.writer)


def resume(
    path: Path, words: Iterable[str], find_task: FindTask, observer: Observer, *, cell: str | None = None
) -> Ended:
    """Go on with the run in the folder `path`, with the settings `words` (`key=value`) changed.

    `find_task` gives the class of the task by its name, `cell` is where a cell of the user's own was loaded from.
    Raises what `begin` raises, and CheckpointError.
    """
    ranks = Ranks.join()
    run = RunFolder.resume(path) if ranks.writer else RunFolder.existing(path, writer=False)
    try:
        task_class, config = load_config(path, find_task, _allowed(words), cell=cell)
        device = choose_device(config.train.device, ranks)
        task = task_class.open(config)
        run.require_meanings(task.save)
        model = task.model().to(device)
        outcome = train(task, model, config, run, observer, ranks, resume=True)
        _write_findings(task, model, run, outcome)
    finally:
        run.close()
    ranks.leave()
    return Ended(task_class, config, run.path, outcome, ranks.world, ranks.writer)


def load_config(
    path: Path, find_task: FindTask, words: Iterable[str] = (), *, cell: str | None = None
) -> tuple[type[Task], Any]:
    """The task's class and the configuration of the run folder `path`.

    A run whose cell is in a file never runs that file: `cell` names one that was loaded, in its place.

    Raises ConfigError, RunFolderError.
    """
    RunFolder.existing(path)
    recipe = read_recipe(path / "config.yaml")
    task_class = find_task(str(recipe.get("task")))
    config = build_config(task_class.Config, recipe, words)
    if cell is not None:
        if not is_file(config.model.cell):
            raise ConfigError(
                f"{path} was trained with the cell {config.model.cell}, which is in no file: leave out --cell"
            )
        config.model.cell = cell
    return task_class, config


def load_model(
    path: Path, find_task: FindTask, device: str = "auto", words: Sequence[str] = (), *, cell: str | None = None
) -> tuple[Task, nn.Module]:
    """The task and the best model of the run folder `path`, ready to predict; for `cell` see `load_config`.

    `words` (`key=value`) change settings of how the model is used. Other models that the settings name are loaded too.

    Raises ConfigError, CheckpointError, …
    """
    task_class, config = load_config(path, find_task, words, cell=cell)
    for word in words:
        key, _ = split_word(word)
        if key not in task_class.in_use and key.partition(".")[0] not in task_class.in_use:
            known = ", ".join(name if "." in name else f"{name}.…" for name in task_class.in_use) or "none"
            raise ConfigError(
                f"{key} belongs to the training of {path} and cannot change any more; settings of use are: {known}"
            )
    task = task_class.load(config, path)
    model = task.model()
    RunFolder.existing(path).load_model(model)
    for key, other in task.companions().items():
        task.accompany(key, *load_model(Path(other), find_task, device))
    return task, model.to(choose_device(device, Ranks())).eval()


def choose_device(name: str, ranks: Ranks) -> torch.device:
    """The device called `name`; `auto` is this process's GPU, or the CPU where there is none. Raises ConfigError."""
    if name == "auto":
        return torch.device("cuda", ranks.local) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"train.device={name!r} is no device; expected auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"train.device={name!r}: torch finds no GPU on this machine; expected auto or cpu")
    return torch.device("cuda", ranks.local) if device.type == "cuda" and device.index is None else device


def _write_findings(task: Task, model: nn.Module, run: RunFolder, outcome: Outcome) -> None:
    """What the best parameters of a run that has come to its end make of the validation data, for the report."""
    if not run.writer or outcome.reason == "interrupted":
        return
    run.load_model(model)
    found = task.findings(model.eval())
    if found:
        run.write_text("findings.json", to_json({"findings": [as_dict(one) for one in found]}) + "\n")


def _folder_for(task_class: type[Task], config: Any, ranks: Ranks, label: str | None) -> RunFolder:
    """The locked folder of a new run; in processes that do not write, the same path."""

    def make() -> RunFolder:
        if config.run:
            return RunFolder.create(Path(config.run))
        stem = _stem(config.data or "")
        return RunFolder.fresh(label or (f"{task_class.name}-{stem}" if stem else task_class.name))

    own = make() if ranks.writer else None
    path = ranks.from_writer(lambda: own.path if own else None)
    if path is None:
        raise RunFolderError("the first process made no run folder")
    return own or RunFolder(path, writer=False)


def _stem(data: str) -> str:
    """What a folder is named after: the last part of the path of `data`, without what tells its format."""
    name = Path(data.rpartition(":")[2]).name.removesuffix(".gz")
    stem, _, ending = name.rpartition(".")
    return stem if stem and 0 < len(ending) <= _LONGEST_ENDING else name


def _allowed(words: Iterable[str]) -> list[str]:
    words = list(words)
    for word in words:
        key, _ = split_word(word)
        if key not in RESUMABLE:
            raise ConfigError(
                f"{key} cannot change when a run goes on; these can: {', '.join(RESUMABLE)}. Start a new run for others"
            )
    return words
