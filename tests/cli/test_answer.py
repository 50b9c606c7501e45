"""A task with two inputs, through all commands."""

import json
import subprocess
from pathlib import Path

import pytest

WORDS = ("model.hidden=12", "model.embedding=8", "model.looks=1", "train.batch=8", "optimizer.lr=0.02")
NAMES = ("Ann", "Ben", "Cem", "Dora")


@pytest.fixture
def reader(command, here: Path) -> Path:
    """A model of where somebody is, of one sentence each: what to look at is easy to find."""
    rows = (
        f"{a} stands in the {b}.\tWhere is {a}?\t{b}"
        for a in NAMES
        for b in ("hall", "yard", "attic")
        for _ in "1234567"
    )
    lines = [row.replace(" stands", f" stands {k % 7}") for k, row in enumerate(rows)]
    (here / "places.tsv").write_text("passage\tquestion\tanswer\n" + "\n".join(lines) + "\n")
    status, out, err = command("train", "answer", "places.tsv", *WORDS, "train.epochs=12", "split.test=0.2", "run=run")
    assert status == 0, err
    assert "recurra predict run FILE" in out and "accuracy" in out and "questions/s" in out
    return here / "run"


def test_from_a_table_to_answers(command, process, here: Path, reader: Path):
    status, out, err = command("evaluate", reader)
    assert status == 0, err
    figures = json.loads((reader / "evaluation.json").read_text())
    assert figures["accuracy"] > 0.9 and figures["examples"] == 17
    assert figures["last_mentioned_accuracy"] == 1.0 and figures["commonest_accuracy"] < 0.8
    assert "last mentioned accuracy" in out and "Best answers" in out
    assert "What was looked at" in (reader / "report.html").read_text()

    (here / "new.txt").write_text("Ann stands in the yard.\tWhere is Ann?\n\nBen stands in the hall.\tWhere is Ben?\n")
    status, out, err = command("predict", reader, "new.txt", "--attention")
    assert status == 0, err
    first, blank, last = (line.split("\t") for line in out.splitlines())
    assert (first[0], first[2], blank, last[0]) == ("yard", "Where is Ann?", [""], "hall")
    assert len(first) == 4 and ":" in first[3]

    running = process("predict", reader, stdin=subprocess.PIPE)
    running.stdin.write("Dora stands in the attic.\tWhere is Dora?\n")
    running.stdin.flush()
    assert running.stdout.readline().startswith("attic\t")  # while the input is still open
    out, err = running.communicate(timeout=300)
    assert (running.returncode, out) == (0, ""), err


def test_what_is_wrong_is_named_with_file_and_line(command, here: Path, reader: Path):
    (here / "bad.tsv").write_text("Ann runs.\tWho runs?\tAnn\nBen runs.\tWho runs?\n")
    (here / "bad.txt").write_text("Ann runs.\tWho runs?\nBen runs.\n")
    for words, said in (
        (("train", "answer", "bad.tsv"), "bad.tsv, line 2: 2 columns where 3 are expected"),
        (("evaluate", reader, "bad.tsv"), "bad.tsv, line 2: 2 columns where 3 are expected"),
        (("predict", reader, "bad.txt"), "bad.txt, line 2: 1 columns where 2 are expected: passage, question"),
        (("predict", reader, "bad.txt", "--atention"), "did you mean 'attention'"),
        (("predict", reader, "absent.txt"), "absent.txt"),
        (("train", "answer", "builtin:storeis"), "did you mean builtin:stories"),
        (("generate", reader), "has no `recurra generate`; try: recurra predict"),
    ):
        status, _, err = command(*words)
        assert (status, said in err) == (2, True), err
