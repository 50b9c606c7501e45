import dataclasses
import subprocess
import sys

import pytest

from recurra import tasks
from recurra.tasks.base import Task
from recurra.tasks.config import ConfigError


def test_every_task_is_found_by_its_name():
    for name in tasks.names():
        task = tasks.get(name)
        assert issubclass(task, Task) and task.name == name
        config = task.Config()
        assert config.task == name
        keys = {field.name for field in dataclasses.fields(config)}
        assert keys >= {"task", "data", "seed", "run", "engine", "model", "train", "optimizer"}


def test_every_setting_is_explained():
    def explained(config):
        for field in dataclasses.fields(config):
            assert len(field.metadata["help"]) > 5, field.name
            if dataclasses.is_dataclass(value := getattr(config, field.name)):
                explained(value)

    for name in tasks.names():
        explained(tasks.get(name).Config())


def test_an_unknown_task_gets_the_nearest_name():
    with pytest.raises(ConfigError, match=r"no task 'ml'; did you mean 'lm'\?; the tasks are: lm"):
        tasks.get("ml")


def test_the_settings_do_not_need_torch():
    code = "import recurra.tasks, recurra.tasks.lm.config, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
