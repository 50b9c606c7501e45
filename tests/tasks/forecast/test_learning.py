"""Forecasters must learn what can be learnt, and say so where nothing can."""

from collections.abc import Iterator

import pytest
import torch

from recurra.tasks.forecast.config import ForecastConfig
from recurra.tasks.forecast.task import Forecasting
from recurra.training.config import build_config


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def trained(data: str, steps: int, *words: str) -> dict:
    task = Forecasting.open(build_config(ForecastConfig, {"data": data}, ["train.batch=32", *words]))
    torch.manual_seed(0)
    model = task.model()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    stream = task.training_stream()
    for _ in range(steps):
        optimizer.zero_grad()
        task.loss(model, stream.next() or stream.next(), None)[0].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return task.evaluate(model, None)


def test_a_sine_goes_on_from_its_own_forecasts():
    """50 steps after 20 true ones, from phases that training did not have."""
    words = ("forecast.mode=rollout", "forecast.window=20", "forecast.horizon=50", "model.hidden=24")
    assert trained("builtin:sine", 400, *words, "series.standardise=false")["rmse"] <= 0.05


def test_nothing_beats_the_last_value_of_a_random_walk():
    found = trained("builtin:walk", 300, "forecast.window=16", "forecast.horizon=4", "model.relative=true")
    rows = {row[0]: row[1] for row in found["baselines"].rows}
    assert rows["the model"] > 0.99 * rows["last value"]


def test_a_driven_pendulum_is_followed_better_by_more_units():
    words = ("forecast.mode=step", "forecast.window=60", "forecast.horizon=100", "forecast.stride=20", "model.cell=gru")
    few, many = (trained("builtin:system", 250, *words, f"model.hidden={size}")["mse"] for size in (2, 24))
    assert many < 0.05 and many < few / 2


def test_the_henon_map_is_found_from_its_own_past():
    words = (
        "forecast.mode=step",
        "forecast.feedback=measured",
        "forecast.window=8",
        "forecast.horizon=32",
        "model.kind=narx",
    )
    orders = ("model.order=2", "model.order_inputs=1", "forecast.stride=4", "baseline.order=2", "model.hidden=32")
    found = trained("builtin:henon", 500, *words, *orders)
    rows = {row[0]: row[1] for row in found["baselines"].rows}
    assert rows["the model"] < 0.02 and rows["the model"] < rows["AR(2)"] / 10
