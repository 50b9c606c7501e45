import numpy as np
import pytest

from recurra.tasks.findings import Curves, Table
from recurra.tasks.judged import best_and_worst, overlap, score_by_length


def test_a_score_by_length_counts_everything_once():
    lengths = np.repeat([3, 5, 8, 9], [40, 30, 20, 10])
    found = score_by_length(
        lengths, lambda inside: float(lengths[inside].mean()), "score", of="text", unit="words", counted="texts"
    )
    table, curve = found["by_length"], found["length_curve"]
    assert isinstance(table, Table) and isinstance(curve, Curves)
    assert table.title == "Score by length of the text" and table.columns == ["length", "texts", "score"]
    assert sum(row[1] for row in table.rows) == 100
    assert all(x == pytest.approx(y) for x, y in curve.curves[0].points), "each group is scored by its own members"


def test_of_one_length_there_is_nothing_to_tell():
    assert score_by_length(np.full(100, 4), lambda _: 0.0, "score", of="text", unit="words", counted="texts") == {}


def test_the_best_and_the_worst():
    marks, lengths = np.array([0.2, 1.0, 1.0, 0.0, 0.0]), np.array([3, 2, 9, 7, 4])
    right = np.array([False, True, True, False, False])
    assert best_and_worst(marks, lengths, right, 2) == ([2, 1], [4, 3])
    assert best_and_worst(marks, lengths, right)[1] == [4, 3, 0], "what is right is none of the worst"


def test_overlap_of_bigrams():
    assert overlap("abc", "abc") == 1 and overlap("ab", "ba") == 0
    assert overlap(["a", "b"], ["a", "c"]) == pytest.approx(1 / 3)
