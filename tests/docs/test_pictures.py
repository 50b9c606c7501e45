"""The pictures of the documentation come from the script that is said to draw them."""

import importlib.util
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from recurra.inspect.history import History, Sample

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("docs_pictures", DOCS / "pictures.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_unfolded_network_is_as_drawn(script):
    assert (DOCS / "images" / "unfolded.svg").read_text(encoding="utf-8") == script.unfolded()


def test_the_error_of_the_pendulum_is_drawn_from_the_table_of_its_page(script):
    page = (DOCS / "forecast.md").read_text(encoding="utf-8")
    assert (DOCS / "images" / "approximation.svg").read_text(encoding="utf-8") == script.approximation(page)
    assert script.approximation(page.replace("| 64 | 0.0", "| 64 | 0.9")) != script.approximation(page)


def test_bleu_by_length_is_drawn_from_the_table_of_its_page(script):
    page = (DOCS / "translate.md").read_text(encoding="utf-8")
    assert (DOCS / "images" / "length.svg").read_text(encoding="utf-8") == script.length(page)
    assert script.length(page.replace("| BLEU without | ", "| BLEU without | 1")) != script.length(page)


def test_alignments_are_drawn_from_the_findings(script):
    one = {"kind": "heatmap", "rows": ["2", "<"], "columns": ["a", "b", "∎"], "values": [[0.9, 0.1, 0], [0, 0.2, 0.8]]}
    picture = script.alignment([one, {"kind": "table"}, {**one, "columns": "a" * 70}])
    assert picture.count('opacity="0.90"') == 1 and "&lt;" in picture
    assert len(ElementTree.fromstring(picture).findall(".//{*}rect")) == 1 + 6  # the card, and one map that fits


def test_a_forecast_is_drawn_from_its_findings(script):
    points = [[float(step), step / 10] for step in range(-9, 11)]
    chart = {"kind": "curves", "note": "a window of median error", "curves": [
        {"label": "what came", "points": points}, {"label": "forecast", "points": points[-9:]},
    ]}  # fmt: skip
    picture = script.sine([{"kind": "table"}, chart])
    assert "what came" in picture and picture.count('class="curve') == 4


def test_every_picture_is_whole_and_fetches_nothing():
    for path in (DOCS / "images").glob("*.svg"):
        text = path.read_text(encoding="utf-8")
        ElementTree.fromstring(text)
        assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


def test_a_learning_curve_shows_three_texts(script, tmp_path: Path):
    rows = [{"step": s, "train_nats": 1 + 3 / s, "sample": f"text <{s}>\n" + 90 * "é"} for s in range(1, 51)]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    picture = script.learning(History.read(tmp_path / "metrics.jsonl"), "A & B")
    shown = [text.text for text in ElementTree.fromstring(picture).iter() if text.tag.endswith("text")]
    assert {"A & B", "step 1", "step 10", "step 50", "text <1>", "text <10>", "text <50>"} <= set(shown)
    with pytest.raises(SystemExit, match="train it a little longer"):
        script.learning(History(), "nothing")


def test_long_lines_are_folded_at_blanks(script):
    assert script.lines("one two three\n\tfour", 8, 9) == ["one two", "three", "    four"]
    assert script.lines("abcdefghij", 4, 2) == ["abcd", "efgh"]
    assert [one.step for one in script.three([Sample(s, "x") for s in (1, 20, 50, 100)])] == [1, 20, 100]
