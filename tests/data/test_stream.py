from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from recurra.data import NO_TARGET, Batch, DataError, TextStream


@st.composite
def shapes(draw):
    batch, bptt, world = draw(st.integers(1, 5)), draw(st.integers(1, 7)), draw(st.integers(1, 3))
    tokens = draw(st.integers(batch * world * bptt + 1, batch * world * bptt * 4 + 20))
    return tokens, batch, bptt, world


def epoch(stream: TextStream) -> list[Batch]:
    batches = []
    while (batch := stream.next()) is not None:
        batches.append(batch)
    return batches


def targets(batches: list[Batch]) -> list[int]:
    return [int(t) for batch in batches for t in batch.targets.flatten() if t != NO_TARGET]


@settings(deadline=None)
@given(shapes())
def test_every_token_but_the_first_is_a_target_once_an_epoch(shape):
    tokens, batch, bptt, world = shape
    streams = [TextStream(np.arange(tokens), batch=batch, bptt=bptt, rank=r, world=world) for r in range(world)]
    for _ in range(2):
        epochs = [epoch(stream) for stream in streams]
        assert Counter(t for batches in epochs for t in targets(batches)) == Counter(range(1, tokens))
        assert {len(batches) for batches in epochs} == {stream.epoch_batches for stream in streams}
        for batches in epochs:
            assert sum(b.tokens for b in batches) == len(targets(batches))
            assert all(b.tokens > 0 for b in batches)


@settings(deadline=None)
@given(shapes())
def test_rows_go_on_from_window_to_window(shape):
    tokens, batch, bptt, world = shape
    for rank in range(world):
        stream = TextStream(np.arange(tokens), batch=batch, bptt=bptt, rank=rank, world=world)
        for _ in range(2):
            batches = epoch(stream)
            assert [b.fresh for b in batches] == [True] + [False] * (len(batches) - 1)
            assert all(b.inputs.shape == (batch, bptt) for b in batches[:-1])
            assert 1 <= batches[-1].inputs.shape[1] <= bptt + 1
            inputs = torch.cat([b.inputs for b in batches], 1)
            following = torch.cat([b.targets for b in batches], 1)
            real = following != NO_TARGET
            assert (following[real] == inputs[real] + 1).all()
            # A row lacks at most its last target.
            assert real[:, :-1].all()
            assert (inputs[:, 1:] - inputs[:, :-1])[real[:, 1:]].eq(1).all()


@settings(deadline=None)
@given(shapes(), st.integers(0, 30))
def test_a_stream_goes_on_from_any_place(shape, steps):
    tokens, batch, bptt, world = shape
    ids = np.arange(tokens) % 7
    first, second = (TextStream(ids, batch=batch, bptt=bptt, rank=world - 1, world=world) for _ in range(2))
    for _ in range(steps):
        first.next()
    second.load_state_dict(first.state_dict())
    assert (second.epoch, second.window) == (first.epoch, first.window)
    for _ in range(6):
        a, b = first.next(), second.next()
        if a is None or b is None:
            assert a is b
            continue
        assert torch.equal(a.inputs, b.inputs) and torch.equal(a.targets, b.targets)
        assert (a.fresh, a.tokens) == (b.fresh, b.tokens)


def test_batches_are_int64_whatever_the_ids(monkeypatch):
    batch = TextStream(np.arange(50, dtype=np.uint8), batch=2, bptt=5).next()
    assert batch is not None
    assert batch.inputs.dtype == batch.targets.dtype == torch.int64
    assert batch.inputs.is_contiguous() and batch.targets.is_contiguous()


@settings(deadline=None)
@given(shapes())
def test_a_text_shorter_than_one_window_is_refused(shape):
    _, batch, bptt, world = shape
    needed = batch * bptt * world + 1
    TextStream(np.zeros(needed, dtype=np.uint8), batch=batch, bptt=bptt, world=world)
    assume(needed > 1)
    with pytest.raises(DataError, match=rf"needs {needed:,} .*train\.batch={batch} .*train\.bptt={bptt}"):
        TextStream(np.zeros(needed - 1, dtype=np.uint8), batch=batch, bptt=bptt, world=world)


def test_a_place_of_another_stream_is_refused():
    ids = np.arange(100)
    state = TextStream(ids, batch=2, bptt=5).state_dict()
    with pytest.raises(DataError, match=r"train\.bptt was 5, now it is 4"):
        TextStream(ids, batch=2, bptt=4).load_state_dict(state)
    with pytest.raises(DataError, match=r"number of rows .* was 2, now it is 3"):
        TextStream(ids, batch=3, bptt=5).load_state_dict(state)
    with pytest.raises(DataError, match="number of tokens"):
        TextStream(ids[:-1], batch=2, bptt=5).load_state_dict(state)
    with pytest.raises(DataError, match="checksum"):
        TextStream(ids[::-1], batch=2, bptt=5).load_state_dict(state)
    with pytest.raises(ValueError, match="rank 2 does not exist among 2"):
        TextStream(ids, batch=2, bptt=5, rank=2, world=2)
