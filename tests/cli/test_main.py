import subprocess
import sys

import pytest

from recurra import cells


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["--version"], ["cells"], ["cells", "lstm"]])
def test_asking_does_not_load_torch(words: list[str]):
    code = (
        "import sys; from recurra.cli.main import main; "
        f"status = main({words!r}); sys.stdout.flush(); assert 'torch' not in sys.modules; sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_help_names_every_command(command):
    _, out, _ = command("--help")
    for name in ("train", "evaluate", "score", "generate", "demo", "cells", "doctor"):
        assert name in out


def test_cells_lists_them_all_and_prints_one(command):
    _, out, _ = command("cells")
    assert all(name in out for name in cells.names())
    _, out, _ = command("cells", "lstm")
    assert "σ" in out
    _, out, _ = command("cells", "lstm", "--latex")
    assert "\\sigma" in out


def test_every_setting_can_be_listed(command):
    _, out, _ = command("train", "lm", "--settings")
    for key in ("model.cell=lstm", "train.bptt=64", "optimizer.clip=1.0", "seed=0", "text.level=char", "run=null"):
        assert f"{key}\n" in out


def test_doctor(command):
    status, out, _ = command("doctor")
    assert status == 0
    assert "torch" in out


def test_output_that_nobody_reads_to_its_end_is_no_mistake(process):
    started = process("cells")
    started.stdout.close()  # as `recurra cells | head` does, sooner or later
    assert (started.wait(), started.stderr.read()) == (141, "")
