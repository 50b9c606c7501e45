"""The report of a run: one HTML file that shows how the training went and how to use what came out of it."""

from __future__ import annotations

import math
import os
import shlex
from pathlib import Path
from statistics import median
from typing import Any

from recurra import cells, tasks
from recurra.equations import unicode
from recurra.inspect import findings, page
from recurra.inspect.charts import number
from recurra.inspect.curves import BITS, charts, title
from recurra.inspect.history import History, Sample
from recurra.inspect.run import Run
from recurra.tasks.base import Trained

_SHOWN_SAMPLES = 5

# How a run ended, where it is worth a word: values of `ended_by` in describe.json.
_ENDS = {"interrupted": "interrupted", "patience": "stopped early", "running": "not finished"}


def write_report(run_dir: Path) -> Path:
    """Writes ``report.html`` into the run folder and returns its path.

    Reads ``metrics.jsonl``, ``config.yaml`` and ``describe.json``; each may be missing or half written, and the page
    then says so or leaves out what it cannot know. The page fetches nothing: it can be mailed or opened offline.

    Raises FileNotFoundError when ``run_dir`` is no folder.
    """
    run_dir = Path(run_dir)
    if not run_dir.is_dir():
        raise FileNotFoundError(f"{run_dir} is no run folder: give the folder that `recurra train` wrote")
    run = Run.read(run_dir)
    body = [
        page.header(_kicker(run), run_dir.resolve().name, _lead(run), _notices(run)),
        page.figures(_figures(run)),
        page.section("Training", charts(run)),
        page.section(f"What it {'writes' if run.history.samples else 'learnt'}", _samples(run)),
        page.section("On the validation data", findings.section({}, run.findings)),
        page.section(
            f"Evaluated on {run.evaluation.get('data') or 'the test data'}", findings.evaluation(run.evaluation)
        ),
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


def _kicker(run: Run) -> str:
    return "recurra · report of a training run"


def _lead(run: Run) -> str:
    body, layers, hidden = run.cell or run.setting("model.kind"), *map(run.setting, ("model.layers", "model.hidden"))
    parts = []
    if body:
        size = f"{layers} × {hidden} units" if layers and hidden else ""
        parts.append(" ".join(part for part in (str(body), size) if part))
    if run.config.get("data"):
        parts.append(f"trained on {run.config['data']}")
    if run.history.rows:
        steps = f"{run.history.rows[-1]['step']:,.0f}".replace(",", "\u202f")
        seconds = run.history.last("time")
        parts.append(f"{steps} steps in {duration(seconds)}" if seconds else f"{steps} steps")
    if end := _ENDS.get(str(run.facts.get("ended_by"))):
        parts.append(end)
    return ", ".join(parts)


def _notices(run: Run) -> list[str]:
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


def _figures(run: Run) -> list[tuple[str, str, str]]:
    history, cards = run.history, []
    best = history.best(run.criterion)
    if best:
        cards += _best_figures(run, best)
    if history.rows:
        cards.append(("Steps", _thousands(history.rows[-1]["step"]), f"best at {_thousands(best[0])}" if best else ""))
    if (seconds := history.last("time")) is not None:
        cards.append(("Time", duration(seconds), str(run.facts.get("device") or "")))
    if speeds := [value for key in history.keys if key.endswith("_per_second") for _, value in history.points(key)]:
        cards.append(("Speed", number(median(speeds)), f"{run.unit}s a second"))
    if isinstance(parameters := run.facts.get("parameters"), (int, float)):
        cards.append(("Parameters", number(parameters), f"cell {run.cell}" if run.cell else ""))
    return cards


def _best_figures(run: Run, best: tuple[float, float]) -> list[tuple[str, str, str]]:
    """The best validation: its loss and, of a language model, the same in the unit it is known by; else all of it."""
    step, value = best
    if run.criterion == "valid_nats":
        cards = [("Best validation loss", f"{value:.3f}", f"nats per {run.unit}")]
        if run.unit == "word":
            cards.append(("Perplexity", number(math.exp(min(value, 700.0))), f"per word, {value * BITS:.2f} bits"))
        elif run.unit in ("character", "token"):
            cards.append(("In bits", f"{value * BITS:.3f}", f"bits per {run.unit}"))
        return cards
    keys = [key for key in run.history.keys if key.startswith("valid_") and key != run.criterion]
    there = [(key, dict(run.history.points(key)).get(step)) for key in (run.criterion, *keys)]
    return [(title(key.removeprefix("valid_")), number(at), "validation") for key, at in there if at is not None]


def _samples(run: Run) -> str:
    samples = run.history.samples
    shown = _choose(samples)
    # Two columns: where one text is left over it is the last, and takes the whole width.
    wide = len(shown) % 2 == 1
    pieces = [
        page.sample(
            f"Step {_thousands(one.step)}",
            _loss_at(run.history, one.step),
            one.text.rstrip(),
            kind=("last wide" if wide else "last") if one is samples[-1] else "",
        )
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


def _equations(run: Run) -> str:
    name = run.cell
    if name is None:
        return ""
    try:
        cell = cells.get(name)
    except ValueError:
        # A cell of the user's own, from a file or a program that is not running now.
        return page.paragraph(
            f"The cell {name} is not one of the library's own, so its equations cannot be shown here."
        )
    lines = [line.strip() for line in unicode(cell).splitlines()]
    formulas = [line for line in lines if " = " in line]
    # What follows the formulas is a table of names and values, parted by blanks.
    rest = lines[lines.index(formulas[-1]) + 1 :] if formulas else []
    costs = [
        (title(name), value.strip()) for name, _, value in (line.partition("  ") for line in rest) if value.strip()
    ]
    return page.equations(formulas, cell.doc.strip(), page.facts(costs))


def _commands(run: Run) -> str:
    folder = shlex.quote(str(run.folder))
    if run.cell and cells.is_file(run.cell):
        folder += f" --cell {shlex.quote(run.cell)}"
    data = shlex.quote(str(run.config.get("data") or "DATA"))
    texts = [sample.text for sample in run.history.samples]
    uses = tasks.get(run.task).uses(Trained(folder, data, texts, run.config)) if run.task in tasks.names() else []
    pieces = [page.command(use.meaning, use.command) for use in uses]
    pieces.append(
        page.command("Go on training from the last checkpoint.", f"recurra train --resume {folder}{_later(run)}")
    )
    return "".join(pieces)


def _later(run: Run) -> str:
    """The setting that lets a run go on that came to its end: the limit that ended it, doubled."""
    limit = f"train.{run.facts.get('ended_by')}"
    value = run.setting(limit) if limit in ("train.steps", "train.epochs", "train.seconds") else None
    return f" {limit}={2 * value:g}" if isinstance(value, (int, float)) else ""


def _tables(run: Run) -> str:
    rows = page.facts(_flat(run.facts))
    config = page.yaml(run.config_text)
    parts = [page.section("Data and model", rows), page.section("Configuration", config)]
    inner = "".join(part for part in parts if part)
    return f'<div class="columns">{inner}</div>' if inner else ""


def duration(seconds: float) -> str:
    """``seconds`` as a person says it: 41 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _thousands(value: float) -> str:
    return f"{value:,.0f}".replace(",", "\u202f")


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
    return [(title(name), shown)]
