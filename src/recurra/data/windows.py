"""Series as windows: what is known when a forecast is made, and the steps it is for."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch

from recurra.data.errors import DataError


@dataclass(frozen=True)
class Scaler:
    """Brings columns to the mean 0 and the deviation 1 that they have in the training rows, [C] each."""

    mean: np.ndarray
    deviation: np.ndarray

    @classmethod
    def fit(cls, parts: Sequence[np.ndarray]) -> "Scaler":
        """From the training rows [T, C] of one or more series; a column that never changes is only shifted."""
        values = np.concatenate(parts)
        deviation = values.std(0)
        return cls(values.mean(0), np.where(deviation > 1e-12 * np.abs(values).max(0), deviation, 1.0))

    @classmethod
    def none(cls, columns: int) -> "Scaler":
        """Leaves everything as it is."""
        return cls(np.zeros(columns), np.ones(columns))

    def apply(self, values: np.ndarray) -> np.ndarray:
        """[T, C] to the same shape."""
        return (values - self.mean) / self.deviation

    def undo(self, values: np.ndarray, columns: slice = slice(None)) -> np.ndarray:
        """Values [..., K] of the columns `columns` in their own units again."""
        return values * self.deviation[columns] + self.mean[columns]


@dataclass(frozen=True)
class Layout:
    """What the columns of a row are, in this order: K targets, inputs known up to the present, inputs known ahead."""

    targets: int
    past: int = 0
    ahead: int = 0

    @property
    def width(self) -> int:
        """All columns, C."""
        return self.targets + self.past + self.ahead


@dataclass(frozen=True)
class WindowBatch:
    """Windows side by side.

    Attributes:
        past: rows up to the present, [B, W, C].
        ahead: inputs known ahead at the steps to forecast, [B, h, F].
        targets: what is to be forecast, [B, h, K].
        fresh: no state is carried from one window to another.
    """

    past: torch.Tensor
    ahead: torch.Tensor
    targets: torch.Tensor
    fresh: bool = True

    @property
    def tokens(self) -> int:
        """Number of values that are forecast."""
        return self.targets.numel()


@dataclass(frozen=True)
class Windows:
    """All windows of some rows of one or more series.

    Attributes:
        frames: standardised rows of each series, float32 [T, C].
        layout: what their columns are.
        origins: series and first step to forecast of each window, int64 [N, 2].
        window: steps that are known, W.
        horizon: steps to forecast, h.
    """

    frames: list[np.ndarray]
    layout: Layout
    origins: np.ndarray
    window: int
    horizon: int

    def __len__(self) -> int:
        return len(self.origins)

    def batch(self, numbers: np.ndarray) -> WindowBatch:
        """The windows with these numbers."""
        rows = self.rows(numbers)
        split = self.window
        targets, ahead = self.layout.targets, self.layout.width - self.layout.ahead
        return WindowBatch(
            torch.from_numpy(rows[:, :split]),
            torch.from_numpy(rows[:, split:, ahead:]),
            torch.from_numpy(rows[:, split:, :targets]),
        )

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """The rows of these windows, known ones and those to forecast, float32 [B, W + h, C]."""
        steps = np.arange(-self.window, self.horizon)
        rows = np.empty((len(numbers), len(steps), self.layout.width), dtype=np.float32)
        for series in np.unique(self.origins[numbers, 0]):
            at = np.flatnonzero(self.origins[numbers, 0] == series)
            rows[at] = self.frames[series][self.origins[numbers[at], 1][:, None] + steps]
        return rows

    def checksum(self) -> int:
        """A number that windows of other values or places would not have."""
        value = zlib.crc32(self.origins.tobytes())
        for frame in self.frames:
            value = zlib.crc32(frame.tobytes(), value)
        return value

    @cached_property
    def lengths(self) -> np.ndarray:
        """Steps of each window, int64 [N]."""
        return np.full(len(self), self.window, dtype=np.int64)


@dataclass(frozen=True)
class Stretch:
    """Steps of one series that a part of the data is made of: those to forecast are from `start` up to `stop`."""

    series: int
    start: int
    stop: int


def chronological(lengths: Sequence[int], valid: float, test: float, train: float | None = None) -> list[list[Stretch]]:
    """Spans to learn from, to validate and to test on, in the order of time.

    Of one series the last rows are kept; of several series, whole ones, the last. Sizes below 1 are fractions, others
    numbers of rows (of several series: numbers of series).

    Args:
        lengths: rows of each series.
        valid: size of the validation data.
        test: size of the test data; 0: none.
        train: size of the training data; None: all that is left. What comes after the test data is not used.

    Raises:
        DataError: a part would be empty.
    """
    total = lengths[0] if len(lengths) == 1 else len(lengths)

    def size(part: float) -> int:
        return round(part * total) if part < 1 else int(part)

    valid_size, test_size = size(valid), size(test)
    train_size = total - valid_size - test_size if train is None else size(train)
    ends = np.cumsum([0, train_size, valid_size, test_size]).tolist()
    unit = "rows" if len(lengths) == 1 else "series"
    if train_size < 1 or valid_size < 1 or ends[-1] > total:
        raise DataError(
            f"{total:,} {unit} cannot be parted into {train_size:,} to learn from, {valid_size:,} for validation and "
            f"{test_size:,} for testing; change split.train, split.valid or split.test"
        )
    if len(lengths) == 1:
        return [[Stretch(0, start, stop)] if stop > start else [] for start, stop in pairwise(ends)]
    return [[Stretch(number, 0, lengths[number]) for number in range(start, stop)] for start, stop in pairwise(ends)]


def origins(spans: Sequence[Stretch], window: int, horizon: int, stride: int = 1) -> np.ndarray:
    """Series and first step to forecast of every window whose forecast lies in `spans`, int64 [N, 2].

    What is known may reach back into the rows before a span, never into those behind the first step to forecast.
    """
    found = [
        np.stack([np.full(len(steps), span.series), steps], 1)
        for span in spans
        if len(steps := np.arange(max(span.start, window), span.stop - horizon + 1, stride))
    ]
    return np.concatenate(found).astype(np.int64) if found else np.zeros((0, 2), np.int64)


def require_no_leak(past: np.ndarray, targets: np.ndarray, names: Sequence[str], horizon: int) -> None:
    """Refuse an input that holds the future of a target.

    The changes from step to step of an honest input are not in full step with those of the target some steps later. A
    target that repeats itself is not judged: an input may follow the same rhythm and give nothing away.

    Args:
        past: inputs that count as known up to the present, training rows [T, P].
        targets: [T, K].
        names: of the inputs, then of the targets.
        horizon: how far ahead to look.

    Raises:
        DataError: an input runs ahead of a target, with both, and by how many steps.
    """
    changes, inputs = np.diff(targets, axis=0), np.diff(past, axis=0)
    judged = ~np.array([_repeats(column) for column in changes.T])
    for lead in range(1, min(horizon, len(changes) - 2) + 1):
        now, later = inputs[:-lead], changes[lead:]
        spread = now.std(0)[:, None] * later.std(0)
        product = (now - now.mean(0)).T @ (later - later.mean(0)) / len(now)
        likeness = np.abs(product) / np.where(spread > 0, spread, np.inf)
        leaks = np.argwhere((likeness > 0.98) & judged)
        if len(leaks):
            one, target = leaks[0]
            raise DataError(
                f"the input {names[one]!r} holds what the target {names[past.shape[1] + target]!r} will be {lead} "
                "steps later: it cannot be known when a forecast is made. Leave it out, list it in series.ahead if it "
                "truly is known ahead, or set series.leaks=allow"
            )


def _repeats(values: np.ndarray) -> bool:
    """Whether values [T] are nearly the same again some steps later, for steps up to a third of them."""
    likeness = autocorrelation(values)
    falls = np.flatnonzero(likeness < 0.5)
    # What is like itself only until it first changes is slow, and does not repeat itself.
    return len(falls) > 0 and bool((likeness[falls[0] :] > 0.9).any())


def autocorrelation(values: np.ndarray) -> np.ndarray:
    """Correlation of values [T] with themselves 0, 1, … steps later, up to a third of them."""
    values, count = values - values.mean(), len(values)
    power = np.abs(np.fft.rfft(values, 2 * count)) ** 2
    products = np.fft.irfft(power)[: max(count // 3, 1)] / np.arange(count, count - max(count // 3, 1), -1)
    return products / products[0] if products[0] > 0 else np.zeros_like(products)
