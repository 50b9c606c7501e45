import numpy as np
import pytest

from recurra.data import DataError, read_word_vectors


@pytest.mark.parametrize("head", ["", "3 2\n"])
def test_both_formats_are_read(tmp_path, head):
    path = tmp_path / "vectors.txt"
    path.write_text(f"{head}the 0.5 -1\ncat 1e-1 2\nnew york 3 4\n")
    found = read_word_vectors(path, ["cat", "the", "dog", "new york"])
    assert sorted(found) == ["cat", "new york", "the"]
    np.testing.assert_allclose(found["cat"], [0.1, 2])
    np.testing.assert_allclose(found["new york"], [3, 4])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("the 1 2 3\ncat 1 2\n", r"line 2: expected a word and 3 numbers"),
        ("the 1 x\n", r"line 1: 'the' is followed by what is no number"),
        ("dog 1 2\n", "a vector for none of the 2 words"),
    ],
)
def test_files_of_another_form_are_refused(tmp_path, text, message):
    path = tmp_path / "vectors.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_word_vectors(path, ["the", "cat"])
