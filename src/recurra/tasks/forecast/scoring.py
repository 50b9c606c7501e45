"""How good forecasts are: errors, distributions held against what came, and the baselines beside them."""

from dataclasses import dataclass

import numpy as np
import torch

from recurra.data import Windows
from recurra.models import Forecaster
from recurra.models.evaluation import evaluating
from recurra.models.outlook import LEVELS
from recurra.tasks.forecast.baselines import autoregression, last_value, seasonal
from recurra.tasks.forecast.data import Ground

# Values read at once, windows × paths × steps.
_AT_ONCE = 1 << 18
# Where in LEVELS the band that coverage is told for begins and ends: 10 % to 90 %.
LOW, HIGH = LEVELS.index(0.1), LEVELS.index(0.9)
MEASURES = ("mse", "mae", "rmse", "smape", "mase", "crps")


@dataclass(frozen=True)
class Scored:
    """Forecasts of N windows and what came, standardised, float32.

    Attributes:
        point: expected values, [N, h, K].
        quantiles: at LEVELS, [N, h, K, 19]; None of a model that gives points alone.
        truth: [N, h, K].
        uncalibrated: the quantiles before they were calibrated; None where they are not.
    """

    point: np.ndarray
    quantiles: np.ndarray | None
    truth: np.ndarray
    uncalibrated: np.ndarray | None = None

    @property
    def errors(self) -> np.ndarray:
        """Mean squared error of each window, [N]."""
        return np.square(self.point - self.truth).mean((1, 2))

    @property
    def before(self) -> "Scored | None":
        """The same forecasts before they were calibrated; None where they are not."""
        return None if self.uncalibrated is None else Scored(self.point, self.uncalibrated, self.truth)


@torch.no_grad()
def score(model: Forecaster, windows: Windows, *, paths: int = 100, seed: int = 0) -> Scored:
    """The forecasts of all windows as the model is used; torch's global generator is left alone."""
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    drawn = paths if model.way.feedback == "own" and not model.outlook.is_point else 1
    rows = max(1, _AT_ONCE // (drawn * (windows.window + windows.horizon)))
    points, quantiles, uncalibrated, truths = [], [], [], []
    with evaluating(model):
        for start in range(0, len(windows), rows):
            batch = windows.batch(np.arange(start, min(start + rows, len(windows))))
            found = model.forecast(
                batch.past.to(device),
                batch.ahead.to(device),
                batch.targets.to(device),
                paths=paths,
                generator=generator,
            )
            points.append(found.point.cpu().numpy())
            quantiles.append(found.quantiles.cpu().numpy())
            uncalibrated.append(found.uncalibrated.cpu().numpy())
            truths.append(batch.targets.numpy())
    return Scored(
        np.concatenate(points),
        None if model.outlook.is_point else np.concatenate(quantiles),
        np.concatenate(truths),
        np.concatenate(uncalibrated) if model.way.calibrated else None,
    )


@torch.no_grad()
def expected(model: Forecaster, windows: Windows) -> tuple[float, Scored]:
    """The mean loss over all windows, and the forecasts of the expected values; nothing is drawn."""
    device = next(model.parameters()).device
    rows = max(1, _AT_ONCE // (windows.window + windows.horizon))
    total, points, truths = 0.0, [], []
    with evaluating(model):
        for start in range(0, len(windows), rows):
            batch = windows.batch(np.arange(start, min(start + rows, len(windows))))
            past, ahead, targets = (part.to(device) for part in (batch.past, batch.ahead, batch.targets))
            parameters = model(past, ahead, targets)
            total += float(model.outlook.loss(parameters, targets)) * len(targets)
            point = model.roll_out(past, ahead) if model.way.feedback == "own" else model.outlook.point(parameters)
            points.append(point.cpu().numpy())
            truths.append(batch.targets.numpy())
    return total / len(windows), Scored(np.concatenate(points), None, np.concatenate(truths))


def baselines(windows: Windows, ground: Ground, *, one_step: bool) -> dict[str, Scored]:
    """The baselines' forecasts of all windows by their names.

    Args:
        windows: what to forecast.
        ground: season and AR coefficients.
        one_step: whether each step may read the true values before it, as a model in step does.
    """
    numbers = np.arange(len(windows))
    truth = windows.rows(numbers)[:, windows.window :, : windows.layout.targets]
    found = {"last value": last_value(windows, numbers, one_step=one_step)}
    if ground.season > 1:
        found[f"seasonal naive ({ground.season})"] = seasonal(windows, numbers, ground.season)
    found[f"AR({ground.ar.shape[1] - 1})"] = autoregression(windows, numbers, ground.ar, one_step=one_step)
    return {name: Scored(point, None, truth) for name, point in found.items()}


def measures(scored: Scored, ground: Ground, target: int | None = None) -> dict[str, float]:
    """`mse`, `mae`, `rmse` and `crps` of standardised values, `smape` (percent) and `mase` of the targets' own units.

    `crps` is that of a point, its absolute error, where there is no distribution; else twice the pinball loss,
    integrated over the levels, and `coverage_80` says how many of the values lay between the 10 % and the 90 %
    quantile.

    Args:
        scored: forecasts and what came.
        ground: scales of the targets.
        target: measure this target alone; None: all.
    """
    if target is not None:
        scored = _of_target(scored, target)
    columns = slice(scored.truth.shape[-1]) if target is None else slice(target, target + 1)
    error = (scored.point - scored.truth).astype(np.float64)
    truth = ground.scaler.undo(scored.truth.astype(np.float64), columns)
    point = ground.scaler.undo(scored.point.astype(np.float64), columns)
    size = np.abs(truth) + np.abs(point)
    mse, mae = float(np.square(error).mean()), float(np.abs(error).mean())
    found = {
        "mse": mse,
        "mae": mae,
        "rmse": mse**0.5,
        "smape": float(200 * (np.abs(truth - point) / np.where(size > 0, size, 1)).mean()),
        "mase": float((np.abs(truth - point).mean((0, 1)) / ground.naive[columns]).mean()),
        "crps": mae,
    }
    if scored.quantiles is not None:
        levels = np.array(LEVELS, dtype=np.float32)
        missed = scored.truth[..., None] - scored.quantiles
        pinball = np.maximum(levels * missed, (levels - 1) * missed)
        # The integral over all levels from 0 to 1, by trapezoids that end in 0.
        found["crps"] = float(2 * pinball.sum(-1).mean() / (len(LEVELS) + 1))
        inside = (scored.quantiles[..., LOW] <= scored.truth) & (scored.truth <= scored.quantiles[..., HIGH])
        found["coverage_80"] = float(inside.mean())
    return found


def _of_target(scored: Scored, target: int) -> Scored:
    """The forecasts of one target."""
    one = slice(target, target + 1)
    quantiles = None if scored.quantiles is None else scored.quantiles[:, :, one]
    return Scored(scored.point[:, :, one], quantiles, scored.truth[:, :, one])
