"""What holds for a training of any task: killed it ends as if it had not been, and several processes share it."""

import json
import random
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from recurra.training.checkpoint import load_checkpoint

CLOCK = ("time", "_per_second")


def labelled(draw: random.Random) -> tuple[str, str]:
    """Sentences whose label is decided by their last word."""
    lines = []
    for _ in range(240):
        label = draw.choice(("up", "down"))
        words = draw.choices(("rise", "fall", "still", "more"), k=draw.randint(2, 6))
        lines.append(f"{label}\t{' '.join(words)} {'rise' if label == 'up' else 'fall'}")
    return "moves.tsv", "\n".join(lines)


def tagged(draw: random.Random) -> tuple[str, str]:
    """Sentences in which some words are names."""
    sentences = []
    for _ in range(120):
        words = draw.choices(("Anna", "Ben", "met", "saw", "today"), k=draw.randint(2, 7))
        sentences.append("\n".join(f"{word}\t{'B-who' if word[0].isupper() else 'O'}" for word in words))
    return "meetings.conll", "\n\n".join(sentences)


def series(draw: random.Random) -> tuple[str, str]:
    """Two columns of numbers that follow each other."""
    rows, value = ["load,heat"], 0.0
    for _ in range(400):
        value = 0.8 * value + draw.gauss(0, 1)
        rows.append(f"{value:.3f},{-value + draw.gauss(0, 0.1):.3f}")
    return "load.csv", "\n".join(rows)


def verses(draw: random.Random) -> tuple[str, str]:
    """Short texts with a form and a title."""
    lines = ["form\ttitle\ttext"]
    for _ in range(160):
        form, letter = draw.choice(((3, 3), (2, 2, 2))), draw.choice("abcd")
        lines.append(f"{len(form)}\t{letter * draw.randint(1, 4)}\t{'|'.join(letter * n for n in form)}")
    return "verses.tsv", "\n".join(lines)


def pairs(draw: random.Random) -> tuple[str, str]:
    """Words and what they are from their end."""
    words = ("".join(draw.choices("abcd", k=draw.randint(1, 6))) for _ in range(240))
    return "mirror.tsv", "\n".join(f"{word}\t{word[::-1]}" for word in words)


def questions(draw: random.Random) -> tuple[str, str]:
    """Who stands where, and where one of them stands."""
    lines = []
    for _ in range(240):
        names = draw.sample(("Ann", "Ben", "Cem", "Dora"), 2)
        places = {name: draw.choice(("hall", "yard", "attic")) for name in names}
        passage = " ".join(f"{name} is in the {place}." for name, place in places.items())
        name = draw.choice(list(places))
        lines.append(f"{passage}\tWhere is {name}?\t{places[name]}")
    return "places.tsv", "\n".join(lines)


def chords(draw: random.Random) -> tuple[str, str]:
    """Pieces that step up and down."""
    pieces = []
    for _ in range(60):
        notes = [draw.randint(55, 65)]
        notes += [notes[0] + draw.choice((-2, 0, 2)) for _ in range(draw.randint(4, 12))]
        pieces.append([[note, note + draw.choice((3, 4))] for note in notes])
    return "chords.json", json.dumps(pieces)


# For each task its data, and settings in which all that is drawn at random is drawn.
TASKS: dict[str, tuple[str, Callable[[random.Random], tuple[str, str]], tuple[str, ...]]] = {
    "classify": ("classify", labelled, ("model.embedding=8", "text.unknown=0.1")),
    "tag": ("tag", tagged, ("model.embedding=8", "model.characters=6", "tokens.unknown=0.1")),
    "forecast": ("forecast", series, ("series.targets=load", "forecast.window=12", "forecast.horizon=4")),
    "translate": (
        "translate",
        pairs,
        ("model.embedding=8", "text.level=char", "train.tokens=120", "loss.smoothing=0.1", "sampling.schedule=linear",
         "sampling.slope=0.01", "score.sentences=10"),
    ),
    "music": ("music", chords, ("recurrent.dropout=0.1",)),
    "describe": (
        "describe",
        labelled,
        ("model.embedding=8", "text.level=word", "sampling.schedule=linear", "sampling.slope=0.01", "decode.draws=4"),
    ),
    "answer": ("answer", questions, ("model.embedding=8", "text.unknown=0.1")),
    "documents": (
        "lm",
        verses,
        ("model.embedding=6", "document.each=line", "document.line_end=|", "condition.category=form",
         "condition.encoded=title", "condition.width=4", "condition.dropout=0.2"),
    ),
}  # fmt: skip
COMMON = ("model.hidden=8", "train.batch=8", "model.dropout=0.2", "optimizer.lr=0.01")


# Tasks whose batches reach the processes in ways of their own: rows, windows, tokens, documents.
SHARED = ("tag", "forecast", "translate", "documents")


@pytest.fixture(params=TASKS)
def words(request, here: Path) -> tuple[str, ...]:
    """The words of `recurra train` for a task, on data of its own."""
    task, write, settings = TASKS[request.param]
    name, text = write(random.Random(1))
    (here / name).write_text(text + "\n")
    return ("train", task, name, *COMMON, *settings)


def history(run: Path) -> list[dict]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in line.items() if not key.endswith(CLOCK)} for line in lines]


def test_killed_and_resumed_it_ends_as_if_it_had_not_been(process, here: Path, words):
    words = (*words, "train.steps=90", "train.validate_every=30", "train.log_every=1", "train.checkpoint_every=7")
    whole = process(*words, "run=whole")
    killed = process(*words, "run=killed")
    lines, patience = here / "killed" / "metrics.jsonl", time.monotonic() + 300
    while not lines.exists() or lines.read_bytes().count(b"\n") < 40:
        assert killed.poll() is None and time.monotonic() < patience
        time.sleep(0.002)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    resumed = process("train", "--resume", "killed")
    assert whole.wait() == 0, whole.stderr.read()
    assert resumed.wait() == 0, resumed.stderr.read()
    first, second = (load_checkpoint(here / name / "checkpoint") for name in ("whole", "killed"))
    for part in ("model", "optimizer"):
        torch.testing.assert_close(first[part], second[part], rtol=0, atol=0)
    assert history(here / "whole") == history(here / "killed")


def test_what_its_numbers_mean_is_that_of_another_run(command, here: Path, words):
    words = (*words, "train.steps=2", "train.validate_every=1")
    assert command(*words, "run=run")[0] == 0
    with safe_open(here / "run" / "model.safetensors", "pt") as file:
        named = json.loads(file.metadata()["meanings"]).keys()
    # Every file of the run but those that each run has.
    own = {
        "config.yaml",
        "describe.json",
        "metrics.jsonl",
        "model.safetensors",
        "report.html",
        "findings.json",
        ".lock",
    }
    assert named and named == {path.name for path in (here / "run").iterdir() if path.is_file()} - own
    for name in named:
        path = here / "run" / name
        kept = path.read_bytes()
        another = re.sub(rb"[a-z]{2,}(?=[^a-z])", lambda word: word[0][::-1], kept)
        path.write_bytes(another if path.suffix == ".json" else kept + b" ")
        for use in (("evaluate", "run", words[2]), ("train", "--resume", "run", "train.steps=3")):
            code, _, err = command(*use)
            assert code == 2 and name in err
        path.unlink()
        code, _, err = command("train", "--resume", "run", "train.steps=3")
        assert code == 2 and f"{name} is not there" in err
        path.write_bytes(kept)
    assert command("train", "--resume", "run", "train.steps=3")[0] == 0


@pytest.mark.parametrize("words", SHARED, indirect=True)
def test_two_processes_train_one_model_and_go_on_where_they_stopped(process, here: Path, words):
    launch = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", "-m", "recurra")
    words = (*words, "train.log_every=6", "train.validate_every=12", "train.sample_every=0")
    whole = process(*words, "train.steps=24", "run=whole", program=launch)
    part = process(*words, "train.steps=12", "run=parts", program=launch)
    out, err = whole.communicate(timeout=300)
    assert whole.returncode == 0, err
    assert out.count("report:") == 1  # one of the two speaks
    lines = history(here / "whole")
    assert [line["step"] for line in lines] == [6, 12, 18, 24]  # and one writes
    loss = next(key for key in lines[0] if key.startswith("train_"))
    assert lines[-1][loss] < lines[0][loss]

    assert part.wait() == 0, part.stderr.read()
    resumed = process("train", "--resume", "parts", "train.steps=24", program=launch)
    assert resumed.wait() == 0, resumed.stderr.read()
    ended, again = (load_checkpoint(here / name / "checkpoint") for name in ("whole", "parts"))
    torch.testing.assert_close(again["model"], ended["model"], rtol=0, atol=0)
    random_states = [rank["random"]["torch"] for rank in ended["ranks"]]
    assert not torch.equal(*random_states)  # each draws its own dropout
