"""The curves of a run as charts: the loss large, everything else that was measured small."""

from __future__ import annotations

import math

from recurra.inspect import page
from recurra.inspect.charts import Chart, Line, draw, number
from recurra.inspect.history import History, Point, smooth, thin
from recurra.inspect.run import Run

BITS = 1 / math.log(2)
"""Bits in a nat."""

# Width and height of a chart that takes the page, half of it, or a third, in pixels.
_LARGE, _HALF, _THIRD = (1014, 340), (476, 200), (312, 190)
# Words of a key that are written in a way of their own.
_NAMES = {
    "f1": "F1", "mse": "MSE", "mae": "MAE", "rmse": "RMSE", "smape": "sMAPE", "mase": "MASE", "crps": "CRPS",
    "bleu": "BLEU", "chrf": "chrF",
}  # fmt: skip
_POINTS = 500  # a curve is drawn with at most this many points; a screen shows no more
# Metrics of the loop that have a chart of their own: key -> title, note, whether the axis starts at zero.
_LOOP_CHARTS = {
    "lr": ("Learning rate", "", True),
    "gradient_norm": ("Gradient norm", "before clipping", False),
}


def charts(run: Run) -> str:
    """Every metric of the run over its steps, as HTML; an empty text where nothing was measured."""
    history = run.history
    keys = history.keys
    # What was measured once is a number, which stands above, and no curve.
    loss = (f"train_{run.loss}", f"valid_{run.loss}")
    drawn = [key for key in keys if key in loss or len(history.points(key)) > 1]
    pairs = list(dict.fromkeys(key.split("_", 1)[1] for key in drawn if key.startswith(("train_", "valid_"))))
    # The loss leads; bits are the same curve, read on its other scale.
    pairs = sorted((name for name in pairs if name != "bits"), key=lambda name: name != run.loss)
    others = [key for key in keys if key not in _LOOP_CHARTS and not key.startswith(("train_", "valid_"))]
    singles = [*(key for key in _LOOP_CHARTS if key in keys), *others]
    large = _pair_chart(run, pairs[0], _LARGE) if pairs else ""
    # Three in a row, or two where three would leave one over.
    two = len(pairs[1:]) + len(singles) in (2, 4)
    size = _HALF if two else _THIRD
    small = [_pair_chart(run, name, size) for name in pairs[1:]]
    small += [_single_chart(history, key, size) for key in singles]
    panels = f'<div class="panels{" two" if two else ""}">{"".join(small)}</div>' if small else ""
    return large + panels


def _pair_chart(run: Run, name: str, size: tuple[int, int]) -> str:
    """Train and valid of one metric over the steps."""
    first = size is _LARGE
    train, valid = run.history.points(f"train_{name}"), run.history.points(f"valid_{name}")
    lines = []
    if train:
        window = max(1, len(train) // 40)
        if window > 1:
            lines.append(Line("train, each line", thin(train, _POINTS), "faint"))
        lines.append(Line("train", thin(smooth(train, window), _POINTS), "train"))
    if valid:
        lines.append(Line("valid", thin(valid, _POINTS), "valid"))
    is_loss = name == run.loss
    in_bits = name == "nats" and run.unit in ("character", "word", "token")
    best = run.history.best(f"valid_{name}")
    mark = (best, f"best {number(best[1])}") if first and best else None
    second = BITS if in_bits and first else None
    svg = draw(Chart(lines, *size, cut_start=first, second=second, mark=mark))
    heading = "Loss" if is_loss else title(name)
    legend = [(line.kind, _legend(line, train)) for line in lines if line.kind != "faint"]
    note = f"over steps; {name} per {run.unit}" if is_loss else ""
    if second:
        note += " on the left, bits on the right"
    if len(legend) == 1 and not first:
        note, legend = legend[0][1], []
    return page.panel(f'<div class="scroll">{svg}</div>' if first and svg else svg, heading, note, legend)


def _single_chart(history: History, key: str, size: tuple[int, int]) -> str:
    heading, note, from_zero = _LOOP_CHARTS.get(key, (title(key), "", False))
    if key.endswith("_per_second"):
        heading, note, from_zero = "Speed", key.replace("_", " "), True
    points: list[Point] = history.points(key)
    line = Line(heading.lower(), thin(points, _POINTS // 2))
    return page.panel(draw(Chart([line], *size, from_zero=from_zero)), heading, note)


def _legend(line: Line, train: list[Point]) -> str:
    if line.kind != "train" or len(train) < 80:
        return line.label
    return "train, smoothed over the raw values"


def title(key: str) -> str:
    """A key as a heading: ``tree_depth`` is Tree depth."""
    words = " ".join(_NAMES.get(word, word) for word in key.split("_") if word)
    return words if words.startswith(tuple(_NAMES.values())) else words[:1].upper() + words[1:]
