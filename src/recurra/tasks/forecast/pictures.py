"""What a report shows of forecasts: scores beside the baselines, by target and by step, and some windows drawn."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from recurra.data import Windows
from recurra.models import Forecaster
from recurra.models.evaluation import evaluating
from recurra.models.outlook import LEVELS
from recurra.tasks.findings import Curve, Curves, Finding, Heatmap, Table
from recurra.tasks.forecast.data import Ground
from recurra.tasks.forecast.scoring import HIGH, LOW, MEASURES, Scored, measures

_HEADS = {"mse": "MSE", "mae": "MAE", "rmse": "RMSE", "smape": "sMAPE %", "mase": "MASE", "crps": "CRPS"}
_COVERAGE = "inside 80 %"
_WORST = 10  # windows in the table of the worst
_LONGEST_NAME = 40
_BEFORE = 2  # horizons of known steps that a picture shows before the forecast
_LABELS = 24  # steps of a window that have a label where all are shown
# Windows that are drawn: the share of windows that are forecast better, and what is said of them.
_SHARES = {"typical": (0.5, "a window of median error"), "hard": (0.95, "one of twenty is worse")}


def pictures(
    scored: Scored,
    beside: Mapping[str, Scored],
    windows: Windows,
    ground: Ground,
    dates: Sequence[np.ndarray | None],
    *,
    calibrating: bool = False,
) -> dict[str, Finding]:
    """The tables and charts of forecasts of `windows`, and of the baselines `beside` them.

    Args:
        scored, beside: forecasts of the windows, and those of the baselines by their names.
        windows, ground, dates: what was forecast, its scales, and the dates of its steps.
        calibrating: whether these windows are what a calibrated band was calibrated on.
    """
    found: dict[str, Finding] = {"baselines": _against(scored, beside, ground, calibrating)}
    if len(ground.targets) > 1:
        columns = ["target", *_HEADS.values()]
        rows: list[list[str | float]] = []
        for k, name in enumerate(ground.targets):
            figures = measures(scored, ground, k)
            rows.append([_short(name), *(figures[key] for key in MEASURES)])
        found["by_target"] = Table("By target", "of the model", columns, rows)
    if windows.horizon > 1:
        found["by_step"] = _by_step(scored, beside)
    for key, number in examples(scored).items():
        found[key] = _window(scored, windows, ground, dates, number, _SHARES[key][1])
    worst = np.argsort(scored.errors, kind="stable")[::-1][:_WORST]
    found["worst"] = _worst(scored, windows, ground, dates, worst)
    return found


def examples(scored: Scored) -> dict[str, int]:
    """Numbers of the windows that are drawn: a `typical` one and a `hard` one."""
    order = np.argsort(scored.errors, kind="stable")
    return {key: int(order[min(int(share * len(order)), len(order) - 1)]) for key, (share, _) in _SHARES.items()}


@torch.no_grad()
def looks(
    model: Forecaster, windows: Windows, dates: Sequence[np.ndarray | None], numbers: Mapping[str, int]
) -> dict[str, Finding]:
    """Which steps of its window each step ahead looked at, of windows with these numbers; nothing without attention."""
    device, batch = next(model.parameters()).device, windows.batch(np.array(list(numbers.values())))
    with evaluating(model):
        weights = model.attention(batch.past.to(device), batch.ahead.to(device))
    if weights is None:
        return {}
    every = math.ceil((windows.window - 1) / _LABELS)
    columns = ["" if k % every else str(k) for k in range(1 - windows.window, 0)]
    rows = [f"+{step}" for step in range(1, windows.horizon + 1)]
    note = "rows: steps ahead; columns: steps before the last that is known; the largest weight is the darkest"
    found: dict[str, Finding] = {}
    for (key, number), one in zip(numbers.items(), weights.double().cpu().numpy(), strict=True):
        title = f"Looked at, from {_place(windows, dates, number)}"
        found[f"{key}_attention"] = Heatmap(title, note, rows, columns, (one / one.max()).round(3).tolist())
    return found


def _against(scored: Scored, beside: Mapping[str, Scored], ground: Ground, calibrating: bool) -> Table:
    before = {} if scored.before is None else {"the model, not calibrated": scored.before}
    everything = {"the model": scored, **before, **beside}
    with_band = scored.quantiles is not None
    rows: list[list[str | float]] = []
    for name, one in everything.items():
        figures = measures(one, ground)
        row: list[str | float] = [name, *(figures[key] for key in MEASURES)]
        rows.append([*row, figures.get("coverage_80", "–")] if with_band else row)
    errors = {name: float(one.errors.mean()) for name, one in everything.items()}
    best = min(errors, key=lambda name: errors[name])
    note = (
        "the model has the smallest squared error" if best == "the model" else f"{best} has the smallest squared error"
    )
    if before and calibrating:
        note += "; its band was calibrated on these very rows, so they say nothing of how much it will hold"
    columns = ["forecast", *_HEADS.values(), *([_COVERAGE] if with_band else [])]
    return Table("Beside the baselines", note, columns, rows)


def _by_step(scored: Scored, beside: Mapping[str, Scored]) -> Curves:
    """The mean squared error of each step ahead."""
    curves = []
    for name, one in {"the model": scored, **beside}.items():
        errors = np.square(one.point - one.truth).mean((0, 2))
        points = [(float(step), float(error)) for step, error in enumerate(errors, 1)]
        curves.append(Curve(name, points, "model" if name == "the model" else "other"))
    # Lines that cannot be told apart say nothing: the model beside the best of the others.
    others = sorted(curves[1:], key=lambda curve: sum(error for _, error in curve.points))
    return Curves("Error by step ahead", "mean squared error", [others[0], curves[0]], axis="step ahead")


def _window(
    scored: Scored,
    windows: Windows,
    ground: Ground,
    dates: Sequence[np.ndarray | None],
    number: int,
    what: str,
) -> Curves:
    """One window as a chart, in the units of its hardest target: what was known, what came, what was forecast."""
    errors = np.square(scored.point[number] - scored.truth[number]).mean(0)
    target = int(errors.argmax())
    before = min(windows.window, _BEFORE * windows.horizon)
    rows = windows.rows(np.array([number]))[0, windows.window - before :, target]

    def own(values: np.ndarray) -> list[float]:
        column = slice(target, target + 1)
        return ground.scaler.undo(values.astype(np.float64)[:, None], column)[:, 0].tolist()

    ahead = [float(step) for step in range(1, windows.horizon + 1)]
    steps = [float(step) for step in range(1 - before, windows.horizon + 1)]
    curves = [
        Curve("what came", list(zip(steps, own(rows), strict=True)), "truth"),
        Curve("forecast", list(zip(ahead, own(scored.point[number, :, target]), strict=True)), "model"),
    ]
    band = None
    if scored.quantiles is not None:
        lower, upper = (
            list(zip(ahead, own(scored.quantiles[number, :, target, level]), strict=True)) for level in (LOW, HIGH)
        )
        band = (lower, upper)
    title = f"{_short(ground.targets[target])} from {_place(windows, dates, number)}"
    label = f"{LEVELS[LOW]:.0%} to {LEVELS[HIGH]:.0%}" if band else ""
    return Curves(title, what, curves, axis="step", band=band, band_label=label)


def _worst(
    scored: Scored, windows: Windows, ground: Ground, dates: Sequence[np.ndarray | None], numbers: np.ndarray
) -> Table:
    rows: list[list[str | float]] = []
    for number in numbers:
        errors = np.square(scored.point[number] - scored.truth[number])
        step, target = np.unravel_index(int(errors.argmax()), errors.shape)
        column = slice(int(target), int(target) + 1)
        forecast, truth = (
            float(ground.scaler.undo(values[number, step, target : target + 1].astype(np.float64), column)[0])
            for values in (scored.point, scored.truth)
        )
        place = _place(windows, dates, int(number))
        # In their own units values may be of any size: as texts, short.
        row: list[str | float] = [place, float(errors.mean()), int(step) + 1, f"{forecast:.5g}", f"{truth:.5g}"]
        rows.append([*row, _short(ground.targets[int(target)])])
    columns = ["first step", "MSE", "worst at step", "forecast", "what came", "target"]
    return Table("Worst windows", "", columns, rows)


def _short(name: str) -> str:
    """A name that some files write a sentence in."""
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1].rstrip() + "…"


def _place(windows: Windows, dates: Sequence[np.ndarray | None], number: int) -> str:
    """The date or number of the first step that a window forecasts."""
    series, start = windows.origins[number].tolist()
    known = dates[series]
    if known is not None:
        return str(known[start]).replace("T", " ").removesuffix(":00")
    return f"series {series}, step {start}" if len(windows.frames) > 1 else f"step {start}"
