import math

import pytest
import torch

from recurra.tasks.config import TrainConfig
from recurra.training.progress import Meter, Plan, Position


def at(step: int, epoch_batches: int = 10, **more) -> Position:
    return Position(step=step, epoch=step // epoch_batches, window=step % epoch_batches, **more)


@pytest.mark.parametrize(
    ("settings", "position", "reason"),
    [
        ({"steps": 30}, at(29), None),
        ({"steps": 30}, at(30), "steps"),
        ({"epochs": 3}, at(29), None),
        ({"epochs": 3}, at(30), "epochs"),
        ({"epochs": 3, "steps": 5}, at(5), "steps"),
        ({}, at(99), None),
        ({}, at(100), "epochs"),
        ({"seconds": 2.5}, at(1, seconds=2.4), None),
        ({"seconds": 2.5}, at(1, seconds=2.6), "seconds"),
        ({"patience": 3}, at(1, stale=2), None),
        ({"patience": 3}, at(1, stale=3), "patience"),
    ],
)
def test_what_ends_a_run(settings: dict, position: Position, reason: str | None):
    assert Plan(TrainConfig(**settings), 10).reached(position) == reason


def test_the_nearest_limit_tells_how_much_is_done():
    plan = Plan(TrainConfig(steps=100, epochs=4, seconds=1000), 10)
    assert plan.fraction(at(20)) == 0.5
    assert plan.fraction(at(20, seconds=900)) == 0.9
    assert plan.fraction(at(200)) == 1.0


def test_what_is_due():
    plan = Plan(TrainConfig(log_every=4, checkpoint_every=6), 10)
    assert [step for step in range(1, 13) if plan.line_due(at(step))] == [4, 8, 12]
    assert [step for step in range(1, 13) if plan.validation_due(at(step))] == [10]  # the end of the epoch
    assert [step for step in range(1, 13) if plan.checkpoint_due(at(step))] == [6, 12]
    plan = Plan(TrainConfig(validate_every=3, sample_every=5), 10)
    assert [step for step in range(1, 13) if plan.validation_due(at(step))] == [3, 6, 9, 12]
    assert [step for step in range(1, 13) if plan.sample_due(at(step))] == [5, 10]
    never = Plan(TrainConfig(validate_every=0, sample_every=0, checkpoint_every=0), 10)
    for position in map(at, range(1, 13)):
        assert not never.validation_due(position)
        assert not never.sample_due(position)
        assert not never.checkpoint_due(position)


def test_a_position_counts_and_judges():
    position = Position()
    for _ in range(7):
        position.advance(3)
    assert (position.step, position.epoch, position.window) == (7, 2, 1)
    assert position.judge(2.0)
    assert not position.judge(2.0)
    assert not position.judge(math.nan)
    assert (position.best, position.best_step, position.stale) == (2.0, 7, 2)
    again = Position()
    again.load_state_dict(position.state_dict())
    assert again.state_dict() == position.state_dict()


def test_the_meter_weighs_by_tokens_and_goes_on_after_a_restart():
    meter = Meter(torch.device("cpu"))
    meter.add(torch.tensor(2.0), torch.tensor(1.0), 10)
    again = Meter(torch.device("cpu"))
    again.load_state_dict(meter.state_dict())
    again.add(torch.tensor(5.0), torch.tensor(3.0), 20)
    assert again.totals() == [2.0 * 10 + 5.0 * 20, 4.0, 30.0, 2.0]
    again.reset()
    assert again.totals() == [0.0] * 4
