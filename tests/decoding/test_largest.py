import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recurra.decoding.largest import largest


@given(st.integers(0, 10**6), st.integers(1, 400), st.integers(1, 9), st.booleans(), st.integers(0, 4))
def test_it_finds_what_sorting_finds(seed, width, count, ties, rows):
    torch.manual_seed(seed)
    values = torch.randint(5, (rows, width)).float() if ties else torch.randn(rows, width)
    values[torch.rand(rows, width) < 0.3] = float("-inf")
    count = min(count, width)
    found, places = largest(values, count)
    assert torch.equal(found, values.sort(1, descending=True).values[:, :count])
    assert torch.equal(values.gather(1, places), found)
    assert all(len(set(row)) == count for row in places.tolist())


@pytest.mark.parametrize("width", [240, 241, 251, 5000])
def test_the_largest_may_lie_anywhere(width):
    for first in range(0, width, max(width // 50, 1)):
        values = torch.zeros(1, width)
        at = [(first + 7 * k) % width for k in range(5)]
        values[0, at] = torch.tensor([9.0, 8.0, 7.0, 6.0, 5.0])
        assert largest(values, 5)[1].tolist() == [at]
