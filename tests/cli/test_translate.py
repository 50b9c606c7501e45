"""A text into another one, through all commands."""

import json
from pathlib import Path

import pytest

ENGLISH = ("one", "two", "three", "four", "five", "six", "seven")
GERMAN = ("eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben")
NUMBERS = dict(zip(ENGLISH, GERMAN, strict=True))
SMALL = ("model.embedding=12", "model.dropout=0", "train.batch=8", "optimizer.lr=0.02", "split.test=0.2")


@pytest.fixture
def pairs(here: Path) -> Path:
    rows = [(a, b) for a in NUMBERS for b in NUMBERS]
    (here / "en.txt").write_text("".join(f"{a} {b}!\n" for a, b in rows))
    (here / "de.txt").write_text("".join(f"{NUMBERS[b]} {NUMBERS[a]}!\n" for a, b in rows))
    return here


@pytest.fixture
def translator(command, pairs: Path) -> Path:
    words = (*SMALL, "model.hidden=24", "train.epochs=30", "score.criterion=exact", "run=run")
    status, out, err = command("train", "translate", "en.txt,de.txt", *words)
    assert status == 0, err
    assert "recurra predict run FILE --attention" in out and "exact" in out and "tokens/s" in out
    return pairs / "run"


def test_a_builtin_task_has_settings_of_its_own_below_those_given(command, here: Path):
    status, _, err = command("train", "translate", "builtin:addition", "model.hidden=8", "train.steps=1", "run=sums")
    assert status == 0, err
    config = (here / "sums" / "config.yaml").read_text()
    assert "level: char" in config and "hidden: 8" in config and "embedding: 16" in config


def test_what_does_not_fit_may_be_left_out_at_use(command, pairs: Path, translator: Path):
    (pairs / "empty.tsv").write_text("one two!\tzwei eins!\nthree\t\n")
    status, _, err = command("evaluate", translator, "empty.tsv")
    assert (status, "leave such pairs out with text.unfit=skip" in err) == (2, True), err
    assert command("evaluate", translator, "empty.tsv", "text.unfit=skip")[0] == 0


def test_translations_may_be_drawn(command, pairs: Path, translator: Path):
    def said(*words: str) -> str:
        status, out, err = command("predict", translator, "en.txt", *words)
        assert status == 0, err
        return out

    drawn = "decode.way=sample"
    assert said(drawn, "decode.top_k=1") == said("decode.beam=1")
    hot = said(drawn, "decode.temperature=3")
    assert hot == said(drawn, "decode.temperature=3") != said(drawn, "decode.temperature=3", "decode.seed=5")
    assert hot != said(drawn, "decode.temperature=3", "decode.top_p=0.5")
    for words, what in (("decode.required=eins", "leave out decode.way=sample"), ("decode.top_p=2", "decode.top_p=2")):
        status, _, err = command("predict", translator, "en.txt", drawn, words)
        assert (status, what in err) == (2, True), err


def test_from_two_files_to_a_choice_by_the_noisy_channel(command, pairs: Path, translator: Path):
    status, out, err = command("evaluate", translator, "score.baseline=words")
    assert status == 0, err
    figures = json.loads((translator / "evaluation.json").read_text())
    assert figures["exact"] >= 0.5 and figures["sentences_per_second"] > 0 and figures["baseline_exact"] < 0.5
    assert "tok:13a" in out and "Best translations" in out
    page = (translator / "report.html").read_text()
    assert "Alignment 1" in page and 'class="heatmap"' in page
    status, out, err = command("evaluate", translator, "decode.beam=1")
    assert status == 0, err

    (pairs / "new.txt").write_text("two seven!\n\nfive one!\n")
    status, out, err = command("predict", translator, "new.txt", "decode.beam=3")
    answers = [line.rstrip("!").split() for line in out.splitlines()]
    assert status == 0 and [len(words) for words in answers] == [2, 0, 2], err
    assert {word for words in answers for word in words} <= set(GERMAN)

    for name, begins in (("seen.svg", "<svg xmlns="), ("seen.html", "<!doctype html>"), ("new.de.txt", answers[0][0])):
        status, out, err = command("predict", translator, "new.txt", "--attention", "--out", name)
        assert (status, out) == (0, ""), err
        written = (pairs / name).read_text()
        assert written.startswith(begins) and all(word in written for word in answers[0]), written
    assert command("predict", translator, "new.txt", "--out", "new.npz")[0] == 2
    status, _, err = command("predict", translator, "new.txt", "--out", "./new.txt")
    assert (status, "the file that is read" in err) == (2, True) and (pairs / "new.txt").read_text().startswith(
        "two"
    ), err

    back = (*SMALL, "model.hidden=24", "train.epochs=10", "score.sentences=0", "run=back")
    assert command("train", "translate", "de.txt,en.txt", *back)[0] == 0
    status, out, err = command("predict", translator, "de.txt", "--symbols")
    assert out.splitlines()[0] == "eins eins ￭!"
    (pairs / "symbols.txt").write_text(out)
    language = ("text.level=word", "model.hidden=12", "train.steps=20", "train.batch=2", "train.bptt=8", "run=lm")
    assert command("train", "lm", "symbols.txt", *language)[0] == 0
    channel = ("decode.reverse=back", "decode.language=lm")
    status, out, err = command("predict", translator, "new.txt", "--rerank", *channel)
    assert status == 0 and len(out.splitlines()) == 3, err
    status, out, err = command("predict", translator, "new.txt", "--rerank", "--nbest", *channel, "decode.beam=3")
    scores = [float(line.split("\t")[1]) for line in out.splitlines()[:3]]
    assert status == 0 and scores == sorted(scores, reverse=True) and scores[0] < 0, err
    status, out, err = command("evaluate", translator, *channel)
    assert status == 0 and "reranked bleu" in out, err


def test_what_a_translator_does_not_do_is_said(command, pairs: Path, translator: Path):
    (pairs / "short.txt").write_text("eins\n")
    (pairs / "gap.tsv").write_text("a\tb\n\tc\n")
    for words, said in (
        (("generate", translator), "has no `recurra generate`; try: recurra predict"),
        (("predict", translator, "en.txt", "--atention"), "did you mean 'attention'"),
        (("predict", translator, "en.txt", "--rerank"), "decode.reverse="),
        (("predict", translator, "en.txt", "model.hidden=3"), "cannot change any more; settings of use are: decode."),
        (("predict", translator, "en.txt", "decode.beem=3"), "did you mean 'decode.beam'"),
        (("evaluate", translator, "decode.language=run"), "expected one of the task lm"),
        (
            ("evaluate", translator, "decode.reverse=run"),
            "of this one's own direction (data=en.txt,de.txt)",
        ),
        (("evaluate", translator, "en.txt,short.txt"), "short.txt ends before line 2"),
        (("train", "translate", "gap.tsv"), "gap.tsv, line 2: the source is empty"),
        (("train", "translate", "en.txt"), "en.txt, line 1: 1 column"),
        (("train", "translate", "builtin:daets"), "did you mean builtin:dates"),
    ):
        status, _, err = command(*words)
        assert (status, said in err) == (2, True), err
