"""Text files, plain or compressed with gzip, read piece by piece."""

import codecs
import gzip
import io
import itertools
import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

from recurra.data.errors import DataError

CHUNK = 1 << 22  # bytes read at once: large enough for speed, small enough beside a text of hundreds of megabytes

BLOCK = 4096  # lines that are answered together

_GZIP = b"\x1f\x8b"  # never the start of UTF-8 text, so the content decides and not the file's name
_BYTE_ORDER_MARKS = {b"\xff\xfe": "UTF-16LE", b"\xfe\xff": "UTF-16BE"}


class Piece(NamedTuple):
    """A run of whole lines of one file."""

    text: str  # ends with a line end, except perhaps the last piece of a file
    file: Path
    line: int  # number of its first line in the file, from 1


class Line(NamedTuple):
    """One line of a file."""

    text: str  # without its line end
    file: Path
    number: int  # from 1


def read_pieces(path: Path) -> Iterator[Piece]:
    """The UTF-8 text of one file in pieces of whole lines, about 4 MB each.

    Files compressed with gzip are unpacked. A byte order mark is dropped, and the line ends CR LF and CR become LF.
    An empty file has no pieces.

    Raises:
        DataError: the file is missing, may not be read, is binary or not UTF-8 (with the byte's offset), or its
            compressed data is damaged.
    """
    yield from _pieces(_chunks(path), path)


def read_stream(stream: BinaryIO, name: str) -> Iterator[Piece]:
    """The UTF-8 text that comes from `stream`, as `read_pieces` gives that of a file.

    A piece holds the whole lines that are there: where somebody types, each line comes as soon as it is ended.

    Args:
        stream: a buffered stream of bytes, such as `sys.stdin.buffer`.
        name: what the stream is called in errors and in the pieces.

    Raises:
        DataError: what comes is binary or not UTF-8 (with the byte's offset).
    """
    chunks = iter(lambda: stream.read1(CHUNK), b"")  # type: ignore[attr-defined]  # of a buffered stream
    yield from _pieces(itertools.chain(chunks, [b""]), Path(name))


def lines_of(piece: Piece) -> list[Line]:
    """The lines of a piece."""
    # Not splitlines, which also cuts at characters that are no line ends here.
    texts = piece.text.removesuffix("\n").split("\n")
    # What Line(…) does, without a call in Python for each of millions of lines.
    make = partial(tuple.__new__, Line)
    return list(map(make, zip(texts, itertools.repeat(piece.file), itertools.count(piece.line), strict=False)))


def line_blocks(pieces: Iterable[Piece]) -> Iterator[list[Line]]:
    """The lines of `pieces` in blocks of at most 4,096, which keeps what is waited for short and what is held small."""
    for piece in pieces:
        lines = lines_of(piece)
        yield from (lines[start : start + BLOCK] for start in range(0, len(lines), BLOCK))


def _pieces(chunks: Iterator[bytes], source: Path) -> Iterator[Piece]:
    line = 1
    for text in _whole_lines(_decoded(chunks, source)):
        yield Piece(text, source, line)
        line += text.count("\n")


def _whole_lines(chunks: Iterator[str]) -> Iterator[str]:
    """The same text, cut after line ends only."""
    pending: list[str] = []
    for chunk in chunks:
        cut = chunk.rfind("\n") + 1
        if cut:
            yield "".join([*pending, chunk[:cut]])
            pending = [chunk[cut:]]
        else:
            pending.append(chunk)
    rest = "".join(pending)
    if rest:
        yield rest


def _decoded(chunks: Iterator[bytes], path: Path) -> Iterator[str]:
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")(), translate=True)
    offset, line = 0, 1
    for chunk in chunks:
        if offset == 0 and chunk[:2] in _BYTE_ORDER_MARKS:
            encoding = _BYTE_ORDER_MARKS[chunk[:2]]
            raise DataError(
                f"{path} is {encoding} text, but UTF-8 is expected: convert it, as with `iconv -f {encoding} -t UTF-8`"
            )
        zero = chunk.find(b"\0")
        if zero >= 0:
            line += chunk[:zero].count(b"\n")
            raise DataError(
                f"{path} is binary data (a zero byte at offset {offset + zero:,}, in line {line:,}); expected text in "
                "UTF-8"
            )
        try:
            # An empty chunk stands for the end of the file.
            text = decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            # The decoder counts from the first byte it still held back from the chunk before.
            position = offset + len(chunk) - len(error.object) + error.start
            line += error.object[: error.start].count(b"\n")
            raise DataError(
                f"{path} is not UTF-8 text (byte 0x{error.object[error.start]:02x} at offset {position:,}, in line "
                f"{line:,}): convert it to UTF-8, or choose another file"
            ) from None
        if offset == 0:
            text = text.removeprefix("\ufeff")
        offset += len(chunk)
        line += chunk.count(b"\n")
        yield text


def _chunks(path: Path) -> Iterator[bytes]:
    """The unpacked bytes of a file, and at the end an empty chunk."""
    try:
        with path.open("rb") as file:
            packed = file.read(len(_GZIP)) == _GZIP
            file.seek(0)
            if not packed and path.suffix == ".gz" and path.stat().st_size > 0:
                raise DataError(f"{path} is named .gz but does not hold gzip data: rename it, or compress it anew")
            source: io.BufferedIOBase = gzip.GzipFile(fileobj=file) if packed else file
            while chunk := source.read(CHUNK):
                yield chunk
            yield b""
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} holds damaged gzip data ({error}): fetch or compress it anew") from error
    except FileNotFoundError:
        raise DataError(f"there is no file or folder {path}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
