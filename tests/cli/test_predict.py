"""Commands that use a trained model."""

import json
import math
import signal
from pathlib import Path

import pytest


def test_evaluate_prints_and_writes_the_figures(command, here: Path, trained: Path, text: Path):
    status, out, err = command("evaluate", trained, text)
    assert status == 0, err
    figures = json.loads((trained / "evaluation.json").read_text())
    assert figures["data"] == str(text)
    assert 0 < figures["nats_per_character"] < math.log(30)
    assert figures["bits_per_character"] == pytest.approx(figures["nats_per_character"] / math.log(2))
    assert f"{figures['nats_per_character']:.4f}" in out
    assert "perplexity per word" in out
    assert command("evaluate", trained, text, "--json", here / "mine.json")[0] == 0
    assert json.loads((here / "mine.json").read_text())["tokens"] == figures["tokens"]


def test_score_ranks_lines(command, here: Path, trained: Path):
    (here / "lines.txt").write_text("the dog sees the sun\nsun the sees dog the\neeh tgo ssd esnu tth\n")
    status, out, err = command("score", trained, "lines.txt")
    assert status == 0, err
    rows = [line.split("\t") for line in out.splitlines()]
    assert [row[1] for row in rows] == (here / "lines.txt").read_text().splitlines()
    scores = [float(row[0]) for row in rows]
    assert max(scores) < 0
    assert scores[0] > scores[1] > scores[2]


def test_generate_writes_on_and_a_seed_fixes_the_text(command, trained: Path):
    words = ("generate", trained, "--prompt", "the dog", "--length", 40, "--temperature", 0.7)
    status, first, err = command(*words, "--seed", 5)
    assert status == 0, err
    assert first.startswith("the dog")
    assert len(first) == len("the dog") + 40 + 1
    assert command(*words, "--seed", 5)[1] == first
    assert command(*words, "--seed", 6)[1] != first
    greedy = ("generate", trained, "--prompt", "the dog", "--length", 40, "--temperature", 0)
    assert command(*greedy)[1] == command("generate", trained, "--prompt", "the dog", "--length", 40, "--top-k", 1)[1]


def test_generate_ends_quietly_when_nobody_reads(process, trained: Path):
    writing = process("generate", trained, "--length", 10_000_000)
    assert writing.stdout.read(20)
    writing.stdout.close()
    assert writing.wait(timeout=300) == -signal.SIGPIPE
    assert "Traceback" not in writing.stderr.read()


def test_generate_streams_and_ends_at_ctrl_c(process, trained: Path):
    writing = process("generate", trained, "--length", 10_000_000, bufsize=0, text=False)
    assert writing.stdout.read(1)  # what comes first is shown while the rest is being written
    writing.send_signal(signal.SIGINT)
    _, err = writing.communicate(timeout=300)
    assert writing.returncode == 130
    assert b"Traceback" not in err


def test_a_beam_finds_the_likeliest_end_of_a_line(command, here: Path, trained: Path):
    words = ("generate", trained, "--prompt", "the dog", "--length", 60, "--beam", 5)
    status, best, err = command(*words)
    assert status == 0, err
    assert best.startswith("the dog ") and best.count("\n") == 1
    assert command(*words)[1] == best
    status, several, err = command(*words, "--nbest", 3)
    assert status == 0, err
    rows = [line.split("\t") for line in several.splitlines()]
    assert len(rows) == 3 and rows[0][1] == best.strip()
    scores = [float(row[0]) for row in rows]
    assert scores == sorted(scores, reverse=True) and scores[0] < 0
    longer = command(*words, "--length-penalty", 4)[1]
    assert len(longer) >= len(best)


def test_what_a_text_must_hold_and_must_not(command, trained: Path):
    words = ("generate", trained, "--prompt", "the dog")
    status, out, err = command(*words, "--forbidden", "s,e", "--length", 200, "--seed", 1)
    assert status == 0 and len(out) > 200 and not set("se") & set(out[len("the dog") :]), err
    searched = (*words, "--length", 60, "--beam", 3)
    free = command(*searched)[1]
    assert "a tree" not in free and "bird" not in free
    status, out, err = command(*searched, "--required", "a tree,one bird", "--minimum", 30)
    text = out[len("the dog") :]
    assert status == 0 and "a tree" in text and "one bird" in text and len(text) > 30 and text.count("\n") == 1, err


def test_what_is_for_drawing_is_not_for_searching(command, trained: Path):
    for words, said in (
        (("--beam", 3, "--temperature", 0.5), "--temperature is for drawing"),
        (("--beam", 3, "--seed", 0), "--seed is for drawing"),
        (("--nbest", 3), "--nbest is for searching: give --beam"),
        (("--length-penalty", 0.5), "--length-penalty is for searching"),
        (("--beam", 0), "size=0"),
        (("--beam", 2, "--nbest", 3), "nbest=3"),
        (("--beam", 2, "--prompt", "Ω"), "Ω"),
        (("--beam", 2, "--style", "waltz"), "there is no option --style"),
        (("--required", "sun"), "--required is for searching: give --beam"),
        (("--minimum", 5), "--minimum is for searching: give --beam"),
        (("--beam", 2, "--minimum", "few"), "--minimum few: expected a number"),
        (("--beam", 2, "--required", "Ωmega"), "--required: the model writes no 'Ω' (in 'Ωmega')"),
        (("--forbidden", "ab"), "--forbidden: 'ab' is 2 symbols"),
    ):
        status, _, err = command("generate", trained, *words)
        assert (status, said in err) == (2, True), err


def test_what_is_written_goes_to_a_file(command, here, trained):
    words = ("--prompt", "the ", "--length", 20, "--seed", 1)
    shown = command("generate", trained, *words)[1]
    status, out, err = command("generate", trained, *words, "--out", "written.txt")
    assert (status, out) == (0, ""), err
    assert (here / "written.txt").read_text() + "\n" == shown


def test_an_unknown_wish_is_said(command, trained):
    status, _, err = command("generate", trained, "--style", "waltz")
    assert status == 2 and "there is no option --style" in err


def test_a_beam_that_no_memory_holds(command, here: Path, trained: Path):
    status, _, err = command("generate", trained, "--prompt", "the", "--length", 5, "--beam", 10**12)
    assert status == 2 and "this takes more memory than there is" in err and "beam" in err


def test_a_folder_to_write_to_must_be_there(command, here: Path, trained: Path):
    status, _, err = command("generate", trained, "--length", 5, "--out", "nowhere/a.txt")
    assert (status, "There is no such folder: nowhere" in err) == (2, True), err
