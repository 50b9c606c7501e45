import json
from pathlib import Path

import pytest

from recurra.inspect.history import History, smooth, thin
from recurra.tasks.measures import more_is_better


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_lines_of_one_step_are_one_row_and_the_later_value_holds(tmp_path):
    path = write(
        tmp_path / "metrics.jsonl",
        {"step": 20, "train_nats": 2.0},
        {"step": 10, "train_nats": 3.0},
        {"step": 20, "valid_nats": 2.5, "train_nats": 1.5},
    )
    history = History.read(path)
    assert history.points("train_nats") == [(10, 3.0), (20, 1.5)]
    assert history.points("valid_nats") == [(20, 2.5)]
    assert history.keys == ["train_nats", "valid_nats"]


def test_half_lines_and_lines_without_a_step_are_counted(tmp_path):
    path = write(tmp_path / "metrics.jsonl", {"step": 1, "a": 1}, "[1, 2]", {"a": 2}, "", '{"step": 2, "a')
    history = History.read(path)
    assert history.unreadable == 3
    assert len(history.rows) == 1


def test_values_that_are_no_numbers_leave_the_curve_and_mark_the_divergence(tmp_path):
    path = write(
        tmp_path / "metrics.jsonl",
        {"step": 1, "train_nats": 4.0, "flag": True},
        {"step": 2, "train_nats": float("nan"), "valid_nats": None},
        {"step": 3, "train_nats": float("inf")},
    )
    history = History.read(path)
    assert history.points("train_nats") == [(1, 4.0)]
    assert history.keys == ["train_nats"]
    assert history.diverged == 2


def test_a_missing_file_is_an_empty_history(tmp_path):
    history = History.read(tmp_path / "metrics.jsonl")
    assert history.rows == [] and history.samples == [] and history.best("valid_nats") is None


@pytest.mark.parametrize(("key", "best"), [("valid_nats", (2, 1.0)), ("valid_accuracy", (1, 5.0))])
def test_best_knows_which_way_a_metric_points(tmp_path, key, best):
    path = write(tmp_path / "m.jsonl", *({"step": s, key: v} for s, v in ((1, 5.0), (2, 1.0), (3, 1.0))))
    assert History.read(path).best(key) == best
    assert more_is_better(key) == (key == "valid_accuracy")


def test_samples_keep_their_step_and_empty_ones_are_left_out(tmp_path):
    path = write(
        tmp_path / "m.jsonl", {"step": 1, "sample": "a"}, {"step": 2, "sample": " "}, {"step": 3, "sample": "b"}
    )
    assert [(one.step, one.text) for one in History.read(path).samples] == [(1, "a"), (3, "b")]


def test_smooth_keeps_a_constant_and_follows_a_steep_start():
    assert smooth([(i, 2.0) for i in range(9)], 5) == [(i, 2.0) for i in range(9)]
    falling = [(float(i), 100.0 if i == 0 else 0.0) for i in range(20)]
    assert smooth(falling, 9)[0] == (0.0, 100.0)
    assert smooth(falling, 9)[-1] == (19.0, 0.0)


def test_thin_keeps_means():
    points = [(float(i), float(i)) for i in range(1000)]
    few = thin(points, 10)
    assert few == [(49.5 + 100 * i, 49.5 + 100 * i) for i in range(10)]
    assert len(thin(points, 7)) == 7
    assert thin(points, 5000) is points
