import gzip
from pathlib import Path

import pytest

from recurra.data import DataError, DocumentLayout, read_documents

TABLE = "form\ttitle\ttext\n5\tMoon\tab cd| ef\n7\t\tgh\n"


def read(path: Path, each: str = "line", **layout):
    return read_documents(path, DocumentLayout(each, **layout))


def test_lines_of_a_table_with_named_columns(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text(TABLE + "\n5\tblank\t \n")
    first, second = read(path, line_end="|")
    assert (first.text, dict(first.fields), first.line) == ("ab cd\nef", {"form": "5", "title": "Moon"}, 2)
    assert (second.text, second.fields["title"], second.line) == ("gh", "", 3)
    assert read(path)[0].text == "ab cd| ef"
    packed = tmp_path / "a.tsv.gz"
    packed.write_bytes(gzip.compress(TABLE.encode()))
    assert [document.text for document in read(packed)] == ["ab cd| ef", "gh"]


def test_columns_that_the_settings_name(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("5\tab\tMoon\n")
    (document,) = read(path, columns=("form", "poem", "title"), text="poem")
    assert (document.text, dict(document.fields), document.line) == ("ab", {"form": "5", "title": "Moon"}, 1)


def test_a_table_with_commas_and_quotes(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('title,text\n"One, two","a\nb"\nThree,c\n')
    assert [(d.fields["title"], d.text) for d in read(path)] == [("One, two", "a\nb"), ("Three", "c")]


def test_files_of_a_folder(tmp_path):
    (tmp_path / "blues" / "old").mkdir(parents=True)
    (tmp_path / "blues" / "old" / "Rain.txt").write_text("\nfirst\nsecond\n\n")
    (tmp_path / "song.txt.gz").write_bytes(gzip.compress(b"la la\n"))
    found = read(tmp_path, "file")
    assert [(d.fields["folder"], d.fields["file"], d.text) for d in found] == [
        ("blues/old", "Rain", "first\nsecond"),
        ("", "song", "la la"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "5\tMoon\tab\n5\tab\n",
            r"a\.tsv, line 2: 2 columns where 3 are .*\(form, title, text\), parted by tabs",
        ),
        ("5\tMoon\ta\x03b\n", r"a\.tsv, line 1: .* U\+0003"),
        ("5\tMo\x02on\tab\n", r"a\.tsv, line 1: .* U\+0002"),
        ("5\tMoon\t\n", "every text in it is empty"),
        ("", "every text in it is empty"),
    ],
)
def test_tables_that_cannot_be_read_are_named_with_the_line(tmp_path, content, message):
    path = tmp_path / "a.tsv"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        read(path, columns=("form", "title", "text"))


def test_what_does_not_fit_the_settings_is_refused(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("form\tpoem\n5\tab\n")
    with pytest.raises(DataError, match=r"line 1: there is no column 'text', only form, poem; .*document\.columns"):
        read(path)
    with pytest.raises(DataError, match=r"is no folder.*document\.each=file"):
        read(path, "file")
    with pytest.raises(DataError, match=r"is a folder.*document\.each=line"):
        read(tmp_path)
    with pytest.raises(DataError, match="there is no file or folder"):
        read(tmp_path / "absent.tsv")
    (tmp_path / "a.txt").write_text("one\ntwo \x01\n")
    with pytest.raises(DataError, match=r"a\.txt, line 2: .*U\+0001"):
        read(tmp_path, "file")
