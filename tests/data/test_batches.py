from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.data import DataError, ExampleStream, SequenceBatch, by_length, pad


@st.composite
def sets(draw):
    batch, world = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    count = draw(st.integers(world, 400))
    lengths = np.random.default_rng(draw(st.integers(0, 9))).integers(1, 30, size=count)
    return lengths, batch, world


def stream(lengths: np.ndarray, batch: int = 3, seed: int = 0, rank: int = 0, world: int = 1) -> ExampleStream:
    def collate(numbers: np.ndarray) -> SequenceBatch:
        inputs, sizes = pad([np.full(lengths[k], k) for k in numbers])
        return SequenceBatch(inputs, sizes, torch.from_numpy(numbers), len(numbers))

    return ExampleStream(lengths, collate, batch=batch, seed=seed, rank=rank, world=world)


def epoch(one: ExampleStream) -> list[SequenceBatch]:
    return list(iter(one.next, None))


@settings(deadline=None)
@given(sets())
def test_every_example_comes_once_an_epoch(shape):
    lengths, batch, world = shape
    streams = [stream(lengths, batch, rank=rank, world=world) for rank in range(world)]
    for _ in range(2):
        epochs = [epoch(one) for one in streams]
        assert {len(batches) for batches in epochs} == {streams[0].epoch_batches}
        seen = Counter(int(k) for batches in epochs for b in batches for k in b.targets)
        assert seen == Counter(range(len(lengths)))
        sizes = [sum(len(batches[k].targets) for batches in epochs) for k in range(streams[0].epoch_batches)]
        assert max(sizes) - min(sizes) <= 1 and min(sizes) >= world


@settings(deadline=None)
@given(sets(), st.integers(0, 40))
def test_a_stream_goes_on_from_any_place(shape, steps):
    lengths, batch, world = shape
    first, second = (stream(lengths, batch, rank=world - 1, world=world) for _ in range(2))
    for _ in range(steps):
        first.next()
    second.load_state_dict(first.state_dict())
    for _ in range(6):
        a, b = first.next(), second.next()
        assert (a is None) == (b is None)
        assert a is None or torch.equal(a.targets, b.targets)


def test_rows_of_like_length_stand_side_by_side_in_an_order_of_chance():
    lengths = np.random.default_rng(0).integers(1, 100, size=3200)
    batches = epoch(stream(lengths, batch=32))
    real = sum(int(b.lengths.sum()) for b in batches)
    padded = sum(b.inputs.numel() for b in batches)
    assert real / padded > 0.9  # at random it is near 0.5
    longest = [int(b.lengths.max()) for b in batches]
    assert longest != sorted(longest)
    again = stream(lengths, batch=32)
    first, second = epoch(again), epoch(again)
    assert [b.targets.tolist() for b in first] != [b.targets.tolist() for b in second]
    other = epoch(stream(lengths, batch=32, seed=1))
    assert [b.targets.tolist() for b in first] != [b.targets.tolist() for b in other]


def test_a_place_of_other_examples_is_refused():
    lengths = np.arange(1, 20)
    state = stream(lengths).state_dict()
    with pytest.raises(DataError, match="number of examples to learn from was 19, now it is 18"):
        stream(lengths[:-1]).load_state_dict(state)
    with pytest.raises(DataError, match=r"number of rows .* was 3, now it is 4"):
        stream(lengths, batch=4).load_state_dict(state)
    with pytest.raises(DataError, match="the seed"):
        stream(lengths, seed=2).load_state_dict(state)
    with pytest.raises(DataError, match=r"2 examples .* 3 processes"):
        stream(lengths[:2], world=3)
    with pytest.raises(ValueError, match="rank 2 does not exist"):
        stream(lengths, rank=2, world=2)


def test_sequences_are_padded_with_zeros():
    inputs, lengths = pad([np.array([3, 4]), np.array([5])])
    assert inputs.tolist() == [[3, 4], [5, 0]] and lengths.tolist() == [2, 1]
    assert inputs.dtype == lengths.dtype == torch.int64
    vectors, _ = pad([np.ones((1, 3), np.float32), np.ones((2, 3), np.float32)], filler=7)
    assert vectors.dtype == torch.float32 and vectors[0].tolist() == [[1, 1, 1], [7, 7, 7]]


@given(st.lists(st.integers(1, 50), min_size=1), st.integers(1, 5), st.integers(1, 100))
def test_all_examples_come_in_batches_that_keep_to_their_size(lengths, rows, steps):
    sizes = np.array(lengths)
    batches = list(by_length(sizes, rows, steps))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(sizes)))
    assert all(len(b) <= rows and (len(b) == 1 or sizes[b].max() * len(b) <= steps) for b in batches)


def budgeted(lengths: np.ndarray, tokens: int, rank: int = 0, world: int = 1, seed: int = 0) -> ExampleStream:
    def collate(numbers: np.ndarray) -> SequenceBatch:
        inputs, sizes = pad([np.full(lengths[k], k) for k in numbers])
        return SequenceBatch(inputs, sizes, torch.from_numpy(numbers), len(numbers))

    return ExampleStream(lengths, collate, batch=1, tokens=tokens, seed=seed, rank=rank, world=world)


@settings(deadline=None)
@given(sets(), st.integers(1, 200))
def test_a_budget_of_tokens_is_kept_and_every_example_comes_once(shape, tokens):
    lengths, _, world = shape
    streams = [budgeted(lengths, tokens, rank, world) for rank in range(world)]
    for _ in range(2):
        epochs = [epoch(one) for one in streams]
        assert {len(batches) for batches in epochs} == {streams[0].epoch_batches}
        assert Counter(int(k) for batches in epochs for b in batches for k in b.targets) == Counter(range(len(lengths)))
        for k in range(streams[0].epoch_batches):
            parts = [batches[k] for batches in epochs]
            rows, longest = sum(len(p.targets) for p in parts), max(int(p.lengths.max()) for p in parts)
            # Among several processes the longest ones may have to stay together, for each to have a row.
            assert rows >= world and (world > 1 or rows == 1 or rows * longest <= tokens)


def test_a_budgeted_stream_goes_on_from_any_place_and_knows_its_budget():
    lengths = np.random.default_rng(0).integers(1, 30, size=300)
    first, second = budgeted(lengths, 100), budgeted(lengths, 100)
    for _ in range(first.epoch_batches + 7):
        first.next()
    second.load_state_dict(first.state_dict())
    for _ in range(5):
        a, b = first.next(), second.next()
        assert a is not None and b is not None and torch.equal(a.targets, b.targets)
    orders = [[b.targets.tolist() for b in epoch(budgeted(lengths, 100, seed=seed))] for seed in (0, 1)]
    assert orders[0] != orders[1]
    with pytest.raises(DataError, match=r"number of tokens \(train.tokens × processes\) was 100, now it is 90"):
        budgeted(lengths, 90).load_state_dict(first.state_dict())
    with pytest.raises(DataError, match=r"number of rows .* was None"):
        stream(lengths).load_state_dict(first.state_dict())
