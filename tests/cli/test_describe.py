"""Describing through all commands: from classes to new words, judged by a classifier."""

import json
from pathlib import Path

import numpy as np
import pytest

from recurra.data import picture_features

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

    (here / "many.txt").write_text("low\n" * 20)
    same, again, other = (command("predict", writer, "many.txt", *w)[1] for w in ((), (), ("decode.seed=7",)))
    assert same == again != other and len(other.splitlines()) == 20


def test_from_styles_to_tunes(command, here: Path):
    draw = np.random.default_rng(0)
    x = np.eye(2)[draw.integers(2, size=40)]
    frames = np.zeros((40, 6, 88))
    for style, tune in zip(x[:, 1].astype(int), frames, strict=True):
        tune[np.arange(6), 40 + (1 - 2 * style) * np.arange(6)] = 1
    np.savez(here / "tunes.npz", x=x, y=frames, columns=np.array(["up", "down"]))
    words = ("model.frames=labels", "model.hidden=24", "optimizer.lr=0.03", "train.batch=8", "train.epochs=30")
    status, out, err = command("train", "describe", "tunes.npz", *words, "run=tunes")
    assert status == 0 and "frames/s" in out and "nats" in out, err
    status, out, err = command("evaluate", "tunes")
    figures = json.loads((here / "tunes" / "evaluation.json").read_text())
    assert status == 0 and figures["f1"] > 0.95 and figures["written_f1"] > 0.95 and "written f1" in out, err
    assert figures["nats"] < figures["shuffled_nats"]
    assert "As it was foretold" in (here / "tunes/report.html").read_text()

    (here / "style.txt").write_text("down\n")
    (here / "none.txt").write_text("\n")
    status, out, err = command("predict", "tunes", "style.txt")
    assert (status, out) == (0, "40 39 38 37 36 35\n"), err
    for name, begins in (("a.mid", b"MThd"), ("a.txt", "C♯4\nC4\nB3\n".encode()), ("a.svg", b"<svg"), ("a.npz", b"PK")):
        status, out, err = command("predict", "tunes", "style.txt", "--out", name)
        assert (status, out) == (0, "") and (here / name).read_bytes().startswith(begins), err
    assert np.load(here / "a.npz")["y"].shape == (1, 6, 88)
    for words_, said in (
        (("predict", "tunes", "style.txt", "--out", "a.wav"), "a.wav: frames are written to .npz"),
        (("predict", "tunes", "none.txt", "--out", "a.npz"), "nothing was asked for"),
        (("train", "describe", "tunes.npz", "model.frames=label"), "did you mean 'labels'"),
    ):
        status, _, err = command(*words_)
        assert (status, said in err) == (2, True), err


def test_a_picture_and_a_folder_of_them_are_described(command, here: Path):
    image = pytest.importorskip("PIL.Image", reason="pictures are read with Pillow, an extra")
    colours = {"red": (220, 20, 20), "blue": (20, 20, 220)}
    (here / "pictures").mkdir()
    for name, colour in colours.items():
        image.new("RGB", (40, 30), colour).save(here / "pictures" / f"{name}.png")
    features = {name: picture_features(here / "pictures" / f"{name}.png") for name in colours}
    names = [name for _ in range(20) for name in colours]
    texts = np.array([f"a {name} picture" for name in names])
    np.savez(here / "grids.npz", x=np.stack([features[name] for name in names]), y=texts)
    small = ("model.hidden=8", "model.embedding=8", "model.attention=additive", "train.batch=8", "optimizer.lr=0.02")
    status, _, err = command("train", "describe", "grids.npz", *small, "train.steps=80", "run=seer")
    assert status == 0, err
    assert command("predict", "seer", "pictures/red.png")[1] == "a red picture\n"
    assert command("predict", "seer", "pictures")[1] == "blue.png\ta blue picture\nred.png\ta red picture\n"
    assert command("predict", "seer", "pictures", "--out", "looks.svg")[0] == 0
    assert (here / "looks.svg").read_text().count("Where it looked") == 2
    (here / "empty").mkdir()
    for words, said in ((("empty",), "empty is a folder without a picture"), (("absent.png",), "absent.png")):
        status, _, err = command("predict", "seer", *words)
        assert (status, said in err) == (2, True), err


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
