import pytest
import torch

from recurra.models import Summary
from recurra.models.summary import SUMMARIES

SEQUENCE = torch.arange(24.0).view(2, 3, 4)
LENGTHS = torch.tensor([2, 3])


@pytest.mark.parametrize(
    ("kind", "options", "rows"),
    [
        ("last", {}, [[4, 5, 6, 7], [20, 21, 22, 23]]),
        ("last", {"backwards": 2}, [[4, 5, 2, 3], [20, 21, 14, 15]]),
        ("step", {"step": 1}, [[0, 1, 2, 3], [12, 13, 14, 15]]),
        ("step", {"step": 3}, [[4, 5, 6, 7], [20, 21, 22, 23]]),  # the shorter row's nearest
        ("step", {"step": -2}, [[0, 1, 2, 3], [16, 17, 18, 19]]),
        ("mean", {}, [[2, 3, 4, 5], [16, 17, 18, 19]]),
        ("max", {}, [[4, 5, 6, 7], [20, 21, 22, 23]]),
    ],
)
def test_a_summary_is_what_its_table_says(kind, options, rows):
    assert Summary(kind, 4, **options)(SEQUENCE, LENGTHS).tolist() == rows


def test_attention_is_a_weighted_mean():
    summary = Summary("attention", 4)
    values = torch.randn(2, 3, 4)
    scores = summary.query(torch.tanh(summary.map(values[:1, :2]))).softmax(1)
    torch.testing.assert_close(summary(values, LENGTHS)[0], (scores * values[:1, :2]).sum(1)[0])


@pytest.mark.parametrize("kind", SUMMARIES)
def test_what_stands_behind_the_end_is_not_read(kind):
    summary = Summary(kind, 4, backwards=2 if kind == "last" else 0)
    values = torch.randn(2, 5, 4)
    lengths = torch.tensor([3, 5])
    poisoned = values.clone()
    poisoned[0, 3:] = float("nan")
    torch.testing.assert_close(summary(poisoned, lengths)[0], summary(values[:1, :3], lengths[:1])[0])


def test_what_cannot_be_meant_is_refused():
    with pytest.raises(ValueError, match="is not one of last, step"):
        Summary("first", 4)
    with pytest.raises(ValueError, match="steps count from 1"):
        Summary("step", 4, step=0)
