"""Measures and findings in a terminal."""

import pytest
from rich.cells import cell_len

from recurra.cli.findings import show
from recurra.tasks.findings import Matrix, Table


def test_columns_stand_below_each_other_whatever_the_letters(capsys: pytest.CaptureFixture[str]):
    rows = [["诗", "春眠不觉晓", 0.25], ["poem", "spring", 12.5], ["ほん", "e\u0301te\u0301", 1.0]]
    show({"lines": Table("Lines", "", ["kind", "text", "nats"], rows)})
    lines = capsys.readouterr().out.splitlines()[2:]
    assert len({cell_len(line) for line in lines}) == 1, lines
    # The second column ends where its longest text does, in columns of the screen.
    ends = [
        cell_len(line[: line.index(str(row[1])) + len(str(row[1]))]) for line, row in zip(lines[1:], rows, strict=True)
    ]
    assert len(set(ends)) == 1


def test_a_matrix_with_wide_labels_is_straight(capsys: pytest.CaptureFixture[str]):
    show({"语言 f1": 0.5, "english f1": 0.25, "m": Matrix("Confusion", "", ["中文", "English"], [[10, 2], [3, 4]])})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].index("0.5") + 2 == lines[1].index("0.25")
    assert len({cell_len(line) for line in lines[-3:]}) == 1
