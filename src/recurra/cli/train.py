"""The command that trains."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from recurra.cli.progress import duration, follow
from recurra.tasks.config import ConfigError

if TYPE_CHECKING:
    from recurra.training.session import Ended

INTERRUPTED = 130
_RECIPES = (".yaml", ".yml")


def train(
    *words: str,
    resume: Path | None = None,
    cell: str | None = None,
    settings: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Train a model, from data to a run folder with a report.

    recurra train TASK DATA [key=value …]: such as recurra train lm book.txt model.hidden=512 train.epochs=5

    recurra train RECIPE.yaml [key=value …]: the settings of a file; words overrule it

    recurra train --resume RUN [key=value …]: go on with a run, killed or stopped, such as with train.steps=5000

    Parameters
    ----------
    words
        Task and data, or a recipe; then settings as key=value.
    resume
        Run folder to go on with.
    cell
        With --resume, where the model's cell is of your own: the file to run for it, as mycell.py:mycell.
    settings
        Print every setting with its default and meaning, and stop.
    """
    from recurra import cells, tasks
    from recurra.tasks.base import Trained
    from recurra.training import session

    places = [word for word in words if "=" not in word]
    values = [word for word in words if "=" in word]
    own = cell or own_cell(values)
    if own is not None:
        cells.load(own)
    if settings:
        _print_settings(tasks.get(places[0] if places else "lm").Config)
        return 0
    observer = follow()
    try:
        if resume is not None:
            if places:
                raise ConfigError(
                    f"{places[0]!r} is not understood: with --resume only settings, key=value, can follow"
                )
            ended = session.resume(resume, values, tasks.get, observer, cell=cell)
        else:
            if cell is not None:
                raise ConfigError(f"--cell goes with --resume; for a new run, write model.cell={cell}")
            ended = session.begin(*_prepared(places, values), observer)
    finally:
        observer.close()
    if ended.writer:
        conclude(ended, own)
        if not ended.interrupted:
            folder = shlex.quote(str(ended.folder)) + _own(own)
            for use in ended.task.uses(Trained(folder, config=asdict(ended.config))):
                print(f"{use.word + ':':9} {use.command}")
            print(f"train on: {_start(ended)} train --resume {folder} train.steps={2 * ended.outcome.step}")
    return INTERRUPTED if ended.interrupted else 0


def own_cell(values: list[str]) -> str | None:
    """The cell of the user's own that settings given by hand name: the file in it is run, as they ask."""
    from recurra import cells

    name = _given(values, "model.cell")
    return name if name is not None and cells.is_file(name) else None


def _given(values: list[str], key: str) -> str | None:
    """What settings given by hand say last of a key, or None."""
    found = [value for name, _, value in (word.partition("=") for word in values) if name == key]
    return found[-1] if found else None


def conclude(ended: "Ended", cell: str | None = None) -> None:
    """Write the report, and say how the run ended and, where it was interrupted, how to go on (`cell`: of a file)."""
    from recurra.inspect.report import write_report

    outcome = ended.outcome
    report = write_report(ended.folder)
    time = duration(outcome.seconds)
    measure = outcome.criterion.removeprefix("valid_").replace("_", " ")
    best = f"; best validation {outcome.best:.4f} {measure} at step {outcome.best_step:,}" if outcome.best_step else ""
    if ended.interrupted:
        print(f"interrupted at step {outcome.step:,} after {time}, everything is saved{best}")
        print(f"go on:    {_start(ended)} train --resume {shlex.quote(str(ended.folder))}{_own(cell)}")
        return
    early = ", stopped early" if outcome.reason == "patience" else ""
    print(f"{outcome.step:,} steps in {time}{early}{best}")
    print(f"report:   {report}")


def _prepared(places: list[str], values: list[str]) -> tuple[Any, Any]:
    """The task and its configuration, from the words of the command line."""
    from recurra import tasks
    from recurra.training.config import build_config, read_recipe

    if not places:
        known = ", ".join(tasks.names())
        raise ConfigError(f"nothing to train: give a task ({known}) and its data, or a recipe; recurra train lm FILE")
    first, *rest = places
    recipe: dict[str, Any] = {}
    name = first
    if Path(first).suffix in _RECIPES:
        recipe = read_recipe(Path(first))
        name = str(recipe.get("task", ""))
        if not name:
            raise ConfigError(f"{first} does not say which task it is for: add a line such as `task: lm`")
    if len(rest) > 1:
        raise ConfigError(f"{rest[1]!r} is not understood: after task and data, settings are given as key=value")
    if rest:
        values = [f"data={rest[0]}", *values]
    task_class = tasks.get(name)
    if not recipe:
        recipe = dict(task_class.suited.get(_given(values, "data") or "", {}))
    return task_class, build_config(task_class.Config, recipe, values)


def _print_settings(schema: type) -> None:
    from recurra.training.config import settings

    for setting in settings(schema):
        default = "null" if setting.default is None else setting.default
        print(f"{setting.key}={default}\n    {setting.help} ({setting.kind})")


def _own(cell: str | None) -> str:
    return f" --cell {shlex.quote(cell)}" if cell else ""


def _start(ended: "Ended") -> str:
    return f"torchrun --nproc-per-node {ended.processes} -m recurra" if ended.processes > 1 else "recurra"
