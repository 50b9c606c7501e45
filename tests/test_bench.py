"""The benches run, at sizes at which they measure nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(script: str, *arguments: str) -> str:
    command = [sys.executable, str(ROOT / "bench" / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("script", "arguments", "told"),
    [
        ("attention.py", "--batch 2 --sources 3 --steps 3 --hidden 8 --seconds 0", "torch loop, keys before it"),
        ("decoding.py", "--batch 2 --hidden 8 --vocabulary 20 --length 3 --seconds 0", "beam"),
        ("directions.py", "--hidden 4 --rows 1 2 --steps 3 --seconds 0", "| training | 4 | 2 |"),
        ("output_layer.py", "--shapes 3x4x5 --seconds 0", "3, 4, 5"),
    ],
)
def test_it_prints_what_it_measured(script: str, arguments: str, told: str) -> None:
    assert told in run(script, *arguments.split())


def test_a_recipe_runs_beside_torch(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("the quick brown fox jumps over the lazy dog\n" * 60)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"task: lm\ndata: {tmp_path / 'text.txt'}\n")
    settings = ["model.hidden=8", "model.embedding=4", "train.batch=2", "train.bptt=4", "train.epochs=1"]
    found = run("recipe.py", str(recipe), *settings, "--steps", "25")
    assert "torch.nn.LSTM" in found and "ratio" in found
