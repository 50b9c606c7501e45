import gzip
from pathlib import Path

import pytest

from recurra.data import DataError, Line, part_question, read_asked


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_has_a_passage_a_question_and_an_answer(tmp_path):
    text = "Ann sleeps. Ben runs.\tWho runs?\tBen\n\nIt rains.\tWhat falls?\tthe rain\n"
    expected = [("Ann sleeps. Ben runs.", "Who runs?", "Ben", 1), ("It rains.", "What falls?", "the rain", 3)]
    packed = tmp_path / "b.tsv.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    for path in (write(tmp_path / "a.tsv", text), packed):
        assert [(*one[:3], one.line) for one in read_asked(path)] == expected


def test_a_header_says_in_which_order_the_columns_stand(tmp_path):
    path = write(tmp_path / "a.tsv", "Question\tAnswer\tPassage\nWho runs?\tBen\tBen runs.\n")
    assert [one[:3] for one in read_asked(path)] == [("Ben runs.", "Who runs?", "Ben")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\tb\tc\nBen runs.\tWho?\n", r"bad.tsv, line 2: 2 columns where 3 are expected: passage, question, answer"),
        ("a\tb\tc\n \tWho?\tBen\n", r"bad.tsv, line 2: the passage is empty; give one"),
        ("Ben runs.\t \tBen\n", r"bad.tsv, line 1: the question is empty"),
        ("Ben runs.\tWho?\t\n", r"bad.tsv, line 1: the answer is empty"),
        ("\n\n", r"bad.tsv holds no question: expected a passage, a question and an answer"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path, text, said):
    with pytest.raises(DataError, match=said):
        read_asked(write(tmp_path / "bad.tsv", text))


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"there is no file .*absent.tsv"):
        read_asked(tmp_path / "absent.tsv")
    with pytest.raises(DataError, match="is a folder: expected a file"):
        read_asked(tmp_path)


def test_a_line_to_answer_has_two_columns():
    assert part_question(Line("Ben runs.\t Who runs? ", Path("new.txt"), 3)) == ("Ben runs.", "Who runs?")
    with pytest.raises(DataError, match=r"new.txt, line 3: 1 columns where 2 are expected: passage, question"):
        part_question(Line("Ben runs.", Path("new.txt"), 3))
