import pytest

from recurra.data.tokenizer import WordTokenizer
from recurra.tasks.config import ConfigError
from recurra.tasks.wording import Wording, require_room

NAMES = ["<unk>", "<s>", "</s>", "cat", "cat￭", "￭,", "New", "York", "-", "￭."]
WORDS = Wording(WordTokenizer().cut, NAMES)
LETTERS = Wording(list, ["<unk>", "<s>", "</s>", "a", "b"])


def test_a_word_is_forbidden_with_all_its_signs():
    assert WORDS.forbidden("cat, .,<unk>") == [3, 4, 9, 0]
    assert WORDS.forbidden("") == [] and LETTERS.forbidden("a,b") == [3, 4]


def test_phrases_are_those_of_their_symbols():
    assert WORDS.phrases("New York, cat.") == [[6, 7], [3, 9]]
    assert WORDS.phrase(", New York", "in.txt, line 2") == [5, 6, 7]
    assert LETTERS.phrases("aab") == [[3, 3, 4]]


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: WORDS.forbidden("cta"), "decode.forbidden: the model writes no 'cta'; did you mean 'cat'"),
        (lambda: WORDS.forbidden("New York"), "'New York' is 2 symbols to this model .New York.; only single"),
        (
            lambda: WORDS.phrases("New Yrok"),
            r"decode.required: the model writes no 'Yrok' \(in 'New Yrok'\); did you",
        ),
        (lambda: WORDS.phrase("dog", "in.txt, line 2"), "in.txt, line 2: the model writes no 'dog'"),
        (lambda: LETTERS.forbidden("ab", "--forbidden"), "--forbidden: 'ab' is 2 symbols"),
        (lambda: require_room(4, 5, []), "decode.minimum=5 is more than the 4 symbols"),
        (lambda: require_room(4, 0, [[1, 2], [3, 4, 5]]), "5 symbols are required, more than the 4"),
    ],
)
def test_what_cannot_be_had_is_said(ask, said: str):
    with pytest.raises(ConfigError, match=said):
        ask()
