import json
import math
from pathlib import Path

import pytest

from recurra.training.files import replace_file, to_json
from recurra.training.session import _stem


def test_what_is_not_finite_is_null_however_deep():
    record = {"a": math.nan, "b": [1.5, {"c": (math.inf, "x")}], "d": None}
    assert json.loads(to_json(record)) == {"a": None, "b": [1.5, {"c": [None, "x"]}], "d": None}


def test_a_file_that_cannot_be_replaced_stays(tmp_path: Path):
    target = tmp_path / "folder"
    target.mkdir()
    with pytest.raises(OSError):
        replace_file(target, b"x")
    assert target.is_dir() and list(tmp_path.iterdir()) == [target]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError) as error:
        replace_file(tmp_path / "nowhere" / "a.txt", b"x")
    assert error.value.filename == str(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("texts/book.txt.gz", "book"),
        ("data/names", "names"),
        ("builtin:motion", "motion"),
        ("stsa.binary.train.gz", "stsa.binary"),
        ("train-images-idx3-ubyte.gz", "train-images-idx3-ubyte"),
        ("en.conllu", "en"),
        ("", ""),
    ],
)
def test_a_folder_is_named_after_its_data(data: str, name: str):
    assert _stem(data) == name
