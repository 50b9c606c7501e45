"""The page about a cell of one's own: its file, its commands, its promises."""

import re
from pathlib import Path

import pytest
import torch

from recurra import check_cell
from recurra.cells import files
from recurra.cli.main import main

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "own_cell.md").read_text(encoding="utf-8")
FILE = re.findall(r"^```python\n(.*?)^```\n", PAGE, re.M | re.S)[0]
COMMANDS = re.findall(r"^recurra .*$", PAGE, re.M)
SMALL = ("model.hidden=16", "model.embedding=8", "train.batch=4", "train.bptt=16", "train.sample_every=0")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files, "_loaded", {})
    (tmp_path / "mycell.py").write_text(FILE)
    for name in ("book.txt", "other.txt", "lines.txt"):
        (tmp_path / name).write_text("the dog sees the cat and the cat sees the dog\n" * 200)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)


def test_the_cell_is_five_lines():
    assert len(FILE[FILE.index("@cell") :].strip().splitlines()) == 5


def test_the_commands_of_the_page_do_what_it_says(here: Path, capsys: pytest.CaptureFixture[str]):
    assert len(COMMANDS) == 6
    train, generate, *others = (command.split()[1:] for command in COMMANDS)
    assert main([*train, *SMALL, "train.steps=150"]) == 0
    loss = float(re.findall(r"valid ([\d.]+)", capsys.readouterr().out)[-1])
    assert loss < 2.0, "it learns: a uniform guess among 13 symbols has 2.56"
    files._loaded.clear()
    assert main([word for word in generate if not word.startswith(("--cell", "mycell"))]) == 2
    assert "--cell mycell.py:mycell" in capsys.readouterr().err
    assert main(generate) == 0
    for command in others:
        files._loaded.clear()
        more = ["train.steps=151"] if command[0] == "train" else []
        assert main([*command, *more]) == 0, command


def test_every_engine_runs_it(here: Path):
    report = check_cell(files.load("mycell.py:mycell"))
    assert set(report.errors) == {"eager", "native"} and report.unserved is None
