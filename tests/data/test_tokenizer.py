import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra.data import DataError, Tokenizer, new_tokenizer

SOME = ["the low lowest tower", "lower the low tower!", "(the) lowest, lowest."] * 5


def test_words_and_signs_know_where_no_blank_stood():
    words = new_tokenizer("word", [])
    assert words.cut('He said:  "O\'Neill-Smith, 3.5%"') == [
        "He", "said", "￭:", '"￭', "O'Neill-Smith", "￭,", "3.5", "￭%", "￭\"",
    ]  # fmt: skip
    assert words.cut("(yes), no") == ["(￭", "yes", "￭)", "￭,", "no"]


@given(st.text(st.sampled_from("ab9 .,-'()￭é\n中"), max_size=30), st.sampled_from(["word", "char"]))
def test_a_text_comes_back(text, level):
    tokenizer = new_tokenizer(level, [])
    if level == "word" and "￭" in text:
        return  # the mark itself is no sign of a text
    assert tokenizer.join(tokenizer.cut(text)) == " ".join(text.split())


def test_small_letters():
    assert new_tokenizer("word", [], lowercase=True).cut("Ein ÄPFEL") == ["ein", "äpfel"]


def test_pieces_are_learnt_kept_and_put_together():
    pytest.importorskip("tokenizers")
    pieces = new_tokenizer("bpe", SOME, size=40)
    again = Tokenizer.of(pieces.content())
    for text in [*SOME, "a towel (low)."]:
        assert pieces.cut(text) == again.cut(text)
        if "a" not in text:
            assert pieces.join(pieces.cut(text)) == text
    assert "▁the" in pieces.cut("the") and len(pieces.cut("lowtower")) > 1
    assert pieces.cut("é") == ["▁", "<unk>"]
    assert new_tokenizer("bpe", SOME, size=40).content() == pieces.content()
    with pytest.raises(ValueError, match="damaged"):
        Tokenizer.of({"level": "bpe", "lowercase": False, "pieces": {"version": 3}})


def test_without_the_package_the_command_is_given(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(DataError, match=r"pip install 'recurra\[text\]'"):
        new_tokenizer("bpe", SOME)
    with pytest.raises(DataError, match="not 'bytes'"):
        new_tokenizer("bytes", SOME)
