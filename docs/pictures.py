"""Draws the pictures of the documentation: `python docs/pictures.py`, or with a run folder for the learning curve too.

python docs/pictures.py                        docs/images/unfolded.svg; approximation.svg and length.svg, from
                                               tables of forecast.md and translate.md
python docs/pictures.py runs/sine-1            and docs/images/sine.svg, from a forecaster's findings.json
python docs/pictures.py runs/dates-1           and docs/images/alignment.svg, from a translator's findings.json
python docs/pictures.py runs/demo-1            and docs/images/learning.svg, from that run's metrics.jsonl
"""

import json
import math
import re
import sys
from html import escape
from pathlib import Path

from recurra.inspect.charts import nice_ticks, number
from recurra.inspect.history import History, Sample, smooth, thin

IMAGES = Path(__file__).resolve().parent / "images"

# An SVG shown as an image on a page cannot take its colours from the page, only from the reader's system.
STYLE = """
.card { fill: #ffffff; stroke: #e6e3dd; } .ink { fill: #1d2125; } .soft { fill: #667079; } .grid { stroke: #efece6; }
.train { stroke: #2f6bd8; } .valid { stroke: #d9541e; } .validfill { fill: #d9541e; } .rule { stroke: #98a1a9; }
.unit { fill: #e9f0fd; stroke: #2f6bd8; } .input { fill: #f4f2ed; stroke: #98a1a9; } .time { stroke: #2f6bd8; }
.arrow { fill: #667079; } .timearrow { fill: #2f6bd8; }
@media (prefers-color-scheme: dark) {
.card { fill: #1a1e23; stroke: #2a3037; } .ink { fill: #e4e7ea; } .soft { fill: #9aa4ad; } .grid { stroke: #252b31; }
.train { stroke: #6ea2ff; } .valid { stroke: #ff9160; } .validfill { fill: #ff9160; } .rule { stroke: #6d7780; }
.unit { fill: #1d2a44; stroke: #6ea2ff; } .input { fill: #20252b; stroke: #6d7780; } .time { stroke: #6ea2ff; }
.arrow { fill: #9aa4ad; } .timearrow { fill: #6ea2ff; } }
text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
.math { font: italic 19px "STIX Two Math", "Cambria Math", Cambria, "DejaVu Serif", serif; }
.sub { font-size: 13px; } .head { font-weight: 650; font-size: 14px; } .small { font-size: 11.5px; }
.code { font: 11.5px ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre; }
path { fill: none; } .curve { stroke-width: 2; stroke-linejoin: round; } .way { stroke-width: 1.5; }
"""


def svg(width: int, height: int, label: str, parts: list[str]) -> str:
    """A picture of that size in pixels, on a card."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(label, quote=True)}">\n<style>{STYLE}</style>\n'
        f'<rect class="card" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="12"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def unfolded() -> str:
    """The simple recurrent network over five steps."""
    left, gap, size, top = 118, 142, 52, 62
    parts = []

    def symbol(x: float, y: float, name: str, index: str) -> str:
        return (
            f'<text class="math ink" x="{x}" y="{y}" text-anchor="middle">{name}'
            f'<tspan class="sub" dy="4">{index}</tspan></text>'
        )

    def arrow(x0: float, y0: float, x1: float, y1: float, kind: str) -> str:
        if y0 == y1:
            head = f"{x1},{y1} {x1 - 9},{y1 - 4.5} {x1 - 9},{y1 + 4.5}"
            x1 -= 8
        else:
            head = f"{x1},{y1} {x1 - 4.5},{y1 + 9} {x1 + 4.5},{y1 + 9}"
            y1 += 8
        ink = "timearrow" if kind == "time" else "arrow"
        return f'<path class="way {kind}" d="M{x0} {y0}L{x1} {y1}"/><polygon class="{ink}" points="{head}"/>'

    parts.append(symbol(44, top + size / 2 + 6, "h", "0"))
    for t in range(1, 6):
        x = left + (t - 1) * gap
        middle = x + size / 2
        start = 62 if t == 1 else x - gap + size
        parts.append(arrow(start + 4, top + size / 2, x - 4, top + size / 2, "time"))
        parts.append(f'<text class="math soft" x="{(start + x) / 2}" y="{top + 16}" text-anchor="middle">U</text>')
        parts.append(f'<rect class="unit" x="{x}" y="{top}" width="{size}" height="{size}" rx="10"/>')
        parts.append(symbol(middle, top + size / 2 + 5, "h", str(t)))
        parts.append(arrow(middle, 186, middle, top + size + 5, "rule"))
        parts.append(f'<text class="math soft" x="{middle + 15}" y="158" text-anchor="middle">W</text>')
        parts.append(f'<circle class="input" cx="{middle}" cy="208" r="21"/>')
        parts.append(symbol(middle, 213, "x", str(t)))
        parts.append(arrow(middle, top - 4, middle, 26, "rule"))
    end = left + 4 * gap + size
    parts.append(arrow(end + 4, top + size / 2, end + 46, top + size / 2, "time"))
    parts.append(f'<text class="soft" x="{end + 54}" y="{top + size / 2 + 5}">…</text>')
    return svg(834, 246, "The simple recurrent network unfolded over five steps", parts)


def learning(history: History, title: str) -> str:
    """The loss of a run over its steps, and below it what the model wrote at three of them."""
    train, valid = history.points("train_nats"), history.points("valid_nats")
    shown = three(history.samples)
    if not train or not shown:
        raise SystemExit("the run has no training loss or no samples in its metrics.jsonl: train it a little longer")
    width, left, right, top, bottom = 980, 58, 958, 58, 232
    steps = [x for x, _ in train + valid]
    first, last = min(steps), max(steps)
    later = [y for x, y in train + valid if x >= first + 0.01 * (last - first)]
    ticks = nice_ticks(min(y for _, y in train + valid), max(later), 5)

    def place(point: tuple[float, float]) -> tuple[float, float]:
        x = left + (point[0] - first) / (last - first or 1) * (right - left)
        return x, bottom - (point[1] - ticks[0]) / (ticks[-1] - ticks[0]) * (bottom - top)

    def curve(points: list[tuple[float, float]], kind: str) -> str:
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in map(place, points))
        return f'<path class="curve {kind}" clip-path="url(#frame)" d="M{path}"/>'

    # The first steps of the fall run off the top: the rest of the run has the height of the picture.
    inside = f'x="{left}" y="{top - 6}" width="{right - left}" height="{bottom - top + 6}"'
    parts = [
        f'<clipPath id="frame"><rect {inside}/></clipPath>',
        f'<text class="head ink" x="22" y="32">{escape(title)}</text>',
    ]
    for tick in ticks:
        y = place((first, tick))[1]
        parts.append(f'<path class="grid" d="M{left} {y:.1f}H{right}"/>')
        parts.append(f'<text class="small soft" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{number(tick)}</text>')
    for tick in nice_ticks(first, last, 8, inside=True):
        x = place((tick, ticks[0]))[0]
        parts.append(
            f'<text class="small soft" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{number(tick)}</text>'
        )
    parts.append(f'<path class="rule" d="M{left} {bottom}H{right}"/>')
    smoothed = thin(smooth(train, max(1, len(train) // 40)), 400)
    parts.append(curve(smoothed, "train"))
    if valid:
        parts.append(curve(valid, "valid"))
        parts += [f'<circle class="validfill" cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>' for x, y in map(place, valid)]
    legend = ("train", "train"), ("valid", "held-out text")
    for index, (kind, name) in enumerate(legend if valid else legend[:1]):
        x = right - 200 + 80 * index
        parts.append(
            f'<path class="curve {kind}" d="M{x} 28h20"/><text class="small soft" x="{x + 27}" y="32">{name}</text>'
        )
    column = (right + 22 - 22) / len(shown)
    height = bottom + 66
    for index, sample in enumerate(shown):
        x = 22 + index * column
        nats = min(train, key=lambda point: abs(point[0] - sample.step))[1]
        parts.append(f'<text class="ink head" x="{x:.1f}" y="{bottom + 52}">step {sample.step:.0f}</text>')
        parts.append(
            f'<text class="soft small" x="{x + 92:.1f}" y="{bottom + 52}">{nats:.2f} nats per character</text>'
        )
        for row, line in enumerate(lines(sample.text, int((column - 20) / 7.0), 13)):
            y = bottom + 76 + 16 * row
            height = max(height, y + 20)
            parts.append(f'<text class="code ink" x="{x:.1f}" y="{y}" xml:space="preserve">{escape(line)}</text>')
    return svg(width, int(height), title, parts)


Curve = tuple[str, str, list[tuple[float, float]]]  # what it is, its class, its points


def approximation(page: str) -> str:
    """Error over units, both logarithmic, from the table on the page whose rows are `| units | error | … |`."""
    rows = re.findall(r"^\| (\d+) \| ([\d.]+) \|", page, re.MULTILINE)
    points = [(math.log2(int(units)), math.log10(float(error))) for units, error in rows]
    exponents = range(math.floor(min(y for _, y in points)), math.ceil(max(y for _, y in points)) + 1)
    ticks = [(y, f"{10**y:g}") for y in exponents]
    places = [(x, f"{2**x:.0f} units") for x, _ in points]
    return _plot("A pendulum followed by networks of more and more units: RMSE", places, ticks, [("", "valid", points)])


def length(page: str) -> str:
    """BLEU over the length of the source, from the last table on the page with a row `| BLEU without | … |`."""

    def cells(row: str) -> list[str]:
        return re.findall(rf"^\| {row} \|(.*)\|$", page, re.MULTILINE)[-1].split("|")

    names = [name.strip() for name in cells("symbols of the source")]
    places = [(float(x), f"{name} symbols") for x, name in enumerate(names)]
    scores = {row: [float(score) for score in cells(row)] for row in ("BLEU with attention", "BLEU without")}
    kinds = zip(scores.items(), ("train", "valid"), strict=True)
    curves: list[Curve] = [(row[5:], kind, [(float(x), y) for x, y in enumerate(ys)]) for (row, ys), kind in kinds]
    ticks = [(float(tick), str(tick)) for tick in range(0, 10 + int(max(map(max, scores.values()))), 10)]
    return _plot("English to French: BLEU by the length of the source", places, ticks, curves)


def sine(found: list[dict]) -> str:
    """The typical window of a forecaster's findings: what was known, what came and what was forecast."""
    chart = next(one for one in found if one["kind"] == "curves" and one["note"].startswith("a window"))
    curves = [
        (str(curve["label"]), kind, [(float(x), float(y)) for x, y in curve["points"]])
        for curve, kind in zip(chart["curves"], ("train", "valid"), strict=True)
    ]
    steps = [x for _, _, points in curves for x, _ in points]
    places = [(tick, number(tick)) for tick in nice_ticks(min(steps), max(steps), 7, inside=True)]
    ticks = [(value, number(value)) for value in (-1.0, 0.0, 1.0)]
    return _plot("A sine goes on from the model's own forecasts, from step 1", places, ticks, curves)


def alignment(found: list[dict]) -> str:
    """Some of a translator's alignments side by side: a row for each symbol written, a column for each looked at."""
    cell, left, bottom = 12.5, 34.0, 76 + 12.5 * 10
    parts = ['<text class="ink head" x="24" y="34">Where it looks for each sign that it writes</text>']
    for one in (one for one in found if one["kind"] == "heatmap"):
        width = cell * len(one["columns"])
        if left + width > 756 or width > 260:
            continue
        top = bottom - cell * len(one["rows"])
        for k, (name, row) in enumerate(zip(one["rows"], one["values"], strict=True)):
            y = top + cell * k
            parts.append(
                f'<text class="code ink" x="{left - 6:.1f}" y="{y + 10:.1f}" text-anchor="end">{escape(name)}</text>'
            )
            parts += [
                f'<rect class="validfill" x="{left + cell * column:.1f}" y="{y:.1f}" width="{cell - 1}" '
                f'height="{cell - 1}" opacity="{max(value, 0.05):.2f}"/>'
                for column, value in enumerate(row)
            ]
        for column, name in enumerate(one["columns"]):
            x = left + cell * (column + 0.5)
            parts.append(
                f'<text class="code ink" x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">{escape(name)}</text>'
            )
        left += width + 30
    return svg(770, round(bottom) + 34, "Alignments of dates with their ISO form", parts)


def _plot(title: str, places: list[tuple[float, str]], ticks: list[tuple[float, str]], curves: list[Curve]) -> str:
    """Curves over `places` on the horizontal and `ticks` on the vertical axis, each a value and its text."""
    left, right, top, bottom = 70, 740, 60, 250
    xs = [x for _, _, points in curves for x, _ in points]
    ys = [y for _, _, points in curves for _, y in points] + [y for y, _ in ticks]

    def place(point: tuple[float, float]) -> tuple[float, float]:
        across = (point[0] - min(xs)) / (max(xs) - min(xs))
        up = (point[1] - min(ys)) / (max(ys) - min(ys))
        return left + across * (right - left), bottom - up * (bottom - top)

    parts = [f'<text class="ink head" x="24" y="34">{escape(title)}</text>']
    for value, text in ticks:
        y = place((xs[0], value))[1]
        parts.append(f'<path class="grid" d="M{left} {y:.1f}H{right}"/>')
        parts.append(f'<text class="small soft" x="{left - 10}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    for value, text in places:
        x = place((value, ys[0]))[0]
        parts.append(f'<text class="small soft" x="{x:.1f}" y="{bottom + 22}" text-anchor="middle">{text}</text>')
    for index, (label, kind, points) in enumerate(curves):
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in map(place, points))
        parts.append(f'<path class="curve {kind}" d="M{path}"/>')
        if label:
            x = right - 240 + 130 * index
            parts.append(f'<path class="curve {kind}" d="M{x} 30h20"/>')
            parts.append(f'<text class="small soft" x="{x + 27}" y="34">{escape(label)}</text>')
    return svg(770, 290, title, parts)


def three(samples: list[Sample]) -> list[Sample]:
    """The first sample, one at about a fifth of the run, and the last."""
    if len(samples) < 3:
        return samples
    middle = min(samples[1:-1], key=lambda sample: abs(sample.step - samples[-1].step / 5))
    return [samples[0], middle, samples[-1]]


def lines(text: str, columns: int, rows: int) -> list[str]:
    """The first rows of a text, long lines folded to `columns`, control characters left out."""
    folded = []
    for line in text.expandtabs(4).split("\n"):
        line = "".join(letter for letter in line if letter.isprintable())
        while len(line) > columns:
            space = line.rfind(" ", columns // 2, columns + 1)
            cut = space if space > 0 else columns
            folded.append(line[:cut])
            line = line[cut:].lstrip()
        folded.append(line)
    return folded[:rows]


def main(arguments: list[str]) -> None:
    IMAGES.mkdir(exist_ok=True)
    (IMAGES / "unfolded.svg").write_text(unfolded(), encoding="utf-8")
    page = (IMAGES.parent / "forecast.md").read_text(encoding="utf-8")
    (IMAGES / "approximation.svg").write_text(approximation(page), encoding="utf-8")
    page = (IMAGES.parent / "translate.md").read_text(encoding="utf-8")
    (IMAGES / "length.svg").write_text(length(page), encoding="utf-8")
    for run in arguments[:1]:
        found = Path(run) / "findings.json"
        if found.exists():
            content = json.loads(found.read_text(encoding="utf-8"))["findings"]
            name, draw = ("alignment", alignment) if content[0]["kind"] == "heatmap" else ("sine", sine)
            (IMAGES / f"{name}.svg").write_text(draw(content), encoding="utf-8")
            continue
        history = History.read(Path(run) / "metrics.jsonl")
        minutes = (history.last("time") or 0.0) / 60
        title = f"A recurrent network learns to write in {minutes:.1f} minutes on a CPU"
        (IMAGES / "learning.svg").write_text(learning(history, title), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
