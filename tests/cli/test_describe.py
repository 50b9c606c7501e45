"""Describing through all commands: from classes to new words, judged by a classifier."""

import json
from pathlib import Path

import pytest

SMALL = ("model.hidden=24", "model.embedding=8", "optimizer.lr=0.02", "train.batch=8", "train.epochs=6")


@pytest.fixture
def words(here: Path) -> Path:
    rows = [(name, a + b + c) for name, letters in (("low", "abe"), ("high", "cdf"))
            for a in letters for b in letters for c in (*letters, "")]  # fmt: skip
    (here / "words.tsv").write_text("".join(f"{label}\t{text}\n" for label, text in rows))
    return here / "words.tsv"


@pytest.fixture
def writer(command, here: Path, words: Path) -> Path:
    status, out, err = command("train", "describe", words, *SMALL, "text.level=char", "run=writer")
    assert status == 0, err
    assert "recurra predict writer FILE" in out and "symbols/s" in out
    return here / "writer"


def test_from_classes_to_words_and_back(command, here: Path, words: Path, writer: Path):
    assert command("train", "classify", words, *SMALL, "text.level=char", "run=judge")[0] == 0
    status, out, err = command("evaluate", writer, "decode.classifier=judge", "decode.draws=30")
    assert status == 0, err
    figures = json.loads((writer / "evaluation.json").read_text())
    assert figures["named_back"] > 0.8 and figures["drawn"] == 60 and "What it writes" in out
    assert "What it writes" in (writer / "report.html").read_text()

    (here / "wanted.txt").write_text("low\nhigh\n\nlow\n")
    status, out, err = command("predict", writer, "wanted.txt", "decode.temperature=0.3")
    found = out.splitlines()
    assert status == 0 and len(found) == 4 and found[2] == "", err
    assert set(found[0] + found[3]) <= set("abe") and set(found[1]) <= set("cdf")


def test_what_cannot_be_done_is_said(command, here: Path, words: Path, writer: Path):
    pytest.importorskip("PIL.Image", reason="pictures are read with Pillow, an extra")
    (here / "no.jpg").write_text("no picture")
    (here / "asked.txt").write_text("low\nhihg\n")
    for words_, said in (
        (("predict", writer, "asked.txt"), "asked.txt, line 2: there is no class 'hihg'; did you mean 'high'"),
        (("predict", writer, "no.jpg"), "no.jpg cannot be read as a picture"),
        (("evaluate", writer, f"decode.classifier={writer}"), "a model of the task describe"),
        (("evaluate", writer, "model.hidden=3"), "model.hidden"),
        (("train", "describe", "builtin:wave"), "did you mean builtin:waves"),
        (("train", "describe", "absent.npz"), "absent.npz"),
        (("generate", writer), "has no `recurra generate`; try: recurra predict"),
    ):
        status, _, err = command(*words_)
        assert (status, said in err) == (2, True), err
