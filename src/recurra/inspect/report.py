"""The report of a run: one HTML file that shows how the training went and how to use what came out of it."""

from __future__ import annotations

import json
import math
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from recurra import cells
from recurra.equations import unicode
from recurra.inspect import page
from recurra.inspect.charts import Chart, Line, draw, number
from recurra.inspect.history import History, Point, Sample, smooth, thin

_BITS = 1 / math.log(2)
_POINTS = 500  # a curve is drawn with at most this many points; a screen shows no more
_SHOWN_SAMPLES = 5
_UNITS = {"char": "character", "word": "word"}
# How a run ended, where it is worth a word: values of `ended_by` in describe.json.
_ENDS = {"interrupted": "interrupted", "patience": "stopped early", "running": "not finished"}
# Metrics of the loop that have a chart of their own: key -> title, note, whether the axis starts at zero.
_LOOP_CHARTS = {
    "lr": ("Learning rate", "", True),
    "gradient_norm": ("Gradient norm", "before clipping", False),
    "tokens_per_second": ("Speed", "tokens per second", True),
}


def write_report(run_dir: Path) -> Path:
    """Writes ``report.html`` into the run folder and returns its path.

    Reads ``metrics.jsonl``, ``config.yaml`` and ``describe.json``; each may be missing or half written, and the page
    then says so or leaves out what it cannot know. The page fetches nothing: it can be mailed or opened offline.

    Raises FileNotFoundError when ``run_dir`` is no folder.
    """
    run_dir = Path(run_dir)
    if not run_dir.is_dir():
        raise FileNotFoundError(f"{run_dir} is no run folder: give the folder that `recurra train` wrote")
    run = _Run.read(run_dir)
    body = [
        page.header(_kicker(run), run_dir.resolve().name, _lead(run), _notices(run)),
        page.figures(_figures(run)),
        page.section("Training", _charts(run)),
        page.section(f"What it {'writes' if run.history.samples else 'learnt'}", _samples(run)),
        page.section("The cell", _equations(run)),
        page.section("How to use the model", _commands(run)),
        _tables(run),
        page.footer("Written by recurra. This page is one file and fetches nothing from elsewhere."),
    ]
    path = run_dir / "report.html"
    # Written beside and moved over: a reader never sees half a page, and a full disk leaves the old one whole.
    fresh = path.with_name("report.html.partial")
    fresh.write_text(page.page(f"{run_dir.resolve().name} · recurra", body), encoding="utf-8")
    os.replace(fresh, path)
    return path


@dataclass(frozen=True)
class _Run:
    """What the run folder tells."""

    folder: Path
    history: History
    config: dict[str, Any]
    config_text: str
    facts: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> _Run:
        text = _text(folder / "config.yaml")
        return cls(folder, History.read(folder / "metrics.jsonl"), _yaml(text), text, _json(folder / "describe.json"))

    def setting(self, key: str) -> Any:
        """The value of a dotted key of the configuration, None where it is absent."""
        value: Any = self.config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value

    @property
    def unit(self) -> str:
        """What one token of the data is called."""
        return _UNITS.get(str(self.setting("text.level")), "token")

    @property
    def task(self) -> str:
        return str(self.config.get("task") or self.facts.get("task") or "lm")


# ---------------------------------------------------------------- head


def _kicker(run: _Run) -> str:
    return "recurra · report of a training run"


def _lead(run: _Run) -> str:
    cell, layers, hidden = (run.setting(f"model.{key}") for key in ("cell", "layers", "hidden"))
    parts = []
    if cell:
        size = f"{layers} × {hidden} units" if layers and hidden else ""
        parts.append(" ".join(part for part in (str(cell), size) if part))
    if run.config.get("data"):
        parts.append(f"trained on {run.config['data']}")
    if run.history.rows:
        steps = f"{run.history.rows[-1]['step']:,.0f}".replace(",", "\u202f")
        seconds = run.history.last("time")
        parts.append(f"{steps} steps in {duration(seconds)}" if seconds else f"{steps} steps")
    if end := _ENDS.get(str(run.facts.get("ended_by"))):
        parts.append(end)
    return ", ".join(parts)


def _notices(run: _Run) -> list[str]:
    history, notices = run.history, []
    if not history.rows:
        notices.append("metrics.jsonl holds no line yet: the run was stopped before its first report.")
    if history.diverged is not None:
        notices.append(
            f"The training loss was not a finite number at step {history.diverged:.0f}. "
            "A lower optimizer.lr or a smaller optimizer.clip usually mends it."
        )
    if history.unreadable:
        what = "1 line" if history.unreadable == 1 else f"{history.unreadable} lines"
        notices.append(f"Left out: {what} of metrics.jsonl that could not be read.")
    return notices


def _figures(run: _Run) -> list[tuple[str, str, str]]:
    history, cards = run.history, []
    best = history.best("valid_nats")
    if best:
        nats = best[1]
        cards.append(("Best validation loss", f"{nats:.3f}", f"nats per {run.unit}"))
        if run.unit == "word":
            cards.append(("Perplexity", number(math.exp(min(nats, 700.0))), f"per word, {nats * _BITS:.2f} bits"))
        else:
            cards.append(("In bits", f"{nats * _BITS:.3f}", f"bits per {run.unit}"))
    if history.rows:
        cards.append(("Steps", _thousands(history.rows[-1]["step"]), f"best at {_thousands(best[0])}" if best else ""))
    if (seconds := history.last("time")) is not None:
        cards.append(("Time", duration(seconds), str(run.facts.get("device") or "")))
    if speeds := [value for _, value in history.points("tokens_per_second")]:
        cards.append(("Speed", number(median(speeds)), f"{run.unit}s a second"))
    if isinstance(parameters := run.facts.get("parameters"), (int, float)):
        cards.append(("Parameters", number(parameters), f"cell {run.setting('model.cell')}"))
    return cards


# ---------------------------------------------------------------- charts


def _charts(run: _Run) -> str:
    history = run.history
    keys = history.keys
    pairs = list(dict.fromkeys(key.split("_", 1)[1] for key in keys if key.startswith(("train_", "valid_"))))
    pairs.sort(key=lambda name: name != "nats")  # the loss leads
    big = [_pair_chart(run, name, first=index == 0) for index, name in enumerate(pairs)]
    single = [_single_chart(history, key) for key in _LOOP_CHARTS if key in keys]
    single += [
        _single_chart(history, key)
        for key in keys
        if key not in _LOOP_CHARTS and not key.startswith(("train_", "valid_"))
    ]
    small = [chart for chart in big[1:] + single if chart]
    return "".join([*big[:1], f'<div class="panels">{"".join(small)}</div>' if small else ""])


def _pair_chart(run: _Run, name: str, first: bool) -> str:
    """Train and valid of one metric over the steps; the first one is drawn large."""
    train, valid = run.history.points(f"train_{name}"), run.history.points(f"valid_{name}")
    lines = []
    if train:
        window = max(1, len(train) // 40)
        if window > 1:
            lines.append(Line("train, each line", thin(train, _POINTS), "faint"))
        lines.append(Line("train", thin(smooth(train, window), _POINTS), "train"))
    if valid:
        lines.append(Line("valid", thin(valid, _POINTS), "valid"))
    is_nats = name == "nats"
    best = run.history.best(f"valid_{name}")
    mark = (best, f"best {number(best[1])}") if first and best else None
    second = ("bits", _BITS) if is_nats and first else None
    width, height = (1014, 340) if first else (330, 190)
    svg = draw(Chart(lines, width=width, height=height, cut_start=first, second=second, mark=mark))
    title = "Loss" if is_nats else _title(name)
    note = f"over steps; nats per {run.unit} on the left, bits on the right" if second else ""
    legend = [(line.kind, _legend(line, train)) for line in lines if line.kind != "faint"]
    return page.panel(f'<div class="scroll">{svg}</div>' if first and svg else svg, title, note, legend)


def _single_chart(history: History, key: str) -> str:
    title, note, from_zero = _LOOP_CHARTS.get(key, (_title(key), "", False))
    points: list[Point] = history.points(key)
    return page.panel(draw(Chart([Line(title.lower(), thin(points, _POINTS // 2))], from_zero=from_zero)), title, note)


def _legend(line: Line, train: list[Point]) -> str:
    if line.kind != "train" or len(train) < 80:
        return line.label
    return "train, smoothed over the raw values"


# ---------------------------------------------------------------- samples, cell, commands, tables


def _samples(run: _Run) -> str:
    samples = run.history.samples
    shown = _choose(samples)
    pieces = [
        page.sample(f"Step {_thousands(one.step)}", _loss_at(run.history, one.step), one.text, last=one is samples[-1])
        for one in shown
    ]
    return f'<div class="samples">{"".join(pieces)}</div>' if pieces else ""


def _choose(samples: list[Sample]) -> list[Sample]:
    """The first and the last sample, and between them some that are evenly spaced in the logarithm of the step.

    Most of the change happens early: even spacing in steps would show the same text four times.
    """
    if len(samples) <= _SHOWN_SAMPLES:
        return samples
    last = samples[-1].step
    first = max(samples[0].step, last / 200, 1.0)
    chosen = {0: samples[0], len(samples) - 1: samples[-1]}
    for index in range(1, _SHOWN_SAMPLES - 1):
        wanted = first * (last / first) ** (index / (_SHOWN_SAMPLES - 1))
        near = min(
            (i for i in range(len(samples)) if i not in chosen),
            key=lambda i: abs(math.log(samples[i].step or 0.5) - math.log(wanted)),
        )
        chosen[near] = samples[near]
    return [chosen[index] for index in sorted(chosen)]


def _loss_at(history: History, step: float) -> str:
    """The loss nearest before or at ``step``, of validation where there is one."""
    for key, word in (("valid_nats", "validation"), ("train_nats", "training")):
        before = [value for at, value in history.points(key) if at <= step]
        if before:
            return f"{word} loss {before[-1]:.3f}"
    return ""


def _equations(run: _Run) -> str:
    name = run.setting("model.cell")
    if not isinstance(name, str):
        return ""
    try:
        cell = cells.get(name)
    except ValueError:
        # A cell of the user's own, defined in a program that is not running now.
        return page.paragraph(
            f"The cell {name} is not one of the library's own, so its equations cannot be shown here."
        )
    return page.equations(unicode(cell), (cell.doc or "").strip())


def _commands(run: _Run) -> str:
    folder = shlex.quote(str(run.folder))
    data = shlex.quote(str(run.config.get("data") or "DATA"))
    pieces = []
    if run.task == "lm":
        # Words of the model's own are certain to be in its vocabulary.
        words = run.history.samples[-1].text.split() if run.history.samples else []
        prompt = f" --prompt {shlex.quote(words[0])}" if words else ""
        pieces.append(
            page.command(
                "Let it write. A lower temperature is more careful, a higher one more daring.",
                f"recurra generate {folder}{prompt} --length 500 --temperature 0.8 --seed 1",
            )
        )
    pieces.append(page.command("Measure it on a file of your own.", f"recurra evaluate {folder} {data}"))
    if run.task == "lm":
        pieces.append(
            page.command(
                "The log-probability of each line of a file, to rank lines by how plausible they are.",
                f"recurra score {folder} FILE",
            )
        )
    steps = run.history.rows[-1]["step"] if run.history.rows else 0
    # A run that came to its end needs a later one to go on.
    later = f" train.steps={2 * int(steps)}" if run.facts.get("ended_by") in ("steps", "epochs", "seconds") else ""
    pieces.append(page.command("Go on training from the last checkpoint.", f"recurra train --resume {folder}{later}"))
    return "".join(pieces)


def _tables(run: _Run) -> str:
    rows = page.facts(_flat(run.facts))
    config = page.yaml(run.config_text)
    parts = [page.section("Data and model", rows), page.section("Configuration", config)]
    inner = "".join(part for part in parts if part)
    return f'<div class="columns">{inner}</div>' if inner else ""


# ---------------------------------------------------------------- small change


def duration(seconds: float) -> str:
    """``seconds`` as a person says it: 41 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _thousands(value: float) -> str:
    return f"{value:,.0f}".replace(",", "\u202f")


def _title(key: str) -> str:
    words = key.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def _flat(value: Any, name: str = "") -> list[tuple[str, str]]:
    """Nested facts as rows of a table, in the order of the file."""
    if isinstance(value, dict):
        return [row for key, inner in value.items() for row in _flat(inner, f"{name} {key}".strip())]
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    if isinstance(value, bool) or value is None:
        shown = {True: "yes", False: "no", None: "–"}[value]
    elif isinstance(value, int):
        shown = _thousands(value)
    else:
        shown = number(value) if isinstance(value, float) else str(value)
    return [(_title(name), shown)]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(_text(path) or "{}")
    except ValueError:
        return {"describe.json": "could not be read"}
    return value if isinstance(value, dict) else {}


def _yaml(text: str) -> dict[str, Any]:
    """The configuration as plain containers; a broken file gives none, and the page still shows its text."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        value = OmegaConf.to_container(OmegaConf.create(text or "{}"))
    except (YAMLError, OmegaConfBaseException):
        return {}
    return {str(key): inner for key, inner in value.items()} if isinstance(value, dict) else {}
