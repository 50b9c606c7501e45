import pytest
import torch

from recurra.layers import Recurrent
from recurra.models import SegmentMemory


def body(segment: int = 3, targets: int = 1) -> SegmentMemory:
    torch.manual_seed(0)
    return SegmentMemory(Recurrent("gru", 6, 5), inputs=2, segment=segment, targets=targets)


def test_a_window_is_read_in_as_many_steps_as_it_has_segments():
    """The same as the network over what is made of each segment, and over the learnt last step."""
    model, x = body(), torch.randn(4, 12, 2)
    values, state = model(x)
    parts = [torch.relu(model.embed(x[:, start : start + 3].flatten(1))) for start in range(0, 12, 3)]
    known, ended = model.recurrent(torch.stack([*parts, model.place.expand(4, -1)], 1))
    assert torch.allclose(values, known[:, -1:], atol=1e-6) and torch.allclose(state[0], ended[0], atol=1e-6)
    assert values.shape == (4, 1, 5) and known.shape[1] == 5


def test_every_step_of_the_window_counts():
    model, x = body(), torch.randn(2, 6, 2)
    for step in range(6):
        other = x.clone()
        other[:, step] += 1
        assert (model(other)[0] - model(x)[0]).abs().amax((1, 2)).min() > 1e-6


def test_targets_are_told_apart_by_their_last_step():
    model, x = body(targets=3), torch.randn(1, 6, 2).expand(6, -1, -1)
    values = model(x)[0][:, 0]
    assert torch.equal(values[:3], values[3:]) and not torch.allclose(values[0], values[1])


@pytest.mark.parametrize("shape", [(3, 5, 2), (2, 6, 2)])
def test_what_cannot_be_parted_is_refused(shape):
    with pytest.raises(ValueError, match="in segments of 3 steps for 3 targets: give a multiple of both"):
        body(targets=3)(torch.zeros(shape))
