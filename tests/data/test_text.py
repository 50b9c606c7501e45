import gzip
import itertools
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.data import DataError, line_blocks, lines_of, read_pieces, read_stream, text


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def whole(path: Path) -> str:
    return "".join(piece.text for piece in read_pieces(path))


def test_plain_and_compressed_text_are_the_same(tmp_path):
    content = "Grüße, 世界\nsecond line".encode()
    plain = write(tmp_path / "a.txt", content)
    packed = write(tmp_path / "a.txt.gz", gzip.compress(content))
    disguised = write(tmp_path / "b.txt", gzip.compress(content))
    assert whole(plain) == whole(packed) == whole(disguised) == "Grüße, 世界\nsecond line"


def test_byte_order_mark_and_foreign_line_ends_are_normalised(tmp_path):
    assert whole(write(tmp_path / "a.txt", b"\xef\xbb\xbfone\r\ntwo\rthree\n")) == "one\ntwo\nthree\n"


@settings(deadline=None, max_examples=50)
@given(content=st.text(alphabet="ab\n\ré世😀", max_size=40), size=st.integers(1, 7))
def test_pieces_are_whole_lines_wherever_the_chunks_are_cut(tmp_path_factory, content, size):
    path = write(tmp_path_factory.mktemp("text") / "a.txt", content.encode())
    before, text.CHUNK = text.CHUNK, size
    try:
        pieces = list(read_pieces(path))
    finally:
        text.CHUNK = before
    expected = content.replace("\r\n", "\n").replace("\r", "\n")
    assert "".join(piece.text for piece in pieces) == expected
    assert all(piece.text.endswith("\n") for piece in pieces[:-1])
    lines = itertools.accumulate((piece.text.count("\n") for piece in pieces[:-1]), initial=1)
    assert [piece.line for piece in pieces] == list(lines)[: len(pieces)]


def test_a_stream_gives_the_lines_that_are_there(tmp_path):
    reading, writing = os.pipe()
    pieces = read_stream(os.fdopen(reading, "rb"), "the input")
    os.write(writing, "é first\nsec".encode())
    assert [(line.text, line.number) for line in lines_of(next(pieces))] == [("é first", 1)]
    os.write(writing, b"ond\n\nlast")
    os.close(writing)
    rest = [line for piece in pieces for line in lines_of(piece)]
    assert [(line.text, line.number) for line in rest] == [("second", 2), ("", 3), ("last", 4)]
    reading, writing = os.pipe()
    os.write(writing, b"ab\xff\n")
    os.close(writing)
    with pytest.raises(DataError, match=r"the input is not UTF-8 text \(byte 0xff at offset 2, in line 1\)"):
        list(read_stream(os.fdopen(reading, "rb"), "the input"))


def test_blocks_are_small_and_keep_the_order(tmp_path, monkeypatch):
    monkeypatch.setattr(text, "BLOCK", 3)
    path = write(tmp_path / "a.txt", b"".join(b"line %d\n" % k for k in range(8)))
    found = list(line_blocks(read_pieces(path)))
    assert [len(block) for block in found] == [3, 3, 2]
    assert [(line.text, line.number) for block in found for line in block] == [(f"line {k}", k + 1) for k in range(8)]


def test_an_empty_file_has_no_pieces(tmp_path):
    assert list(read_pieces(write(tmp_path / "a.txt", b""))) == []
    assert list(read_pieces(write(tmp_path / "a.txt.gz", gzip.compress(b"")))) == []


@pytest.mark.parametrize("chunk", [3, 1 << 22])
def test_undecodable_bytes_are_refused_with_their_offset(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(text, "CHUNK", chunk)
    path = write(tmp_path / "a.txt", "é世".encode() * 500 + b"\xff" + b"more")
    with pytest.raises(DataError, match=r"a\.txt is not UTF-8 text \(byte 0xff at offset 2,500, in line 1\)"):
        whole(path)
    path = write(tmp_path / "a.txt", "é\n世\n".encode() * 50 + b"\xe9 and more\n" * 3)
    with pytest.raises(DataError, match=r"byte 0xe9 at offset 350, in line 101\)"):
        whole(path)
    path = write(tmp_path / "a.txt", b"abc\n" * 50 + b"\0\n")
    with pytest.raises(DataError, match=r"a zero byte at offset 200, in line 51\)"):
        whole(path)
    # A character that breaks off at the end of the file.
    path = write(tmp_path / "b.txt", b"abcd\xe4\xb8")
    with pytest.raises(DataError, match=r"byte 0xe4 at offset 4, in line 1"):
        whole(path)


def test_binary_data_is_refused_with_its_offset(tmp_path):
    with pytest.raises(DataError, match=r"binary data \(a zero byte at offset 3, in line 1\)"):
        whole(write(tmp_path / "a.txt", b"abc\0def"))


def test_other_unicode_encodings_are_named(tmp_path):
    with pytest.raises(DataError, match=r"UTF-16LE text.*iconv"):
        whole(write(tmp_path / "a.txt", "hello".encode("utf-16")))


def test_damaged_gzip_data_is_refused(tmp_path):
    packed = gzip.compress(bytes(range(97, 123)) * 1000)
    for name, content in (("cut", packed[:-20]), ("flipped", packed[:40] + b"\0\0\0" + packed[43:])):
        with pytest.raises(DataError, match="damaged gzip data"):
            whole(write(tmp_path / f"{name}.txt.gz", content))
    with pytest.raises(DataError, match=r"named \.gz but does not hold gzip data"):
        whole(write(tmp_path / "plain.txt.gz", b"hello\n"))


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(DataError, match=r"there is no file or folder .*absent\.txt"):
        whole(tmp_path / "absent.txt")
    with pytest.raises(DataError, match="cannot be read"):
        whole(tmp_path)
