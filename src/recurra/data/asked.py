"""Passages with a question and its answer: a table of three columns, parted by tabs."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from recurra.data.errors import DataError
from recurra.data.text import Line, lines_of, read_pieces

COLUMNS = ("passage", "question", "answer")


class Asked(NamedTuple):
    """A passage, a question about it, and the answer."""

    passage: str
    question: str
    answer: str
    file: Path
    line: int  # from 1


def read_asked(path: str | Path) -> list[Asked]:
    """The questions of a table, plain or packed with gzip, in order; blank lines are left out.

    Each line is a passage, a question and the answer, parted by tabs. A first line of just these three names is a
    header, in whose order the columns stand.

    Raises:
        DataError: nothing is there, it cannot be read, or a line has another number of columns or an empty one; with
            file and line.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise DataError(f"there is no file {path}" if not path.exists() else f"{path} is a folder: expected a file")
    found = list(_rows(path))
    if not found:
        raise DataError(f"{path} holds no question: expected a passage, a question and an answer on each line")
    return found


def part_question(line: Line) -> tuple[str, str]:
    """The passage and the question of a line that has no answer. Raises DataError where it is not of this form."""
    passage, question = _cells(line, COLUMNS[:2])
    return passage, question


def _rows(path: Path) -> Iterator[Asked]:
    order = COLUMNS
    for number, line in enumerate(line for piece in read_pieces(path) for line in lines_of(piece)):
        if not line.text.strip():
            continue
        cells = _cells(line, order)
        if number == 0 and sorted(cell.lower() for cell in cells) == sorted(COLUMNS):
            order = tuple(cell.lower() for cell in cells)
            continue
        named = dict(zip(order, cells, strict=True))
        yield Asked(named["passage"], named["question"], named["answer"], line.file, line.number)


def _cells(line: Line, names: tuple[str, ...]) -> list[str]:
    cells = [cell.strip() for cell in line.text.split("\t")]
    if len(cells) != len(names):
        raise DataError(
            f"{line.file}, line {line.number}: {len(cells)} columns where {len(names)} are expected: "
            f"{', '.join(names)}, parted by tabs"
        )
    for name, cell in zip(names, cells, strict=True):
        if not cell:
            raise DataError(f"{line.file}, line {line.number}: the {name} is empty; give one, or remove the line")
    return cells
