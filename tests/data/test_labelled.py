import gzip
from pathlib import Path

import pytest

from recurra.data import Columns, DataError, read_labelled


def pairs(path: Path, **columns: str) -> list[tuple[str, str, int]]:
    return [(one.label, one.text, one.line) for one in read_labelled(path, Columns(**columns))]


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_may_be_parted_by_tabs_commas_or_the_first_blank(tmp_path):
    expected = [("good", "a fine, old film", 1), ("bad", "dull", 3)]
    assert pairs(write(tmp_path / "a.tsv", "good\ta fine, old film\n\nbad\tdull\n")) == expected
    assert pairs(write(tmp_path / "a.txt", "good a fine, old film\n\nbad dull\n")) == expected
    assert pairs(write(tmp_path / "a.csv", 'good,"a fine, old film"\n\nbad,dull\n')) == expected
    packed = tmp_path / "b.gz"
    packed.write_bytes(gzip.compress(b"good a fine, old film\n\nbad dull\n"))
    assert pairs(packed) == expected


def test_a_csv_file_of_another_country_is_parted_by_semicolons(tmp_path):
    path = write(tmp_path / "a.csv", 'label;text\ngood;"fine; old, too"\n')
    assert pairs(path) == [("good", "fine; old, too", 2)]
    path = write(tmp_path / "b.csv", "good;fine, old\n")
    assert pairs(path, separator="semicolon") == [("good", "fine, old", 1)]


def test_blank_lines_may_come_first_and_a_cell_may_be_long(tmp_path):
    long = "word " * 40_000
    assert pairs(write(tmp_path / "a.csv", f'\n\ngood,"{long}"\n')) == [("good", long.strip(), 3)]
    assert pairs(write(tmp_path / "a.tsv", f"\ngood\t{long}\n")) == [("good", long.strip(), 2)]


def test_columns_are_found_by_the_names_in_the_first_line(tmp_path):
    path = write(tmp_path / "a.csv", "id,text,label\n1,fine,good\n2,dull,bad\n")
    assert pairs(path) == [("good", "fine", 2), ("bad", "dull", 3)]
    path = write(tmp_path / "b.csv", "review,stars\nfine,5\n")
    assert pairs(path, label="stars", text="review") == [("5", "fine", 2)]
    with pytest.raises(DataError, match=r"no column 'rating': its first line names review, stars"):
        pairs(path, label="rating", text="review")


def test_a_folder_has_a_file_for_each_label(tmp_path):
    write(tmp_path / "good.txt", "fine\n\nlovely\n")
    write(tmp_path / "bad.txt", "dull\n")
    write(tmp_path / "README.md", "no label")
    assert pairs(tmp_path) == [("bad", "dull", 1), ("good", "fine", 1), ("good", "lovely", 3)]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.tsv", "good\tfine\nbad\ta\tb\n", r"a\.tsv, line 2: 3 columns where 2 are expected"),
        ("a.csv", "good,fine\nbad\n", r"a\.csv, line 2: 1 columns"),
        ("a.tsv", "good\tfine\n\tdull\n", r"a\.tsv, line 2: the label is empty"),
        ("a.tsv", "", "is empty"),
        ("a.tsv", "\n \n", "is empty"),
        ("a.tsv", "good\t \n", "holds no labelled text"),
        ("a.csv", "id,words,stars\n1,fine,5\n", r"line 1: 3 columns .*text\.label_column and text\.text_column"),
        ("a.tsv", "sentence\tlabel\nfine\t1\n", r"no column 'text': its first line names sentence, label"),
        ("a.csv", 'good,fine\nbad,"dull\ngood,fine\n', r"a\.csv, line 2: a quoted cell begins in this row"),
        ("a.csv", 'good,fine\n\nbad,"dull" and "long"\n', r"a\.csv, line 3: a quoted cell"),
        ("a.csv", 'good,"fine\nfilm"\nbad,"dull\nfilm",2\n', r"a\.csv, line 3: 3 columns"),
    ],
)
def test_bad_tables_are_named_with_file_and_line(tmp_path, name, text, message):
    with pytest.raises(DataError, match=message):
        pairs(write(tmp_path / name, text))


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match="there is no file or folder"):
        pairs(tmp_path / "absent.tsv")
    with pytest.raises(DataError, match=r"holds no \.txt or \.txt\.gz file"):
        pairs(tmp_path)


def test_the_standard_sets_have_their_published_sizes(data_folder):
    assert len(pairs(data_folder / "names")) == 20_050
    examples = pairs(data_folder / "sst2" / "stsa.binary.test.gz")
    assert len(examples) == 1_821 and sum(label == "1" for label, *_ in examples) == 909
