import gzip
from pathlib import Path

import numpy as np
import pytest

from recurra.data import DataError, Frequency, Reading, read_series


def table(folder: Path, text: str, name: str = "a.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def hours(*rows: str) -> str:
    return "date,load,heat\n" + "".join(f"2024-03-01 {row}\n" for row in rows)


def test_a_table_with_dates(tmp_path):
    text = hours("00:00,1,5", "01:00,2,6", "02:00,3,7")
    series = read_series(table(tmp_path, text), Reading())
    assert series.names == ("load", "heat") and series.frequency == Frequency(seconds=3600)
    assert series.values.tolist() == [[1, 5], [2, 6], [3, 7]] and series.reports == ()
    assert str(series.dates[1]) == "2024-03-01T01:00:00"
    packed = tmp_path / "b.csv.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    assert read_series(packed, Reading()).values.tolist() == series.values.tolist()
    assert read_series(table(tmp_path, text), Reading(columns=("heat",))).values.tolist() == [[5], [6], [7]]


@pytest.mark.parametrize(
    ("text", "names", "values"),
    [
        ("1\n2.5\n-3e2\n", ("1",), [[1], [2.5], [-300]]),
        ("a\tb\n1\t2\n3\t4\n", ("a", "b"), [[1, 2], [3, 4]]),
        ('"a";"b c"\n1;2\n\n3;4\n', ("a", "b c"), [[1, 2], [3, 4]]),
        ("2024-01-01,5\n2024-01-02,6\n", ("2",), [[5], [6]]),
    ],
)
def test_tables_of_other_shapes(tmp_path, text, names, values):
    series = read_series(table(tmp_path, text), Reading())
    assert series.names == names and series.values.tolist() == values


def test_gaps_are_filled_and_reported(tmp_path):
    path = table(tmp_path, hours("00:00,1,5", "01:00,2,6", "04:00,5,9", "05:00,6,9"))
    held = read_series(path, Reading())
    assert held.values[:, 0].tolist() == [1, 2, 2, 2, 5, 6] and len(held.dates) == 6
    assert held.reports == ("2 rows, 1h apart, are missing, the first one 2024-03-01 02:00:00; filled: hold",)
    assert read_series(path, Reading(gaps="linear")).values[:, 0].tolist() == [1, 2, 3, 4, 5, 6]
    with pytest.raises(DataError, match=r"2 rows, 1h apart, are missing.*series\.gaps=hold"):
        read_series(path, Reading(gaps="error"))


def test_rows_of_one_date(tmp_path):
    path = table(tmp_path, hours("00:00,1,5", "01:00,2,6", "01:00,4,6", "02:00,3,7"))
    with pytest.raises(DataError, match=r"line 4: 1 rows have a date that was there before.*series\.duplicates"):
        read_series(path, Reading())
    for rule, kept in (("first", 2), ("last", 4), ("mean", 3)):
        series = read_series(path, Reading(duplicates=rule))
        assert series.values[:, 0].tolist() == [1, kept, 3] and "kept: the " + rule in series.reports[0]


def test_rows_out_of_order_are_put_in_order(tmp_path):
    series = read_series(table(tmp_path, hours("01:00,2,6", "00:00,1,5", "02:00,3,7")), Reading())
    assert series.values[:, 0].tolist() == [1, 2, 3] and "line 3" in series.reports[0]


def test_empty_cells(tmp_path):
    path = table(tmp_path, hours("00:00,,5", "01:00,2,6", "02:00,NaN,7", "03:00,4,8"))
    with pytest.raises(DataError, match=r"a\.csv, line 2, column 'load': the cell is empty.*series\.missing"):
        read_series(path, Reading())
    held = read_series(path, Reading(missing="hold"))
    assert held.values[:, 0].tolist() == [2, 2, 2, 4] and "2 empty cells of the column load" in held.reports[0]
    assert read_series(path, Reading(missing="linear")).values[:, 0].tolist() == [2, 2, 3, 4]


def test_an_open_end_stays_empty(tmp_path):
    path = table(tmp_path, hours("00:00,1,5", "01:00,2,6", "02:00,,7", "03:00,,8"))
    series = read_series(path, Reading(), open_end=("load",))
    assert np.isnan(series.values[2:, 0]).all() and series.values[:, 1].tolist() == [5, 6, 7, 8]


@pytest.mark.parametrize(
    ("text", "reading", "message"),
    [
        (
            "date,x\n2024-01-01,1\n01.02.24,2\n",
            Reading(),
            r"line 3: '01\.02\.24' is not understood as a date.*%d\.%m\.%Y",
        ),
        ("x,y\n1,2\n1\n", Reading(), "line 3: 1 columns where 2 are expected"),
        ("x,y\n1,2\n1,two\n", Reading(), "line 3, column 'y': 'two' is no number"),
        ("x,y\n1,inf\n", Reading(), "line 2, column 'y': 'inf' is no number"),
        ("x,x\n1,2\n", Reading(), "two columns called 'x'"),
        ("x,y\n1,2\n", Reading(columns=("z",)), "no column 'z': its columns are x, y"),
        ("x,y\n1,2\n", Reading(date="when"), "no column 'when' for the date"),
        ("x\n\n", Reading(), "holds no row"),
        ("x,y\n1,\n2,\n", Reading(missing="hold"), "the column 'y' holds no number"),
        (
            hours("00:00,1,1", "01:00,1,1", "01:20,1,1", "02:00,1,1", "03:00,1,1"),
            Reading(),
            "line 4: .*no multiple of 1h",
        ),
        (hours("00:00,1,1", "01:00,1,1"), Reading(frequency="a day"), "series.frequency='a day' is not understood"),
        (hours("00:00,1,1", "23:00,1,1"), Reading(frequency="1s"), "would be 82,801, but there are 2"),
        (hours("00:00,1,1", "00:00,1,1"), Reading(), "every row has the date"),
    ],
)
def test_bad_tables_say_where_and_how_to_mend(tmp_path, text, reading, message):
    with pytest.raises(DataError, match=message):
        read_series(table(tmp_path, text), reading)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(DataError, match="there is no file"):
        read_series(tmp_path / "gone.csv", Reading())
    with pytest.raises(DataError, match="is a folder"):
        read_series(tmp_path, Reading())
