"""What a run shows while it trains: one bar at a terminal, plain lines elsewhere."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task
from rich.text import Text

from recurra.tasks.measures import more_is_better

if TYPE_CHECKING:
    from torch import Tensor

    from recurra.training.progress import Position

_REFRESH = 0.25  # seconds between two looks at the bar, at least
_LINES = 10.0  # seconds between two plain lines, at least, but for validations
_SAMPLE_LINES = 6

# Keys of a line of metrics that every task has, beside its loss and its speed; the others are its own measures.
_COMMON = ("step", "epoch", "time", "lr", "gradient_norm", "sample")


def follow(*, samples: bool = False) -> "Lines | Bar":
    """Who shows a run: a Bar at a terminal, else Lines. With `samples`, what the model writes is shown as well."""
    console = Console(highlight=False, soft_wrap=True)
    return Bar(console, samples) if console.is_terminal else Lines(console, samples)


class Lines:
    """A line for each validation, and one every ten seconds."""

    def __init__(self, console: Console, samples: bool) -> None:
        self.console = console
        self.samples = samples
        # What the task calls its loss, the measure it is judged by, and what it predicts for; see `started`.
        self._loss, self._criterion, self._unit = "nats", "valid_nats", "token"
        self._best: float | None = None
        self._last = 0.0
        self._next_sample = 0

    def started(self, facts: Mapping[str, Any]) -> None:
        self._loss, self._criterion, self._unit = (str(facts[key]) for key in ("loss", "criterion", "unit"))
        parts = [f"{facts['parameters']:,} parameters", str(facts["device"])]
        if facts["processes"] > 1:
            parts.append(f"{facts['processes']} processes")
        self.notice(", ".join(parts))

    def stepped(self, at: "Position", fraction: float, loss: "Tensor", norm: "Tensor") -> None: ...

    def measured(self, record: Mapping[str, Any]) -> None:
        now = time.monotonic()
        if self._validates(record) or now - self._last >= _LINES:
            self._last = now
            self.console.print(self._line(record), markup=False)
        if self.samples and record.get("sample") and record["step"] >= self._next_sample:
            self._next_sample = 2 * record["step"]  # most of the change is at the start
            lines = record["sample"].strip("\n").splitlines()[:_SAMPLE_LINES]
            shown = "\n".join(f"  │ {line}"[: self.console.width] for line in lines)
            self.console.print(Text(shown, style="dim"))

    def notice(self, text: str) -> None:
        self.console.print(text, markup=False)

    def close(self) -> None: ...

    def _line(self, record: Mapping[str, Any]) -> str:
        train, valid = record[f"train_{self._loss}"], record.get(f"valid_{self._loss}")
        parts = [f"step {record['step']:,}", f"{duration(record['time'])}", f"train {train:.3f}"]
        if valid is not None:
            own = [f"{_short(key)} {record[key]:.4g}" for key in self._own(record)]
            parts.append(f"valid {valid:.3f}" + (f" ({', '.join(own)})" if own else ""))
        judged = record.get(self._criterion)
        if judged is not None and self._is_better(judged):
            self._best = judged
            parts.append("best so far")
        parts.append(f"{_thousands(record[self._speed_key])} {self._unit}s/s")
        return " · ".join(parts)

    def _is_better(self, judged: float) -> bool:
        if self._best is None:
            return True
        return judged > self._best if more_is_better(self._criterion) else judged < self._best

    @property
    def _speed_key(self) -> str:
        return f"{self._unit}s_per_second"

    def _validates(self, record: Mapping[str, Any]) -> bool:
        return f"valid_{self._loss}" in record

    def _own(self, record: Mapping[str, Any]) -> list[str]:
        """The keys of the task's own measures."""
        common = (*_COMMON, f"train_{self._loss}", f"valid_{self._loss}", self._speed_key)
        return [key for key in record if key not in common]


class Bar(Lines):
    """One bar that shows where the run stands: loss, the task's measure, tokens a second, gradient norm and time left.

    Validations pass above it.
    """

    def __init__(self, console: Console, samples: bool) -> None:
        super().__init__(console, samples)
        self._speed: float | None = None
        self._measure = ""
        # Refreshed by hand from `stepped`: a thread of its own would take turns with the training.
        bar = BarColumn(bar_width=max(8, min(24, console.width - 72)))
        self._progress = Progress(bar, _Words(), console=console, auto_refresh=False, transient=True)
        self._task = self._progress.add_task("", total=1.0, words="")
        self._looked = 0.0

    def started(self, facts: Mapping[str, Any]) -> None:
        super().started(facts)
        self._progress.start()

    def stepped(self, at: "Position", fraction: float, loss: "Tensor", norm: "Tensor") -> None:
        now = time.monotonic()
        if now - self._looked < _REFRESH:
            return
        self._looked = now
        words = [f"step {at.step:,}", f"loss {loss.item():.3f}", self._measure]
        if self._speed is not None:
            words.append(f"{_thousands(self._speed)}/s")
        words.append(f"∇ {norm.item():.2g}")
        if fraction > 0:
            words.append(f"{duration(at.seconds * (1 - fraction) / fraction)} left")
        words = [word for word in words if word]
        self._progress.update(self._task, completed=fraction, words=" · ".join(words))
        self._progress.refresh()

    def measured(self, record: Mapping[str, Any]) -> None:
        self._speed = record[self._speed_key]
        if self._validates(record):
            # The task's own measure is what people know it by: bits, perplexity, accuracy.
            key = next(iter(self._own(record)), f"valid_{self._loss}")
            self._measure = f"{_short(key)} {record[key]:.4g}"
            super().measured(record)

    def close(self) -> None:
        self._progress.stop()


class _Words(ProgressColumn):
    """The numbers beside the bar, cut to the width of the terminal."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.percentage:3.0f}% {task.fields['words']}", no_wrap=True, overflow="ellipsis")


def duration(seconds: float) -> str:
    """`seconds` as people say it: 41 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _thousands(value: float) -> str:
    return f"{value / 1000:.1f}k" if value >= 10_000 else f"{value:,.0f}"


def _short(key: str) -> str:
    return key.removeprefix("valid_").replace("_", " ")
