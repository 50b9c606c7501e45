import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from recurra.cli.main import main

# A model and a text so small that a step takes a millisecond.
TINY = (
    "model.hidden=8",
    "model.embedding=6",
    "train.batch=3",
    "train.bptt=7",
    "train.sample_every=0",
    "text.valid_tokens=60",
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which commands run in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def text(here: Path) -> Path:
    """A text of simple sentences."""
    draw = random.Random(3)
    words = ["a cat", "the dog", "one bird", "sees", "hears", "finds", "the sun", "a tree", "rain"]
    lines = (" ".join(draw.choice(words[k : k + 3]) for k in (0, 3, 6)) for _ in range(120))
    path = here / "text.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def command(here: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """A function that runs `recurra` with words in this process: exit status, stdout, stderr."""

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main([str(word) for word in words])
        output = capsys.readouterr()
        return status, output.out, output.err

    return run


@pytest.fixture
def tiny() -> tuple[str, ...]:
    return TINY


@pytest.fixture
def process(here: Path) -> Callable[..., subprocess.Popen]:
    """A function that starts `recurra` with words as a process of its own."""
    started = []

    def start(*words: object, program: tuple[str, ...] = ("-m", "recurra"), **options) -> subprocess.Popen:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **options.pop("env", {})}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        arguments = [sys.executable, *program, *map(str, words)]
        started.append(subprocess.Popen(arguments, cwd=here, env=environment, **{**pipes, **options}))
        return started[-1]

    yield start
    for one in started:
        if one.poll() is None:
            one.kill()
        one.communicate()
