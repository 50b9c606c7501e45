import math

import pytest

from recurra.tasks.config import ConfigError, OptimizerConfig
from recurra.training.schedule import Schedule


def schedule(**settings) -> Schedule:
    return Schedule(OptimizerConfig(lr=2.0, **settings))


def test_constant():
    assert [schedule().rate(step, 0, 0.0) for step in (0, 7, 10**6)] == [2.0, 2.0, 2.0]


def test_cosine_falls_from_the_top_to_the_minimum():
    cosine = schedule(schedule="cosine", minimum=0.5)
    rates = [cosine.rate(step, 0, step / 100) for step in (0, 25, 50, 100)]
    assert rates == pytest.approx([2.0, 0.5 + 1.5 * (1 + math.cos(math.pi / 4)) / 2, 1.25, 0.5])


def test_warmup_rises_in_a_line_and_cosine_begins_after_it():
    cosine = schedule(schedule="cosine", warmup=20)
    rates = [cosine.rate(step, 0, step / 120) for step in (0, 9, 19, 20, 70, 120)]
    assert rates == pytest.approx([2 / 21, 20 / 21, 40 / 21, 2.0, 1.0, 0.0], abs=1e-12)


def test_step_lowers_every_so_many_updates():
    falling = schedule(schedule="step", decay=0.1, decay_every=100, minimum=0.01)
    assert [falling.rate(step, 0, 0.0) for step in (0, 99, 100, 200, 10_000)] == pytest.approx([2, 2, 0.2, 0.02, 0.01])


def test_zaremba_holds_and_then_halves_each_epoch():
    # The small model of the paper: four epochs at the full rate, 13 in all.
    zaremba = schedule(schedule="zaremba", hold=4)
    rates = [zaremba.rate(0, epoch, 0.0) for epoch in range(13)]
    assert rates == [2.0] * 4 + [2.0 / 2**k for k in range(1, 10)]


def test_plateau_halves_when_validation_stops_improving():
    plateau = schedule(schedule="plateau")
    rates = []
    for loss in (5.0, 4.0, 4.5, 3.9, 3.9, 3.8):
        plateau.validated(loss)
        rates.append(plateau.rate(0, 0, 0.0))
    assert rates == [2.0, 2.0, 1.0, 1.0, 0.5, 0.5]


def test_plateau_lets_so_many_validations_pass_and_remembers_over_a_restart():
    plateau = schedule(schedule="plateau", tolerance=1)
    plateau.validated(1.0)
    plateau.validated(2.0)
    assert plateau.rate(0, 0, 0.0) == 2.0
    again = schedule(schedule="plateau", tolerance=1)
    again.load_state_dict(plateau.state_dict())
    again.validated(2.0)
    assert again.rate(0, 0, 0.0) == 1.0


def test_a_minimum_above_the_rate_is_refused():
    with pytest.raises(ConfigError, match=r"optimizer\.minimum=3 is above"):
        schedule(minimum=3.0)
