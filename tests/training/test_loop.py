"""The loop on a task it does not know."""

import json
import math
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from recurra.tasks.config import ConfigError
from recurra.tasks.findings import Table
from recurra.training.checkpoint import load_checkpoint
from recurra.training.loop import DivergenceError
from recurra.training.observer import Silent
from recurra.training.session import begin, load_model, resume

CLOCK = ("time", "tokens_per_second")  # what no two runs have in common


class Killed(BaseException):
    """Stands for a kill: nothing in the loop may catch it."""


class Until(Silent):
    """Does something right after the update `step`."""

    def __init__(self, step: int, act) -> None:
        self.step, self.act = step, act

    def stepped(self, at, fraction, loss, norm) -> None:
        if at.step == self.step:
            self.act()


def kill() -> None:
    raise Killed


def metrics(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in CLOCK} for line in lines]


def assert_same_end(folder: Path, other: Path) -> None:
    first, second = load_checkpoint(folder / "checkpoint"), load_checkpoint(other / "checkpoint")
    for part in ("model", "optimizer"):
        torch.testing.assert_close(first[part], second[part], rtol=0, atol=0)
    assert metrics(folder) == metrics(other)
    best, other_best = (load_file(path / "model.safetensors") for path in (folder, other))
    torch.testing.assert_close(best, other_best, rtol=0, atol=0)


def test_it_learns_and_leaves_everything_behind(toy_task, toy_config):
    ended = begin(toy_task, toy_config("train.epochs=4"), Silent())
    lines = metrics(ended.folder)
    assert ended.outcome.reason == "epochs"
    assert ended.outcome.step == lines[-1]["step"] == 4 * 29
    assert lines[-1]["train_nats"] < 0.6 * math.log(8) < lines[0]["train_nats"]
    assert ended.outcome.best == min(line["valid_nats"] for line in lines if "valid_nats" in line)
    assert lines[-1]["epoch"] == 4.0
    assert {"step", "epoch", "train_nats", "gradient_norm", "lr", "valid_nats", "sample"} == set(lines[-1])
    assert sum("valid_nats" in line for line in lines) == 4
    names = {"config.yaml", "describe.json", "vocabulary.json", "model.safetensors", "checkpoint", "metrics.jsonl"}
    assert names <= {entry.name for entry in ended.folder.iterdir()}
    facts = json.loads((ended.folder / "describe.json").read_text())
    assert (facts["ended_by"], facts["step"], facts["data"]) == ("epochs", 116, {"symbols": 8})


def test_the_state_is_carried_and_begins_anew_with_each_epoch(toy_task, toy_config):
    seen = []

    class Watching(toy_task):
        def loss(self, model, batch, state):
            seen.append(None if state is None else (state[0].requires_grad, state[0].abs().sum().item()))
            return super().loss(model, batch, state)

    begin(Watching, toy_config("train.epochs=2"), Silent())
    assert [step for step, state in enumerate(seen) if state is None] == [0, 29]
    assert all(not history and size > 0 for history, size in filter(None, seen))


@pytest.mark.parametrize("step", [3, 10, 29, 30, 44, 58, 61])
def test_killed_at_any_step_it_ends_as_if_it_had_not_been(toy_task, toy_config, step: int):
    words = ("train.epochs=3", "train.checkpoint_every=10", "optimizer.schedule=plateau", "train.validate_every=8")
    whole = begin(toy_task, toy_config(*words), Silent())
    config = toy_config(*words)
    with pytest.raises(Killed):
        begin(toy_task, config, Until(step, kill))
    ended = resume(Path(config.run), [], lambda name: toy_task, Silent())
    assert ended.outcome.step == whole.outcome.step
    assert_same_end(ended.folder, whole.folder)


def test_killed_with_noise_on_its_parameters_it_ends_as_if_it_had_not_been(toy_task, toy_config):
    words = ("train.epochs=2", "train.checkpoint_every=7", "optimizer.weight_noise=0.1")
    whole = begin(toy_task, toy_config(*words), Silent())
    config = toy_config(*words)
    with pytest.raises(Killed):
        begin(toy_task, config, Until(24, kill))
    ended = resume(Path(config.run), [], lambda name: toy_task, Silent())
    assert_same_end(ended.folder, whole.folder)
    quiet = begin(toy_task, toy_config("train.epochs=2", "train.checkpoint_every=7"), Silent())
    assert metrics(quiet.folder)[-1]["train_nats"] != metrics(whole.folder)[-1]["train_nats"]


def test_interrupted_at_any_step_it_ends_as_if_it_had_not_been(toy_task, toy_config):
    words = ("train.epochs=2", "train.validate_every=9", "optimizer.schedule=cosine")
    whole = begin(toy_task, toy_config(*words), Silent())
    ended = begin(toy_task, toy_config(*words), Until(5, lambda: os.kill(os.getpid(), signal.SIGINT)))
    assert (ended.outcome.reason, ended.outcome.step) == ("interrupted", 6)
    assert load_checkpoint(ended.folder / "checkpoint")["position"]["step"] == 6
    ended = resume(ended.folder, [], lambda name: toy_task, Until(31, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    assert (ended.outcome.reason, ended.outcome.step) == ("interrupted", 32)
    ended = resume(ended.folder, [], lambda name: toy_task, Silent())
    assert ended.outcome.reason == "epochs"
    assert_same_end(ended.folder, whole.folder)


@pytest.fixture
def heard() -> Iterator[None]:
    """Ctrl-C as a terminal has it: what a shell script starts in the background is told to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_second_interruption_quits_at_once(toy_task, toy_config, heard):
    config = toy_config("train.epochs=2")
    config.train.checkpoint_every = 4

    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        begin(toy_task, config, Until(6, twice))
    assert load_checkpoint(Path(config.run) / "checkpoint")["position"]["step"] == 4


def test_a_run_that_is_over_can_be_made_longer(toy_task, toy_config):
    ended = begin(toy_task, toy_config("train.steps=12"), Silent())
    again = resume(ended.folder, [], lambda name: toy_task, Silent())
    assert (again.outcome.reason, again.outcome.step) == ("steps", 12)
    longer = resume(ended.folder, ["train.steps=40"], lambda name: toy_task, Silent())
    assert longer.outcome.step == 40
    whole = begin(toy_task, toy_config("train.steps=40"), Silent())
    first, second = (load_checkpoint(one.folder / "checkpoint")["model"] for one in (longer, whole))
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_what_changed_when_it_went_on_holds_when_it_is_killed_again(toy_task, toy_config):
    ended = begin(toy_task, toy_config("train.steps=5"), Silent())
    with pytest.raises(Killed):
        resume(ended.folder, ["train.steps=30"], lambda name: toy_task, Until(12, kill))
    assert resume(ended.folder, [], lambda name: toy_task, Silent()).outcome.step == 30


def test_metrics_that_were_lost_are_spoken_of(toy_task, toy_config):
    ended = begin(toy_task, toy_config("train.steps=9"), Silent())
    (ended.folder / "metrics.jsonl").write_text("")
    observer = Silent()
    heard = []
    observer.notice = heard.append
    resume(ended.folder, ["train.steps=12"], lambda name: toy_task, observer)
    assert "metrics.jsonl is shorter" in heard[0]
    assert [line["step"] for line in metrics(ended.folder)] == [12]


def test_a_run_that_is_over_says_so_when_it_is_resumed(toy_task, toy_config):
    ended = begin(toy_task, toy_config("train.steps=9"), Silent())
    observer = Silent()
    heard = []
    observer.notice = heard.append
    assert resume(ended.folder, ["train.steps=5"], lambda name: toy_task, observer).outcome.step == 9
    assert heard == [
        "nothing is left to do: the run is at step 9, and train.steps ends it there; set a larger one to go on"
    ]


def test_it_trains_outside_the_main_thread(toy_task, toy_config):
    ends = []
    thread = threading.Thread(target=lambda: ends.append(begin(toy_task, toy_config("train.steps=3"), Silent())))
    thread.start()
    thread.join()
    assert ends[0].outcome.step == 3


def test_only_some_settings_may_change_when_a_run_goes_on(toy_task, toy_config):
    ended = begin(toy_task, toy_config("train.steps=3"), Silent())
    with pytest.raises(ConfigError, match=r"train\.batch cannot change"):
        resume(ended.folder, ["train.batch=8"], lambda name: toy_task, Silent())


def test_it_stops_early_and_keeps_the_best(toy_task, toy_config):
    class Worsening(toy_task):
        def validate(self, model):
            self.count = getattr(self, "count", 0) + 1
            return {"valid_nats": abs(self.count - 3) + 1.0}

    config = toy_config("train.epochs=9", "train.validate_every=5", "train.patience=2")
    ended = begin(Worsening, config, Silent())
    assert (ended.outcome.reason, ended.outcome.step) == ("patience", 25)
    assert (ended.outcome.best, ended.outcome.best_step) == (1.0, 15)
    _, best = load_model(ended.folder, lambda name: toy_task, "cpu")
    last = load_checkpoint(ended.folder / "checkpoint")["model"]
    assert any(not torch.equal(value, last[name]) for name, value in best.state_dict().items())


def test_a_measure_of_which_more_is_better_is_followed_upwards(toy_task, toy_config):
    class Judged(toy_task):
        criterion = "valid_accuracy"
        unit = "example"

        def validate(self, model):
            self.count = getattr(self, "count", 0) + 1
            return {"valid_nats": float(self.count), "valid_accuracy": (0.3, 0.8, 0.5, 0.4)[self.count - 1]}

    config = toy_config("train.epochs=9", "train.validate_every=5", "train.patience=2")
    ended = begin(Judged, config, Silent())
    assert (ended.outcome.reason, ended.outcome.best, ended.outcome.best_step) == ("patience", 0.8, 10)
    facts = json.loads((ended.folder / "describe.json").read_text())
    assert (facts["best_valid_accuracy"], facts["criterion"], facts["unit"]) == (0.8, "valid_accuracy", "example")
    assert "examples_per_second" in (ended.folder / "metrics.jsonl").read_text()


@pytest.mark.parametrize(("every", "calls"), [(5, 3), (0, 1)])
def test_what_is_calibrated_is_saved_with_the_best(toy_task, toy_config, every: int, calls: int):
    """Before each save of parameters that are the best so far, or once at the end where nothing is validated."""
    losses, seen = iter([3.0, 2.0, 1.0, 1.5, 1.2]), []

    class Calibrated(toy_task):
        def validate(self, model):
            return super().validate(model) | {"valid_nats": next(losses)}

        def model(self):
            made = super().model()
            made.register_buffer("width", torch.zeros(()))
            return made

        def calibrate(self, model):
            seen.append(model.output.bias.sum().item())
            model.width.fill_(seen[-1])

    ended = begin(Calibrated, toy_config("train.steps=25", f"train.validate_every={every}"), Silent())
    _, best = load_model(ended.folder, lambda name: Calibrated, "cpu")
    assert len(seen) == calls and best.width.item() == pytest.approx(best.output.bias.sum().item()) != 0


def test_findings_are_those_of_the_best_parameters_and_none_of_an_interrupted_run(toy_task, toy_config):
    class Finding(toy_task):
        def findings(self, model):
            total = sum(value.double().sum().item() for value in model.state_dict().values())
            return [Table("Sum", "", ["sum"], [[total]])]

    ended = begin(Finding, toy_config("train.steps=6"), Silent())
    (found,) = json.loads((ended.folder / "findings.json").read_text())["findings"]
    _, best = load_model(ended.folder, lambda name: toy_task, "cpu")
    assert found["kind"] == "table"
    assert found["rows"] == [[sum(value.double().sum().item() for value in best.state_dict().values())]]
    stopped = begin(Finding, toy_config("train.epochs=9"), Until(5, lambda: os.kill(os.getpid(), signal.SIGINT)))
    assert stopped.interrupted and not (stopped.folder / "findings.json").exists()


def test_without_validation_the_last_parameters_are_kept(toy_task, toy_config):
    ended = begin(toy_task, toy_config("train.steps=7", "train.validate_every=0"), Silent())
    assert ended.outcome.best is None
    last = load_checkpoint(ended.folder / "checkpoint")["model"]
    torch.testing.assert_close(load_file(ended.folder / "model.safetensors"), dict(last), rtol=0, atol=0)


def test_a_loss_that_is_not_finite_stops_the_run_and_spares_the_checkpoint(toy_task, toy_config):
    config = toy_config("explode_at=15", "train.checkpoint_every=6")
    with pytest.raises(DivergenceError) as caught:
        begin(toy_task, config, Silent())
    assert "step 15" in str(caught.value)
    assert "optimizer.lr" in str(caught.value)
    saved = load_checkpoint(Path(config.run) / "checkpoint")
    assert saved["position"]["step"] == 12
    assert all(torch.isfinite(value).all() for value in saved["model"].values())


def test_a_budget_of_seconds_ends_the_run(toy_task, toy_config):
    ended = begin(toy_task, toy_config("train.seconds=0.2"), Silent())
    assert ended.outcome.reason == "seconds"
    assert 0.2 <= ended.outcome.seconds < 2.0


def test_clipping_limits_the_update_and_the_metrics_show_the_norm_before(toy_task, toy_config):
    words = ("train.steps=3", "optimizer.name=sgd", "optimizer.lr=1", "optimizer.clip=1e-6", "train.log_every=1")
    config = toy_config(*words)
    ended = begin(toy_task, config, Silent())
    start = toy_config(*words)
    torch.manual_seed(start.seed)
    fresh = toy_task.open(start).model().state_dict()
    after = load_checkpoint(ended.folder / "checkpoint")["model"]
    moved = math.sqrt(sum(((after[name] - fresh[name]) ** 2).sum().item() for name in fresh))
    # Rounding to float32 hides part of so small an update.
    assert 0 < moved <= 3.5e-6
    assert all(line["gradient_norm"] > 1e-3 for line in metrics(ended.folder))
