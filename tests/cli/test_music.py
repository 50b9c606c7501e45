"""Music through all commands: from pieces to a file that can be played."""

import json
from pathlib import Path

import pytest


@pytest.fixture
def composer(command, here: Path) -> Path:
    pieces = [[[60 + (start + t) % 5] for t in range(10)] for start in range(20)]
    (here / "steps.json").write_text(json.dumps(pieces))
    words = ("model.hidden=16", "train.batch=4", "train.epochs=20", "optimizer.lr=0.03", "run=run")
    status, out, err = command("train", "music", "steps.json", *words)
    assert status == 0, err
    assert "recurra generate run --out song.mid" in out and "frames/s" in out
    return here / "run"


def test_from_pieces_to_a_piece(command, here: Path, composer: Path):
    status, out, err = command("evaluate", composer)
    assert status == 0, err
    figures = json.loads((composer / "evaluation.json").read_text())
    assert figures["nats"] < figures["baseline_nats"] and figures["truth"]["kind"] == "heatmap"
    assert (composer / "report.html").read_text().count('class="heatmap"') == 5

    words = ("--prompt", "steps.json:3", "--frames", 4, "--length", 6, "--temperature", 0)
    status, out, err = command("generate", composer, *words)
    assert status == 0, err
    assert out.split() == ["E♭4", "E4", "C4", "C♯4", "D4", "E♭4", "E4", "C4", "C♯4", "D4"]
    status, out, err = command("generate", composer, *words, "--out", "song.mid")
    assert (status, out, (here / "song.mid").read_bytes()[:4]) == (0, "", b"MThd"), err
    status, out, err = command("predict", composer, "steps.json")
    assert status == 0 and len(out.splitlines()) == 20 and out.startswith("C4 0."), err


def test_what_cannot_be_done_is_said(command, here: Path, composer: Path):
    (here / "broken.npz").write_bytes(b"PK")
    (here / "high.json").write_text("[[[60], [127]]]")
    for words, said in (
        (("train", "music", "broken.npz"), "broken.npz"),
        (("train", "music", "high.json"), "high.json, piece 0, frame 1: the MIDI pitch 127"),
        (("train", "music", "steps.json", "notes.beets=1"), "did you mean 'notes.beats'"),
        (("generate", composer, "--out", "song.wav"), "song.wav"),
        (("generate", composer, "--fames", 3), "did you mean 'frames'"),
        (("predict", composer), "give a file, such as song.mid"),
        (("score", composer, "steps.json"), "has no `recurra score`"),
    ):
        status, _, err = command(*words)
        assert (status, said in err) == (2, True), err
    assert not (here / "song.wav").exists()
