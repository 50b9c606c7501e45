import math
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from recurra.inspect.charts import Chart, Line, draw, label, nice_ticks, number

SVG = "{http://www.w3.org/2000/svg}"


def parse(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


@pytest.mark.parametrize(
    ("low", "high", "inside", "expected"),
    [
        (1.1, 3.4, False, [1.0, 1.5, 2.0, 2.5, 3.0, 3.5]),
        (0.0, 0.002, False, [0.0, 0.0005, 0.001, 0.0015, 0.002]),
        (1, 4000, True, [1000.0, 2000.0, 3000.0, 4000.0]),
        (7, 7, True, [7]),
        (0.0, 0.0, False, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),  # a share that stayed 0 is not drawn as if it could be less
    ],
)
def test_ticks_are_round_and_cover_the_range(low, high, inside, expected):
    assert nice_ticks(low, high, 5, inside) == expected


@pytest.mark.parametrize("value", [0.0, 3.0, -2.0, 1e-9, 5e12])
def test_a_constant_still_gets_an_axis_with_a_height(value):
    ticks = nice_ticks(value, value, 5)
    assert ticks[0] <= value <= ticks[-1] and ticks[0] < ticks[-1]


def test_every_point_lies_inside_the_frame_and_order_is_kept():
    points = [(float(i), math.exp(-i / 30)) for i in range(100)]
    root = parse(draw(Chart([Line("loss", points, "train")])))
    path = next(one for one in root.iter(f"{SVG}path") if one.get("class") == "line train")
    places = [tuple(map(float, pair.split())) for pair in path.get("d", "")[1:].split("L")]
    assert len(places) == 100
    assert all(0 <= x <= 330 and 0 <= y <= 190 for x, y in places)
    # A falling curve falls on the screen, where y grows downwards.
    assert all(a[0] < b[0] and a[1] <= b[1] for a, b in pairwise(places))


def test_a_range_of_many_decades_is_logarithmic():
    root = parse(draw(Chart([Line("norm", [(0, 0.01), (1, 1.0), (2, 100.0)])])))
    labels = {text.text for text in root.iter(f"{SVG}text")}
    assert {"0.01", "1", "100"} <= labels


def test_hover_shows_every_curve_at_that_step():
    svg = draw(Chart([Line("train", [(1, 2.0), (2, 1.0)], "train"), Line("valid", [(2, 1.5)], "valid")]))
    tips = [["".join(t.itertext()) for t in g.iter(f"{SVG}tspan")] for g in parse(svg).iter(f"{SVG}g")]
    assert ["step 2", "train 1", "valid 1.5"] in tips


def test_labels_are_escaped_and_an_empty_chart_is_no_chart():
    assert "a&lt;b&amp;" in draw(Chart([Line('a<b&"', [(0, 1.0)])]))
    assert draw(Chart([Line("nothing", [])])) == ""


def test_a_single_point_is_drawn():
    root = parse(draw(Chart([Line("one", [(5, 1.0)])])))
    assert any(one.get("class") == "dot plain" for one in root.iter(f"{SVG}circle"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.002, "0.002"),
        (1.48249, "1.482"),
        (61234, "61.2k"),
        (4.65e6, "4.65M"),
        (-3, "-3"),
        (2.5e-7, "2.5e-7"),
    ],
)
def test_numbers_are_short(value, text):
    assert number(value) == text


def test_the_ticks_of_an_axis_share_their_unit():
    assert [label(tick, [0, 5000, 10000]) for tick in (0, 5000, 10000)] == ["0", "5k", "10k"]
    assert [label(tick, [0, 500, 1000]) for tick in (500, 1000)] == ["500", "1000"]


def test_a_steep_start_may_run_off_the_top_and_a_short_run_may_not():
    def heights(count: int) -> list[float]:
        points = [(float(i), 100.0 if i == 0 else 1.0 + i / count) for i in range(count)]
        root = parse(draw(Chart([Line("loss", points, "train")], cut_start=True)))
        path = next(one for one in root.iter(f"{SVG}path") if one.get("class") == "line train")
        return [float(pair.split()[1]) for pair in path.get("d", "")[1:].split("L")]

    assert heights(100)[0] < 0 < min(heights(100)[1:])
    assert min(heights(10)) > 0
