import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

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


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Models this small only wait for each other's threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which commands run in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def text(here: Path) -> Path:
    """A text of simple sentences."""
    return write_text(here / "text.txt")


def write_text(path: Path) -> Path:
    draw = random.Random(3)
    words = ["a cat", "the dog", "one bird", "sees", "hears", "finds", "the sun", "a tree", "rain"]
    lines = (" ".join(draw.choice(words[k : k + 3]) for k in (0, 3, 6)) for _ in range(120))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a model that has learnt a little, in 120 steps."""
    folder = tmp_path_factory.mktemp("once")
    text = write_text(folder / "text.txt")
    words = ("model.hidden=24", "optimizer.lr=0.02", "train.steps=120", "train.validate_every=40")
    assert main(["train", "lm", str(text), *TINY, *words, f"run={folder / 'trained'}"]) == 0
    return folder / "trained"


@pytest.fixture
def trained(trained_once: Path, here: Path, text: Path) -> Path:
    """A copy of it, beside the text."""
    return Path(shutil.copytree(trained_once, here / "trained"))


@pytest.fixture
def command(here: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """A function that runs `recurra` with words in this process: exit status, stdout, stderr."""

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        # Some commands end this way when nobody reads; the tests must not.
        before = signal.getsignal(signal.SIGPIPE)
        try:
            status = main([str(word) for word in words])
        finally:
            signal.signal(signal.SIGPIPE, before)
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
        # Where the tests run in the background, a shell has taught them to ignore Ctrl-C, and they their children.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            started.append(subprocess.Popen(arguments, cwd=here, env=environment, **{**pipes, **options}))
        finally:
            signal.signal(signal.SIGINT, before)
        return started[-1]

    yield start
    for one in started:
        if one.poll() is None:
            one.kill()
        one.communicate()
