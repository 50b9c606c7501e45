"""Documents with fields beside their text, each of its own: lines of a table, or files of a folder."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from recurra.data.corpus import Corpus
from recurra.data.errors import DataError
from recurra.data.tables import table_rows
from recurra.data.text import Line, lines_of, read_pieces

# What no text of a document may hold, as these mark where a heading's parts, the text and the document end: the ASCII
# characters made for it (start of heading, start of text, end of text).
HEADING, START, END = "\x01", "\x02", "\x03"
MARKS = (HEADING, START, END)

# The fields of a file of a folder.
FILE_FIELDS = ("folder", "file")


class Document(NamedTuple):
    """One text and what is known about it."""

    text: str  # its lines, parted by line ends; none behind the last
    fields: Mapping[str, str]
    file: Path
    line: int  # of the file, from 1


@dataclass(frozen=True)
class DocumentLayout:
    """How documents lie in files.

    Attributes:
        each: what a document is: `line`, a line of a table, or `file`, a file of a folder.
        columns: names of a table's columns, from the left; none: its first line names them.
        text: name of the column with the text.
        line_end: what stands for a line end in a table's text; empty: nothing does.
    """

    each: str
    columns: Sequence[str] = ()
    text: str = "text"
    line_end: str = ""


def read_documents(path: str | Path, layout: DocumentLayout) -> list[Document]:
    """The documents at `path`, in order, blank ones left out.

    Of a table (columns parted by tabs, in a `.csv` file by commas, plain or packed with gzip) each line is a document,
    and each column but the text a field. Of a folder each text file below it is one, whose fields are `folder`, the
    folder it lies in, and `file`, its name without `.txt`.

    Raises:
        DataError: nothing is there, it cannot be read, a column is missing, a line has too few or too many, or a text
            holds one of the marks; with file and line.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise DataError(f"there is no file or folder {path}")
    found = _of_folder(path) if layout.each == "file" else _of_table(path, layout)
    documents = [document for document in found if document.text.strip()]
    if not documents:
        raise DataError(f"{path} holds no document: every text in it is empty")
    return documents


def _of_folder(folder: Path) -> Iterator[Document]:
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder: with document.each=file each document is a file of a folder")
    for file in Corpus.open(folder).files:
        text = _unmarked("".join(piece.text for piece in read_pieces(file)), file, 1).strip("\n")
        parent = file.parent.relative_to(folder)
        name = file.name.removesuffix(".gz").removesuffix(".txt")
        fields = {"folder": "" if parent == Path() else str(parent), "file": name}
        yield Document(text, fields, file, 1)


def _of_table(file: Path, layout: DocumentLayout) -> Iterator[Document]:
    if file.is_dir():
        raise DataError(f"{file} is a folder: with document.each=line give a table, or set document.each=file")
    rows = _rows(file)
    names = list(layout.columns)
    if not names:
        _, first = next(rows, (0, []))
        names = [name.strip() for name in first]
        if layout.text not in names:
            raise DataError(
                f"{file}, line 1: there is no column {layout.text!r}, only {', '.join(names)}; name the one with the "
                "text by document.text or, where the first line is a document already, all of them by "
                "document.columns, as in document.columns=author,title,text"
            )
    for number, cells in rows:
        yield _document(file, number, cells, names, layout)


def _document(file: Path, line: int, cells: list[str], names: Sequence[str], layout: DocumentLayout) -> Document:
    if len(cells) != len(names):
        raise DataError(
            f"{file}, line {line}: {len(cells)} columns where {len(names)} are expected ({', '.join(names)}), parted "
            f"by {'commas' if _is_csv(file) else 'tabs'}"
        )
    fields = {name: _unmarked(cell.strip(), file, line) for name, cell in zip(names, cells, strict=True)}
    text = fields.pop(layout.text)
    if layout.line_end:
        text = "\n".join(part.strip() for part in text.split(layout.line_end))
    return Document(text, fields, file, line)


def _unmarked(text: str, file: Path, line: int) -> str:
    for mark in MARKS:
        if mark in text:
            raise DataError(
                f"{file}, line {line + text.count(chr(10), 0, text.index(mark))}: the text holds the control character "
                f"U+{ord(mark):04X}, which marks the parts of a document here: remove it"
            )
    return text


def _rows(file: Path) -> Iterator[tuple[int, list[str]]]:
    """The cells of each line that is not blank, with its number."""
    lines = _lines(file)
    if _is_csv(file):
        yield from ((number, row) for number, row in table_rows(lines) if row)
        return
    for line in lines:
        if line.text.strip():
            yield line.number, line.text.split("\t")


def _lines(file: Path) -> Iterator[Line]:
    for piece in read_pieces(file):
        yield from lines_of(piece)


def _is_csv(file: Path) -> bool:
    return file.name.removesuffix(".gz").endswith(".csv")
