import numpy as np
import pytest

from recurra.data.dates import Frequency, calendar, find_frequency, parse_date


def dates(*texts: str) -> np.ndarray:
    return np.array(texts, dtype="datetime64[s]")


@pytest.mark.parametrize(
    ("text", "form", "date"),
    [
        ("2016-07-01 13:00:00", None, "2016-07-01T13:00:00"),
        ("2016-07-01", None, "2016-07-01T00:00:00"),
        ("2016/07/01 13:00", None, "2016-07-01T13:00:00"),
        ("2016-07-01T13:00:00+02:00", None, "2016-07-01T11:00:00"),
        ("01.07.2016", "%d.%m.%Y", "2016-07-01T00:00:00"),
    ],
)
def test_dates_are_read(text, form, date):
    assert str(parse_date(text, form)) == date


@pytest.mark.parametrize("text", ["", "12.5", "07/01/2016", "20160701", "soon"])
def test_what_is_no_date_or_could_be_two(text):
    assert parse_date(text, None) is None


def test_the_frequency_is_the_commonest_step():
    assert find_frequency(dates("2024-01-01", "2024-01-02", "2024-01-05", "2024-01-06")) == Frequency(seconds=86400)
    assert find_frequency(dates("2024-01-31", "2024-02-07", "2024-02-14")) == Frequency(seconds=604800)
    assert find_frequency(dates("2024-01-01", "2024-02-01", "2024-03-01", "2024-04-01")) == Frequency(months=1)
    assert find_frequency(dates("2020-01-01", "2021-01-01", "2022-01-01")) == Frequency(months=12)


def test_frequencies_are_written_as_they_are_read():
    for text in ("10s", "15min", "1h", "1d", "2w", "1month", "12month"):
        assert str(Frequency.parse(text)) == text
    assert Frequency.parse("quarter") == Frequency(months=3)
    seasons = [Frequency.parse(text).season for text in ("1min", "15min", "1h", "1d", "1w", "1month")]
    assert seasons == [1440, 96, 24, 7, 52, 12]


def test_months_are_steps_of_their_own():
    monthly = Frequency(months=1)
    found, even = monthly.steps(dates("2024-01-05", "2024-03-05", "2024-03-06"))
    assert found.tolist() == [0, 2, 2] and even.tolist() == [True, True, False]
    assert [str(date)[:10] for date in monthly.dates(np.datetime64("2024-01-05", "s"), 3)] == [
        "2024-01-05",
        "2024-02-05",
        "2024-03-05",
    ]


def test_the_calendar_has_what_changes_within_it():
    week = np.datetime64("2024-01-01", "s") + np.arange(14) * np.timedelta64(12, "h")
    columns = calendar(week, Frequency(seconds=43200))
    assert columns.shape == (14, 6)
    assert np.allclose(columns[0, :2], [0, 1]) and np.allclose(columns[1, :2], [0, -1])  # midnight and noon
    assert np.allclose(columns[0, 2:4], [0, 1])  # a Monday
    assert calendar(week, Frequency(seconds=86400)).shape == (14, 4)
    assert calendar(week, Frequency(months=12)).shape == (14, 0)
