"""Line charts as small SVG texts: no script, no font file, colours taken from the page's CSS, readings on hover."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from html import escape

from recurra.inspect.history import Point

_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 10, 26
_LOG_BELOW = 40  # a range wider than this factor is easier to read on a logarithmic axis


@dataclass(frozen=True)
class Line:
    """One curve. ``kind`` is a CSS class: ``faint`` (raw values), ``train``, ``valid`` (with dots), ``plain``,
    ``truth`` or ``model``."""

    label: str
    points: list[Point]
    kind: str = "plain"


@dataclass(frozen=True)
class Chart:
    """What to draw, and how large: ``width`` and ``height`` in CSS pixels at full size.

    ``second`` is the factor to a second scale on the right (bits beside nats). ``mark`` is a point to
    ring, with its text. ``from_zero`` starts the vertical axis at 0, for rates and speeds. ``cut_start`` lets a steep
    fall at the start run off the top, so that the rest of the run has the height of the chart. ``band`` is an area that
    is shaded, its lower and its upper edge at the same places. ``axis`` is what stands on the horizontal axis.
    """

    lines: list[Line]
    width: int = 330
    height: int = 190
    from_zero: bool = False
    cut_start: bool = False
    second: float | None = None
    mark: tuple[Point, str] | None = None
    band: tuple[list[Point], list[Point]] | None = None
    axis: str = "step"


def draw(chart: Chart) -> str:
    """The chart as one ``<svg>`` element; an empty text where no line has a point."""
    lines = [line for line in chart.lines if line.points]
    if not lines:
        return ""
    plot = _Plot(chart, lines)
    parts = plot.grid()
    if chart.band:
        parts.append(plot.area(*chart.band))
    parts += [plot.curve(line) for line in lines]
    if chart.mark:
        parts.append(plot.ring(*chart.mark))
    parts.extend(plot.readings())
    label = escape(", ".join(line.label for line in lines), quote=True)
    return (
        f'<svg class="chart" viewBox="0 0 {chart.width} {chart.height}" role="img" aria-label="{label}">'
        + "".join(parts)
        + "</svg>"
    )


def number(value: float) -> str:
    """``value`` with four significant digits and no more characters than it needs: 0.002, 1.482, 12.3k, 4.65M."""
    size = abs(value)
    for bound, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= bound:
            return f"{value / (1e3 if unit == 'k' else bound):.3g}{unit}"
    if size and size < 1e-4:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return f"{value:.4g}"


def label(tick: float, ticks: list[float]) -> str:
    """A tick of an axis, in the unit of the largest one: 0, 5k, 10k."""
    high = max(map(abs, ticks))
    bound, unit = next((pair for pair in ((1e9, "G"), (1e6, "M"), (1e4, "k")) if high >= pair[0]), (1.0, ""))
    scale = 1e3 if unit == "k" else bound
    return number(tick / scale) + unit if unit and tick else number(tick)


class _Plot:
    """The two scales of one chart, and the pieces drawn on them."""

    def __init__(self, chart: Chart, lines: list[Line]) -> None:
        self.chart, self.lines = chart, lines
        self.right = chart.width - (_RIGHT + 32 if chart.second else _RIGHT)
        self.bottom = chart.height - _BOTTOM
        steps = [x for line in lines for x, _ in line.points]
        self.x0, self.x1 = min(steps), max(steps)
        values = [y for points in (*(line.points for line in lines), *(chart.band or ())) for _, y in points]
        low, high = min(values), max(values)
        if chart.cut_start:
            high = self._later_high(high)
        self.log = low > 0 and high / low > _LOG_BELOW and not chart.from_zero and chart.second is None
        if self.log:
            self.ticks = _log_ticks(low, high)
            self.y0, self.y1 = math.log(min(low, self.ticks[0])), math.log(max(high, self.ticks[-1]))
        else:
            self.ticks = nice_ticks(min(low, 0.0) if chart.from_zero else low, high, 5)
            self.y0, self.y1 = self.ticks[0], self.ticks[-1]

    def _later_high(self, high: float) -> float:
        """The largest value after the first 1.5 % of the run; of the whole run where it has few points."""
        begin = self.x0 + (self.x1 - self.x0) * 0.015
        later = [y for line in self.lines for x, y in line.points if x >= begin]
        return max(later) if len(later) > 30 else high

    def x(self, step: float) -> float:
        span = self.x1 - self.x0
        # A run of a single point has no span: put it in the middle.
        share = (step - self.x0) / span if span else 0.5
        return _LEFT + share * (self.right - _LEFT)

    def y(self, value: float) -> float:
        value = math.log(value) if self.log else value
        return self.bottom - (value - self.y0) / (self.y1 - self.y0) * (self.bottom - _TOP)

    def grid(self) -> list[str]:
        parts = []
        for tick in self.ticks:
            y = self.y(tick)
            parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{self.right}"/>')
            parts.append(_text(_LEFT - 7, y + 3.5, label(tick, self.ticks), "end"))
            if self.chart.second:
                # The same grid line read in the other unit.
                parts.append(_text(self.right + 7, y + 3.5, f"{tick * self.chart.second:.2f}", "start"))
        steps = nice_ticks(self.x0, self.x1, 3 + self.chart.width // 160, inside=True)
        for tick in steps:
            x = self.x(tick)
            parts.append(f'<path class="axis" d="M{x:.1f} {self.bottom}v4"/>')
            parts.append(_text(x, self.bottom + 17, label(tick, steps), "middle"))
        parts.append(f'<path class="axis" d="M{_LEFT} {self.bottom}H{self.right}"/>')
        return parts

    def curve(self, line: Line) -> str:
        places = [(self.x(x), self.y(y)) for x, y in line.points]
        if len(places) == 1:
            return f'<circle class="dot {line.kind}" cx="{places[0][0]:.1f}" cy="{places[0][1]:.1f}" r="3"/>'
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        drawn = f'<path class="line {line.kind}" d="{path}"/>'
        if line.kind == "valid" and len(places) <= 60:
            drawn += "".join(f'<circle class="dot valid" cx="{x:.1f}" cy="{y:.1f}" r="2.4"/>' for x, y in places)
        return drawn

    def area(self, lower: list[Point], upper: list[Point]) -> str:
        path = "L".join(f"{self.x(x):.1f} {self.y(y):.1f}" for x, y in [*upper, *reversed(lower)])
        return f'<path class="band" d="M{path}Z"/>'

    def ring(self, point: Point, text: str) -> str:
        x, y = self.x(point[0]), self.y(point[1])
        anchor = "end" if x > (_LEFT + self.right) / 2 else "start"
        # Below the curve is free on a loss that falls; near the floor there is room only above it.
        above = y + 32 > self.bottom
        offset = -13 if above else 22
        return (
            f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="5.5"/>'
            f'<text class="mark" x="{x:.1f}" y="{y + offset:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
        )

    def readings(self) -> list[str]:
        """Invisible strips side by side; the one under the pointer shows every curve's value there."""
        shown = [line for line in self.lines if line.kind != "faint"]
        steps = sorted({x for line in shown for x, _ in line.points})
        count = min(len(steps), self.chart.width // 6)
        if count > 1:
            steps = [steps[round(i * (len(steps) - 1) / (count - 1))] for i in range(count)]
        places = [self.x(step) for step in steps]
        parts = []
        for index, (step, x) in enumerate(zip(steps, places, strict=True)):
            left = (places[index - 1] + x) / 2 if index else _LEFT
            right = (places[index + 1] + x) / 2 if index + 1 < len(places) else self.right
            hits = [(line, _nearest(line.points, step)) for line in shown]
            parts.append(
                f'<g class="hit"><rect x="{left:.1f}" y="{_TOP}" width="{max(right - left, 0.1):.1f}" '
                f'height="{self.bottom - _TOP}"/>{self._tip(step, x, hits)}</g>'
            )
        return parts

    def _tip(self, step: float, x: float, hits: list[tuple[Line, Point]]) -> str:
        dots = "".join(
            f'<circle class="dot {line.kind}" cx="{self.x(point[0]):.1f}" cy="{self.y(point[1]):.1f}" r="3.2"/>'
            for line, point in hits
        )
        texts = [f"{self.chart.axis} {step:,.0f}".replace(",", "\u202f")]
        texts += [f"{line.label} {number(point[1])}" for line, point in hits]
        width = 6.2 * max(map(len, texts)) + 16
        at = x + 10 if x + 10 + width < self.right else x - 10 - width
        rows = "".join(
            f'<tspan x="{at + 8:.1f}" y="{_TOP + 17 + 14 * row}">{escape(text)}</tspan>'
            for row, text in enumerate(texts)
        )
        return (
            f'<g class="tip"><path d="M{x:.1f} {_TOP}V{self.bottom}"/>{dots}<rect class="box" x="{at:.1f}" '
            f'y="{_TOP + 2}" width="{width:.1f}" height="{14 * len(texts) + 10}" rx="4"/><text>{rows}</text></g>'
        )


def nice_ticks(low: float, high: float, count: int, inside: bool = False) -> list[float]:
    """Round values 1, 2 or 5 × 10ⁿ apart, about ``count`` of them: around ``[low, high]``, or ``inside`` it."""
    if high - low <= 1e-6 * max(abs(low), abs(high)):
        # A constant curve (or one that differs by rounding only) still needs an axis with a height.
        if inside:
            return [low]
        pad = abs(low) * 0.1 or 1.0
        # What is never below 0, such as a share, is not drawn as if it could be.
        low, high = (max(low - pad, 0.0) if low >= 0 else low - pad), high + pad
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    first, last = (math.ceil, math.floor) if inside else (math.floor, math.ceil)
    start, stop = first(low / step - 1e-9 * (1 if inside else -1)), last(high / step + 1e-9 * (1 if inside else -1))
    return [float(f"{index * step:.12g}") for index in range(start, stop + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    start, stop = math.floor(math.log10(low)), math.ceil(math.log10(high))
    stride = max(1, (stop - start) // 4)
    return [10.0**power for power in range(start, stop + stride, stride)]


def _nearest(points: list[Point], step: float) -> Point:
    index = bisect_left(points, (step, -math.inf))
    near = points[max(0, index - 1) : index + 1]
    return min(near, key=lambda point: abs(point[0] - step))


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
