"""A text of one file or a whole folder, and its ids."""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recurra.data.errors import DataError
from recurra.data.text import Piece, read_pieces
from recurra.data.vocabulary import Vocabulary

logger = logging.getLogger("recurra.data")


@dataclass(frozen=True)
class Encoded:
    """A text as ids."""

    ids: np.ndarray  # [tokens], the smallest unsigned integers that hold the vocabulary
    characters: int


@dataclass(frozen=True)
class Corpus:
    """The text of one file, or of every text file under a folder, in the order of their names."""

    path: Path
    files: tuple[Path, ...]
    skipped: tuple[Path, ...]  # files of the folder that cannot be read as UTF-8 text

    @classmethod
    def open(cls, path: str | Path) -> "Corpus":
        """Find the files of `path`, a `.txt` or `.txt.gz` file or a folder of them.

        Hidden files and folders (names with a leading dot) are left out. In a folder, files that cannot be read as text
        are skipped with a warning; a single file that is not text is an error when it is read.

        Raises:
            DataError: nothing is there, or the folder may not be read or holds no text.
        """
        path = Path(path).expanduser()
        if not path.is_dir():
            if not path.exists():
                raise DataError(f"there is no file or folder {path}")
            return cls(path, (path,), ())
        found = _files_under(path)
        files = tuple(file for file in found if _is_text(file))
        skipped = tuple(sorted(set(found) - set(files)))
        if not files:
            raise DataError(f"the folder {path} holds no text: expected UTF-8 files such as .txt or .txt.gz in it")
        if skipped:
            names = ", ".join(str(file.relative_to(path)) for file in skipped[:3])
            more = f" and {len(skipped) - 3} more" if len(skipped) > 3 else ""
            logger.warning("skipped %d files that cannot be read as UTF-8 text: %s%s", len(skipped), names, more)
        return cls(path, files, skipped)

    def pieces(self) -> Iterator[Piece]:
        """The text in pieces of whole lines. A file whose last line is not ended is ended where another follows."""
        for file in self.files:
            for text, _, line in read_pieces(file):
                if file is not self.files[-1] and not text.endswith("\n"):
                    text += "\n"
                yield Piece(text, file, line)

    def encode(self, vocabulary: Vocabulary) -> Encoded:
        """The ids of the whole text.

        Raises:
            DataError: a symbol is not in the vocabulary (with its file and line), or the text is empty.
        """
        kind = np.min_scalar_type(len(vocabulary) - 1)
        parts, characters = [], 0
        for piece in self.pieces():
            parts.append(vocabulary.encode_lines(piece.text, str(piece.file), piece.line).astype(kind))
            characters += len(piece.text)
        if characters == 0:
            raise DataError(f"{self.path} is empty: expected text to read")
        return Encoded(np.concatenate(parts), characters)


def _files_under(folder: Path) -> list[Path]:
    found = []
    for root, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(root, name) for name in names if not name.startswith(".")]
    return sorted(file for file in found if file.is_file())


def _refuse(error: OSError) -> None:
    raise DataError(f"the folder {error.filename} cannot be read: {error.strerror}") from error


def _is_text(file: Path) -> bool:
    try:
        for _ in read_pieces(file):
            pass
    except DataError:
        return False
    return True
