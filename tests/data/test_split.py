import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra.data import split


@given(st.lists(st.integers(0, 20)), st.floats(0, 1), st.integers(0, 5))
def test_examples_of_one_key_stay_together(keys, fraction, seed):
    rest, kept = split(keys, fraction, seed)
    assert sorted([*rest, *kept]) == list(range(len(keys)))
    assert not {keys[k] for k in rest} & {keys[k] for k in kept}
    assert [list(part) for part in split(keys, fraction, seed)] == [list(rest), list(kept)]


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5])
def test_the_part_has_the_size_that_was_asked_for(fraction: float):
    kept = split(range(1000), fraction, 0)[1]
    assert len(kept) == 1000 * fraction
    assert len(split(range(1000), fraction, 1)[1]) == len(kept)
    assert split(range(1000), fraction, 1)[1].tolist() != kept.tolist()
