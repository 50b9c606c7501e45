import json
from pathlib import Path

import numpy as np
import pytest
import torch

from recurra.data import DataError, Line
from recurra.tasks.config import ConfigError
from recurra.tasks.findings import Curves, Heatmap, Table
from recurra.tasks.forecast.config import ForecastConfig
from recurra.tasks.forecast.task import Forecasting
from recurra.training.config import build_config

SMALL = ("model.hidden=6", "train.batch=8", "forecast.window=10", "forecast.horizon=4", "forecast.paths=7")


def settings(data: Path | str, *words: str) -> ForecastConfig:
    return build_config(ForecastConfig, {"data": str(data)}, [*SMALL, *words])


def opened(data: Path | str, *words: str) -> tuple[Forecasting, torch.nn.Module]:
    task = Forecasting.open(settings(data, *words))
    torch.manual_seed(0)
    return task, task.model().eval()


def rows(count: int = 240) -> np.ndarray:
    """Hours, a load with a daily rhythm, a noise beside it, and what drives both, [T, 3]."""
    random = np.random.default_rng(0)
    drive = random.normal(size=count)
    load = 50 + 10 * np.sin(np.arange(count) * 2 * np.pi / 24) + drive + random.normal(size=count)
    return np.stack([load, random.normal(size=count).cumsum(), drive], 1)


def write(path: Path, values: np.ndarray, *, empty_targets: int = 0) -> Path:
    dates = np.datetime64("2024-01-01T00", "h") + np.arange(len(values))
    lines = ["date,load,walk,drive"]
    for k, (date, row) in enumerate(zip(dates, values, strict=True)):
        cells = [f"{value:.6f}" for value in row]
        if k >= len(values) - empty_targets:
            cells[:2] = ["", ""]
        lines.append(",".join([str(date).replace("T", " ") + ":00", *cells]))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def table(tmp_path) -> Path:
    return write(tmp_path / "load.csv", rows())


def blocks(path: Path, size: int = 1) -> list[list[Line]]:
    lines = [Line(text, Path("in"), k) for k, text in enumerate(path.read_text().splitlines(), 1)]
    return [lines[k : k + size] for k in range(0, len(lines), size)]


INPUTS = ("series.targets=load,walk", "series.ahead=drive")
WAYS = {
    "direct": ("series.targets=load", "series.past=walk", "series.ahead=drive", "series.calendar=true"),
    "segments": (*INPUTS, "model.shared=true", "model.relative=true", "model.centred=true", "model.segment=5"),
    "rollout": (*INPUTS, "forecast.mode=rollout", "loss.kind=gaussian"),
    "encoded": (
        *INPUTS,
        "forecast.mode=rollout",
        "loss.kind=gaussian",
        "model.kind=encoder_decoder",
        "model.attention=additive",
        "sampling.schedule=linear",
        "sampling.k=0.5",
    ),
    "step": (*INPUTS, "forecast.mode=step"),
    "narx": (*INPUTS, "forecast.mode=step", "model.kind=narx", "model.order=3", "model.order_inputs=2"),
}

# -- data ------------------------------------------------------------------------------------------------------------


def test_parts_follow_each_other_in_time(table):
    task, _ = opened(table, *INPUTS)
    parts = task._opened
    first, last = (
        (
            [int(edge) for edge in (part.origins[:, 1].min(), part.origins[:, 1].max() + 3)]
            for part in (parts.training, parts.validation)
        ),
        parts.test.origins[:, 1],
    )
    (train, valid), test = first, last
    assert train == [10, 167] and valid == [168, 191] and [test.min(), test.max() + 3] == [192, 239]
    facts = task.describe()
    assert (facts["frequency"], facts["season"], facts["training_windows"]) == ("1h", 24, 155)
    assert {"valid_mse_of_last value", "valid_mse_of_seasonal naive (24)", "valid_mse_of_AR(10)"} <= set(facts)


def seen_before(path: Path, *words: str) -> tuple[np.ndarray, ...]:
    """All that a task lets a model and its baselines see of the rows before the test data: 192 of 240."""
    task, model = opened(path, *words)
    batch = task._opened.training.batch(np.arange(len(task._opened.training)))
    first = task._opened.test.batch(np.array([0]))
    found = model.forecast(first.past, first.ahead)
    ground = task.ground
    return (
        batch.past.numpy(), batch.targets.numpy(), first.past.numpy(), found.point.detach().numpy(),
        ground.scaler.mean, ground.scaler.deviation, ground.naive, ground.ar, np.array(ground.season),
    )  # fmt: skip


def test_nothing_before_the_test_data_knows_of_it(table, tmp_path, monkeypatch):
    """Other values from the first test step on change nothing before; a leak planted in each place is caught."""
    words = ("series.targets=load,walk,drive",)
    values = rows()
    values[192:] = -3 * values[192:] + 500
    changed = write(tmp_path / "changed.csv", values)

    def is_blind() -> bool:
        return all(
            np.array_equal(a, b) for a, b in zip(seen_before(table, *words), seen_before(changed, *words), strict=True)
        )

    assert is_blind()
    from recurra.tasks.forecast import data as forecast_data

    honest = forecast_data.chronological
    with monkeypatch.context() as leak:  # statistics and baselines of all rows
        leak.setattr(
            forecast_data,
            "chronological",
            lambda lengths, *sizes: [honest(lengths, 24, 0)[0], *honest(lengths, *sizes)[1:]],
        )
        assert not is_blind()
    shifted = forecast_data.with_calendar
    with monkeypatch.context() as leak:  # rows that stand one step too early
        leak.setattr(forecast_data, "with_calendar", lambda *given: np.roll(shifted(*given), -1, axis=0))
        assert not is_blind()


def test_an_input_from_the_future_is_refused(table, tmp_path):
    values = rows()
    values[:, 2] = np.roll(values[:, 1], -3)
    path = write(tmp_path / "leak.csv", values)
    words = ("series.targets=walk", "series.past=drive")
    with pytest.raises(DataError, match=r"'drive' holds what the target 'walk' will be 3 steps later"):
        opened(path, *words)
    opened(path, *words, "series.leaks=allow")
    opened(table, *words)


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (("series.targets=lod",), DataError, "no column 'lod': its columns are date, load, walk, drive"),
        (("series.past=load,walk,drive",), DataError, "every column is an input"),
        (("forecast.horizon=30",), DataError, "hold no window of 30 steps to forecast"),
        (("split.valid=0.5", "split.test=0.5"), DataError, "cannot be parted"),
        (("forecast.window=167",), DataError, r"too few for an AR\(167\) baseline"),
        (("series.targets=load", "series.ahead=load"), ConfigError, "an input as well"),
        (("series.targets=load,load",), ConfigError, "names a column twice"),
        (("forecast.mode=rollout", "series.past=walk"), ConfigError, "would have to be known at the steps"),
        (("model.order=11",), ConfigError, r"model\.order=11 is more than forecast\.window=10"),
        (("model.linear=3", "forecast.mode=step"), ConfigError, r"belongs to forecast\.mode=direct"),
        (("forecast.feedback=own",), ConfigError, r"belongs to forecast\.mode=step"),
        (("forecast.mode=step", "model.relative=true"), ConfigError, "needs the last known value"),
        (("forecast.mode=step", "model.kind=ar", "forecast.feedback=none"), ConfigError, "reads the series' past"),
        (("model.linear_start=ar", "model.linear=9"), ConfigError, r"at least the order of the AR baseline, 10"),
        (("model.kind=encoder_decoder",), ConfigError, r"set forecast\.mode=rollout and forecast\.window"),
        (("model.segment=3",), ConfigError, r"in equal parts.*which is 10, to a multiple"),
        (("model.centred=true", "forecast.mode=step"), ConfigError, r"belongs to forecast\.mode=direct"),
        (("model.segment=5", "model.kind=tdnn"), ConfigError, r"model\.kind=recurrent"),
        (("model.linear=10", "model.linear_start=ar", "model.relative=true"), ConfigError, "gives it their changes"),
        (("forecast.calibration=conformal",), ConfigError, "gives points alone: set loss.kind to gaussian"),
        (("forecast.calibration=conformal", "forecast.mode=step"), ConfigError, r"not for forecast\.mode=step"),
        (("forecast.calibration=conformal", "loss.kind=quantiles", "split.valid=10"), DataError, "7 windows .* 9;"),
        (("model.attention=dot",), ConfigError, r"belongs to model\.kind=encoder_decoder, not to recurrent"),
        (("sampling.schedule=linear",), ConfigError, "for forecasts that are fed back"),
        (("loss.kind=l2",), ConfigError, "loss.kind='l2' is not one of"),
        (("series.gaps=none",), ConfigError, "series.gaps='none' is not one of"),
    ],
)
def test_settings_that_do_not_fit_are_refused(table, words, error, message):
    with pytest.raises(error, match=message):
        opened(table, *words)


def test_a_calendar_needs_dates(tmp_path):
    (tmp_path / "bare.csv").write_text("\n".join(str(k % 7) for k in range(100)))
    with pytest.raises(DataError, match=r"has no dates, which series\.calendar=true reads"):
        opened(tmp_path / "bare.csv", "series.calendar=true")
    assert opened(tmp_path / "bare.csv")[0].ground.season == 7  # found in the values


# -- training and measures -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WAYS)
def test_every_way_is_trained_saved_and_measured(table, tmp_path, name):
    task, model = opened(table, *WAYS[name])
    batch = task.training_stream().next()
    loss, state = task.loss(model.train(), batch, None)
    loss.backward()
    assert state is None and all(parameter.grad is not None for parameter in model.parameters())
    state = torch.random.get_rng_state()
    measured = task.validate(model)
    assert task.criterion in measured and f"valid_{task.loss_name}" in measured and model.training
    found = task.evaluate(model, None)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert found["windows"] == 45 and found["rmse"] == pytest.approx(found["mse"] ** 0.5)
    drawn = name in ("rollout", "encoded")
    assert ("coverage_80" in found) == drawn
    names = [row[0] for row in found["baselines"].rows]
    assert names == ["the model", "last value", "seasonal naive (24)", "AR(10)"]
    assert isinstance(found["by_step"], Curves) and isinstance(found["worst"], Table) and len(task.findings(model)) >= 5
    assert (found["typical"].band is None) == (not drawn)
    assert ("typical_attention" in found) == ("hard_attention" in found) == (name == "encoded")
    if name == "encoded":
        looks = found["typical_attention"]
        assert isinstance(looks, Heatmap) and looks.rows == ["+1", "+2", "+3", "+4"] and looks.columns[-1] == "-1"
        assert np.shape(looks.values) == (4, 9) and np.max(looks.values) == 1

    task.save(tmp_path)
    loaded = Forecasting.load(task.config, tmp_path)
    again = loaded.model().eval()
    again.load_state_dict(model.state_dict())
    model.eval()
    assert json.loads((tmp_path / "series.json").read_text())["targets"] == list(task.ground.targets)
    new = write(tmp_path / "new.csv", rows(), empty_targets=4)
    answers, in_step = list(task.predict(model, new)), task.config.forecast.mode == "step"
    assert answers == list(loaded.predict(again, new)) and len(answers) == (241 if in_step else 5)
    with pytest.raises(DataError, match="without its data"):
        loaded.training_stream()
    (tmp_path / "series.json").write_text("{}")
    with pytest.raises(DataError, match=r"series\.json is damaged"):
        Forecasting.load(task.config, tmp_path)


def test_other_data_is_measured_whole_and_must_fit(table, tmp_path):
    task, model = opened(table, "series.targets=load")
    assert task.evaluate(model, table)["windows"] == 240 - 10 - 4 + 1
    (tmp_path / "daily.csv").write_text("date,load\n" + "".join(f"2024-01-{day:02},1\n" for day in range(1, 31)))
    with pytest.raises(DataError, match="rows are 1d apart, but the model was trained on rows 1h apart"):
        task.evaluate(model, tmp_path / "daily.csv")
    with pytest.raises(DataError, match="hold no window"):
        task.evaluate(model, write(tmp_path / "short.csv", rows(12)))


@pytest.mark.parametrize("words", [("loss.kind=quantiles",), ("forecast.mode=rollout", "loss.kind=gaussian")], ids=str)
def test_a_calibrated_band_holds_its_share_of_the_validation_rows_and_stays_with_the_model(table, tmp_path, words):
    task, model = opened(table, "series.targets=load", "forecast.calibration=conformal", "split.valid=40", *words)
    raw = task.evaluate(model, None)
    assert raw["coverage_80"] == raw["coverage_80_uncalibrated"]
    parameters = [value.clone() for value in model.parameters()]
    state = torch.random.get_rng_state()
    task.calibrate(model)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), parameters, strict=True))
    rows = {row[0]: row for row in task.findings(model)[0].rows}
    # 37 windows: the 31st of them is the first with which the band holds ⌈38 · 0.8⌉ of each step.
    assert rows["the model"][-1] == pytest.approx(31 / 37) and rows["the model, not calibrated"][-1] < 0.7
    assert "calibrated on these very rows" in task.findings(model)[0].note
    found = task.evaluate(model, None)
    assert found["coverage_80_uncalibrated"] == raw["coverage_80"] < found["coverage_80"]
    assert found["crps"] < found["crps_uncalibrated"] and found["mse"] == raw["mse"]

    task.save(tmp_path)
    loaded = Forecasting.load(task.config, tmp_path)
    again = loaded.model().eval()
    again.load_state_dict(model.state_dict())
    printed = list(task.predict(model.eval(), table, ["quantiles"]))
    assert list(loaded.predict(again, table, ["quantiles"])) == printed
    model.calibrate(torch.zeros_like(model.shift))
    assert list(task.predict(model, table, ["quantiles"])) != printed


# -- prediction ------------------------------------------------------------------------------------------------------


def test_the_steps_after_a_table_are_forecast(table):
    task, model = opened(table, "series.targets=load,walk")
    head, *answers = task.predict(model, table)
    assert head == "date,load,walk" and len(answers) == 4
    assert answers[0].startswith("2024-01-11 00:00:00,") and answers[-1].startswith("2024-01-11 03:00:00,")
    assert list(task.predict(model, blocks(table, 7)))[1:] == answers
    batch = task._opened.training
    known = torch.from_numpy(batch.frames[0][None, -10:])
    point = task.ground.scaler.undo(model.forecast(known, known[:, :, :0]).point[0].detach().numpy(), slice(2))
    assert np.allclose([list(map(float, line.split(",")[1:])) for line in answers], point, rtol=1e-4)


def test_inputs_known_ahead_stand_below_the_last_target(table, tmp_path):
    task, model = opened(table, *WAYS["direct"])
    with pytest.raises(DataError, match="tells the inputs drive for 0 steps after the last known target"):
        list(task.predict(model, table))
    values = np.concatenate([rows(), rows(4)])
    answers = list(task.predict(model, write(tmp_path / "ahead.csv", values, empty_targets=4)))
    assert len(answers) == 5 and answers[1].startswith("2024-01-11 00:00:00,")
    with pytest.raises(DataError, match="8 rows whose targets are known, and a forecast is made from 10"):
        list(task.predict(model, write(tmp_path / "few.csv", rows(12), empty_targets=4)))


def test_quantiles_are_printed_where_there_are_some(table):
    task, model = opened(table, "series.targets=load", "loss.kind=student")
    head, first, *_ = task.predict(model, table, ["quantiles"])
    assert head == "date,load,load 10%,load 90%"
    middle, low, high = map(float, first.split(",")[1:])
    assert low < middle < high
    points, model = opened(table, "series.targets=load")
    with pytest.raises(DataError, match=r"gives points alone.*loss\.kind=gaussian"):
        points.predict(model, table, ["quantiles"])


@pytest.mark.parametrize("name", ["step", "narx"])
def test_in_step_each_row_is_answered_as_it_comes(table, name):
    task, model = opened(table, *WAYS[name])
    whole = list(task.predict(model, table))
    assert whole[0] == "date,load,walk" and len(whole) == 241 and whole[1].startswith("2024-01-01 00:00:00,")

    def one_by_one():
        for count, block in enumerate(blocks(table)):
            asked.append(count)
            yield block

    asked: list[int] = []
    stream = task.predict(model, one_by_one())
    assert (next(stream), next(stream)) == tuple(whole[:2]) and asked == [0, 1]
    rest = [np.array(line.split(",")[1:], float) for line in stream]
    assert np.allclose(rest, [np.array(line.split(",")[1:], float) for line in whole[2:]], rtol=1e-3, atol=1e-4)


def test_in_step_an_input_must_be_there(table, tmp_path):
    task, model = opened(table, *WAYS["step"])
    (tmp_path / "new.csv").write_text("date,drive\n2024-01-01 00:00,1\n2024-01-01 01:00,\n")
    with pytest.raises(DataError, match=r"line 3, column 'drive': the input is missing"):
        list(task.predict(model, tmp_path / "new.csv"))
