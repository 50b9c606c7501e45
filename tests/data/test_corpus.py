import logging
from pathlib import Path

import pytest

from recurra.data import CharacterVocabulary, Corpus, DataError, WordVocabulary


def folder(path: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def test_a_folder_is_read_recursively_in_the_order_of_the_names(tmp_path):
    files = {
        "b.txt": b"two\n",
        "a.txt": b"one",
        "c/d.md": b"three",
        ".hidden/x.txt": b"no",
        "c/.x": b"no",
        "e.txt": b"",
    }
    corpus = Corpus.open(folder(tmp_path, files))
    assert [file.name for file in corpus.files] == ["a.txt", "b.txt", "d.md", "e.txt"]
    # Every file that another follows is ended, so that no two lines run together.
    assert "".join(piece.text for piece in corpus.pieces()) == "one\ntwo\nthree\n"


def test_a_single_file_stays_as_it_is(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo")
    assert "".join(piece.text for piece in Corpus.open(path).pieces()) == "one\ntwo"


def test_binary_files_of_a_folder_are_skipped_with_a_warning(tmp_path, caplog):
    folder(tmp_path, {"a.txt": b"one\n", "picture.png": b"\x89PNG\0", "latin.txt": b"caf\xe9"})
    with caplog.at_level(logging.WARNING, "recurra.data"):
        corpus = Corpus.open(tmp_path)
    assert [file.name for file in corpus.skipped] == ["latin.txt", "picture.png"]
    assert "skipped 2" in caplog.text and "latin.txt, picture.png" in caplog.text


def test_nothing_to_read_is_an_error(tmp_path):
    with pytest.raises(DataError, match="there is no file or folder"):
        Corpus.open(tmp_path / "absent")
    with pytest.raises(DataError, match="holds no text"):
        Corpus.open(tmp_path)
    empty = folder(tmp_path, {"a.txt": b""}) / "a.txt"
    with pytest.raises(DataError, match=r"a\.txt is empty"):
        Corpus.open(empty).encode(CharacterVocabulary("ab"))


def test_a_folder_that_may_not_be_read_is_an_error(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(DataError, match=r"the folder .* cannot be read: Permission denied"):
        Corpus.open(tmp_path)


def test_an_unknown_symbol_is_found_in_its_file_and_line(tmp_path):
    corpus = Corpus.open(folder(tmp_path, {"a.txt": b"ab\nba\n", "b.txt": b"a\nb\naxb\n"}))
    with pytest.raises(DataError, match=r"character 'x' \(U\+0078\) in .*b\.txt, line 3, was never seen"):
        corpus.encode(CharacterVocabulary("\nab"))
    with pytest.raises(DataError, match=r"word 'axb' in .*b\.txt, line 3, was never seen"):
        corpus.encode(WordVocabulary(["<eos>", "ab", "ba", "a", "b"]))


def test_ids_are_small_and_characters_are_counted(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("the cat\nthe dog")
    words = WordVocabulary.build(piece.text for piece in Corpus.open(path).pieces())
    encoded = Corpus.open(path).encode(words)
    assert encoded.ids.dtype == "uint8" and encoded.characters == 15
    assert words.decode(encoded.ids) == "the cat\nthe dog\n"


def test_the_standard_texts_have_their_published_sizes(data_folder):
    text = Corpus.open(data_folder / "tinyshakespeare" / "input.txt.gz")
    characters = CharacterVocabulary.build(piece.text for piece in text.pieces())
    assert (len(characters), len(text.encode(characters).ids)) == (65, 1_115_394)
    text = Corpus.open(data_folder / "ptb" / "ptb.train.txt.gz")
    words = WordVocabulary.build(piece.text for piece in text.pieces())
    assert (len(words), len(text.encode(words).ids)) == (10_000, 929_589)
    assert len(Corpus.open(data_folder / "ptb" / "ptb.test.txt.gz").encode(words).ids) == 82_430
