"""Pairs of texts: tables with a source and a target column, and two files whose lines belong together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from recurra.data.errors import DataError
from recurra.data.text import Line, lines_of, read_pieces

BETWEEN_FILES = ","


class Pair(NamedTuple):
    """A text and what it is to become."""

    source: str
    target: str
    file: Path  # the one with the source, where there are two
    line: int  # from 1


@dataclass(frozen=True)
class PairColumns:
    """Which columns of a table, parted by tabs, hold the source and the target."""

    source: str = "1"  # a number, from 1, or from the end from -1; or a name that stands in the first line
    target: str = "2"


def read_pairs(path: str | Path, columns: PairColumns, *, skip_empty: bool = False) -> list[Pair]:
    """The pairs at `path`, in order; each file plain or packed with gzip.

    `path` is a table with a pair on each line, its columns parted by tabs; or two files, `SOURCE,TARGET`, whose lines
    belong together. Blank lines of a table are left out, as are blank lines that stand in both of two files.

    Args:
        path: where they are.
        columns: which columns of a table are read.
        skip_empty: leave out pairs of which one side is empty; otherwise they are an error.

    Raises:
        DataError: nothing is there, it cannot be read, a column is missing, a side is empty, or one of two files has
            more lines; with file and line.
    """
    places = _places(path)
    pairs = list(_of_files(*places) if len(places) == 2 else _of_table(places[0], columns))
    kept = [pair for pair in pairs if _is_whole(pair, places, skip_empty)]
    if not kept:
        raise DataError(f"{path} holds no pair: expected a source, a tab and a target on each line, or two files")
    return kept


def groups(pairs: Sequence[Pair]) -> list[int]:
    """A number for each pair; those that have it in common must not be parted, or one would tell of the other.

    They are pairs with the same source, however it is capitalised, and the lines of a conversation: pairs one after
    another, the target of each of which is the source of the next.
    """
    found: list[int] = []
    of: dict[str, int] = {}  # a source to its first number
    merged: list[int] = []  # a number to one that it was joined with; itself where none
    before = None
    for pair in pairs:
        source = " ".join(pair.source.split()).lower()
        number = of.setdefault(source, len(merged))
        if number == len(merged):
            merged.append(number)
        if before is not None and before == source:
            merged[_first(merged, number)] = _first(merged, found[-1])
        found.append(number)
        before = " ".join(pair.target.split()).lower()
    return [_first(merged, number) for number in found]


def _first(merged: list[int], number: int) -> int:
    while merged[number] != number:
        merged[number] = number = merged[merged[number]]
    return number


def _places(path: str | Path) -> list[Path]:
    whole = Path(path).expanduser()
    names = [str(path)] if whole.exists() else str(path).split(BETWEEN_FILES)
    if len(names) > 2:
        raise DataError(
            f"{path} names {len(names)} files: expected one with both sides, or two, as in train.en,train.de"
        )
    places = [Path(name.strip()).expanduser() for name in names]
    for place in places:
        if not place.is_file():
            raise DataError(
                f"{place} is a folder: expected a file of pairs, or two files, as in train.en,train.de"
                if place.is_dir()
                else f"there is no file {place}"
            )
    return places


def _is_whole(pair: Pair, places: list[Path], skip_empty: bool) -> bool:
    if pair.source and pair.target:
        return True
    if not skip_empty:
        side, file = ("source", pair.file) if not pair.source else ("target", places[-1])
        raise DataError(
            f"{file}, line {pair.line}: the {side} is empty; give one, remove the pair, or leave such pairs out with "
            "text.unfit=skip"
        )
    return False


def _of_files(source: Path, target: Path) -> Iterator[Pair]:
    for one, other in zip_longest(_lines(source), _lines(target)):
        if one is None or other is None:
            short, long = (source, target) if one is None else (target, source)
            number = (one or other).number  # type: ignore[union-attr]  # one of them goes on
            raise DataError(
                f"{short} ends before line {number}, but {long} goes on: the two files must have as many lines, "
                "each the translation of the other"
            )
        if one.text.strip() or other.text.strip():
            yield Pair(one.text.strip(), other.text.strip(), source, one.number)


def _of_table(file: Path, columns: PairColumns) -> Iterator[Pair]:
    at: tuple[int, int] | None = None
    for line in _lines(file):
        if not line.text.strip():
            continue
        cells = line.text.split("\t")
        if at is None:
            at, is_head = _columns(file, cells, columns)
            if is_head:
                continue
        if max(at) >= len(cells) or min(at) < -len(cells):
            raise DataError(
                f"{file}, line {line.number}: {len(cells)} column{'s' * (len(cells) > 1)}, but source and target are "
                f"columns {columns.source} and {columns.target}; expected them parted by tabs (see text.source_column "
                "and text.target_column), or give two files, as in train.en,train.de"
            )
        yield Pair(cells[at[0]].strip(), cells[at[1]].strip(), file, line.number)


def _columns(file: Path, first: list[str], columns: PairColumns) -> tuple[tuple[int, int], bool]:
    """Where source and target stand, from 0 or from the end from -1, and whether the first line names them."""
    names = [cell.strip() for cell in first]
    found, named = [], False
    for key, name in (("text.source_column", columns.source), ("text.target_column", columns.target)):
        try:
            number = int(name)
        except ValueError:
            if name not in names:
                raise DataError(
                    f"{file} has no column {name!r}: its first line names {', '.join(names)}; set {key} to one of "
                    "them, or to a number from 1"
                ) from None
            found.append(names.index(name))
            named = True
        else:
            if number == 0:
                raise DataError(f"{key}=0: columns count from 1, or from the end from -1")
            found.append(number - 1 if number > 0 else number)
    return (found[0], found[1]), named


def _lines(file: Path) -> Iterator[Line]:
    for piece in read_pieces(file):
        yield from lines_of(piece)
