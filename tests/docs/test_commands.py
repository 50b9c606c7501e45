"""The commands on the pages, in the recipes and in a report are commands that exist, with options that exist."""

import re
import shlex
from pathlib import Path

import pytest

from recurra import tasks
from recurra.cli.main import app
from recurra.inspect import write_report
from recurra.training.config import read_recipe, settings

ROOT = Path(__file__).resolve().parents[2]
PLACES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("recipes/*.yaml")]
# A command at the start of a line of a block or a comment, or alone between backquotes.
COMMAND = re.compile(r"(?:^[#\s]*(?:\w+:\s+)?|`|&& |-m )(recurra [a-z][^`\n]*?)(?=`|$)", re.MULTILINE)


def commands() -> list[tuple[str, str]]:
    found = []
    for path in sorted(PLACES):
        for command in COMMAND.findall(path.read_text(encoding="utf-8")):
            # A bare name in running text ("what `recurra train` wrote") is no call.
            if len(command.split()) > 2 or command.split()[1] in ("demo", "doctor", "cells"):
                found.append((path.name, command))
    return found


def task_names(words: list[str]) -> list[str]:
    """The task that a command is about; all of them where it does not say."""
    first = words[1] if len(words) > 1 and words[0] == "train" else ""
    if first.startswith("recipes/") and (ROOT / first).exists():
        return [str(read_recipe(ROOT / first)["task"])]
    return [first] if first in tasks.names() else tasks.names()


def check(command: str) -> None:
    """Parses a command, with its comment cut off, without running it."""
    words = shlex.split(command, comments=True)[1:]
    app.parse_args(words, exit_on_error=False, print_error=False)
    known = {setting.key for name in task_names(words) for setting in settings(tasks.get(name).Config)}
    assert {word.partition("=")[0] for word in words if re.match(r"[a-z_.]+=", word)} <= known


@pytest.mark.parametrize(("page", "command"), commands())
def test_a_command_of_the_pages_exists(page: str, command: str):
    check(command)


def test_the_pages_show_every_command():
    shown = {command.split()[1] for _, command in commands()}
    assert shown >= {"demo", "train", "evaluate", "score", "generate", "cells", "doctor"}


@pytest.mark.parametrize("limit", ["steps", "epochs", "seconds"])
def test_the_commands_of_a_report_exist(tmp_path: Path, limit: str):
    (tmp_path / "config.yaml").write_text(f"task: lm\ndata: a text.txt\ntrain:\n  {limit}: 10\n")
    (tmp_path / "describe.json").write_text(f'{{"ended_by": "{limit}"}}')
    (tmp_path / "metrics.jsonl").write_text('{"step": 5, "train_nats": 1.0, "sample": "it\'s a dog and a cat"}\n')
    page = write_report(tmp_path).read_text(encoding="utf-8")
    found = [
        text.replace("&#x27;", "'").replace("&quot;", '"') for text in re.findall(r"<pre>(recurra .*?)</pre>", page)
    ]
    assert [command.split()[1] for command in found] == ["generate", "evaluate", "score", "train"]
    assert f"train.{limit}=20" in found[-1]
    for command in found:
        check(command)
