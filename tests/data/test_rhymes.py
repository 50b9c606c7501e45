import pytest

from recurra.data import DataError, read_rhymes, rhymed


def test_lines_with_even_numbers_must_end_in_one_rhyme(tmp_path):
    path = tmp_path / "rhymes.tsv"
    path.write_text("day\tay\nmay\tay\nread\teed ed\nbed\ted\n\nneed\teed\n")
    rhymes = read_rhymes(path)
    assert rhymes["read"] == {"eed", "ed"}

    def of(*ends: str) -> bool:
        return rhymed([["and", end] for end in ends], rhymes)

    assert of("x", "day", "y", "may") and of("x", "read", "y", "bed") and of("x", "read", "y", "need")
    assert not of("x", "bed", "y", "need") and not of("day", "x", "may", "y") and not of("x", "day", "y", "unknown")
    assert not of("x", "read", "y", "bed", "z", "need")  # each two of them rhyme, but not all together
    assert not of("x", "day") and not rhymed([["day"], [], ["day"], ["day"]], rhymes)


@pytest.mark.parametrize("line", ["day", "day\t ", "\tay"])
def test_a_line_that_is_no_symbol_with_rhymes_is_named(tmp_path, line):
    path = tmp_path / "rhymes.tsv"
    path.write_text(f"may\tay\n{line}\n")
    with pytest.raises(DataError, match=r"rhymes\.tsv, line 2: expected a symbol, a tab"):
        read_rhymes(path)
    path.write_text("\n")
    with pytest.raises(DataError, match="is empty"):
        read_rhymes(path)
