"""What was measured, as tables and as JSON."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby

from recurra.deploy.bench.cases import OURS, PEERS
from recurra.deploy.bench.run import Comparison, Report


def as_text(report: Report) -> str:
    """Markdown: a table for each kind and cell, then their means."""
    return "\n".join(_lines(report))


def as_json(report: Report) -> str:
    """All figures: seconds, shares of the peak, bytes."""
    found = asdict(report)
    for comparison, made in zip(found["comparisons"], report.comparisons, strict=True):
        comparison["ratio"] = {p: made.ratio(p) for p in made.seconds if p != OURS}
    return json.dumps(found, indent=2)


def _lines(report: Report) -> Iterator[str]:
    yield ", ".join(f"{name} {value}" for name, value in report.machine.items())
    before, after = (f"{p / 1e9:.0f}" for p in report.peak)
    yield f"multiply-add peak {before} GFLOP/s before and {after} after, reading memory {report.stream / 1e9:.0f} GB/s"
    if report.options.busy:
        yield "while another program held one core"
    groups = [(key, list(group)) for key, group in groupby(report.comparisons, lambda c: (c.kind, c.cell))]
    for (kind, cell), group in groups:
        yield ""
        yield from _table(kind, cell, group)
    if groups:
        yield ""
        yield from _means([group for _, group in groups])
    if report.memory:
        yield ""
        yield "| peak memory of a training step | T, B, I, H | recurra MB | torch.nn MB | ratio |"
        yield "|---|---|---|---|---|"
        for g in report.memory:
            yield (
                f"| {g.cell} | {g.size} | {g.ours / 1e6:.0f} | {g.theirs / 1e6:.0f} | {g.theirs / max(g.ours, 1):.2f} |"
            )


def _table(kind: str, cell: str, group: list[Comparison]) -> Iterator[str]:
    """Ours in milliseconds and in parts of the peak; of each peer the ratio, and its own part of the peak."""
    peers = [p for p in PEERS if any(p in c.seconds for c in group)]
    step = kind == "step"
    head = [f"{cell}, {kind}", "µs" if step else "ms", "of peak", *(["of reading"] if step else []), *peers]
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for c in group:
        cells = [f"{c.ratio(p):.2f} ({c.share[p]:.0%})" if p in c.seconds else "" for p in peers]
        cells = cells if c.read is None else [f"{c.read:.0%}", *cells]
        ours = [f"{c.seconds[OURS] * (1e6 if step else 1e3):.4g}", f"{c.share[OURS]:.0%}"]
        yield f"| {' | '.join([c.size, *ours, *cells])} |"


def _means(groups: list[list[Comparison]]) -> Iterator[str]:
    """Of each cell and peer the mean of the ratios, the worst, and the mean if ours were its products alone, at the
    peak: what no engine could go beyond on this machine. A step is bound by reading instead, and has none.
    """
    yield "| | against | geometric mean | worst | all at the peak |\n|---|---|---|---|---|"
    for group in groups:
        for peer in PEERS:
            ratios = [c.ratio(peer) for c in group if peer in c.seconds]
            if ratios:
                name, mean = f"{group[0].cell}, {group[0].kind}", statistics.geometric_mean(ratios)
                shares = [c.share[peer] for c in group if peer in c.seconds]
                most = "" if group[0].kind == "step" else f"{1 / statistics.geometric_mean(shares):.2f}"
                yield f"| {name} | {peer} | {mean:.2f} | {min(ratios):.2f} | {most} |"
        if group[0].kind == "step" and any({"nn", "cell"} & c.seconds.keys() for c in group):
            fastest = [min(c.ratio(p) for p in ("nn", "cell") if p in c.seconds) for c in group]
            yield (
                f"| {group[0].cell}, step | the faster of nn and cell | {statistics.geometric_mean(fastest):.2f} "
                f"| {min(fastest):.2f} | |"
            )
