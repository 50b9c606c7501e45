import gzip
from pathlib import Path

import pytest

from recurra.data import DataError, Pair, PairColumns, groups, read_builtin, read_pairs


def read(path: object, source: str = "1", target: str = "2", **options):
    return read_pairs(str(path), PairColumns(source, target), **options)


def texts(path: object, *columns: str, **options) -> list[tuple[str, str]]:
    return [(pair.source, pair.target) for pair in read(path, *columns, **options)]


def test_a_table_in_any_columns(tmp_path: Path):
    (tmp_path / "p.tsv").write_text("a b\tc\n\n d \te\tf\n")
    assert texts(tmp_path / "p.tsv") == [("a b", "c"), ("d", "e")]
    (tmp_path / "p.tsv.gz").write_bytes(gzip.compress(b"id\tlong\tshort\n1\tabc\ta\n2\tdef\td\n"))
    assert texts(tmp_path / "p.tsv.gz", "2", "3") == [("long", "short"), ("abc", "a"), ("def", "d")]
    assert texts(tmp_path / "p.tsv.gz", "long", "short") == [("abc", "a"), ("def", "d")]
    assert texts(tmp_path / "p.tsv.gz", "-1", "-2")[1] == ("a", "abc")
    assert read(tmp_path / "p.tsv.gz", "long", "short")[1].line == 3


def test_two_files_whose_lines_belong_together(tmp_path: Path):
    (tmp_path / "a").write_text("one\n\ntwo\n")
    (tmp_path / "b").write_text("eins\n\nzwei\n")
    found = read(f"{tmp_path / 'a'},{tmp_path / 'b'}")
    assert [(p.source, p.target, p.line) for p in found] == [("one", "eins", 1), ("two", "zwei", 3)]
    (tmp_path / "a,b").write_text("x\ty\n")  # a file whose name has a comma is that file
    assert texts(tmp_path / "a,b") == [("x", "y")]


def test_what_is_wrong_is_said_with_its_place(tmp_path: Path):
    a, b, table = tmp_path / "a", tmp_path / "b", tmp_path / "t.tsv"
    a.write_text("one\ntwo\nthree\n")
    b.write_text("eins\nzwei\n")
    with pytest.raises(DataError, match=r"b ends before line 3, but .*a goes on: the two files must have as many"):
        read(f"{a},{b}")
    with pytest.raises(DataError, match=r"a ends before line 3"):
        b.write_text("eins\nzwei\ndrei\nvier\n") and a.write_text("one\ntwo\n")
        read(f"{a},{b}")
    b.write_text("eins\n \n")
    with pytest.raises(DataError, match=r"b, line 2: the target is empty; .*text.unfit=skip"):
        read(f"{a},{b}")
    assert texts(f"{a},{b}", skip_empty=True) == [("one", "eins")]
    table.write_text("x\ty\n\tz\n")
    with pytest.raises(DataError, match=r"t.tsv, line 2: the source is empty"):
        read(table)
    table.write_text("x\ty\nonly one\n")
    with pytest.raises(DataError, match=r"t.tsv, line 2: 1 column, but source and target are columns 1 and 2"):
        read(table)
    with pytest.raises(DataError, match=r"no column 'german': its first line names x, y"):
        read(table, "german", "2")
    with pytest.raises(DataError, match="columns count from 1"):
        read(table, "0", "2")
    for path, said in ((tmp_path / "no.tsv", "there is no file"), (tmp_path, "is a folder"), ("a,b,c", "3 files")):
        with pytest.raises(DataError, match=said):
            read(path)
    table.write_text("\n\n")
    with pytest.raises(DataError, match="holds no pair"):
        read(table)


def test_what_must_stay_together():
    place = Path("p")
    rows = [("a", "b"), ("b", "c"), ("x", "y"), ("A ", "z"), ("z", "w"), ("c", "d"), ("q", "x")]
    found = groups([Pair(source, target, place, k) for k, (source, target) in enumerate(rows)])
    assert found[0] == found[1] == found[3] == found[4]  # a conversation, its first line again, and what follows that
    assert len(set(found)) == 4 and found[2] != found[6]  # a reply that is no next line parts nothing


def test_builtin_dates_say_one_day_each_and_test_days_are_new():
    pytest.importorskip("babel")
    learnt, tested = (read_builtin("builtin:dates", "paired", test=test) for test in (False, True))
    assert len(learnt) == 40_000 and len(tested) == 4_000
    assert not {pair.target for pair in learnt} & {pair.target for pair in tested}
    meanings: dict[str, set[str]] = {}
    for pair in [*learnt, *tested]:
        meanings.setdefault(pair.source, set()).add(pair.target)
    assert {len(days) for days in meanings.values()} == {1}
    written = {pair.source for pair in learnt}
    assert any("Februar " in text for text in written) and any("年" in text for text in written)


def test_builtin_sums_are_right_and_tested_ones_new_in_either_order():
    learnt, tested = (read_builtin("builtin:addition", "paired", test=test) for test in (False, True))
    assert abs(len(learnt) - 50_000) < 10 and abs(len(tested) - 5_000) < 10
    for pair in [*learnt[:200], *tested[:200]]:
        a, b = map(int, pair.source.split("+"))
        assert a + b == int(pair.target) and max(a, b) < 1000
    orders = [{tuple(sorted(pair.source.split("+"))) for pair in part} for part in (learnt, tested)]
    assert not orders[0] & orders[1]
    with pytest.raises(DataError, match="did you mean builtin:dates"):
        read_builtin("builtin:date", "paired")
