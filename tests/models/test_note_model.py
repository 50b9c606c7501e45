import pytest
import torch

from recurra.layers import Recurrent
from recurra.models import NoteModel


def made(static: int = 0, keys: int = 5) -> NoteModel:
    torch.manual_seed(0)
    return NoteModel(Recurrent("gru", keys, 7, static_size=static), keys)


def rows(*lengths: int) -> tuple[torch.Tensor, torch.Tensor]:
    frames = (torch.rand(len(lengths), max(lengths), 5, generator=torch.Generator().manual_seed(1)) < 0.4).float()
    for row, length in zip(frames, lengths, strict=True):
        row[length:] = 0
    return frames, torch.tensor(lengths)


def test_a_frame_is_foretold_from_those_before_alone():
    model, (frames, lengths) = made(), rows(6, 6)
    before = model(frames, lengths)
    frames[0, 3] = 1 - frames[0, 3]
    after = model(frames, lengths)
    same = [torch.equal(a, b) for a, b in zip(before[0], after[0], strict=True)]
    assert same == [True] * 4 + [False] * 2 and torch.equal(before[1], after[1])


def test_nats_are_the_sum_over_keys_and_end_with_the_row():
    model, (frames, lengths) = made(), rows(6, 2, 4)
    logits = model(frames, lengths)
    nats = model.nats(logits, frames, lengths)
    for row, length in enumerate(lengths.tolist()):
        chances = logits[row, :length].double().sigmoid()
        expected = -torch.where(frames[row, :length] > 0, chances, 1 - chances).log().sum(-1)
        torch.testing.assert_close(nats[row, :length].double(), expected, rtol=1e-5, atol=1e-5)
        assert not nats[row, length:].any()


def test_a_row_is_foretold_alike_whatever_lies_beside_it():
    model, (frames, lengths) = made(static=3), rows(6, 2, 4)
    static = torch.eye(3)
    together = model(frames, lengths, static)
    for row, length in enumerate(lengths.tolist()):
        alone = model(frames[row : row + 1, :length], lengths[row : row + 1], static[row : row + 1])
        torch.testing.assert_close(together[row, :length], alone[0])
    assert not torch.allclose(together, model(frames, lengths, static.roll(1, 0)))


def test_steps_give_what_a_whole_piece_gives():
    model, (frames, lengths) = made(static=2), rows(5, 5)
    static = torch.eye(2)
    whole, state = model(frames, lengths, static), None
    before = torch.zeros(2, 5)
    for t in range(5):
        logits, state, extras = model.step(before, state, static)
        torch.testing.assert_close(logits, whole[:, t])
        before = frames[:, t]
        assert extras == {}


def test_it_starts_with_the_frequency_of_each_key():
    model, (frames, lengths) = made(), rows(4)
    with torch.no_grad():
        model.output.weight.zero_()
    model.start(torch.tensor([0.0, 0.2, 0.5, 0.9, 1.0]))
    chances = model(frames, lengths).sigmoid()[0, 2].tolist()
    assert chances == pytest.approx([0.001, 0.2, 0.5, 0.9, 0.999], rel=1e-3)
