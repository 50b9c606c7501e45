"""How well a model describes: measures, and what the report shows."""

import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from recurra.data import Described, Line, by_length
from recurra.models import VectorToSequence
from recurra.models.evaluation import evaluating
from recurra.tasks.base import Task
from recurra.tasks.describe.config import DescribeConfig
from recurra.tasks.describe.data import Alphabet, DescribeBatch, Examples, cut, normal
from recurra.tasks.describe.writing import Written, values, write
from recurra.tasks.findings import Curve, Curves, Finding, Heatmap, Maps, Table
from recurra.tasks.judged import best_and_worst, overlap, score_by_length

_ROWS = 64  # examples scored at once
_SHOWN = 8  # things in the report, and names of each class

Companion = tuple[Task, nn.Module]


@torch.no_grad()
def losses(model: VectorToSequence, examples: Examples, things: np.ndarray | None = None) -> np.ndarray:
    """The loss of each example, summed over its steps, float64 [E]; `things` are those it is to be about, if others."""
    device = next(model.parameters()).device
    found, of = np.zeros(len(examples)), examples.data.of if things is None else things
    with evaluating(model):
        for numbers in by_length(examples.lengths, _ROWS):
            found[numbers] = nats(model, examples.about(numbers, of[numbers]), device).sum(1).double().cpu().numpy()
    return found


def nats(model: VectorToSequence, batch: DescribeBatch, device: torch.device, smoothing: float = 0.0) -> torch.Tensor:
    """The loss of each step of a batch, [B, T]."""
    encoded = model.encode(batch.things.to(device))
    inputs, targets = batch.inputs.to(device), batch.targets.to(device)
    return model.nats(encoded, inputs, targets, batch.lengths, smoothing)


def shuffled(data: Described, seed: int) -> np.ndarray:
    """For each sequence another thing than its own, among those of these data: all of one thing go to one other."""
    there = np.unique(data.of)
    order = np.random.default_rng(seed).permutation(there)
    other = dict(zip(order.tolist(), np.roll(order, 1).tolist(), strict=True))
    return np.array([other[int(k)] for k in data.of])


# -- texts of classes ------------------------------------------------------------------------------------------------


def names(
    model: VectorToSequence, alphabet: Alphabet, config: DescribeConfig, known: set[str], judge: Companion | None
) -> dict[str, float | Finding]:
    """How the texts are that the model draws of each class, `decode.draws` of each.

    Args:
        model: the model.
        alphabet: its symbols.
        config: its settings.
        known: the texts that it learnt from.
        judge: a classifier of the same classes.

    Returns:
        `new`, the part that is none of `known`; `distinct`, that of the different ones among those of their class; with
        a judge `named_back`, the part whose class it names, `named_back_new` that of the new ones alone; and a table.
    """
    classes, draws = alphabet.classes, config.decode.draws
    things = np.repeat(np.arange(len(classes)), draws)
    begin = time.perf_counter()
    drawn = [one.text for one in write(model, alphabet, config, things, config.seed)]
    speed = len(drawn) / (time.perf_counter() - begin)
    fresh = np.array([text not in known for text in drawn])
    back = None if judge is None else np.array([classes[k] for k in things]) == _named(judge, drawn)
    measures: dict[str, float | Finding] = {
        "new": float(fresh.mean()),
        "distinct": float(np.mean([len(set(drawn[k * draws : (k + 1) * draws])) / draws for k in range(len(classes))])),
        "drawn": len(drawn),
        "texts_per_second": speed,
    }
    columns = ["class", "new", *([] if back is None else ["named back"]), "some new ones"]
    rows: list[Sequence[str | float]] = []
    for k, name in enumerate(classes):
        part = slice(k * draws, (k + 1) * draws)
        some = list(dict.fromkeys(t for t, new in zip(drawn[part], fresh[part], strict=True) if new))[:_SHOWN]
        rows.append(
            [name, float(fresh[part].mean()), *([] if back is None else [float(back[part].mean())]), ", ".join(some)]
        )
    if back is not None:
        measures["named_back"] = float(back.mean())
        measures["named_back_new"] = float(back[fresh].mean()) if fresh.any() else 0.0
    return {**measures, "by_class": Table("What it writes", f"{draws} of each class", columns, rows)}


def _named(judge: Companion, texts: Sequence[str]) -> np.ndarray:
    """The class that a classifier gives each text; of an empty one, none."""
    task, model = judge
    lines = [Line(text, Path("what was drawn"), k) for k, text in enumerate(texts, 1)]
    return np.array([answer.partition("\t")[0] for answer in task.predict(model, [lines])])


# -- texts of features -----------------------------------------------------------------------------------------------


def sentences(
    model: VectorToSequence, alphabet: Alphabet, config: DescribeConfig, data: Described
) -> dict[str, float | Finding]:
    """How near the texts about things come to what was said of them: BLEU-1 to BLEU-4 as sacreBLEU has them.

    Returns:
        `bleu_1` … `bleu_4`, 0 to 100, of a text of each thing against all that is said of it, cut at blanks; the same
        as `shuffled_bleu_…` of texts about other things; BLEU-4 by the length of what was said; some texts with what
        was said, the best and the worst of them, by the bigrams they share with what is nearest of that; and where the
        symbols of one looked.
    """
    there = np.unique(data.of)
    begin = time.perf_counter()
    texts, said = _texts(model, alphabet, config, data, there)
    speed = len(texts) / (time.perf_counter() - begin)
    order = np.random.default_rng(config.seed).permutation(there).tolist()
    pairs = [(texts[k].text, said[k]) for k in order]
    crossed = [(texts[other].text, said[k]) for k, other in zip(order, [*order[1:], order[0]], strict=True)]
    measures: dict[str, float | Finding] = {"texts_per_second": speed}
    for prefix, those in (("", pairs), ("shuffled_", crossed))[: len(there)]:  # one alone has no other
        measures |= {f"{prefix}{name}": value for name, value in _bleu(those).items()}
    rows = [[data.names[k], texts[k].text, said[k][0]] for k in order[:_SHOWN]]
    measures |= _by_length(pairs)
    measures["examples"] = Table("What it says", "and one thing that was said", ["thing", "written", "said"], rows)
    measures |= _extremes([(data.names[k], texts[k], said[k]) for k in there], config, alphabet.level)
    if (looks := look(texts[order[0]], data.names[order[0]])) is not None:
        measures["attention"] = looks
    return measures


def _by_length(pairs: Sequence[tuple[str, list[str]]]) -> dict[str, Finding]:
    """BLEU-4 by how many words were said of a thing, on average; nothing without the package sacrebleu."""

    def score(inside: np.ndarray) -> float:
        return _bleu([pairs[k] for k in inside], only_found=True)["bleu_4"]

    lengths = np.array([round(float(np.mean([len(one.split()) for one in known]))) for _, known in pairs])
    measured = bool(_bleu(pairs[:1]))
    return (
        score_by_length(lengths, score, "BLEU-4", of="description", unit="words", counted="things") if measured else {}
    )


def _extremes(
    described: Sequence[tuple[str, Written, list[str]]], config: DescribeConfig, level: str
) -> dict[str, Finding]:
    """The best and the worst texts; each of `described` is the name of a thing, its text, and what was said of it."""
    nearest, marks = [], []
    for _, text, known in described:
        shares = [overlap(text.symbols, cut(one, level, config)) for one in known]
        marks.append(max(shares))
        nearest.append(known[shares.index(marks[-1])])
    lengths = np.array([len(text.symbols) for _, text, _ in described])
    right = np.array([text.text in known for _, text, known in described])
    found: dict[str, Finding] = {}
    for word, numbers in zip(("best", "worst"), best_and_worst(np.array(marks), lengths, right), strict=True):
        rows = [[described[k][0], described[k][1].text, nearest[k]] for k in numbers]
        if rows:
            note = "by the bigrams they share with the nearest that was said"
            found[word] = Table(f"{word.title()} texts", note, ["thing", "written", "nearest said"], rows)
    return found


def bleu(model: VectorToSequence, alphabet: Alphabet, config: DescribeConfig, data: Described) -> float:
    """BLEU-4 of the texts about `score.things` things, evenly drawn; 0 without the package sacrebleu."""
    there = np.unique(data.of)
    some = there[np.unique(np.linspace(0, len(there) - 1, config.score.things).astype(int))]
    texts, said = _texts(model, alphabet, config, data, some)
    return _bleu([(texts[k].text, said[k]) for k in texts]).get("bleu_4", 0.0)


def _texts(
    model: VectorToSequence, alphabet: Alphabet, config: DescribeConfig, data: Described, there: np.ndarray
) -> tuple[dict[int, Written], dict[int, list[str]]]:
    """A text of each of these things, int64 [N], and all that is said of it."""
    said: dict[int, list[str]] = {int(k): [] for k in there}
    for k, text in zip(data.of.tolist(), data.texts or [], strict=True):
        if k in said:
            said[k].append(normal(text, config))
    written = write(model, alphabet, config, data.things[there], config.seed)
    return dict(zip(there.tolist(), written, strict=True)), said


def look(written: Written, name: str) -> Heatmap | Maps | None:
    """Where each symbol of a text looked, as a map of the grid where it is square; None where it does not look."""
    if written.attention is None or not len(written.attention):
        return None
    seen = (written.attention / written.attention.max()).astype(np.float64).round(2)
    side = math.isqrt(seen.shape[1])
    if side * side == seen.shape[1]:
        note = f"{name}: a map of the grid for each symbol"
        return Maps("Where it looked", note, written.symbols, seen.reshape(-1, side, side).tolist())
    places = [str(k + 1) for k in range(seen.shape[1])]
    note = f"{name}: a row for each symbol, a column for each place of the grid, row by row"
    return Heatmap("Where it looked", note, written.symbols, places, seen.tolist())


def _bleu(pairs: Sequence[tuple[str, list[str]]], *, only_found: bool = False) -> dict[str, float]:
    """BLEU-1 to BLEU-4; with `only_found` of the lengths of n-grams that the texts have: short ones have no four."""
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ImportError:
        logging.getLogger("recurra").info("BLEU is not measured: it needs sacrebleu, pip install 'recurra[translate]'")
        return {}
    texts, most = [text for text, _ in pairs], max(len(known) for _, known in pairs)
    # sacreBLEU has None where there are fewer references; its types do not say so.
    streams: list[Any] = [[known[k] if k < len(known) else None for _, known in pairs] for k in range(most)]
    options: dict[str, Any] = {"tokenize": "none", "force": True, "effective_order": only_found}
    measures = {n: BLEU(max_ngram_order=n, **options) for n in (1, 2, 3, 4)}
    return {f"bleu_{n}": bleu.corpus_score(texts, streams).score for n, bleu in measures.items()}


# -- values ----------------------------------------------------------------------------------------------------------


def curves(model: VectorToSequence, alphabet: Alphabet, data: Described) -> dict[str, float | Finding]:
    """How near the values come that the model writes from its own: `mse`, `baseline_mse` of the mean; and pictures."""
    truth = data.frames or []
    steps = max(map(len, truth))
    found = values(model, alphabet, data.things[data.of], steps)
    errors = [float(((made[: len(true)] - true) ** 2).mean()) for made, true in zip(found, truth, strict=True)]
    mean = np.concatenate(truth).mean(0)
    baseline = float(np.mean([((true - mean) ** 2).mean() for true in truth]))
    measures: dict[str, float | Finding] = {"mse": float(np.mean(errors)), "baseline_mse": baseline}
    order = np.argsort(errors, kind="stable")
    for word, place in (("best", 0), ("median", len(order) // 2), ("worst", len(order) - 1)):
        k = int(order[place])
        lines = [Curve("truth", _points(truth[k][:, 0]), "truth"), Curve("written", _points(found[k][:, 0]), "model")]
        measures[f"{word}_curve"] = Curves(f"The {word} of {len(order)}", data.names[data.of[k]], lines)
    return measures


def curve(title: str, values: np.ndarray) -> Curves:
    """Values [T, K], a line for each column."""
    lines = [Curve(str(k + 1), _points(values[:, k]), "model") for k in range(values.shape[1])]
    return Curves(title, "", lines)


def _points(column: np.ndarray) -> list[tuple[float, float]]:
    return [(float(step), float(value)) for step, value in enumerate(column)]
