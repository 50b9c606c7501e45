"""What a person should see of translations: scores by length, the best and the worst, and what was looked at."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recurra.tasks.findings import Finding, Heatmap, Table
from recurra.tasks.judged import best_and_worst, overlap, score_by_length
from recurra.tasks.translate.data import Examples
from recurra.tasks.translate.measures import Corpus, exact
from recurra.tasks.translate.search import END_SIGN, Translation
from recurra.tasks.translate.sides import Sides

_SHOWN = 8  # alignments
_LONGEST = 40  # symbols of a side of an alignment that is shown


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

    def score(inside: np.ndarray) -> float:
        texts, known = [found[k].text for k in inside], [wanted.references[k] for k in inside]
        return exact(texts, known) if measure == "exact" else corpus.value(measure, texts, known)

    lengths = np.array([len(source) for source in wanted.sources])
    name = {"bleu": "BLEU", "chrf": "chrF"}.get(measure, measure)
    return score_by_length(lengths, score, name, of="source", unit="symbols", counted="sentences")


def extremes(found: Sequence[Translation], wanted: References) -> list[Table]:
    """The best and the worst translations, by the bigrams of symbols that they share with the reference."""
    marks = np.array([overlap(one.symbols, symbols) for one, symbols in zip(found, wanted.symbols, strict=True)])
    lengths = np.array([len(symbols) for symbols in wanted.symbols])
    right = np.array([one.text in known for one, known in zip(found, wanted.references, strict=True)])
    tables = []
    for word, numbers in zip(("Best", "Worst"), best_and_worst(marks, lengths, right), strict=True):
        rows = [
            row
            for k in numbers
            for row in (["source", wanted.texts[k]], ["model", found[k].text], ["person", wanted.references[k][0]])
        ]
        if rows:
            title = f"{word} translations"
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
