"""A task that is no language model, through all commands: nothing in them knows it."""

import json
import random
import subprocess
from pathlib import Path

import pytest

WORDS = ("model.hidden=16", "model.embedding=8", "train.batch=8", "optimizer.lr=0.02")


@pytest.fixture
def table(here: Path) -> Path:
    """Sentences whose label is decided by their last word."""
    draw = random.Random(1)
    lines = []
    for _ in range(240):
        label = draw.choice(("up", "down"))
        words = draw.choices(("rise", "fall", "still", "more"), k=draw.randint(2, 6))
        lines.append(f"{label}\t{' '.join(words)} {'rise' if label == 'up' else 'fall'}")
    (here / "moves.tsv").write_text("\n".join(lines) + "\n")
    return here / "moves.tsv"


@pytest.fixture
def classifier(command, here: Path, table: Path) -> Path:
    status, out, err = command("train", "classify", table, *WORDS, "train.epochs=6", "split.test=0.2", "run=run")
    assert status == 0, err
    assert "recurra predict run FILE" in out and "accuracy" in out and "examples/s" in out
    return here / "run"


def test_from_a_table_to_answers(command, here: Path, classifier: Path):
    names = {"config.yaml", "classes.json", "vocabulary.json", "findings.json", "report.html", "model.safetensors"}
    assert names <= {entry.name for entry in classifier.iterdir()}
    status, out, err = command("evaluate", classifier)
    assert status == 0, err
    figures = json.loads((classifier / "evaluation.json").read_text())
    assert figures["accuracy"] > 0.9 and figures["examples"] == 48
    assert figures["confusion"]["kind"] == "matrix"
    assert f"{figures['accuracy']:.4f}" in out and "Confusion matrix" in out
    report = (classifier / "report.html").read_text()
    assert "What moved the decisions" in report and "Evaluated on the test data" in report

    (here / "new.txt").write_text("still more rise\n\nrise rise fall\n")
    status, out, err = command("predict", classifier, "new.txt", "--explain")
    assert status == 0, err
    first, blank, last = (line.split("\t") for line in out.splitlines())
    assert (first[0], first[2], blank, last[0]) == ("up", "still more rise", [""], "down")
    assert first[3].startswith("still:")


def test_lines_that_are_typed_are_answered_as_they_come(process, classifier: Path):
    running = process("predict", classifier, stdin=subprocess.PIPE)
    for words, label in (("still rise", "up"), ("more fall", "down")):
        running.stdin.write(words + "\n")
        running.stdin.flush()
        assert running.stdout.readline().startswith(label)  # while the input is still open
    out, err = running.communicate(timeout=300)
    assert (running.returncode, out) == (0, ""), err


def test_what_a_classifier_does_not_do_is_said(command, here: Path, table: Path, classifier: Path):
    for words, said in (
        (("generate", classifier), "has no `recurra generate`; try: recurra predict"),
        (("score", classifier, table), "has no `recurra score`"),
        (("predict", classifier, table, "--explian"), "did you mean 'explain'"),
        (("predict", classifier, table, "more"), "one file"),
        (("predict", classifier, "absent.txt"), "absent.txt"),
        (("train", "clasify", table), "did you mean 'classify'"),
        (("train", "classify", "builtin:motoin"), "did you mean builtin:motion"),
    ):
        status, _, err = command(*words)
        assert (status, said in err) == (2, True), err


def test_a_language_model_says_what_it_does_instead(command, trained: Path, text: Path):
    status, _, err = command("predict", trained, text)
    assert status == 2 and "does not answer line by line; try: recurra generate RUN" in err
    status, _, err = command("evaluate", trained)
    assert status == 2 and "give the path" in err
