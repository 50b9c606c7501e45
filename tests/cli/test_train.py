"""`recurra train`: from a file to a run folder, stopped and resumed in every way."""

import json
import random
import signal
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

from recurra.training.checkpoint import load_checkpoint

CLOCK = ("time", "tokens_per_second")


def metrics(run: Path) -> list[dict]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in line.items() if key not in CLOCK} for line in lines]


def assert_same_end(run: Path, other: Path) -> None:
    first, second = load_checkpoint(run / "checkpoint"), load_checkpoint(other / "checkpoint")
    for part in ("model", "optimizer"):
        torch.testing.assert_close(first[part], second[part], rtol=0, atol=0)
    best, other_best = (load_file(path / "model.safetensors") for path in (run, other))
    torch.testing.assert_close(best, other_best, rtol=0, atol=0)
    assert metrics(run) == metrics(other)


def wait_for_lines(run: Path, count: int, process) -> None:
    path, patience = run / "metrics.jsonl", time.monotonic() + 300
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < patience, "no progress"
        time.sleep(0.002)


def test_from_a_file_to_a_run_folder(command, here: Path, text: Path, tiny):
    status, out, err = command("train", "lm", text, *tiny, "train.steps=30", "train.validate_every=10")
    assert status == 0, err
    run = here / "runs" / "lm-text-1"
    names = ("config.yaml", "vocabulary.json", "model.safetensors", "checkpoint", "metrics.jsonl", "report.html")
    assert all((run / name).exists() for name in names)
    lines = metrics(run)
    assert [line["step"] for line in lines] == [10, 20, 30]
    assert all("valid_nats" in line for line in lines)
    assert lines[-1]["train_nats"] < lines[0]["train_nats"]
    assert "recurra generate runs/lm-text-1" in out
    assert "train --resume runs/lm-text-1" in out


def test_a_recipe_and_words_over_it(command, here: Path, text: Path, tiny):
    (here / "recipe.yaml").write_text("task: lm\ndata: nowhere.txt\ntrain: {steps: 500, batch: 3, bptt: 7}\n")
    status, _, err = command("train", "recipe.yaml", text, *tiny, "train.steps=2", "run=here")
    assert status == 0, err
    assert load_checkpoint(here / "here" / "checkpoint")["position"]["step"] == 2
    assert "text.txt" in (here / "here" / "config.yaml").read_text()


def test_killed_by_a_real_signal_it_ends_as_if_it_had_not_been(process, here: Path, text: Path, tiny):
    words = [
        *tiny, "model.dropout=0.3", "train.steps=260", "train.log_every=1",
        "train.checkpoint_every=9", "train.validate_every=50", "optimizer.schedule=cosine", "optimizer.warmup=20",
    ]  # fmt: skip
    whole = process("train", "lm", text, *words, "run=whole")
    killed = process("train", "lm", text, *words, "run=killed")
    # Any step will do; the one drawn is in the output of a failure.
    lines = random.randrange(12, 200)
    print("killed after line", lines)
    wait_for_lines(here / "killed", lines, killed)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert killed.returncode == -signal.SIGKILL
    resumed = process("train", "--resume", "killed")
    assert whole.wait() == 0, whole.stderr.read()
    assert resumed.wait() == 0, resumed.stderr.read()
    assert_same_end(here / "killed", here / "whole")


def test_ctrl_c_saves_and_says_how_to_go_on(process, command, here: Path, text: Path, tiny):
    running = process("train", "lm", text, *tiny, "train.steps=100000", "train.log_every=1", "run=run")
    wait_for_lines(here / "run", 5, running)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=300)
    assert running.returncode == 130, err
    assert "recurra train --resume run" in out
    assert "Traceback" not in err
    step = load_checkpoint(here / "run" / "checkpoint")["position"]["step"]
    assert step >= 5
    assert f"interrupted at step {step:,}" in out
    assert command("train", "--resume", "run", f"train.steps={step + 3}")[0] == 0
    assert load_checkpoint(here / "run" / "checkpoint")["position"]["step"] == step + 3
    assert json.loads((here / "run" / "describe.json").read_text())["ended_by"] == "steps"


def test_two_processes_train_one_model(process, command, here: Path, text: Path, tiny):
    launch = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", "-m", "recurra")
    words = [*tiny, "train.log_every=5", "train.validate_every=30", "optimizer.lr=0.01", "model.dropout=0.2"]
    whole = process("train", "lm", text, *words, "train.steps=60", "run=whole", program=launch)
    part = process("train", "lm", text, *words, "train.steps=20", "run=parts", program=launch)
    out, err = whole.communicate(timeout=300)
    assert whole.returncode == 0, err
    assert out.count("report:") == 1  # one of the two speaks
    lines = metrics(here / "whole")
    assert [line["step"] for line in lines] == list(range(5, 61, 5))  # and one writes
    assert lines[-1]["train_nats"] < 0.9 * lines[0]["train_nats"]
    ended = load_checkpoint(here / "whole" / "checkpoint")
    first, second = ended["ranks"]
    assert not torch.equal(first["carried"][0], second["carried"][0])
    assert not torch.equal(first["random"]["torch"], second["random"]["torch"])

    # Stopped and resumed, both processes go on with their own state and place.
    assert part.wait() == 0, part.stderr.read()
    resumed = process("train", "--resume", "parts", "train.steps=60", program=launch)
    assert resumed.wait() == 0, resumed.stderr.read()
    again = load_checkpoint(here / "parts" / "checkpoint")
    torch.testing.assert_close(again["model"], ended["model"], rtol=0, atol=0)
    for one, other in zip(again["ranks"], ended["ranks"], strict=True):
        torch.testing.assert_close(one["carried"], other["carried"], rtol=0, atol=0)

    status, _, err = command("train", "--resume", "parts", "train.steps=70")
    assert status == 2
    assert "torchrun --nproc-per-node 2 -m recurra train --resume parts" in err
