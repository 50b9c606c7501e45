"""Sentences with a tag for each token: columns, CoNLL-U, and text whose words are parted by blanks."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from recurra.data.errors import DataError
from recurra.data.spans import segment_tags
from recurra.data.text import Line, lines_of, read_pieces

FORMATS = ("auto", "columns", "conllu", "segmented")
CONLLU = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")

# Lines that are looked at to find out how a file is written, and the most columns parted by blanks that they may have.
_LOOK, _MOST_COLUMNS = 200, 12
_TOKEN = re.compile(r"[^\W_]+(?:[.,'’-][^\W_]+)*|\S")


class Tagged(NamedTuple):
    """A sentence and the tag of each token, None where a token has none."""

    tokens: tuple[str, ...]
    tags: tuple[str | None, ...]
    file: Path
    line: int  # of its first token, from 1


@dataclass(frozen=True)
class TagColumns:
    """How tagged sentences are written."""

    format: str = "auto"  # one of FORMATS
    token: int = 1  # columns: which holds the token, from 1, or from the end from -1
    tag: str = "auto"  # which holds the tag: a number as above, or a name of CONLLU; auto: the last, or upos


def read_tagged(path: str | Path, columns: TagColumns) -> list[Tagged]:
    """The tagged sentences of a file, plain or packed with gzip, in order; empty ones are left out.

    `columns`: a token on each line with its tag in another column, parted by tabs or, where there is none, by blanks;
    a blank line ends a sentence. `conllu`: the ten columns of Universal Dependencies; of words that are written as one
    token the parts are read, and nothing of empty nodes. `segmented`: a sentence on each line, its words parted by
    blanks: the tokens are the characters, and the tags B, M, E and S say where in its word each stands. `auto`:
    `conllu` by the file's name; else `columns` where all of the first lines have a tab, or where all have the same
    number of columns, at least two, and there are blank lines between; else `segmented`.

    Raises:
        DataError: nothing is there, it cannot be read, or a line has too few or too many columns; with file and line.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise DataError(f"there is no file {path}" if not path.exists() else f"{path} is a folder: expected a file")
    kind = _format(path) if columns.format == "auto" else columns.format
    lines = (line for piece in read_pieces(path) for line in lines_of(piece))
    if kind == "segmented":
        sentences = list(_segmented(lines))
    else:
        sentences = list(sentences_of(lines, columns, conllu=kind == "conllu"))
    if not sentences:
        raise DataError(f"{path} holds no sentence: expected {_EXPECTED[kind]}")
    return sentences


_EXPECTED = {
    "columns": "a token, a tab and its tag on each line, and a blank line behind each sentence",
    "conllu": "the ten columns of CoNLL-U on each line, and a blank line behind each sentence",
    "segmented": "a sentence on each line, its words parted by blanks",
}


def sentences_of(
    lines: Iterable[Line], columns: TagColumns, *, conllu: bool = False, tagged: bool = True
) -> Iterator[Tagged]:
    """The sentences of lines in columns, each as soon as its blank line has come.

    Args:
        lines: lines of a file.
        columns: which column holds what.
        conllu: whether the columns are those of CoNLL-U.
        tagged: whether to read the tags; else every tag is None, and a lone column of tokens will do.

    Raises:
        DataError: a line has another number of columns than the first, or not the one that is asked for.
    """
    tokens: list[str] = []
    tags: list[str | None] = []
    first = width = 0
    last: Line | None = None
    for line in lines:
        last = line
        if not line.text.strip():
            if tokens and tokens != ["-DOCSTART-"]:
                yield Tagged(tuple(tokens), tuple(tags), line.file, first)
            tokens, tags = [], []
            continue
        if conllu and line.text.startswith("#"):
            continue
        cells = line.text.split("\t") if conllu or "\t" in line.text else line.text.split()
        width = width or (len(CONLLU) if conllu else len(cells))
        if len(cells) != width:
            raise DataError(
                f"{line.file}, line {line.number}: {len(cells)} columns where {width} are expected; mend the line, or "
                "say with tokens.format how the file is written"
            )
        if conllu and not cells[0].isdecimal():
            continue  # a token of several words, whose parts follow; or an empty node
        first = line.number if not tokens else first
        tokens.append(cells[1] if conllu else cells[_place(columns.token, width, line)])
        tags.append(_tag(cells, columns.tag, conllu, line) if tagged else None)
    if tokens and last is not None and tokens != ["-DOCSTART-"]:
        yield Tagged(tuple(tokens), tuple(tags), last.file, first)


def _tag(cells: list[str], column: str, conllu: bool, line: Line) -> str | None:
    if conllu:
        name = "upos" if column == "auto" else column
        if name not in CONLLU:
            raise DataError(f"tokens.tag_column={name!r} is no column of CoNLL-U; those are {', '.join(CONLLU)}")
        value = cells[CONLLU.index(name)]
        return None if value == "_" and name != "feats" else value
    if len(cells) < 2:
        raise DataError(
            f"{line.file}, line {line.number}: a token without a tag; expected at least two columns, parted by a tab"
        )
    try:
        number = -1 if column == "auto" else int(column)
    except ValueError:
        raise DataError(
            f"tokens.tag_column={column!r}: the columns of {line.file} have no names; give the number of one, from 1"
        ) from None
    tag = cells[_place(number, len(cells), line)].strip()
    if not tag:
        raise DataError(f"{line.file}, line {line.number}: the tag is empty; give one, or remove the line")
    return tag


def _place(number: int, width: int, line: Line) -> int:
    """The place of a column by its number, from 1 or from -1."""
    place = number - 1 if number > 0 else width + number
    if not 0 <= place < width or number == 0:
        raise DataError(
            f"{line.file}, line {line.number} has {width} columns, none of the number {number}: set tokens.column "
            "and tokens.tag_column to some that there are, from 1, or from the end from -1"
        )
    return place


def _segmented(lines: Iterable[Line]) -> Iterator[Tagged]:
    for line in lines:
        words = line.text.split()
        if words:
            yield Tagged(tuple("".join(words)), tuple(segment_tags(words)), line.file, line.number)


def _format(path: Path) -> str:
    if path.name.removesuffix(".gz").endswith(".conllu"):
        return "conllu"
    lines = (line.text for piece in read_pieces(path) for line in lines_of(piece))
    head = list(islice(lines, _LOOK))
    full = [text for text in head if text.strip()]
    if all("\t" in text for text in full):
        return "columns"
    widths = {len(text.split()) for text in full}
    alike = len(widths) == 1 and 2 <= min(widths) <= _MOST_COLUMNS and len(full) < len(head)
    return "columns" if alike else "segmented"


def cut(text: str) -> list[tuple[int, int]]:
    """Where the tokens of a text begin and end: runs of letters and digits with what joins them, and single signs.

    `3.2`, `1,200`, `O'Neill` and `well-known` are one token each; `$3` and `12%` are two.
    """
    return [match.span() for match in _TOKEN.finditer(text)]
