"""Which symbols rhyme, from a table."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from recurra.data.errors import DataError
from recurra.data.text import lines_of, read_pieces


def read_rhymes(path: str | Path) -> dict[str, frozenset[str]]:
    """The rhymes of each symbol: of a table whose lines are a symbol, a tab, and the names of its rhymes.

    A symbol that is said in several ways has several, parted by blanks. The file may be packed with gzip.

    Raises:
        DataError: the file cannot be read, holds nothing, or a line is none of these; with file and line.
    """
    path, found = Path(path).expanduser(), {}
    for piece in read_pieces(path):
        for line in lines_of(piece):
            symbol, tab, names = line.text.partition("\t")
            if not line.text.strip():
                continue
            if not tab or not symbol.strip() or not names.split():
                raise DataError(
                    f"{path}, line {line.number}: expected a symbol, a tab, and its rhymes with blanks between"
                )
            found[symbol.strip()] = frozenset(names.split())
    if not found:
        raise DataError(f"{path} is empty: expected a symbol, a tab, and its rhymes on each line")
    return found


def rhymed(lines: Sequence[Sequence[str]], rhymes: Mapping[str, frozenset[str]]) -> bool:
    """Whether the second line, the fourth and so on, at least two, end in one rhyme.

    Args:
        lines: the symbols of each line.
        rhymes: the rhymes of each symbol; one that has none here rhymes with nothing.
    """
    ends = [rhymes.get(line[-1], frozenset()) if line else frozenset() for line in lines[1::2]]
    return len(ends) > 1 and bool(frozenset.intersection(*ends))
