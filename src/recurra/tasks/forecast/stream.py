"""Forecasts of rows that come line by line: the steps after the last one, or an output beside each."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recurra.data import DataError, Line, RowReader, calendar, collect, in_time
from recurra.models import Forecaster
from recurra.models.outlook import LEVELS
from recurra.tasks.forecast.config import ForecastConfig
from recurra.tasks.forecast.data import Ground, reading
from recurra.tasks.forecast.scoring import HIGH, LOW

# Of each row: its line, its date, its values.
Row = tuple[int, np.datetime64 | None, list[float]]


def answers(
    model: Forecaster,
    config: ForecastConfig,
    ground: Ground,
    blocks: Iterable[Sequence[Line]],
    place: str,
    *,
    quantiles: bool = False,
) -> Iterator[str]:
    """The forecasts for a table whose lines come in `blocks`, as the lines of a table with a header.

    Args:
        model: in evaluation mode.
        config: its settings.
        ground: what it knows of its series.
        blocks: lines; of the mode `step` each block is answered before the next is asked for.
        place: what the table is called in errors.
        quantiles: whether the 10 % and the 90 % quantile follow each value.
    """
    in_step = model.way.mode == "step"
    needed = ground.columns if not in_step or model.way.feedback != "none" else (*ground.past, *ground.ahead)
    reader = RowReader(reading(config, needed), place)
    names = [text for name in ground.targets for text in _columns(name, quantiles)]
    if in_step:
        beside = _InStep(model, ground, reader, quantiles=quantiles)
        head = True
        for block in blocks:
            rows = list(reader.read(block))
            if rows and head:
                yield _line([reader.date_name or "step", *names])
                head = False
            yield from beside.answer(rows)
        return
    # Twice the window: a row that is there twice leaves one less.
    kept: deque[Row] = deque(maxlen=2 * config.forecast.window + config.forecast.horizon)
    for block in blocks:
        kept.extend(reader.read(block))
    yield _line([reader.date_name or "step", *names])
    yield from _after(model, config, ground, reader, kept, quantiles=quantiles)


@torch.no_grad()
def _after(
    model: Forecaster,
    config: ForecastConfig,
    ground: Ground,
    reader: RowReader,
    kept: Iterable[Row],
    *,
    quantiles: bool,
) -> Iterator[str]:
    """The steps after the last row whose targets are known."""
    rows = collect(reader, kept)
    settings, place = config.forecast, reader.place
    if not rows.values:
        raise DataError(f"{place} holds no row: expected at least {settings.window}, which a forecast is made from")
    open_end = ground.targets + ground.past if ground.ahead else ()
    series = in_time(rows, reading(config), place, frequency=ground.frequency, open_end=open_end)
    series = series.columns(ground.columns, place)
    unknown = np.isnan(series.values[:, : len(ground.targets)]).any(1)
    start = int(np.argmax(unknown)) if unknown.any() else len(series)
    if start < settings.window:
        raise DataError(
            f"{place} holds {start:,} rows whose targets are known, and a forecast is made from {settings.window}: "
            "give more rows"
        )
    if ground.ahead and len(series) < start + settings.horizon:
        raise DataError(
            f"{place} tells the inputs {', '.join(ground.ahead)} for {len(series) - start:,} steps after the last "
            f"known target, and the forecast is for {settings.horizon}: add rows with these inputs and empty targets"
        )
    dates = None
    if series.dates is not None and ground.frequency is not None:
        dates = ground.frequency.dates(series.dates[0], start + settings.horizon)
    known = ground.frame(series, place)
    past = torch.from_numpy(known[None, start - settings.window : start])
    ahead = known[start : start + settings.horizon, known.shape[1] - ground.layout.ahead :]
    if ground.calendar and not ground.ahead and dates is not None and ground.frequency is not None:
        ahead = calendar(dates[start:], ground.frequency).astype(np.float32)
    steps = (
        torch.from_numpy(np.ascontiguousarray(ahead))[None]
        if ahead.shape[1]
        else past.new_zeros(1, settings.horizon, 0)
    )
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(config.seed)
    found = model.forecast(past.to(device), steps.to(device), paths=settings.paths, generator=generator)
    values = _in_own_units(ground, found.point[0], found.quantiles[0], quantiles)
    for k, row in enumerate(values):
        yield _line([_date(dates[start + k]) if dates is not None else str(k + 1), *map(_shown, row)])


class _InStep:
    """Answers rows as they come, and keeps what the model remembers between them."""

    def __init__(self, model: Forecaster, ground: Ground, reader: RowReader, *, quantiles: bool) -> None:
        self.model, self.ground, self.reader, self.quantiles = model, ground, reader, quantiles
        self.state: Any = None
        self.number = 0
        self.last: Tensor | None = None  # the targets of the row before, standardised, [K]

    @torch.no_grad()
    def answer(self, rows: Sequence[Row]) -> Iterator[str]:
        if not rows:
            return
        inputs, targets = self._standardised(rows)
        if self.model.way.feedback == "none":
            parameters, self.state = self.model.advance(inputs[None], self.state)
            parameters = parameters[0]
        else:
            parameters = torch.stack([self._step(x, y) for x, y in zip(inputs, targets, strict=True)])
        outlook = self.model.outlook
        values = _in_own_units(self.ground, outlook.point(parameters), outlook.quantiles(parameters), self.quantiles)
        for (_, date, _), row in zip(rows, values, strict=True):
            self.number += 1
            yield _line([str(self.number) if date is None else _date(date), *map(_shown, row)])

    def _step(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """The parameters [K, P] of a step, from the row before it: its true targets, or what was said of them."""
        way = self.model.way
        before = torch.zeros_like(targets) if self.last is None else self.last
        parameters, self.state = self.model.advance(torch.cat([before, inputs])[None, None], self.state)
        own = self.model.outlook.point(parameters[0, 0])
        self.last = torch.where(targets.isnan(), own, targets) if way.feedback == "measured" else own
        return parameters[0, 0]

    def _standardised(self, rows: Sequence[Row]) -> tuple[Tensor, Tensor]:
        """Inputs [T, F] and targets [T, K]; NaN for a target that is not there."""
        ground, names = self.ground, self.reader.names
        table = np.full((len(rows), len(ground.columns)), np.nan)
        given = np.array([values for _, _, values in rows])
        for k, name in enumerate(ground.columns):
            if name in names:
                table[:, k] = given[:, names.index(name)]
        missing = np.isnan(table[:, len(ground.targets) :])
        if missing.any():
            row, column = np.argwhere(missing)[0]
            raise DataError(
                f"{self.reader.place}, line {rows[row][0]}, column {ground.ahead[column]!r}: the input is missing; it "
                "is read at every step, so fill it in"
            )
        values = ground.scaler.apply(table).astype(np.float32)
        inputs = values[:, len(ground.targets) :]
        if ground.calendar and ground.frequency is not None:
            dates = np.array([date for _, date, _ in rows], dtype="datetime64[s]")
            inputs = np.concatenate([inputs, calendar(dates, ground.frequency).astype(np.float32)], 1)
        device = next(self.model.parameters()).device
        return torch.from_numpy(inputs).to(device), torch.from_numpy(values[:, : len(ground.targets)]).to(device)


def _in_own_units(ground: Ground, point: Tensor, quantiles: Tensor, with_quantiles: bool) -> np.ndarray:
    """Values [T, K] and, where they are wanted, the outer quantiles beside each, in the targets' own units."""
    count = len(ground.targets)
    parts = [point, quantiles[..., LOW], quantiles[..., HIGH]] if with_quantiles else [point]
    own = [ground.scaler.undo(part.double().cpu().numpy(), slice(count)) for part in parts]
    return np.stack(own, 2).reshape(len(point), -1)


def _columns(name: str, quantiles: bool) -> list[str]:
    return [name, f"{name} {LEVELS[LOW]:.0%}", f"{name} {LEVELS[HIGH]:.0%}"] if quantiles else [name]


def _line(cells: Sequence[str]) -> str:
    return ",".join(f'"{cell}"' if "," in cell else cell for cell in cells)


def _date(date: np.datetime64) -> str:
    return str(date).replace("T", " ")


def _shown(value: float) -> str:
    return f"{value:.6g}"
