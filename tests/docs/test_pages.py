"""The code on the pages runs as it stands there, from top to bottom, and prints what the page says."""

import re
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
PAGES = [
    path for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]) if BLOCK.search(path.read_text("utf-8"))
]
NUMBER = re.compile(r"-?\d+\.?\d*(?:e[+-]\d+)?")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_code_runs_and_prints_what_the_page_says(path: Path, capsys: pytest.CaptureFixture[str]):
    torch.manual_seed(0)
    names: dict = {}
    for code, said in BLOCK.findall(path.read_text("utf-8")):
        exec(compile(code, path.name, "exec"), names)
        printed = capsys.readouterr().out
        # The last digits of a number may differ between processors; every word must be the same.
        assert NUMBER.sub("#", printed) == NUMBER.sub("#", said)
        for found, expected in zip(NUMBER.findall(printed), NUMBER.findall(said), strict=True):
            assert float(found) == pytest.approx(float(expected), rel=0.05, abs=0.01)


def test_the_page_for_learners_is_among_them():
    assert "simple_rnn.md" in {path.name for path in PAGES}
