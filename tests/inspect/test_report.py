import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from recurra.inspect import write_report
from recurra.inspect.report import duration

VOID = {"meta", "link", "br", "rect", "path", "circle"}


class Balanced(HTMLParser):
    """Collects the text and the addresses of a page, and checks that every element is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.text, self.addresses = [], [], []

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for key, value in attrs if key in ("src", "href", "srcset", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(path: Path) -> tuple[str, str]:
    """The source and the text of a page that is well formed and fetches nothing."""
    source = path.read_text(encoding="utf-8")
    parser = Balanced()
    parser.feed(source)
    assert parser.open == []
    assert all(address.startswith("data:") for address in parser.addresses)
    assert not re.search(r"url\(|@import|<script", source)
    assert not re.search(r"\b(nan|inf)\b", "".join(re.findall(r'(?:d|x|y|cx|cy|width)="([^"]*)"', source)))
    return source, "".join(parser.text)


def make_run(folder: Path, steps: int = 200, level: str = "char", **extra: object) -> Path:
    folder.mkdir()
    with open(folder / "metrics.jsonl", "w") as file:
        for step in range(1, steps + 1):
            row = {
                "step": step,
                "epoch": step // 50,
                "time": step * 0.5,
                "train_nats": 1 + 3 / step,
                "lr": 0.002,
                "gradient_norm": 1 / step,
                "tokens_per_second": 5e4,
                **extra,
            }
            if step % 20 == 0:
                row |= {"valid_nats": 1.2 + 3 / step + step / 1e4, "sample": f"sample {step} <b>&amp;</b>"}
            file.write(json.dumps(row) + "\n")
    (folder / "config.yaml").write_text(
        f"task: lm\ndata: my text.txt\ntext:\n  level: {level}\nmodel:\n  cell: lstm\n  hidden: 256\n  layers: 2\n"
    )
    (folder / "describe.json").write_text(json.dumps({"parameters": 1234567, "data": {"characters": 5000}}))
    return folder


def test_a_whole_run_shows_its_figures_samples_equations_and_commands(tmp_path):
    path = write_report(make_run(tmp_path / "my run"))
    assert path == tmp_path / "my run" / "report.html"
    source, text = read(path)
    best = min(1.2 + 3 / step + step / 1e4 for step in range(20, 201, 20))
    for piece in (f"{best:.3f}", f"{best / math.log(2):.3f}", "1 min 40 s", "1.23M", "nats per character"):
        assert piece in text
    assert source.count("<svg") == 4
    assert "sample 20 <b>&amp;</b>" in text and "sample 200 <b>&amp;</b>" in text
    assert "<td><i>h</i><sub><i>t</i></sub></td><td>=</td>" in source and "<i>W</i><sub>i</sub>" in source
    assert "σ(Wi xt + Ui ht−1 + bi)" in text and "Long short-term memory" in text
    assert f"recurra generate '{tmp_path}/my run' --prompt sample" in text
    assert f"recurra evaluate '{tmp_path}/my run' 'my text.txt'" in text
    assert "hidden: 256" in text
    assert "prefers-color-scheme: dark" in source


def test_words_are_told_as_perplexity(tmp_path):
    _, text = read(write_report(make_run(tmp_path / "run", level="word")))
    best = min(1.2 + 3 / step + step / 1e4 for step in range(20, 201, 20))
    assert "Perplexity" in text and f"{math.exp(best):.4g}" in text


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        '{"step": 1, "tra',
        '{"step": 1}\n',
        '{"step": 3, "train_nats": NaN}\n',
        '{"step": 3, "train_nats": null}\n',
        '{"step": 2, "lr": 1e300, "time": "x", "sample": 3}\n{"step": 3, "train_nats": 1' + 400 * "0" + "}\n",
        '{"step": 0, "train_nats": -1e-9}\n{"step": 1e9, "train_nats": 0}\n',
    ],
    ids=range(8),
)
def test_an_empty_or_broken_run_still_gets_a_page(tmp_path, content):
    if content is not None:
        (tmp_path / "metrics.jsonl").write_text(content)
    _, text = read(write_report(tmp_path))
    if content and '"step": 3' in content:
        assert "not a finite number at step 3" in text
    if not content:
        assert "no line yet" in text


def test_broken_settings_and_facts_do_not_stop_the_page(tmp_path):
    run = make_run(tmp_path / "run")
    (run / "config.yaml").write_text("model: [unclosed <b>")
    (run / "describe.json").write_text("{")
    _, text = read(write_report(run))
    assert "[unclosed <b>" in text and "could not be read" in text


def test_a_cell_that_is_not_the_librarys_own_is_named(tmp_path):
    run = make_run(tmp_path / "run")
    (run / "config.yaml").write_text("model:\n  cell: <mine>\n")
    _, text = read(write_report(run))
    assert "<mine> is not one of the library's own" in text


def test_metrics_of_any_name_get_a_chart(tmp_path):
    run = make_run(tmp_path / "run", valid_accuracy=0.5, train_accuracy=0.6, tree_depth=3)
    source, text = read(write_report(run))
    assert "Accuracy" in text and "Tree depth" in text
    assert source.count("<svg") == 6


def test_what_was_validated_once_is_a_figure_and_no_curve(tmp_path):
    rows = [{"step": k, "train_mse": 2.0 - k / 10} for k in range(1, 5)]
    rows[-1] |= {"valid_mse": 1.7, "valid_mae": 1.1}
    facts = {"loss": "mse", "criterion": "valid_mse", "unit": "value"}
    (tmp_path / "describe.json").write_text(json.dumps(facts))
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert "<dt>MAE</dt>" in page and "<h3>MAE" not in page
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps({**rows[-1], "step": k}) + "\n" for k in (1, 2)))
    assert "<h3>MAE" in write_report(tmp_path).read_text(encoding="utf-8")


def test_a_long_run_stays_a_small_page(tmp_path):
    path = write_report(make_run(tmp_path / "run", steps=20000))
    assert path.stat().st_size < 400_000


def test_the_page_replaces_the_old_one_in_one_move(tmp_path):
    run = make_run(tmp_path / "run")
    (run / "report.html").write_text("old")
    write_report(run)
    assert (run / "report.html").read_text() != "old"
    assert not list(run.glob("*.partial"))


def test_no_folder_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="recurra train"):
        write_report(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.44, "0.4 s"), (41, "41 s"), (59.9, "1 min"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_durations_are_said_as_people_say_them(seconds, text):
    assert duration(seconds) == text
