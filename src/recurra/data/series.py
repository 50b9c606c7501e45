"""Series: numbers over time, from the rows of a table with or without dates."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from recurra.data.dates import Frequency, parse_date, place_rows
from recurra.data.errors import DataError
from recurra.data.text import Line, lines_of, read_pieces

SEPARATORS = {"tab": "\t", "comma": ",", "semicolon": ";"}
MENDS = ("error", "hold", "linear")
DUPLICATES = ("error", "first", "last", "mean")
# Cells that stand for a number that is not there.
_ABSENT = ("", "na", "nan", "null", "none", "-", "?")


@dataclass(frozen=True)
class Reading:
    """How a table is read.

    Attributes:
        date: name of the column with the dates; "auto": the first column, if dates stand there; None: no column.
        date_format: format of the dates as `datetime.strptime` knows it; None: year first, as in 2016-07-01 13:00.
        separator: "auto", or one of SEPARATORS.
        frequency: time from a row to the next, such as 15min; None: the commonest one.
        gaps: rows missing between two dates: "error", "hold" (the value before) or "linear" (between both sides).
        missing: empty cells, the same.
        duplicates: rows of one date: "error", or the "first", the "last" or the "mean" of them.
        columns: the columns of numbers to read; none: all.
    """

    date: str | None = "auto"
    date_format: str | None = None
    separator: str = "auto"
    frequency: str | None = None
    gaps: str = "hold"
    missing: str = "error"
    duplicates: str = "error"
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Series:
    """Columns of numbers, one row a step.

    Attributes:
        names: of the columns, [C].
        values: float64 [T, C].
        dates: datetime64[s] [T], or None.
        frequency: time from a row to the next; None where there are no dates.
        reports: what was mended while reading, in words.
        ahead: columns that are inputs by their nature, known ahead; of built-in series.
    """

    names: tuple[str, ...]
    values: np.ndarray
    dates: np.ndarray | None = None
    frequency: Frequency | None = None
    reports: tuple[str, ...] = ()
    ahead: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def columns(self, names: Sequence[str], place: str) -> "Series":
        """Only the columns `names`, in this order. Raises DataError where one is missing; `place` names the data."""
        missing = [name for name in names if name not in self.names]
        if missing:
            raise DataError(f"{place} has no column {missing[0]!r}: its columns are {', '.join(self.names)}")
        order = [self.names.index(name) for name in names]
        return replace(self, names=tuple(names), values=self.values[:, order])


@dataclass
class Rows:
    """Rows as they stand in a file, not yet placed in time.

    Attributes:
        names: of the columns of numbers.
        dates: of each row, or None where there is no such column.
        values: of each row; NaN for an empty cell.
        lines: number of each row's line.
    """

    names: tuple[str, ...]
    dates: list[np.datetime64] | None
    values: list[list[float]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)


class RowReader:
    """Reads a table line by line: its first line tells the columns, `names` and whether there are `dates`.

    The first line holds the names of the columns unless all of it is numbers and dates; then they are 1, 2, 3, …
    """

    def __init__(self, reading: Reading, place: str) -> None:
        """A reader of the table called `place`."""
        self.reading, self.place = reading, place
        self.names: tuple[str, ...] = ()
        self.date_name: str | None = None
        self._header: list[str] | None = None  # names of all columns
        self._date: int | None = None
        self._at: list[int] = []  # places of the columns of numbers
        self._separator = SEPARATORS.get(reading.separator, "")

    def read(self, lines: Iterable[Line]) -> Iterator[tuple[int, np.datetime64 | None, list[float]]]:
        """Number of the line, date and values of each row; blank lines are left out.

        Raises:
            DataError: a row of another width, a cell that is no number, or a date that cannot be read.
        """
        for line in lines:
            if not line.text.strip():
                continue
            if not self._separator:
                self._separator = next((sign for sign in "\t;," if sign in line.text), ",")
            cells = [cell.strip() for cell in next(csv.reader([line.text], delimiter=self._separator))]
            if self._header is None:
                if not all(_is_number(cell) or self._is_date(cell) for cell in cells):
                    self._header = cells
                    continue
                self._header = [str(number) for number in range(1, len(cells) + 1)]
            if not self.names:
                self._choose_columns(cells)
            yield self._row(line.number, cells)

    def _choose_columns(self, cells: list[str]) -> None:
        """Where the date stands, told by the names and the first row below them."""
        header, wanted = self._header or [], self.reading.date
        if wanted == "auto":
            self._date = 0 if cells and not _is_number(cells[0]) else None
        elif wanted is not None:
            if wanted not in header:
                raise DataError(f"{self.place} has no column {wanted!r} for the date: it has {', '.join(header)}")
            self._date = header.index(wanted)
        self.date_name = None if self._date is None else header[self._date]
        unknown = [name for name in self.reading.columns if name not in header]
        if unknown:
            raise DataError(f"{self.place} has no column {unknown[0]!r}: its columns are {', '.join(header)}")
        wanted_numbers = self.reading.columns or header
        self._at = [k for k, name in enumerate(header) if k != self._date and name in wanted_numbers]
        self.names = tuple(header[k] for k in self._at)
        if not self.names:
            raise DataError(f"{self.place} holds dates and nothing else: expected a column of numbers beside them")
        if len(set(self.names)) < len(self.names):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise DataError(f"{self.place} has two columns called {twice!r}: give each a name of its own")

    def _row(self, number: int, cells: list[str]) -> tuple[int, np.datetime64 | None, list[float]]:
        header = self._header or []
        if len(cells) != len(header):
            raise DataError(
                f"{self.place}, line {number}: {len(cells)} columns where {len(header)} are expected; "
                "mend the line, or say with series.separator what parts the columns (tab, comma, semicolon)"
            )
        date = None
        if self._date is not None:
            date = parse_date(cells[self._date], self.reading.date_format)
            if date is None:
                raise DataError(
                    f"{self.place}, line {number}: {cells[self._date]!r} is not understood as a date; write it year "
                    "first, as in 2016-07-01 13:00, or give its format, as in series.date_format='%d.%m.%Y %H:%M'"
                )
        values = []
        for k in self._at:
            cell = cells[k]
            value = _number(cell)
            if value is None or np.isinf(value):
                raise DataError(
                    f"{self.place}, line {number}, column {header[k]!r}: {cell!r} is no number; mend it, leave the "
                    "cell empty (see series.missing), or name the columns to read with series.targets"
                )
            values.append(value)
        return number, date, values

    def _is_date(self, cell: str) -> bool:
        return parse_date(cell, self.reading.date_format) is not None


def read_series(path: str | Path, reading: Reading, *, open_end: Sequence[str] = ()) -> Series:
    """The series in the file at `path`, plain or packed with gzip.

    Args:
        path: a table, one row a step.
        reading: how to read it.
        open_end: columns that may be empty at the end of the file, where only what is known ahead stands; there they
            stay NaN.

    Raises:
        DataError: the file is missing or cannot be read, or what `reading` does not let pass; with file and line.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise DataError(f"{path} is a folder: give the file with the series, a table with one row for each step")
    reader = RowReader(reading, str(path))
    rows = collect(reader, reader.read(line for piece in read_pieces(path) for line in lines_of(piece)))
    if not rows.values:
        raise DataError(f"{path} holds no row of numbers: expected a table with one row for each step")
    return in_time(rows, reading, str(path), open_end=open_end)


def collect(reader: RowReader, rows: Iterable[tuple[int, np.datetime64 | None, list[float]]]) -> Rows:
    """Rows side by side, as `reader` gave them."""
    lines, dates, values = [], [], []
    for line, date, row in rows:
        lines.append(line)
        dates.append(date)
        values.append(row)
    return Rows(reader.names, dates if reader.date_name is not None else None, values, lines)


def in_time(
    rows: Rows,
    reading: Reading,
    place: str,
    *,
    frequency: Frequency | None = None,
    open_end: Sequence[str] = (),
) -> Series:
    """Rows as a series: in the order of their dates, none missing and none twice, as `reading` says.

    Args:
        rows: of a file.
        reading: how to mend.
        place: what the data is called in errors.
        frequency: time from a row to the next where it is known already.
        open_end: columns that may be empty at the end.

    Raises:
        DataError: the dates have no common frequency, or something is missing or there twice that may not be.
    """
    values = np.array(rows.values, dtype=np.float64)
    reports: list[str] = []
    dates, lines, absent = None, np.array(rows.lines), np.zeros(len(values), dtype=bool)
    if rows.dates is not None:
        placed = place_rows(np.array(rows.dates), lines, reading, place, frequency)
        frequency, reports, absent = placed.frequency, list(placed.reports), placed.absent
        dates, lines = placed.dates, np.zeros(len(placed.dates), dtype=np.int64)
        lines[placed.steps] = rows.lines
        values = _one_a_step(values, placed.steps, len(dates), reading.duplicates)
    for k, name in enumerate(rows.names):
        known = np.flatnonzero(~np.isnan(values[:, k]))
        if not len(known):
            raise DataError(f"{place}: the column {name!r} holds no number; leave it out with series.targets")
        end = known[-1] + 1 if name in open_end else len(values)
        empty = np.isnan(values[:end, k])
        holes = np.flatnonzero(empty & ~absent[:end])
        if len(holes):
            if reading.missing == "error":
                raise DataError(
                    f"{place}, line {lines[holes[0]]}, column {name!r}: the cell is empty; fill it in, or let it be "
                    "filled with series.missing=hold (the value before) or series.missing=linear"
                )
            reports.append(f"{len(holes):,} empty cells of the column {name} were filled ({reading.missing})")
        mended = np.where(absent[:end], *(_filled(values[:end, k], rule) for rule in (reading.gaps, reading.missing)))
        values[:end, k] = np.where(empty, mended, values[:end, k])
    return Series(rows.names, values, dates, frequency, tuple(reports))


def _one_a_step(values: np.ndarray, steps: np.ndarray, count: int, duplicates: str) -> np.ndarray:
    """Values [N, C] of rows at `steps` [N] as [T, C], NaN where no row stands."""
    placed = np.full((count, values.shape[1]), np.nan)
    if duplicates == "mean":
        placed[steps] = 0.0
        np.add.at(placed, steps, values)
        return placed / np.maximum(np.bincount(steps, minlength=count), 1)[:, None]
    order = slice(None, None, -1) if duplicates == "first" else slice(None)
    placed[steps[order]] = values[order]  # of several rows at one step the last one written stays
    return placed


def _filled(column: np.ndarray, rule: str) -> np.ndarray:
    """`column` [T] with its NaN filled by `rule` from the values around; before the first one, by that one."""
    known, steps = np.flatnonzero(~np.isnan(column)), np.arange(len(column))
    if rule == "linear":
        return np.interp(steps, known, column[known])
    before = np.searchsorted(known, steps, side="right") - 1
    return column[known[np.maximum(before, 0)]]


def _number(cell: str) -> float | None:
    if cell.lower() in _ABSENT:
        return float("nan")
    try:
        return float(cell)
    except ValueError:
        return None


def _is_number(cell: str) -> bool:
    return _number(cell) is not None
