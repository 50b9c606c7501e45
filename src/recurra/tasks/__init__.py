"""One room for each task: its settings, data, model, loss, measures and predictions."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from recurra.equations import nearest
from recurra.tasks.config import ConfigError

if TYPE_CHECKING:
    from recurra.tasks.base import Task

# Name of each task, and where its class is: imported when it is asked for, as it needs torch.
_TASKS = {
    "lm": ("recurra.tasks.lm.task", "LanguageModelling"),
    "classify": ("recurra.tasks.classify.task", "Classification"),
    "tag": ("recurra.tasks.tag.task", "Tagging"),
    "answer": ("recurra.tasks.answer.task", "Answering"),
    "forecast": ("recurra.tasks.forecast.task", "Forecasting"),
    "music": ("recurra.tasks.music.task", "Music"),
    "translate": ("recurra.tasks.translate.task", "Translation"),
    "describe": ("recurra.tasks.describe.task", "Describing"),
}


def names() -> list[str]:
    """The names of all tasks."""
    return list(_TASKS)


def get(name: str) -> type[Task]:
    """The task of this name, as a class.

    Raises:
        ConfigError: there is no such task; it names the nearest one.
    """
    if name not in _TASKS:
        raise ConfigError(f"there is no task {name!r}{nearest(name, _TASKS)}; the tasks are: {', '.join(_TASKS)}")
    module, attribute = _TASKS[name]
    return getattr(importlib.import_module(module), attribute)


__all__ = ["get", "names"]
