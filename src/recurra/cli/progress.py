"""What a run shows while it trains: one bar at a terminal, plain lines elsewhere."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task
from rich.text import Text

if TYPE_CHECKING:
    from torch import Tensor

    from recurra.training.progress import Position

_REFRESH = 0.25  # seconds between two looks at the bar, at least
_LINES = 10.0  # seconds between two plain lines, at least, but for validations
_SAMPLE_LINES = 6

# Keys of a line of metrics that every task has; the others are the task's own measures.
_COMMON = ("step", "epoch", "time", "train_nats", "valid_nats", "lr", "gradient_norm", "tokens_per_second", "sample")


def follow(*, samples: bool = False) -> "Lines | Bar":
    """Who shows a run: a Bar at a terminal, else Lines. With `samples`, what the model writes is shown as well."""
    console = Console(highlight=False, soft_wrap=True)
    return Bar(console, samples) if console.is_terminal else Lines(console, samples)


class Lines:
    """A line for each validation, and one every ten seconds."""

    def __init__(self, console: Console, samples: bool) -> None:
        self.console = console
        self.samples = samples
        self._best = float("inf")
        self._last = 0.0
        self._next_sample = 0

    def started(self, facts: Mapping[str, Any]) -> None:
        parts = [f"{facts['parameters']:,} parameters", str(facts["device"])]
        if facts["processes"] > 1:
            parts.append(f"{facts['processes']} processes")
        self.notice(", ".join(parts))

    def stepped(self, at: "Position", fraction: float, loss: "Tensor", norm: "Tensor") -> None: ...

    def measured(self, record: Mapping[str, Any]) -> None:
        now = time.monotonic()
        if "valid_nats" in record or now - self._last >= _LINES:
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
        parts = [f"step {record['step']:,}", f"{duration(record['time'])}", f"train {record['train_nats']:.3f}"]
        valid = record.get("valid_nats")
        if valid is not None:
            own = [f"{_short(key)} {value:.4g}" for key, value in record.items() if key not in _COMMON]
            parts.append(f"valid {valid:.3f}" + (f" ({', '.join(own)})" if own else ""))
            if valid < self._best:
                self._best = valid
                parts.append("best so far")
        parts.append(f"{_thousands(record['tokens_per_second'])} tokens/s")
        return " · ".join(parts)


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
        self._speed = record["tokens_per_second"]
        if "valid_nats" in record:
            # The task's own measure is what people know it by: bits, perplexity.
            key = next((key for key in record if key not in _COMMON), "valid_nats")
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
