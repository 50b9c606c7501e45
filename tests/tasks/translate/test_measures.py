import pytest

from recurra.tasks.config import ConfigError
from recurra.tasks.translate.measures import Corpus, exact, symbol_accuracy

pytest.importorskip("sacrebleu")


def test_bleu_and_chrf_are_those_of_sacrebleu():
    from sacrebleu import corpus_bleu, corpus_chrf

    found, wanted = ["the cat sat on a mat", "Hello, world!"], ["the cat sat on the mat", "hello, world!"]
    bleu, chrf = Corpus("13a", lowercase=False).both(found, [[one] for one in wanted])
    assert bleu.value == corpus_bleu(found, [wanted]).score and chrf.value == corpus_chrf(found, [wanted]).score
    assert "case:mixed" in bleu.signature and "tok:13a" in bleu.signature
    small = Corpus("13a", lowercase=True).bleu(found, [[one] for one in wanted])
    assert small.value > bleu.value and "case:lc" in small.signature


def test_some_have_more_references_than_others():
    corpus = Corpus("13a", lowercase=False)
    found = ["go away now please", "one two three four"]
    assert corpus.value("bleu", found, [["leave me", "go away now please"], ["one two three four"]]) == pytest.approx(
        100
    )
    assert exact(found, [["x", "go away now please"], ["one"]]) == 0.5


def test_short_texts_are_measured_by_the_n_grams_that_they_have():
    corpus, found = Corpus("13a", lowercase=False), ["go away", "yes", "not now"]
    assert corpus.value("bleu", found, [[one] for one in found]) == pytest.approx(100)
    assert 0 < corpus.value("bleu", found, [["go now"], ["yes"], ["not now"]]) < 100
    assert corpus.bleu(found, [[one] for one in found]).value == 0  # as everybody measures whole corpora


def test_an_unknown_way_of_cutting_is_refused():
    with pytest.raises(ConfigError, match=r"score.tokenize='13b' is none of .*zh"):
        Corpus("13b", lowercase=False)


def test_symbols_in_their_place():
    assert symbol_accuracy([["a", "b", "c"], []], [["a", "x", "c", "d"], ["e"]]) == 2 / 5
