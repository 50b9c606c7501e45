"""A task with a tag for each step, through all commands."""

import json
from pathlib import Path

import pytest

WORDS = ("model.hidden=16", "model.embedding=8", "model.characters=8", "model.dropout=0.1", "train.batch=8")
NAMES = ("Anna", "Ben", "Cem", "Dora", "Eva", "Finn", "Gita", "Hugo", "Ines", "Jan")


@pytest.fixture
def tagger(command, here: Path) -> Path:
    lines = (
        f"yesterday\tO\n{a}\tB-who\nmet\tO\n{b}\tB-whom\n{c}\tI-whom\n" for a in NAMES for b in NAMES for c in NAMES[:3]
    )
    (here / "meetings.conll").write_text("\n".join(lines))
    words = (*WORDS, "train.epochs=5", "optimizer.lr=0.02", "split.test=0.2", "run=run")
    status, out, err = command("train", "tag", "meetings.conll", *words)
    assert status == 0, err
    assert "recurra predict run FILE" in out and "f1" in out and "tags/s" in out
    return here / "run"


def test_from_a_file_to_records(command, here: Path, tagger: Path):
    status, out, err = command("evaluate", tagger)
    assert status == 0, err
    figures = json.loads((tagger / "evaluation.json").read_text())
    assert figures["f1"] > 0.9 and figures["exact_records"] > 0.9 and figures["sequences"] == 60
    assert "Kinds of spans" in out and "Confusion matrix" in out
    assert "Kinds of spans" in (tagger / "report.html").read_text()

    (here / "new.txt").write_text("yesterday Ben met Eva Anna\n\nyesterday Jan met Hugo Cem\n")
    status, out, err = command("predict", tagger, "new.txt", "--records")
    assert status == 0, err
    assert [json.loads(line) if line else None for line in out.splitlines()] == [
        {"who": "Ben", "whom": "Eva Anna"}, None, {"who": "Jan", "whom": "Hugo Cem"},
    ]  # fmt: skip
    status, out, err = command("predict", tagger, "meetings.conll")
    assert out.splitlines()[:3] == ["yesterday\tO", "Anna\tB-who", "met\tO"]


def test_what_a_tagger_does_not_do_is_said(command, here: Path, tagger: Path):
    for words, said in (
        (("generate", tagger), "has no `recurra generate`; try: recurra predict"),
        (("predict", tagger, "meetings.conll", "--record"), "did you mean 'records'"),
        (("predict", tagger, "absent.txt"), "absent.txt"),
        (("train", "tag", "builtin:motoin"), "did you mean builtin:motion"),
        (("train", "tag", "absent.conll"), "there is no file absent.conll"),
    ):
        status, _, err = command(*words)
        assert (status, said in err) == (2, True), err
