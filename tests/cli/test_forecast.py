import json
from pathlib import Path

import numpy as np
import pytest

WORDS = ("series.targets=load", "forecast.window=12", "forecast.horizon=6", "model.hidden=8", "train.batch=16")


@pytest.fixture
def table(here: Path) -> Path:
    random = np.random.default_rng(0)
    load = 50 + 10 * np.sin(np.arange(300) * 2 * np.pi / 24) + random.normal(size=300)
    dates = np.datetime64("2024-01-01T00", "h") + np.arange(300)
    rows = (f"{str(date).replace('T', ' ')}:00,{value:.3f},note" for date, value in zip(dates, load, strict=True))
    (here / "load.csv").write_text("date,load,remark\n" + "\n".join(rows) + "\n")
    return here / "load.csv"


def test_from_a_table_to_a_forecast(command, here, table):
    words = ("loss.kind=gaussian", "train.steps=30", "optimizer.lr=0.01", "run=run")
    status, out, _ = command("train", "forecast", table, *WORDS, *words)
    assert status == 0 and "30 steps" in out and "recurra predict run FILE" in out
    page = (here / "run" / "report.html").read_text()
    assert "Beside the baselines" in page and 'class="band" d="M' in page and "seasonal naive (24)" in page

    status, out, _ = command("evaluate", "run")
    found = json.loads((here / "run" / "evaluation.json").read_text())
    assert status == 0 and "last value" in out and found["rmse"] == pytest.approx(found["mse"] ** 0.5)
    assert 0 <= found["coverage_80"] <= 1 and found["baselines"]["kind"] == "table"

    status, out, _ = command("predict", "run", table, "--quantiles")
    lines = out.splitlines()
    assert status == 0 and lines[0] == "date,load,load 10%,load 90%" and len(lines) == 7
    assert lines[1].startswith("2024-01-13 12:00:00,")

    status, out, _ = command("train", "--resume", "run", "train.steps=40")
    assert status == 0 and "40 steps" in out


def test_a_calibrated_band_goes_from_training_to_prediction(command, here, table):
    words = ("loss.kind=quantiles", "forecast.calibration=conformal", "train.steps=20", "run=run")
    status, _, _ = command("train", "forecast", table, *WORDS, *words)
    page = (here / "run" / "report.html").read_text()
    assert status == 0 and "the model, not calibrated" in page and "calibrated on these very rows" in page
    status, out, _ = command("evaluate", "run")
    found = json.loads((here / "run" / "evaluation.json").read_text())
    assert status == 0 and "coverage 80 uncalibrated " in out and "the model, not calibrated" in out
    # Hardly trained, the quantiles lie close together; calibrated, they are as far apart as the values.
    assert found["coverage_80_uncalibrated"] < 0.5 < found["coverage_80"]
    first = command("predict", "run", table, "--quantiles")[1]
    status, out, _ = command("train", "--resume", "run", "train.steps=20")
    assert status == 0 and command("predict", "run", table, "--quantiles")[1] == first


def test_bad_tables_are_refused_in_words(command, here, table):
    text = table.read_text().splitlines()
    cases = {
        "load,remark": ("date,load,remark", "line 3: 2 columns where 3 are expected", "2024-01-01 01:00,5"),
        "date": ("date,load,remark", "line 3: '1.1.24' is not understood as a date", "1.1.24,5,x"),
        "empty": ("date,load,remark", "line 3, column 'load': the cell is empty", "2024-01-01 01:00,,x"),
    }
    for header, message, row in cases.values():
        table.write_text("\n".join([header, text[1], row, *text[3:]]))
        status, _, error = command("train", "forecast", table, *WORDS, "run=bad")
        assert status == 2 and message in error and not (here / "bad").exists()
    status, _, error = command("train", "forecast", table, "series.targets=lod")
    assert status == 2 and "no column 'lod'" in error
