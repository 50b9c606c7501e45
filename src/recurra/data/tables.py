"""Tables whose cells are parted by a sign, and quoted where they hold it or a line end."""

import csv
from collections.abc import Iterable, Iterator

from recurra.data.errors import DataError
from recurra.data.text import Line

# A cell may be a whole document. The limit of the csv module, 131,072 characters if nobody sets it, is the process's.
_LONGEST = 2**31 - 1


def table_rows(lines: Iterable[Line], separator: str = ",") -> Iterator[tuple[int, list[str]]]:
    """The cells of each row, with the number of the line it begins in; a blank line is a row without cells.

    Raises:
        DataError: a quoted cell is never closed, or text stands behind its closing mark; with file and line.
    """
    begun: list[Line] = []

    def texts() -> Iterator[str]:
        for line in lines:
            begun.append(line)
            yield line.text + "\n"

    csv.field_size_limit(_LONGEST)
    reader = csv.reader(texts(), delimiter=separator, strict=True)
    try:
        for row in reader:
            yield begun[0].number, row
            begun.clear()
    except csv.Error as error:
        raise DataError(
            f"{begun[0].file}, line {begun[0].number}: a quoted cell begins in this row and does not end where a cell "
            f'can end ({error}); close it, and write a " inside it twice'
        ) from None
