import numpy as np
import pytest
import torch

from recurra.data import Layout, Windows, origins
from recurra.data.windows import Stretch
from recurra.tasks.forecast.baselines import autoregression, fit_ar, last_value, response, seasonal
from recurra.tasks.forecast.config import ForecastConfig
from recurra.tasks.forecast.task import Forecasting
from recurra.training.config import build_config


def windows(values: np.ndarray, window: int, horizon: int) -> Windows:
    frame = values.astype(np.float32).reshape(len(values), -1)
    return Windows(
        [frame], Layout(frame.shape[1]), origins([Stretch(0, 0, len(frame))], window, horizon), window, horizon
    )


def test_the_last_value_and_the_last_season():
    found = windows(np.arange(20.0), 5, 4)
    first = np.array([0, 3])
    assert last_value(found, first, one_step=False)[:, :, 0].tolist() == [[4] * 4, [7] * 4]
    assert last_value(found, first, one_step=True)[0, :, 0].tolist() == [4, 5, 6, 7]
    assert seasonal(found, first, 3)[:, :, 0].tolist() == [[2, 3, 4, 2], [5, 6, 7, 5]]
    assert seasonal(found, first, 7)[0, :, 0].tolist() == [0, 0, 0, 1]  # before the first season


def test_least_squares_find_the_process():
    random = np.random.default_rng(0)
    y = np.zeros(6000)
    for t in range(2, len(y)):
        y[t] = 0.5 + 1.2 * y[t - 1] - 0.5 * y[t - 2] + 0.1 * random.normal()
    assert np.allclose(fit_ar([y[:3000], y[3000:]], 2), [1.2, -0.5, 0.5], atol=0.05)


def test_a_rolled_out_autoregression_follows_its_own_values():
    y = 0.9 ** np.arange(30.0)
    found = windows(y, 4, 5)
    numbers = np.array([2])
    rolled = autoregression(found, numbers, np.array([[0.9, 0, 0]]), one_step=False)
    assert np.allclose(rolled[0, :, 0], y[6:11], rtol=1e-5)
    one = autoregression(found, numbers, np.array([[0.5, 0, 1]]), one_step=True)
    assert np.allclose(one[0, :, 0], 1 + 0.5 * y[5:10], rtol=1e-5)


def test_a_model_with_a_linear_map_starts_as_the_autoregression(tmp_path):
    values = np.random.default_rng(0).normal(size=(300, 2)).cumsum(0)
    (tmp_path / "two.csv").write_text("\n".join(",".join(f"{value:.6f}" for value in row) for row in values))
    for shared in ("true", "false"):
        words = [
            "forecast.window=6",
            "forecast.horizon=5",
            "model.linear=6",
            "baseline.order=4",
            "model.linear_start=ar",
            f"model.shared={shared}",
        ]
        task = Forecasting.open(build_config(ForecastConfig, {"data": str(tmp_path / "two.csv")}, words))
        rows = {row[0]: row[1:] for row in task.evaluate(task.model(), None)["baselines"].rows}
        assert np.allclose(rows["the model"], rows["AR(4)"], rtol=1e-4)
    weights, constants = response(np.array([[0.5, 0.2, 1.0]]), 2)
    assert np.allclose(weights[0], [[0.2, 0.1], [0.5, 0.45]]) and np.allclose(constants, [[1.0, 1.5]])


@pytest.mark.parametrize("mode", ["rollout", "step"])
def test_the_gradient_finds_what_least_squares_find(tmp_path, mode):
    """The model kind `ar`, trained, has the coefficients of the AR(K) baseline."""
    random = np.random.default_rng(1)
    y = np.zeros(500)
    for t in range(2, len(y)):
        y[t] = 0.8 * y[t - 1] - 0.3 * y[t - 2] + random.normal()
    (tmp_path / "ar.csv").write_text("\n".join(f"{value:.6f}" for value in y))
    words = ["model.kind=ar", f"forecast.mode={mode}", "forecast.window=3", "forecast.horizon=1", "train.batch=1000"]
    task = Forecasting.open(build_config(ForecastConfig, {"data": str(tmp_path / "ar.csv")}, words))
    model = task.model()
    batch = task.training_stream().next()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = task.loss(model, batch, None)[0]
        loss.backward()
        return loss

    optimizer.step(closure)  # type: ignore[arg-type]
    linear = model.outlook.linear
    learnt = [*linear.weight.detach()[0].flip(0).tolist(), float(linear.bias.detach())]
    assert np.allclose(learnt, task.ground.ar[0], atol=2e-3)
