"""Forecasting: the next values of a series, or an output in step with an input."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from recurra.data import DataError, Line, WindowBatch, Windows, lines_of, read_pieces
from recurra.models import Forecaster
from recurra.tasks.base import Trained, Use
from recurra.tasks.examples import ExampleTask
from recurra.tasks.findings import Finding
from recurra.tasks.forecast.baselines import response
from recurra.tasks.forecast.calibration import FEWEST, conformal_shift
from recurra.tasks.forecast.config import ForecastConfig
from recurra.tasks.forecast.data import Ground, Parts, other_windows, prepare
from recurra.tasks.forecast.model import build
from recurra.tasks.forecast.pictures import examples, looks, pictures
from recurra.tasks.forecast.scoring import baselines, expected, measures, score
from recurra.tasks.forecast.stream import answers

logger = logging.getLogger("recurra.tasks")

SERIES_FILE = "series.json"
# What each loss is measured in.
_UNITS = {"gaussian": "nats", "student": "nats", "quantiles": "pinball"}


class Forecasting(ExampleTask[Parts]):
    """Forecasting of one series or several, with inputs or without."""

    name = "forecast"
    Config: ClassVar[type] = ForecastConfig
    config: ForecastConfig
    unit = "value"
    options: ClassVar[dict[str, str]] = {
        "quantiles": "also print the 10 % and the 90 % quantile of each forecast, of a model that has them"
    }

    def __init__(self, config: ForecastConfig, ground: Ground, parts: Parts | None = None) -> None:
        """A task with what is known of its series; see `open` and `load`.

        Args:
            config: its settings.
            ground: what the training rows told.
            parts: the windows, where it is to be trained.
        """
        self.config, self.ground = config, ground
        self._data = parts
        self.loss_name = _UNITS.get(config.loss.kind, config.loss.kind)
        # Forecasts that are fed back are judged as they are used; their loss is that of one step from true values.
        self.criterion = "valid_rollout_mse" if config.feedback == "own" else f"valid_{self.loss_name}"

    # -- data --------------------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, config: ForecastConfig) -> Self:
        """Read the series and part it in the order of time.

        Raises:
            DataError: the data cannot be read or are too short, or an input holds the future of a target.
        """
        ground, parts = prepare(config)
        if config.forecast.calibration != "none" and len(parts.validation) < FEWEST:
            raise DataError(
                f"{config.data}: {len(parts.validation)} windows for validation are too few to calibrate a band, which "
                f"takes {FEWEST}; raise split.valid, or set forecast.calibration=none"
            )
        return cls(config, ground, parts)

    @classmethod
    def load(cls, config: ForecastConfig, run_dir: str | Path) -> Self:
        """The task of a run folder, without its data. Raises DataError where a file is missing or damaged."""
        return cls(config, Ground.load(Path(run_dir) / SERIES_FILE))

    def save(self, run_dir: str | Path) -> None:
        """Write what the training rows told into a run folder. Raises OSError."""
        self.ground.save(Path(run_dir) / SERIES_FILE)

    def describe(self) -> dict[str, Any]:
        """Facts about the series, and what the baselines reach on the validation data."""
        ground = self.ground
        facts: dict[str, Any] = {"targets": list(ground.targets)}
        if ground.past or ground.layout.ahead:
            facts["inputs"] = [*ground.past, *ground.ahead, *(["calendar"] if ground.calendar else [])]
        facts |= {"frequency": str(ground.frequency) if ground.frequency else None, "season": ground.season}
        if self._data is not None:
            parts = self._data
            facts |= {"training_windows": len(parts.training), "validation_windows": len(parts.validation)}
            if parts.test is not None:
                facts["test_windows"] = len(parts.test)
            for name, scored in baselines(parts.validation, ground, one_step=self._one_step).items():
                facts[f"valid_mse_of_{name}"] = measures(scored, ground)["mse"]
        return facts

    @property
    def _one_step(self) -> bool:
        """Whether each step that is forecast may read the true values before it."""
        return self.config.forecast.mode == "step" and self.config.feedback == "measured"

    # -- model and loss ----------------------------------------------------------------------------------------------

    def model(self) -> Forecaster:
        """A new model; its linear map starts from what the settings say.

        Raises:
            ValueError: the cell is unknown, or nothing would be read.
        """
        model = build(self.config, self.ground.layout)
        if self.config.model.linear_start == "ar":
            weights, constants = response(self.ground.ar, self.config.forecast.horizon)
            model.start(torch.from_numpy(weights.copy()), torch.from_numpy(constants.copy()))
        return model

    def loss(self, model: nn.Module, batch: WindowBatch, state: Any) -> tuple[Tensor, Any]:
        """The mean loss of the values to forecast, given the true ones before them; no state is carried."""
        device = next(model.parameters()).device
        targets = batch.targets.to(device)
        parameters = model(batch.past.to(device), batch.ahead.to(device), targets)
        outlook = model.outlook
        return outlook.loss(parameters, targets), None  # type: ignore[operator]  # of a Forecaster

    # -- measures ----------------------------------------------------------------------------------------------------

    def validate(self, model: Forecaster) -> dict[str, float]:
        """The loss, and the errors of the expected values, on the validation data.

        Where forecasts are fed back, the errors are called `valid_rollout_…` and are those of the expected path.
        """
        loss, scored = expected(model, self._opened.validation)
        errors = measures(scored, self.ground)
        kind = "rollout_" if self.config.feedback == "own" else ""
        return {f"valid_{kind}{name}": errors[name] for name in ("mse", "mae")} | {f"valid_{self.loss_name}": loss}

    def calibrate(self, model: Forecaster) -> None:
        """Move the quantiles as the validation data ask for, where `forecast.calibration` says so."""
        if self.config.forecast.calibration == "none":
            return
        config = self.config
        scored = score(model, self._opened.validation, paths=config.forecast.paths, seed=config.seed)
        if scored.uncalibrated is not None:
            model.calibrate(torch.from_numpy(conformal_shift(scored.uncalibrated, scored.truth)))

    def evaluate(self, model: Forecaster, path: str | Path | None) -> dict[str, float | Finding]:
        """Errors on the data at `path`; None: on those kept for testing, or else for validation.

        Returns:
            The measures of `forecast_scoring.measures`, the number of `windows`, and as findings the same beside the
            baselines, by target and by step ahead, charts, and the worst windows.
        """
        if path is None:
            parts = type(self).open(self.config)._opened
            windows, dates = parts.test or parts.validation, parts.dates
        else:
            windows, dates = other_windows(str(path), self.config, self.ground)
        return self._judge(model, windows, dates)

    def findings(self, model: Forecaster) -> list[Finding]:
        """What `evaluate` finds beside its measures, on the validation data."""
        found = self._judge(model, self._opened.validation, self._opened.dates, calibrating=True)
        return [value for value in found.values() if isinstance(value, Finding)]

    def _judge(
        self, model: Forecaster, windows: Windows, dates: Sequence[np.ndarray | None], *, calibrating: bool = False
    ) -> dict[str, float | Finding]:
        scored = score(model, windows, paths=self.config.forecast.paths, seed=self.config.seed)
        beside = baselines(windows, self.ground, one_step=self._one_step)
        figures = {**measures(scored, self.ground), "windows": len(windows)}
        if scored.before is not None:
            before = measures(scored.before, self.ground)
            figures |= {f"{name}_uncalibrated": before[name] for name in ("crps", "coverage_80")}
        drawn = pictures(scored, beside, windows, self.ground, dates, calibrating=calibrating)
        return {**figures, **drawn, **looks(model, windows, dates, examples(scored))}

    # -- prediction --------------------------------------------------------------------------------------------------

    def predict(
        self, model: Forecaster, source: Path | Iterable[Sequence[Line]], options: Sequence[str] = ()
    ) -> Iterator[str]:
        """The steps that follow the rows of a table, as rows of a table: a date or number, and the targets.

        All rows are read, and the last `forecast.window` of them are kept; rows at the end whose targets are empty tell
        the inputs that are known ahead. In the mode `step` each row is answered as it comes.
        """
        place = str(source) if isinstance(source, Path) else "the lines"
        blocks = map(lines_of, read_pieces(source)) if isinstance(source, Path) else source
        if "quantiles" in options and model.outlook.is_point:
            raise DataError(
                f"the model was trained with loss.kind={self.config.loss.kind} and gives points alone: train one with "
                "loss.kind=gaussian, student or quantiles"
            )
        return answers(model, self.config, self.ground, blocks, place, quantiles="quantiles" in options)

    @classmethod
    def uses(cls, trained: Trained) -> list[Use]:
        return [
            Use("forecast", "The steps that follow the rows of a file.", f"recurra predict {trained.run} FILE"),
            Use("measure", "Measure it on the test data, beside the baselines.", f"recurra evaluate {trained.run}"),
        ]
