"""A cell of a user's own: its file is run where a person names it, and nowhere else."""

from pathlib import Path

import pytest

CELL = """
from pathlib import Path
from recurra.equations import affine, cell, sigmoid, tanh

Path("was_run").touch()


@cell(state=("h",))
def mycell(x, h, *, scale=1.0):
    "A gate between the old state and the new one."
    z = sigmoid(affine("z", x, h))
    h = (1 - z) * h + z * tanh(scale * affine("n", x, h))
    return h, (h,)
"""
NAME = "mycell.py:mycell"


@pytest.fixture
def own(here: Path) -> Path:
    (here / "mycell.py").write_text(CELL)
    return here / "was_run"


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch):
    """No test knows the cells of another."""
    from recurra.cells import files

    monkeypatch.setattr(files, "_loaded", {})


@pytest.fixture
def run(command, own: Path, text: Path, tiny, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run with that cell, in a process that has forgotten it."""
    from recurra.cells import files

    status, out, err = command("train", "lm", text, *tiny, f"model.cell={NAME}", "train.steps=5", "run=own")
    assert status == 0, err
    assert f"recurra generate own --cell {NAME}" in out and f"--resume own --cell {NAME}" in out
    monkeypatch.setattr(files, "_loaded", {})
    own.unlink()
    return Path("own")


def test_it_trains_and_is_used(command, run: Path, text: Path, own: Path):
    assert command("generate", run, "--length", "3", "--cell", NAME)[0] == 0
    assert own.exists()
    assert command("evaluate", run, text, "--cell", NAME)[0] == 0
    assert command("score", run, text, "--cell", NAME)[0] == 0
    status, out, _ = command("train", "--resume", run, "--cell", NAME, "train.steps=8")
    assert status == 0 and "8 steps" in out
    assert f"recurra evaluate own --cell {NAME}" in (run / "report.html").read_text()


USES = [
    ("generate", "own"),
    ("evaluate", "own", "text.txt"),
    ("score", "own", "text.txt"),
    ("train", "--resume", "own"),
]


@pytest.mark.parametrize("words", USES)
def test_a_run_folder_runs_no_file(command, run: Path, own: Path, words: tuple[str, ...]):
    status, _, err = command(*words)
    assert status == 2 and f"--cell {NAME}" in err and "settings alone run no file" in err
    assert not own.exists()


def test_a_recipe_runs_no_file_unless_a_word_names_it(command, run: Path, own: Path):
    status, _, err = command("train", "own/config.yaml", "run=again")
    assert status == 2 and f"model.cell={NAME}" in err
    assert not own.exists() and not Path("again").exists()
    assert command("train", "own/config.yaml", "run=again", f"model.cell={NAME}")[0] == 0


def test_a_file_that_has_moved(command, run: Path, own: Path):
    Path("elsewhere").mkdir()
    moved = Path("mycell.py").rename("elsewhere/yours.py")
    assert command("generate", run, "--length", "3", "--cell", f"{moved}:mycell")[0] == 0


def test_its_options_and_equations(command, own: Path, text: Path, tiny):
    status, out, _ = command("cells", f"{NAME}(scale=2.0)", "--check")
    assert status == 0 and "tanh(2 (W_n xₜ + U_n hₜ₋₁ + b_n))" in out and "agree with the reference" in out
    words = (f"model.cell={NAME}(scale=2.0)", "train.steps=2", "run=own")
    assert command("train", "lm", text, *tiny, *words)[0] == 0
    assert command("generate", "own", "--length", "3", "--cell", f"{NAME}(scale=2.0)")[0] == 0


def test_what_cannot_be_meant(command, own: Path, trained: Path, text: Path, tiny):
    def refused(said: str, *words: object) -> None:
        status, _, err = command(*words)
        assert status == 2 and said in err, err

    refused("there is no file yours.py", "cells", "yours.py:mycell")
    refused("did you mean 'mycell'", "cells", "mycell.py:mycel")
    refused("mycell.py does not say which cell of the file it means", "evaluate", "run", text, "--cell", "mycell.py")
    refused("there is no file nowhere.py", "train", "lm", text, *tiny, "model.cell=nowhere.py:x")
    refused("is in no file: leave out --cell", "generate", trained, "--cell", NAME)
    refused(f"write model.cell={NAME}", "train", "lm", text, *tiny, "--cell", NAME)
    Path("broken.py").write_text("import nothing_like_it\n")
    refused("broken.py cannot be run: ModuleNotFoundError", "cells", "broken.py:x")
    Path("empty.py").write_text("x = 1\n")
    refused("A cell is a function under @cell", "cells", "empty.py:x")
    refused("no option `scal`; did you mean 'scale'", "cells", f"{NAME}(scal=1)")
