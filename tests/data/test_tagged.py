import gzip
from pathlib import Path

import pytest

from recurra.data import DataError, Line, TagColumns, cut, read_tagged, sentences_of

CONLLU = """# text = Don't go
1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tDo\tdo\tAUX\tVB\t_\t3\taux\t_\t_
2\tn't\tnot\tPART\tRB\t_\t3\tadvmod\t_\t_
3\tgo\tgo\tVERB\tVB\t_\t0\troot\t_\t_
3.1\tout\tout\tADV\tRB\t_\t_\t_\t_\t_

1\tYes\tyes\tINTJ\tUH\t_\t0\troot\t_\t_
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def read(path: Path, *columns) -> list[tuple[str, ...]]:
    return [sentence[:2] for sentence in read_tagged(path, TagColumns(*columns))]


def test_columns_by_tabs_or_blanks(tmp_path):
    expected = [(("Anna", "sleeps"), ("B-per", "O")), (("#", "1"), ("O", "O"))]
    tabs = write(tmp_path / "a.conll", "Anna\tB-per\nsleeps\tO\n\n\n#\tO\n1\tO")
    blanks = write(tmp_path / "b", "-DOCSTART- -X- O\n\nAnna NNP B-per\nsleeps VBZ O\n\n# SYM O\n1 CD O\n")
    assert read(tabs) == read(blanks) == expected
    assert read(blanks, "columns", 1, "2")[0] == (("Anna", "sleeps"), ("NNP", "VBZ"))
    assert read(blanks, "columns", -2, "1")[1] == (("NNP", "VBZ"), ("Anna", "sleeps"))
    assert [(s.file, s.line) for s in read_tagged(tabs, TagColumns())] == [(tabs, 1), (tabs, 5)]


def test_conllu_has_the_words_that_are_tagged(tmp_path):
    path = tmp_path / "a.conllu.gz"
    path.write_bytes(gzip.compress(CONLLU.encode()))
    assert read(path) == [(("Do", "n't", "go"), ("AUX", "PART", "VERB")), (("Yes",), ("INTJ",))]
    assert read(path, "auto", 1, "xpos")[1] == (("Yes",), ("UH",))
    with pytest.raises(DataError, match=r"tokens\.tag_column='upo' is no column of CoNLL-U"):
        read(path, "auto", 1, "upo")


def test_segmented_text_is_tagged_by_characters(tmp_path):
    path = write(tmp_path / "a.txt", "共同  创造  的  新世纪\n\n好\n天 气\n")
    assert read(path) == [(tuple("共同创造的新世纪"), tuple("BEBESBME")), (("好",), ("S",)), (("天", "气"), ("S", "S"))]


def test_how_a_file_is_written_is_found_or_said(tmp_path):
    even = write(tmp_path / "even", "a b\nc d\n")
    assert read(even, "columns") == [(("a", "c"), ("b", "d"))]
    assert read(write(tmp_path / "parted", "a b\n\nc d\n")) == [(("a",), ("b",)), (("c",), ("d",))]
    assert read(even) == [(("a", "b"), ("S", "S")), (("c", "d"), ("S", "S"))]
    odd = write(tmp_path / "odd", "ab c\nd\n")
    assert read(odd)[0] == (("a", "b", "c"), ("B", "E", "S"))


def test_what_is_wrong_is_said_with_its_line(tmp_path):
    for text, columns, said in (
        ("a\tX\nb\n", ("columns",), r"line 2: 1 columns where 2 are expected; .*tokens\.format"),
        ("a\nb\n", ("columns",), "line 1: a token without a tag"),
        (
            "a\tX\n",
            ("auto", 1, "5"),
            r"line 1 has 2 columns, none of the number 5: set tokens\.column and tokens\.tag_column",
        ),
        ("a\tX\n", ("auto", 1, "upos"), "have no names; give the number"),
        ("a\tX\n\nb\t \n", (), "line 3: the tag is empty"),
        ("\n\n", (), "holds no sentence"),
    ):
        with pytest.raises(DataError, match=said):
            read(write(tmp_path / "bad", text), *columns)
    with pytest.raises(DataError, match="there is no file"):
        read(tmp_path / "absent")


def test_sentences_come_one_after_another():
    came = []

    def lines():
        for number, text in enumerate(("a", "b", "", "c"), 1):
            came.append(text)
            yield Line(text, Path("in"), number)

    sentences = sentences_of(lines(), TagColumns(), tagged=False)
    assert next(sentences).tokens == ("a", "b") and came == ["a", "b", ""]
    assert next(sentences).tags == (None,)


def test_text_is_cut_into_tokens():
    text = "O'Neill's well-known U.S. shops: up 3.2% to $1,200 (共)."
    assert [text[start:end] for start, end in cut(text)] == [
        "O'Neill's", "well-known", "U.S", ".", "shops", ":", "up", "3.2", "%", "to", "$", "1,200", "(", "共", ")", ".",
    ]  # fmt: skip
