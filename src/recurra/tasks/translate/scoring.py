"""How good translations are, as numbers."""

import time
from collections import Counter
from collections.abc import Sequence

from recurra.tasks.translate.baseline import WordByWord
from recurra.tasks.translate.config import DecodeConfig
from recurra.tasks.translate.data import Examples
from recurra.tasks.translate.measures import Corpus, exact, symbol_accuracy
from recurra.tasks.translate.report import References
from recurra.tasks.translate.search import Translation, Translator


def loss(translator: Translator, examples: Examples) -> float:
    """The mean of −log p of the targets given their sources, over symbols, or over sentences where the loss is."""
    nats = translator.nats(examples.sources, examples.targets).sum()
    return float(nats / (len(examples) if examples.per_sentence else sum(map(len, examples.targets))))


def figures(found: Sequence[Translation], wanted: References, corpus: Corpus) -> dict[str, float]:
    """`exact`, `token_accuracy` and, where sacreBLEU is installed, `bleu` and `chrf`."""
    texts = [one.text for one in found]
    return {
        "exact": exact(texts, wanted.references),
        "token_accuracy": symbol_accuracy([one.symbols for one in found], wanted.symbols),
        **{measure.name: measure.value for measure in corpus.both(texts, wanted.references)},
    }


def timed(
    translator: Translator, sources: Sequence[Sequence[str]], settings: DecodeConfig
) -> tuple[list[list[Translation]], float]:
    """The translations that a search finds, and the seconds that it takes."""
    start = time.perf_counter()
    found = translator.search(sources, settings)
    return found, time.perf_counter() - start


def baseline(kind: str, training: Examples, translator: Translator, wanted: References) -> list[Translation]:
    """What can be had without a network, learnt from the same pairs.

    Args:
        kind: `words`, a word-by-word translation (see `WordByWord`); `commonest`, always the commonest target of
            `training`; `lead`, the first symbols of the source, as many as targets have on average.
        training: the pairs.
        translator: the symbols of both sides, and the order in which a source is read.
        wanted: the sources.
    """
    sides, targets = translator.sides, training.targets
    if kind == "words":
        words = WordByWord(training, len(sides.target), reverse=translator.reverse)
        written = [
            sides.target.names(words.translate(sides.source.symbols.encode(source).tolist()))
            for source in wanted.sources
        ]
    elif kind == "commonest":
        (numbers, _), *_ = Counter(tuple(target[:-1].tolist()) for target in targets).most_common(1)
        written = [sides.target.names(numbers)] * len(wanted)
    else:
        length = round(sum(map(len, targets)) / len(targets)) - 1  # without the end
        written = [source[:length] for source in wanted.sources]
    return [
        Translation(source, symbols, sides.target.text(symbols), 0.0, 0.0, None)
        for source, symbols in zip(wanted.sources, written, strict=True)
    ]
