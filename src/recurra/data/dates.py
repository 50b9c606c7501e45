"""Dates of the rows of a series: how to read them, the time between two rows, and rows that are missing or twice."""

import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from recurra.data.errors import DataError

if TYPE_CHECKING:
    from recurra.data.series import Reading

# Formats beside ISO 8601 that can be meant in one way only.
_FORMATS = ("%Y/%m/%d", "%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S", "%Y-%m", "%Y.%m.%d", "%Y.%m.%d %H:%M")
_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_WRITTEN = re.compile(r"(\d+)?\s*(s|min|h|d|w|month|quarter|year)s?", re.IGNORECASE)
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
# Steps until a pattern repeats that people's days, weeks and years give, by the seconds of a step.
_DAY, _WEEK = 86400, 604800
# A file that would grow by more than this factor when its gaps are filled rather has the wrong frequency.
_MOST_GROWTH = 4


@dataclass(frozen=True)
class Frequency:
    """Time from a row to the next: a number of seconds, or of months of the calendar."""

    seconds: int = 0
    months: int = 0

    @classmethod
    def parse(cls, text: str) -> "Frequency":
        """Of `15min`, `h`, `1 d`, `month`. Raises DataError."""
        match = _WRITTEN.fullmatch(text.strip())
        if match is None or match[1] == "0":
            raise DataError(f"series.frequency={text!r} is not understood: expected such as 10s, 15min, 1h, 1d, 1month")
        count, unit = int(match[1] or 1), match[2].lower()
        return cls(months=count * _MONTHS[unit]) if unit in _MONTHS else cls(seconds=count * _UNITS[unit])

    def __str__(self) -> str:
        if self.months:
            return f"{self.months}month"
        unit = next(unit for unit in ("w", "d", "h", "min", "s") if self.seconds % _UNITS[unit] == 0)
        return f"{self.seconds // _UNITS[unit]}{unit}"

    def steps(self, dates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Steps of dates datetime64[s] [N] from the first one, int64 [N], and whether each lies on a step, bool [N]."""
        if self.months:
            months = dates.astype("datetime64[M]")
            count = (months - months[0]).astype(np.int64)
            within = (dates - months).astype(np.int64)
            return count // self.months, (count % self.months == 0) & (within == within[0])
        seconds = (dates - dates[0]).astype(np.int64)
        return seconds // self.seconds, seconds % self.seconds == 0

    def dates(self, start: np.datetime64, count: int) -> np.ndarray:
        """`count` dates from `start` on, datetime64[s]."""
        if self.months:
            month = start.astype("datetime64[M]")
            dates = (month + np.arange(count) * self.months).astype("datetime64[s]")
            return dates + (start - month.astype("datetime64[s]"))
        return start + (np.arange(count) * self.seconds).astype("timedelta64[s]")

    @property
    def season(self) -> int:
        """Steps until a pattern repeats: a day of steps shorter than a day, a week of days, a year of longer ones."""
        if self.months:
            return max(12 // self.months, 1)
        if self.seconds < _DAY:
            return max(_DAY // self.seconds, 1)
        return 7 if self.seconds < _WEEK else 52


@dataclass(frozen=True)
class Placed:
    """Where each row stands in time.

    Attributes:
        frequency: time from a step to the next.
        dates: of all steps, datetime64[s] [T].
        steps: of each row, int64 [N].
        absent: which steps no row stands at, bool [T].
        reports: what was mended, in words.
    """

    frequency: Frequency
    dates: np.ndarray
    steps: np.ndarray
    absent: np.ndarray
    reports: tuple[str, ...]


def parse_date(text: str, form: str | None) -> np.datetime64 | None:
    """A date as datetime64[s], in UTC where it tells its zone; None where it is none of the format `form`."""
    date = None
    if form is not None:
        date = _strptime(text, form)
    elif "-" in text or "/" in text or "." in text:
        try:
            date = datetime.fromisoformat(text)
        except ValueError:
            date = next((found for form in _FORMATS if (found := _strptime(text, form)) is not None), None)
    if date is None:
        return None
    if date.tzinfo is not None:
        date = date.astimezone(UTC).replace(tzinfo=None)
    return np.datetime64(date, "s")


def _strptime(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text, form)
    except ValueError:
        return None


def find_frequency(dates: np.ndarray) -> Frequency:
    """The commonest time between neighbours of sorted dates datetime64[s] [N]; months where days would not be even."""
    gaps = np.diff(dates).astype(np.int64)
    commonest = Counter(gaps[gaps > 0].tolist()).most_common(1)[0][0]
    if commonest >= 28 * _DAY:
        months = dates.astype("datetime64[M]")
        within = (dates - months.astype("datetime64[s]")).astype(np.int64)
        between = np.diff(months).astype(np.int64)
        if (within == within[0]).all() and (between > 0).any():
            return Frequency(months=Counter(between[between > 0].tolist()).most_common(1)[0][0])
    return Frequency(seconds=commonest)


def place_rows(
    dates: np.ndarray, lines: np.ndarray, reading: "Reading", place: str, frequency: Frequency | None = None
) -> Placed:
    """Where rows with `dates` datetime64[s] [N], in the lines `lines` [N] of the file `place`, stand in time.

    Raises:
        DataError: the dates have no common frequency, or rows are missing or twice and `reading` says error.
    """
    order = np.argsort(dates, kind="stable")
    ordered, reports = dates[order], []
    if (np.diff(order) < 0).any():
        first = int(np.flatnonzero(np.diff(dates).astype(np.int64) < 0)[0]) + 1
        reports.append(f"rows were not in the order of their dates (line {lines[first]}), and were put in order")
    if ordered[0] == ordered[-1] and len(ordered) > 1:
        raise DataError(f"{place}: every row has the date {_shown(ordered[0])}; expected one date for each step")
    if reading.frequency is not None:
        frequency = Frequency.parse(reading.frequency)
    elif frequency is None:
        frequency = find_frequency(ordered) if len(ordered) > 1 else Frequency(seconds=_DAY)
    steps, even = frequency.steps(ordered)
    if not even.all():
        wrong = int(np.argmin(even))
        raise DataError(
            f"{place}, line {lines[order[wrong]]}: {_shown(ordered[wrong])} is no multiple of {frequency} after "
            f"{_shown(ordered[0])}; mend the date, or set series.frequency to the time between two rows, as in 15min"
        )
    count = int(steps[-1]) + 1
    if count > _MOST_GROWTH * len(steps):
        raise DataError(
            f"{place}: rows {frequency} apart from {_shown(ordered[0])} to {_shown(ordered[-1])} would be {count:,}, "
            f"but there are {len(steps):,}; set series.frequency to the time between two rows, or part the file where "
            "nothing was measured"
        )
    absent = np.ones(count, dtype=bool)
    absent[steps] = False
    all_dates = frequency.dates(ordered[0], count)
    twice = np.flatnonzero(np.diff(steps) == 0)
    if len(twice):
        text = f"{len(twice):,} rows have a date that was there before, the first one {_shown(ordered[int(twice[0])])}"
        if reading.duplicates == "error":
            raise DataError(
                f"{place}, line {lines[order[twice[0] + 1]]}: {text}; remove one, or set series.duplicates to first, "
                "last or mean"
            )
        reports.append(f"{text}; kept: the {reading.duplicates}")
    if absent.any():
        first = int(np.argmax(absent))
        text = f"{int(absent.sum()):,} rows, {frequency} apart, are missing, the first one {_shown(all_dates[first])}"
        if reading.gaps == "error":
            raise DataError(
                f"{place}: {text}; add them, or let them be filled with series.gaps=hold (the value before) or "
                "series.gaps=linear"
            )
        reports.append(f"{text}; filled: {reading.gaps}")
    rows = np.empty(len(steps), dtype=np.int64)
    rows[order] = steps
    return Placed(frequency, all_dates, rows, absent, tuple(reports))


def calendar(dates: np.ndarray, frequency: Frequency) -> np.ndarray:
    """Where in the day, the week and the year each date lies, as sine and cosine, float64 [T, 0 to 6].

    Only what changes from a row to the next and is not over within one: a daily series has no time of the day.
    """
    second = dates.astype("datetime64[s]").astype(np.int64)
    year = dates.astype("datetime64[Y]")
    of_year = (dates - year.astype("datetime64[s]")).astype(np.float64) / (365.25 * _DAY)
    step = frequency.seconds or 365.25 * _DAY / 12 * frequency.months
    # 1970 began on a Thursday.
    parts = [(_DAY, second / _DAY), (_WEEK, (second + 3 * _DAY) / _WEEK), (365 * _DAY, of_year)]
    angles = [2 * np.pi * phase for period, phase in parts if step < period]
    return (
        np.stack([wave(angle) for angle in angles for wave in (np.sin, np.cos)], 1)
        if angles
        else second[:, None][:, :0]
    )


def _shown(date: np.datetime64) -> str:
    return str(date).replace("T", " ")
