"""The comparisons run, their contenders compute the same, and their figures are put together rightly."""

import json

import pytest
import torch

from recurra.cli.bench import bench
from recurra.deploy.bench import KINDS, Options, Report, Shape, as_json, as_text, jax_peer, measure, onnx_peer
from recurra.deploy.bench.cases import OURS, cases
from recurra.deploy.bench.loops import make_loop
from recurra.deploy.bench.memory import Growth
from recurra.deploy.bench.problem import Problem
from recurra.deploy.bench.run import Comparison
from recurra.deploy.bench.timing import take_turns

TINY = Shape(5, 3, 4, 8)
CELLS = KINDS["training"].cells


@pytest.mark.parametrize("cell", CELLS)
def test_a_loop_computes_what_the_layer_does(cell: str):
    problem = Problem(cell, TINY)
    loop = make_loop(problem)
    assert loop is not None
    expected = problem.layer(problem.x.transpose(0, 1))[0].transpose(0, 1)
    torch.testing.assert_close(loop(problem.x), expected, rtol=1e-4, atol=1e-5)


def test_a_cell_without_a_loop_has_none():
    assert make_loop(Problem("mut2", TINY)) is None


@pytest.mark.parametrize("kind", ["training", "inference", "ragged", "step"])
def test_every_kind_is_measured(kind: str):
    options = Options([kind], shapes=[TINY], peers=["nn", "cell", "loop", "packed"], seconds=0.001)
    report = measure(options)
    assert [c.cell for c in report.comparisons] == list(KINDS[kind].cells)
    for comparison in report.comparisons:
        assert len(comparison.seconds) > 1
        assert all(seconds > 0 for seconds in comparison.seconds.values())
        ratios = [f"{comparison.ratio(p):.2f} (" for p in comparison.seconds if p != OURS]
        rows = [line for line in as_text(report).splitlines() if line.startswith(f"| {comparison.size} |")]
        assert any(all(r in row for r in ratios) for row in rows)


@pytest.mark.skipif(not jax_peer.available(), reason="JAX is not installed")
@pytest.mark.parametrize("kind", ["training", "inference"])
def test_jax_computes_the_same(kind: str):
    report = measure(Options([kind], ["lstm", "gru_after", "elman"], [TINY], ["jax"], seconds=0.001))
    assert all("jax" in c.seconds for c in report.comparisons)


@pytest.mark.skipif(not onnx_peer.available(), reason="ONNX Runtime is not installed")
@pytest.mark.parametrize("kind", ["inference", "step"])
def test_onnx_runtime_computes_the_same(kind: str):
    report = measure(Options([kind], ["lstm", "gru_after"], [TINY], ["onnx"], seconds=0.001))
    assert all("onnx" in c.seconds for c in report.comparisons)


def test_a_contender_that_computes_something_else_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("recurra.deploy.bench.cases.make_loop", lambda problem: make_loop(Problem("elman", TINY)))
    with pytest.raises(ValueError, match="loop gives another result than recurra"):
        measure(Options(["inference"], ["elman"], [TINY], ["loop"], seconds=0.001))


def test_a_long_sequence_is_compared_by_its_first_steps():
    # At this length the gradients of the two differ by more than their size, and both from those in float64.
    report = measure(Options(["training"], ["layer_norm_lstm"], [Shape(784, 8, 1, 128)], ["loop"], seconds=0.001))
    assert report.comparisons[0].ratio("loop") > 0


def test_a_ragged_batch_has_sixty_per_cent_of_its_steps():
    problem = Problem("lstm", Shape(100, 32, 4, 8), ragged=True)
    assert problem.real_steps == pytest.approx(0.6 * 3200, rel=0.02)
    assert problem.lengths is not None
    assert problem.lengths.max() == 100
    assert problem.operations(training=True) == 6 * problem.real_steps * 4 * 8 * (4 + 8)


def test_standard_shapes_are_those_of_the_kind():
    sizes = {kind: [c.size for c in cases([kind], ["lstm"], None, [])] for kind in KINDS}
    assert len(sizes["training"]) == 7
    assert not any(size.startswith("784") for size in sizes["ragged"])
    assert sizes["step"] == ["H = 64", "H = 128", "H = 256", "H = 512"]
    assert sizes["output"] == ["700 × 200 → 10000"]


def test_the_figures_of_a_report():
    seconds = [{OURS: 1.0, "nn": 2.0, "cell": 3.0}, {OURS: 1.0, "nn": 8.0, "cell": 4.0}]
    report = Report({"threads": "2"}, Options(), [4e11, 3e11], 5e10)
    report.comparisons = [
        Comparison("step", "lstm", f"H = {k}", s, {n: 0.5 / t for n, t in s.items()}, 0.8)
        for k, s in enumerate(seconds)
    ]
    report.memory = [Growth("lstm", str(TINY), 1_000_000, 3_000_000)]
    text = as_text(report)
    assert "| lstm, step | µs | of peak | of reading | nn | cell |" in text
    assert "| H = 0 | 1e+06 | 50% | 80% | 2.00 (25%) | 3.00 (17%) |" in text
    assert "| lstm, step | nn | 4.00 | 2.00 |  |" in text
    assert "| lstm, step | the faster of nn and cell | 2.83 | 2.00 | |" in text
    assert "| lstm | 5, 3, 4, 8 | 1 | 3 | 3.00 |" in text
    assert json.loads(as_json(report))["comparisons"][1]["ratio"] == {"nn": 8.0, "cell": 4.0}


def test_the_most_that_a_ratio_can_be():
    report = Report({}, Options(), [4e11, 3e11], 5e10)
    for size, share in (("small", 0.25), ("large", 0.64)):
        times, shares = {OURS: 1.0, "nn": 1.2}, {OURS: 1.2 * share, "nn": share}
        report.comparisons.append(Comparison("training", "lstm", size, times, shares))
    assert "| lstm, training | nn | 1.20 | 1.20 | 2.50 |" in as_text(report)


def test_turns_time_what_runs():
    done = {"a": 0, "b": 0}

    def run(name: str) -> None:
        done[name] += 1

    times = take_turns({n: lambda n=n: run(n) for n in done}, 0.001)
    assert times.keys() == done.keys()
    assert all(0 < t < 0.01 for t in times.values())
    assert all(count > 2 for count in done.values())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"kinds": ["trainin"]}, "no kind `trainin`"),
        ({"peers": ["tensorflow"]}, "no peer `tensorflow`"),
        ({"seconds": 0.0}, "seconds=0.0"),
        ({"kinds": ["training"], "cells": ["lst"]}, "lst"),
    ],
)
def test_wrong_options_are_refused(options: dict, text: str):
    with pytest.raises(ValueError, match=text):
        measure(Options(**{"seconds": 0.001, "shapes": [TINY], **options}))


def test_the_command(tmp_path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "bench.json"
    options = {"what": "training,memory", "cells": "lstm", "shapes": "5,3,4,8", "peers": "nn", "seconds": 0.001}
    bench(**options, busy=True, json=file)
    out = capsys.readouterr().out
    assert "| lstm, training | ms | of peak | nn |" in out
    assert "while another program held one core" in out
    assert "| lstm | 5, 3, 4, 8 |" in out
    found = json.loads(file.read_text())
    assert [c["cell"] for c in found["comparisons"]] == ["lstm"]
    assert found["options"]["shapes"] == [{"steps": 5, "batch": 3, "inputs": 4, "hidden": 8}]


def test_a_cell_of_a_file_is_measured(tmp_path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "own.py"
    file.write_text(
        "from recurra.equations import affine, cell, tanh\n\n@cell(state=('h',))\ndef own(x, h):\n"
        "    h = tanh(affine('h', x, h))\n    return h, (h,)\n"
    )
    bench(what="training", cells=f"{file}:own", shapes="5,3,4,8", peers="nn", seconds=0.001)
    assert "own, training | ms | of peak |" in capsys.readouterr().out


@pytest.mark.parametrize("shapes", ["5,3,4", "5,3,4,0", "a,b,c,d"])
def test_a_shape_that_is_none_is_refused(shapes: str):
    with pytest.raises(ValueError, match="expected T,B,I,H"):
        bench(shapes=shapes)
