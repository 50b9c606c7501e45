"""Texts with a label each: tables of labels and texts, and folders with one file for each label."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from recurra.data.errors import DataError
from recurra.data.tables import table_rows
from recurra.data.text import Line, lines_of, read_pieces

SEPARATORS = {"tab": "\t", "comma": ",", "semicolon": ";", "space": " "}

_TEXT_ENDINGS = (".txt", ".txt.gz")


class Labelled(NamedTuple):
    """One text and its label."""

    label: str
    text: str
    file: Path
    line: int  # from 1


@dataclass(frozen=True)
class Columns:
    """Which columns of a table hold what, and what parts them."""

    label: str = "label"
    text: str = "text"
    separator: str = "auto"  # or one of SEPARATORS


def read_labelled(path: str | Path, columns: Columns, *, whole: bool = False) -> list[Labelled]:
    """The labelled texts at `path`, in order; texts without a symbol are left out, or an error where all are `whole`.

    A folder holds one text file (.txt, .txt.gz) for each label, called by it, one text a line. A file is a table: a
    label and a text on each line, or any columns whose names stand in its first line, plain or packed with gzip. What
    parts the columns is, in a `.csv` file, a comma, or a semicolon where the first line has no comma; else a tab if the
    first line has one, or else the first blank.

    Raises:
        DataError: nothing is there, it cannot be read, or a column or a cell is missing; with file and line.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        examples = list(_of_folder(path))
    elif path.exists():
        examples = list(_of_table(path, columns))
    else:
        raise DataError(f"there is no file or folder {path}")
    kept = [example for example in examples if example.text.strip()]
    if whole and path.is_file() and len(kept) < len(examples):
        empty = next(example for example in examples if not example.text.strip())
        raise DataError(f"{empty.file}, line {empty.line}: the text is empty; give one, or remove the line")
    if not kept:
        raise DataError(f"{path} holds no labelled text: expected a label and a text on each line, or one file a label")
    return kept


def _of_folder(folder: Path) -> Iterator[Labelled]:
    files = sorted(file for file in folder.iterdir() if file.name.endswith(_TEXT_ENDINGS))
    if not files:
        raise DataError(
            f"the folder {folder} holds no .txt or .txt.gz file: expected one for each label, such as {folder}/good.txt"
        )
    for file in files:
        label = file.name.removesuffix(".gz").removesuffix(".txt")
        found = [Labelled(label, line.text, file, line.number) for line in _lines(file)]
        if not any(one.text.strip() for one in found):
            raise DataError(f"{file} holds no text for its label: give one on a line, or remove the file")
        yield from found


def _of_table(file: Path, columns: Columns) -> Iterator[Labelled]:
    lines = _lines(file)
    first = next((line for line in lines if line.text.strip()), None)
    if first is None:
        raise DataError(f"{file} is empty: expected a label and a text on each line")
    separator = _separator(file, first.text, columns)
    rows = _rows(chain([first], lines), separator)
    place, names = next(rows)
    header = [name.strip() for name in names]
    if columns.label in header and columns.text in header:
        at, width = (header.index(columns.label), header.index(columns.text)), len(header)
    elif (columns.label, columns.text) != (Columns.label, Columns.text) or columns.label in header:
        missing = columns.label if columns.label not in header else columns.text
        raise DataError(
            f"{file} has no column {missing!r}: its first line names {', '.join(header)}; "
            "set text.label_column and text.text_column to two of them"
        )
    else:
        at, width = (0, 1), 2
        if len(names) > width:
            raise DataError(
                f"{file}, line {place}: {len(names)} columns where a label and a text are expected; if these are names "
                "of columns, set text.label_column and text.text_column to two of them; else quote a text that holds "
                f"the separator, or say with text.separator what parts the columns ({', '.join(SEPARATORS)})"
            )
        yield _example(file, place, names, at, width)
    for place, cells in rows:
        if cells:
            yield _example(file, place, cells, at, width)


def _example(file: Path, line: int, cells: list[str], at: tuple[int, int], width: int) -> Labelled:
    if len(cells) != width:
        raise DataError(
            f"{file}, line {line}: {len(cells)} columns where {width} are expected; quote a text that holds the "
            f"separator, or say with text.separator what parts the columns ({', '.join(SEPARATORS)})"
        )
    label = cells[at[0]].strip()
    if not label:
        raise DataError(f"{file}, line {line}: the label is empty; give one, or remove the line")
    return Labelled(label, cells[at[1]].strip(), file, line)


def _rows(lines: Iterator[Line], separator: str) -> Iterator[tuple[int, list[str]]]:
    """The cells of each row, with the number of its first line."""
    if separator in ",;":
        yield from table_rows(lines, separator)
        return
    # Only commas and semicolons can be quoted; of blanks only the first parts, and of tabs every one.
    for line in lines:
        cells = line.text.split(" ", 1) if separator == " " else line.text.split("\t")
        yield line.number, cells if line.text.strip() else []


def _separator(file: Path, first: str, columns: Columns) -> str:
    if columns.separator in SEPARATORS:
        return SEPARATORS[columns.separator]
    if file.name.removesuffix(".gz").endswith(".csv"):
        return ";" if ";" in first and "," not in first else ","
    return "\t" if "\t" in first else " "


def _lines(file: Path) -> Iterator[Line]:
    for piece in read_pieces(file):
        yield from lines_of(piece)
