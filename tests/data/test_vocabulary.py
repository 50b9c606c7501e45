import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.data import LINE_END, UNKNOWN, CharacterVocabulary, DataError, Vocabulary, WordVocabulary, build_vocabulary

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
words = st.text(st.characters(exclude_categories=["Cs", "Z", "C"]), min_size=1, max_size=5).filter(
    lambda word: word not in (LINE_END, UNKNOWN) and len(word.split()) == 1
)
lines = st.lists(st.lists(words, max_size=5).map(" ".join), min_size=1)


@settings(deadline=None)
@given(texts)
def test_characters_come_back(text):
    vocabulary = CharacterVocabulary.build([text])
    ids = vocabulary.encode(text)
    assert ids.dtype == "int64" and len(ids) == len(text)
    assert vocabulary.decode(ids) == text
    assert sorted(set(ids.tolist())) == list(range(len(vocabulary)))
    assert list(vocabulary.symbols) == sorted(vocabulary.symbols)


@settings(deadline=None)
@given(lines)
def test_words_come_back(lines):
    text = "".join(line + "\n" for line in lines)
    vocabulary = WordVocabulary.build([text])
    ids = vocabulary.encode(text)
    assert len(ids) == len(text.split()) + len(lines)
    assert vocabulary.decode(ids) == text
    if lines[-1]:
        assert (vocabulary.encode_lines(text[:-1]) == ids).all()


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))), st.sampled_from(["char", "word"]))
def test_many_texts_are_read_as_each_alone(many, level):
    vocabulary = build_vocabulary(level, ["a b\n", *many[::2]], unknown=True)
    together = vocabulary.encode_each(many)
    assert [ids.tolist() for ids in together] == [vocabulary.encode(text).tolist() for text in many]


@settings(deadline=None)
@given(st.lists(texts, min_size=1))
def test_pieces_give_the_vocabulary_of_the_whole(pieces):
    assert CharacterVocabulary.build(pieces) == CharacterVocabulary.build(["".join(pieces)])


@pytest.mark.parametrize("level", ["char", "word"])
def test_a_saved_vocabulary_is_the_same(tmp_path, level):
    vocabulary = build_vocabulary(level, ['Grüße 世界 "quoted" \\ \u2028 x\n'], minimum_count=1)
    vocabulary.save(tmp_path / "vocabulary.json")
    assert Vocabulary.load(tmp_path / "vocabulary.json") == vocabulary
    assert [path.name for path in tmp_path.iterdir()] == ["vocabulary.json"]


def test_frequent_words_have_small_ids():
    vocabulary = WordVocabulary.build(["b a b c\n", "b c\n"])
    assert vocabulary.symbols == ("b", "<eos>", "c", "a")
    assert vocabulary.line_end == 1 and vocabulary.unknown is None


def test_rare_symbols_become_unknown():
    vocabulary = CharacterVocabulary.build(["aaabbc\n\n"], minimum_count=2)
    assert vocabulary.symbols == ("\n", "a", "b", UNKNOWN)
    assert vocabulary.decode(vocabulary.encode("abcé")) == "ab\ufffd\ufffd"
    vocabulary = WordVocabulary.build(["a a b c a\n"], minimum_count=2)
    assert vocabulary.symbols == (UNKNOWN, "a")  # three rare words in one
    # <unk> already in the text serves for unknown words, and counts as often as all it stands for.
    vocabulary = WordVocabulary.build(["a a <unk> b a\n\n\n"], minimum_count=2)
    assert vocabulary.symbols == ("<eos>", "a", UNKNOWN)
    assert vocabulary.encode("zebra a").tolist() == [2, 1]


@settings(deadline=None)
@given(texts, st.integers(1, 5), st.integers(1, 6))
def test_the_vocabulary_keeps_to_its_largest_size(text, minimum, maximum):
    vocabulary = CharacterVocabulary.build([text], minimum_count=minimum, maximum_size=maximum)
    assert len(vocabulary) <= maximum
    assert len(vocabulary.encode(text)) == len(text)


def test_unknown_symbols_name_the_place():
    vocabulary = CharacterVocabulary.build(["abc\n"])
    with pytest.raises(DataError, match=r"character 'é' \(U\+00E9\) in the prompt, line 2, was never seen in training"):
        vocabulary.encode("ab\ncéa", "the prompt")
    with pytest.raises(DataError, match=r"U\+DCE9"):  # what a terminal in another encoding hands over
        vocabulary.encode("\udce9")
    with pytest.raises(DataError, match=r"word 'dog' in a\.txt, line 8, .*minimum_count=2"):
        WordVocabulary.build(["the cat\n"]).encode("the cat\nthe dog", "a.txt", 7)


def test_texts_that_make_no_vocabulary_are_refused():
    with pytest.raises(DataError, match="text is empty"):
        CharacterVocabulary.build([])
    with pytest.raises(DataError, match="by char or word, not 'byte'"):
        build_vocabulary("byte", ["abc"])
    with pytest.raises(DataError, match="'a' stands in it twice"):
        WordVocabulary(["a", "b", "a"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("[1]", "is no vocabulary"),
        (json.dumps({"format": "other"}), "is no vocabulary"),
        (json.dumps({"format": "recurra vocabulary", "version": 99}), "version 99"),
        (json.dumps({"format": "recurra vocabulary", "version": 1, "level": "byte", "symbols": ["a"]}), "damaged"),
        (json.dumps({"format": "recurra vocabulary", "version": 1, "level": "char", "symbols": ["a", 1]}), "damaged"),
        (json.dumps({"format": "recurra vocabulary", "version": 1, "level": "char", "symbols": []}), "damaged"),
        (json.dumps({"format": "recurra vocabulary", "version": 1, "level": "char", "symbols": ["ab"]}), "damaged"),
    ],
)
def test_foreign_files_are_no_vocabulary(tmp_path, content, message):
    path = tmp_path / "vocabulary.json"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        Vocabulary.load(path)


def test_a_missing_vocabulary_is_named(tmp_path):
    with pytest.raises(DataError, match=r"vocabulary\.json cannot be read"):
        Vocabulary.load(tmp_path / "vocabulary.json")
