"""Tables as windows: which column is what, what the training rows tell, and what must not be known."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from recurra.data import (
    DataError,
    Frequency,
    Layout,
    Reading,
    Scaler,
    Series,
    Windows,
    autocorrelation,
    calendar,
    chronological,
    is_builtin,
    origins,
    read_made,
    read_series,
    require_no_leak,
)
from recurra.tasks.forecast.baselines import fit_ar
from recurra.tasks.forecast.config import ForecastConfig, names

logger = logging.getLogger("recurra.tasks")

_FORMAT = "recurra series"
# An autocorrelation below this is no season.
_SEASONAL = 0.5


@dataclass(frozen=True)
class Ground:
    """What a model knows of its series beside its parameters, all of it from the training rows.

    Attributes:
        targets, past, ahead: names of the columns: to forecast, inputs known up to the present, inputs known ahead.
        calendar: how many columns of the calendar follow them.
        frequency: time from a row to the next; None without dates.
        season: steps until the series repeats itself; 1: it does not.
        scaler: brings all columns to the mean 0 and the deviation 1, [C].
        naive: mean absolute error of repeating the last season in the training rows, in the targets' own units, [K].
        ar: coefficients of the AR(K) baseline of each target, the newest value first and the constant last, [K, K+1].
    """

    targets: tuple[str, ...]
    past: tuple[str, ...]
    ahead: tuple[str, ...]
    calendar: int
    frequency: Frequency | None
    season: int
    scaler: Scaler
    naive: np.ndarray
    ar: np.ndarray

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read from a table."""
        return (*self.targets, *self.past, *self.ahead)

    @property
    def layout(self) -> Layout:
        """What the columns of a row are, those of the calendar among the inputs known ahead."""
        return Layout(len(self.targets), len(self.past), len(self.ahead) + self.calendar)

    def frame(self, series: Series, place: str) -> np.ndarray:
        """The standardised rows of a series with its calendar, float32 [T, C].

        Raises:
            DataError: a column is missing, or rows are another time apart than those the model was trained on.
        """
        chosen = series.columns(self.columns, place)
        if self.frequency is not None and series.frequency != self.frequency:
            apart = "have no dates" if series.frequency is None else f"are {series.frequency} apart"
            raise DataError(f"{place}: rows {apart}, but the model was trained on rows {self.frequency} apart")
        return with_calendar(chosen, self.calendar > 0, self.scaler)

    def save(self, path: Path) -> None:
        """Write all of it as JSON. Raises OSError."""
        content = {
            "format": _FORMAT,
            **{name: getattr(self, name) for name in ("targets", "past", "ahead", "calendar", "season")},
            "frequency": None if self.frequency is None else asdict(self.frequency),
            "mean": self.scaler.mean.tolist(),
            "deviation": self.scaler.deviation.tolist(),
            "naive": self.naive.tolist(),
            "ar": self.ar.tolist(),
        }
        path.write_text(json.dumps(content, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """What `save` wrote. Raises DataError where it is missing or damaged."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] != _FORMAT:
                raise ValueError(f"its format is {content['format']!r}")
            frequency = content["frequency"]
            return cls(
                targets=tuple(map(str, content["targets"])),
                past=tuple(map(str, content["past"])),
                ahead=tuple(map(str, content["ahead"])),
                calendar=int(content["calendar"]),
                frequency=None if frequency is None else Frequency(**frequency),
                season=int(content["season"]),
                scaler=Scaler(np.array(content["mean"], float), np.array(content["deviation"], float)),
                naive=np.array(content["naive"], float),
                ar=np.array(content["ar"], float),
            )
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} is damaged ({error}); restore it, or train anew") from error


@dataclass(frozen=True)
class Parts:
    """The windows of a run, and the dates of the steps of each series where it has some."""

    training: Windows
    validation: Windows
    test: Windows | None
    dates: list[np.ndarray | None]


def reading(config: ForecastConfig, columns: Sequence[str] = ()) -> Reading:
    """How a table is read, its `columns` or all of them."""
    series = config.series
    return Reading(
        date=series.date,
        date_format=series.date_format,
        separator=series.separator,
        frequency=series.frequency,
        gaps=series.gaps,
        missing=series.missing,
        duplicates=series.duplicates,
        columns=tuple(columns),
    )


def read(path: str, config: ForecastConfig, columns: Sequence[str] = (), *, test: bool = False) -> list[Series]:
    """The series at `path`; what was mended in them is logged. Raises DataError."""
    if is_builtin(path):
        return read_made(path, test=test)
    series = read_series(path, reading(config, columns))
    for report in series.reports:
        logger.warning("%s: %s", path, report)
    return [series]


def prepare(config: ForecastConfig) -> tuple[Ground, Parts]:
    """The windows to learn from, to validate and to test on, and what the training rows tell.

    Raises:
        DataError: the data cannot be read, are too short for a window, or an input holds the future of a target.
    """
    given, settings = config.series, config.forecast
    named = names(given.targets)
    asked = (*named, *names(given.past), *names(given.ahead)) if named else ()
    everything = read(config.data, config, asked)
    first = everything[0]
    past, ahead = names(given.past), names(given.ahead)
    if not ahead and not named:
        ahead = first.ahead
    targets = named or tuple(name for name in first.names if name not in (*past, *ahead))
    if not targets:
        raise DataError(f"{config.data}: every column is an input, so there is nothing to forecast")
    chosen = [one.columns((*targets, *past, *ahead), config.data) for one in everything]
    lengths = [len(one) for one in chosen]
    spans = chronological(lengths, config.split.valid, config.split.test, config.split.train)
    training_rows = [chosen[span.series].values[span.start : span.stop] for span in spans[0]]
    if given.calendar and first.dates is None:
        raise DataError(
            f"{config.data} has no dates, which series.calendar=true reads: name their column in series.date"
        )

    count = len(targets)
    season = given.season or _season(first, training_rows[0][:, 0])
    scaler = Scaler.fit(training_rows) if given.standardise else Scaler.none(chosen[0].values.shape[1])
    standard = [scaler.apply(rows)[:, :count] for rows in training_rows]
    if given.leaks == "error" and past:
        inputs = training_rows[0][:, count : count + len(past)]
        require_no_leak(inputs, training_rows[0][:, :count], (*past, *targets), settings.horizon)
    order = config.baseline.order or settings.window
    longest = max(map(len, standard))
    if longest <= order + 1:
        raise DataError(
            f"{longest} rows to learn from are too few for an AR({order}) baseline; set baseline.order to less, or "
            "give more rows"
        )
    ground = Ground(
        targets,
        past,
        ahead,
        0,
        first.frequency,
        season,
        scaler,
        _naive_error(training_rows, count, season),
        np.stack([fit_ar([rows[:, k] for rows in standard], order) for k in range(count)]),
    )
    if given.calendar and first.dates is not None and first.frequency is not None:
        ground = replace(ground, calendar=calendar(first.dates[:1], first.frequency).shape[1])
    frames = [ground.frame(one, config.data) for one in chosen]

    def windows(part: int, stride: int = 1) -> Windows:
        starts = origins(spans[part], settings.window, settings.horizon, stride)
        return Windows(frames, ground.layout, starts, settings.window, settings.horizon)

    test = windows(2) if spans[2] else None
    found = Parts(windows(0, settings.stride), windows(1), test, [one.dates for one in chosen])
    purposes = ("to learn from", "for validation", "for testing")
    for purpose, part, held in zip(purposes, (found.training, found.validation, found.test), spans, strict=True):
        if part is not None and not len(part):
            raise DataError(
                f"{config.data}: {sum(one.stop - one.start for one in held):,} rows {purpose} hold no window of "
                f"{settings.horizon} steps to forecast after {settings.window} known ones; change forecast.window, "
                "forecast.horizon or split"
            )
    return ground, found


def other_windows(path: str, config: ForecastConfig, ground: Ground) -> tuple[Windows, list[np.ndarray | None]]:
    """All windows of other data, and its dates. Raises DataError where they do not fit the model."""
    everything = read(path, config, ground.columns, test=True)
    frames = [ground.frame(one, path) for one in everything]
    settings = config.forecast
    starts = [
        np.stack([np.full(len(steps), k), steps], 1)
        for k, frame in enumerate(frames)
        if len(steps := np.arange(settings.window, len(frame) - settings.horizon + 1))
    ]
    if not starts:
        raise DataError(
            f"{path}: {max(map(len, frames)):,} rows hold no window of {settings.horizon} steps to forecast after "
            f"{settings.window} known ones; give more rows"
        )
    windows = Windows(frames, ground.layout, np.concatenate(starts), settings.window, settings.horizon)
    return windows, [one.dates for one in everything]


def with_calendar(series: Series, wanted: bool, scaler: Scaler) -> np.ndarray:
    """Standardised rows, and the calendar beside them where it is wanted, float32 [T, C]."""
    rows = scaler.apply(series.values)
    if wanted and series.dates is not None and series.frequency is not None:
        rows = np.concatenate([rows, calendar(series.dates, series.frequency)], 1)
    return rows.astype(np.float32)


def _season(series: Series, values: np.ndarray) -> int:
    """Steps until a series repeats itself: what its dates tell, or the highest peak of its autocorrelation."""
    if series.frequency is not None:
        return series.frequency.season
    # Of the changes, as a slow drift is like itself at every lag.
    likeness = autocorrelation(np.diff(values))
    middle = likeness[1:-1]
    peaks = 1 + np.flatnonzero((middle >= likeness[:-2]) & (middle > likeness[2:]) & (middle > _SEASONAL))
    return int(peaks[np.argmax(likeness[peaks])]) if len(peaks) else 1


def _naive_error(rows: Sequence[np.ndarray], targets: int, season: int) -> np.ndarray:
    """Mean absolute error of repeating the value a season before, of each target, [K]; of one that never errs, 1."""
    errors = [np.abs(part[season:, :targets] - part[:-season, :targets]) for part in rows if len(part) > season]
    if not errors:
        return np.ones(targets)
    mean = np.concatenate(errors).mean(0)
    return np.where(mean > 1e-9, mean, 1.0)
