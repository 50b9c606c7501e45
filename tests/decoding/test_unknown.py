import pytest
import torch

from recurra.decoding import replace_unknown

SOURCE = ["Frau", "Özdemir", "isst", "."]
ATTENTION = torch.tensor([[0.9, 0.0, 0.1, 0.0, 0.0], [0.1, 0.4, 0.0, 0.0, 0.5], [0.0, 0.2, 0.8, 0.0, 0.0]])


def test_an_unknown_word_is_the_source_word_it_looked_at():
    words = ["Mrs", "<unk>", "<unk>"]
    # The fifth column is the source's end: it is no word.
    assert replace_unknown(words, ATTENTION, SOURCE) == ["Mrs", "Özdemir", "isst"]
    assert replace_unknown(words, ATTENTION, SOURCE, dictionary={"isst": "eats"}) == ["Mrs", "Özdemir", "eats"]
    assert words == ["Mrs", "<unk>", "<unk>"]
    assert replace_unknown(["?", "a", "?"], ATTENTION, SOURCE, unknown="?") == ["Frau", "a", "isst"]


def test_known_words_stay():
    assert replace_unknown(["a", "b", "c"], ATTENTION, SOURCE) == ["a", "b", "c"]
    assert replace_unknown([], torch.zeros(0, 4), SOURCE) == []


@pytest.mark.parametrize(
    ("words", "attention", "source"),
    [
        (["a"], ATTENTION, SOURCE),
        (["a"] * 3, ATTENTION, ["b"] * 6),
        (["a"] * 3, ATTENTION, []),
        (["a"], torch.zeros(5), SOURCE),
    ],
)
def test_attention_of_another_sentence_is_refused(words, attention, source):
    with pytest.raises(ValueError, match="a row for each word"):
        replace_unknown(words, attention, source)
