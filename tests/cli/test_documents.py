"""Language models of documents from the command line: poems and lyrics."""

import json
import random
from pathlib import Path

import pytest

WORDS = (
    "document.each=line", "document.columns=form,title,text", "document.line_end=|", "document.samples=4",
    "condition.category=form", "condition.encoded=title", "condition.width=4", "model.hidden=12", "model.embedding=6",
    "train.batch=4", "train.steps=20",
)  # fmt: skip


@pytest.fixture
def table(here: Path) -> Path:
    draw = random.Random(0)
    lines = (f"{n}\t{letter}\t{letter * n}|{letter * n}" for n, letter in (draw.choice([(2, "a"), (3, "b")]),) * 30)
    (here / "verses.tsv").write_text("\n".join(lines) + "\n3\tc\tccc|ccc\n2\tb\tab|ba\n")
    return here / "verses.tsv"


@pytest.fixture
def run(command, here: Path, table: Path) -> Path:
    status, out, err = command("train", "lm", table, *WORDS, "text.valid=verses.tsv", "run=run")
    assert status == 0, err
    assert "recurra generate run" in out
    return here / "run"


def test_how_many_poems_are_measured_may_be_said_at_use(command, table: Path, run: Path):
    assert "well_formed" in json.loads((command("evaluate", run, table), (run / "evaluation.json").read_text())[1])
    status, _, err = command("evaluate", run, table, "document.samples=0")
    assert status == 0 and "well_formed" not in json.loads((run / "evaluation.json").read_text()), err


def test_from_a_table_to_a_poem(command, here: Path, table: Path, run: Path):
    assert "Written by the model" in (run / "report.html").read_text()
    status, out, err = command("generate", run, "--form", "3", "--title", "ab", "--prompt", "cc", "--seed", "1")
    assert status == 0, err
    assert out.startswith("cc") and "\x03" not in out
    assert command("generate", run, "--form", "3", "--title", "ab", "--prompt", "cc", "--seed", "1")[1] == out
    status, out, err = command("generate", run, "--form", "3", "--title", "ab", "--prompt", "cc", "--beam", "4")
    assert status == 0, err
    assert out.startswith("cc") and "\x03" not in out
    status, out, err = command("evaluate", run, table)
    assert status == 0, err
    figures = json.loads((run / "evaluation.json").read_text())
    assert figures["documents"] == 32 and 0 <= figures["well_formed"] <= 1
    assert "perplexity per character " in out and "well formed" in out
    assert command("evaluate", run)[0] == 0  # the validation data
    status, out, _ = command("score", run, table)
    assert status == 0 and out.splitlines()[-1].endswith("\tab|ba")


def test_what_cannot_be_meant_is_refused_in_words(command, here: Path, table: Path, run: Path):
    for words, said in (
        (("generate", run, "--form", "3"), "add --title"),
        (("generate", run, "--form", "4", "--title", "a"), "known are 2, 3"),
        (("generate", run, "--fomr", "3"), "did you mean 'form'"),
        (("train", "lm", table, "condition.category=form"), "set document.each"),
        (("train", "lm", table, *WORDS, "condition.category=frm", "run=bad"), "did you mean 'form'"),
        (("train", "lm", table, *WORDS, "document.columns=form,text", "run=bad"), "verses.tsv, line 1: 3 columns"),
    ):
        status, _, err = command(*words)
        assert (status, said in err) == (2, True), err
    assert not (here / "bad").exists()
