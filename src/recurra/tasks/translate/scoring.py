"""How good translations are, as numbers."""

import time
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


def baseline(training: Examples, translator: Translator, wanted: References) -> list[Translation]:
    """Word-by-word translations, learnt from the same pairs (see `WordByWord`)."""
    sides = translator.sides
    words = WordByWord(training, len(sides.target), reverse=translator.reverse)
    found = []
    for source in wanted.sources:
        symbols = sides.target.names(words.translate(sides.source.symbols.encode(source).tolist()))
        found.append(Translation(source, symbols, sides.target.text(symbols), 0.0, 0.0, None))
    return found
