from pathlib import Path

import numpy as np
import pytest

from recurra.data import Pair
from recurra.tasks.translate.baseline import WordByWord, _Bigrams, _model_1
from recurra.tasks.translate.config import TranslateConfig
from recurra.tasks.translate.data import Examples
from recurra.tasks.translate.model import build
from recurra.tasks.translate.report import References
from recurra.tasks.translate.scoring import baseline
from recurra.tasks.translate.search import Translator
from recurra.tasks.translate.sides import Sides
from recurra.training.config import build_config


def arrays(*rows: list[int]) -> list[np.ndarray]:
    return [np.array(row, dtype=np.int32) for row in rows]


def test_expectation_and_maximisation_part_what_stands_together():
    """Of the book, the house, a book: nothing but counting over pairs tells which word is which (Koehn 2009)."""
    das, haus, buch, ein = range(4)
    the, house, book, a = range(10, 14)
    of, to, t = _model_1(arrays([das, haus], [das, buch], [ein, buch]), arrays([the, house], [the, book], [a, book]))
    table = {(int(f), int(e)): float(p) for f, e, p in zip(of, to, t, strict=True)}
    assert min(table[das, the], table[haus, house], table[buch, book], table[ein, a]) > 0.7
    assert table[das, book] < 0.15
    for word in (-1, das, haus, buch, ein):
        assert sum(p for (f, _), p in table.items() if f == word) == pytest.approx(1)


def test_bigrams_are_probabilities():
    bigrams = _Bigrams(arrays([0, 1, 2], [0, 1], [2]), 4)
    every = np.arange(5)  # four symbols and the edge
    assert np.exp(bigrams.logs(every, every)).sum(1) == pytest.approx(np.ones(5))
    assert bigrams.logs(np.array([0]), np.array([1]))[0, 0] > bigrams.logs(np.array([0]), np.array([2]))[0, 0]
    assert np.isfinite(bigrams.logs(np.array([3]), np.array([0]))).all()  # after a symbol that was never met


def test_a_word_becomes_what_fits_its_neighbours():
    texts = [("the bank", "die Bank"), ("the river", "der Fluss"), ("a bank", "eine Bank"), ("a river", "ein Fluss")]
    pairs = [Pair(source, target, Path("p"), 1) for source, target in texts * 5]
    for reverse in (False, True):
        config = build_config(TranslateConfig, {}, [f"text.reverse={str(reverse).lower()}"])
        sides = Sides.build(pairs, config.text)
        words = WordByWord(Examples.of(pairs, sides, config), len(sides.target), reverse=reverse)
        found = [words.translate(sides.source.symbols.encode(source.split()).tolist()) for source, _ in texts]
        # The article alone does not say whether it is die or der: the noun behind it does.
        assert [" ".join(sides.target.names(one)) for one in found] == [target for _, target in texts]
        assert words.translate([999]) == []


def guesses(kind: str, *texts: tuple[str, str]) -> list[str]:
    pairs = [Pair(source, target, Path("p"), 1) for source, target in texts]
    config = build_config(TranslateConfig, {}, ["model.hidden=4", "model.embedding=4"])
    sides = Sides.build(pairs, config.text)
    examples = Examples.of(pairs, sides, config)
    translator = Translator(build(config, sides), sides, reverse=False)
    wanted = References.of(examples, sides, together=False)
    return [one.text for one in baseline(kind, examples, translator, wanted)]


def test_always_the_commonest_target():
    found = guesses("commonest", ("how are you?", "fine."), ("and now?", "no."), ("why?", "no."), ("so?", "no. no."))
    assert found == ["no."] * 4


def test_the_start_of_the_source_as_long_as_targets_are():
    assert guesses("lead", ("a b c d e", "x"), ("f g", "x y z"), ("h i j", "x y")) == ["a b", "f g", "h i"]
