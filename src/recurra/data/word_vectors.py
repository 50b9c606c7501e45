"""Word vectors from a text file, as GloVe and word2vec write them."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from recurra.data.errors import DataError
from recurra.data.text import lines_of, read_pieces


def read_word_vectors(path: Path, wanted: Iterable[str]) -> dict[str, np.ndarray]:
    """The vectors of the `wanted` words that the file has, float32 [E] each.

    Each line is a word and its numbers, parted by blanks; word2vec's first line, two counts, is passed over. The file
    may be packed with gzip, and of any size: only what is wanted is kept.

    Raises:
        DataError: the file cannot be read, a line has another number of columns than the first (with its number), or
            none of the words is in it.
    """
    wanted, found, width = set(wanted), {}, 0
    for piece in read_pieces(path):
        for line in lines_of(piece):
            # From the right, because in some files a word holds blanks itself.
            parts = line.text.rstrip().rsplit(" ", width) if width else line.text.split()
            if line.number == 1 and len(parts) == 2:
                continue
            if not width:
                width = len(parts) - 1
            if len(parts) != width + 1 or width < 1:
                raise DataError(
                    f"{path}, line {line.number}: expected a word and {max(width, 1)} numbers, as GloVe and word2vec "
                    "write them as text"
                )
            if parts[0] in wanted:
                try:
                    found[parts[0]] = np.array(parts[1:], dtype=np.float32)
                except ValueError:
                    raise DataError(
                        f"{path}, line {line.number}: {parts[0]!r} is followed by what is no number"
                    ) from None
    if not found:
        raise DataError(
            f"{path} has a vector for none of the {len(wanted)} words of the data; is it of their language?"
        )
    return found
