"""What a person should see of translations: scores by length, the best and the worst, and what was looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from recurra.tasks.findings import Curve, Curves, Finding, Heatmap, Table
from recurra.tasks.translate.data import Examples
from recurra.tasks.translate.measures import Corpus, exact
from recurra.tasks.translate.search import END_SIGN, Translation
from recurra.tasks.translate.sides import Sides

_SHOWN = 8  # alignments
_EXTREMES = 8  # of the best and of the worst translations each
_LONGEST = 40  # symbols of a side of an alignment that is shown
_BUCKETS = 6  # of lengths, at most
_FEWEST = 20  # translations of a bucket


@dataclass(frozen=True)
class References:
    """What is to be translated, and what people made of it.

    Attributes:
        sources: symbols of each source, in the order of the text.
        texts: the sources as texts.
        references: one translation or more of each, as the model's texts are written.
        symbols: symbols of the first of them.
    """

    sources: list[list[str]]
    texts: list[str]
    references: list[list[str]]
    symbols: list[list[str]]

    @classmethod
    def of(cls, examples: Examples, sides: Sides, *, together: bool) -> "References":
        """The pairs of `examples`; with `together` those with the same source are one, with several references."""
        source, target = sides.source.tokenizer, sides.target.tokenizer
        places: dict[object, int] = {}
        found = cls([], [], [], [])
        for number, pair in enumerate(examples.pairs):
            text = source.normal(pair.source)
            place = places.setdefault(text if together else number, len(places))
            if place == len(found.texts):
                found.sources.append(source.cut(pair.source))
                found.texts.append(text)
                found.references.append([])
                found.symbols.append(target.cut(pair.target))
            found.references[place].append(target.normal(pair.target))
        return found

    def __len__(self) -> int:
        return len(self.texts)


def signatures(found: Sequence[Translation], wanted: References, corpus: Corpus) -> Table | None:
    """How BLEU and chrF were computed, as sacreBLEU writes it; None where it is not installed."""
    measures = corpus.both([one.text for one in found], wanted.references)
    rows = [[measure.name, measure.signature] for measure in measures]
    return Table("How it was measured", "sacreBLEU", ["measure", "signature"], rows) if rows else None


def by_source_length(
    found: Sequence[Translation], wanted: References, corpus: Corpus, measure: str
) -> dict[str, Finding]:
    """A `measure` (`bleu`, `chrf` or `exact`) by the length of the source; nothing where all are of like length."""
    lengths = np.array([len(source) for source in wanted.sources])
    bounds = np.unique(np.quantile(lengths, np.linspace(0, 1, min(_BUCKETS, len(lengths) // _FEWEST) + 1)).astype(int))
    if len(bounds) < 3:
        return {}
    name = {"bleu": "BLEU", "chrf": "chrF"}.get(measure, measure)
    rows: list[list[str | float]] = []
    points: list[tuple[float, float]] = []
    for low, high in pairwise([*bounds[:-1].tolist(), int(bounds[-1]) + 1]):
        inside = [k for k, length in enumerate(lengths) if low <= length < high]
        if not inside:
            continue
        texts, known = [found[k].text for k in inside], [wanted.references[k] for k in inside]
        value = exact(texts, known) if measure == "exact" else corpus.value(measure, texts, known)
        rows.append([f"{low}–{high - 1}" if high - 1 > low else str(low), len(inside), value])
        points.append((float(lengths[np.array(inside)].mean()), value))
    title = f"{name} by length of the source"
    return {
        "by_length": Table(title, "in symbols", ["length", "sentences", name], rows),
        "length_curve": Curves(title, "", [Curve(name, points, "model")], axis="symbols"),
    }


def extremes(found: Sequence[Translation], wanted: References) -> list[Table]:
    """The best and the worst translations, by the bigrams of symbols that they share with the reference."""
    marks = np.array([_overlap(one.symbols, symbols) for one, symbols in zip(found, wanted.symbols, strict=True)])
    lengths = np.array([len(symbols) for symbols in wanted.symbols])
    # Of equal ones the longer first among the best, the shorter first among the worst: there each is a surprise.
    order = np.lexsort((-lengths, -marks)).tolist()
    wrong = [k for k in order[::-1] if found[k].text not in wanted.references[k]]
    tables = []
    for title, numbers in (("Best translations", order[:_EXTREMES]), ("Worst translations", wrong[:_EXTREMES])):
        rows = [
            row
            for k in numbers
            for row in (["source", wanted.texts[k]], ["model", found[k].text], ["person", wanted.references[k][0]])
        ]
        if rows:
            tables.append(Table(title, "by the bigrams they share with the reference", ["", "text"], rows))
    return tables


def alignments(found: Sequence[Translation], count: int = _SHOWN) -> list[Heatmap]:
    """What was looked at for each symbol of some translations, evenly drawn; nothing of a model without attention."""
    fit = [one for one in found if one.attention is not None and one.symbols]
    fit = [one for one in fit if max(len(one.source), len(one.symbols)) <= _LONGEST]
    if not fit:
        return []
    chosen = np.unique(np.linspace(0, len(fit) - 1, count).astype(int)).tolist()
    note = f"rows: what was written; columns: what it looked at, {END_SIGN} being the end"
    return [picture(fit[k], f"Alignment {n}", note if n == 1 else "") for n, k in enumerate(chosen, 1)]


def picture(found: Translation, title: str, note: str) -> Heatmap:
    """What was looked at for each symbol of a translation."""
    weights = [] if found.attention is None else found.attention.round(3).tolist()
    return Heatmap(title, note, found.symbols, [*found.source, END_SIGN], weights)


def _overlap(found: Sequence[str], wanted: Sequence[str]) -> float:
    """The F-measure of the bigrams of two sequences, their ends among them, 0 to 1."""
    one, other = (set(pairwise(["", *symbols, ""])) for symbols in (found, wanted))
    return 2 * len(one & other) / (len(one) + len(other))
