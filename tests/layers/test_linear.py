"""The linear layer as a drop-in for torch's, and the fused loss as a function."""

import copy
import pickle

import pytest
import torch
from torch import nn

from recurra.layers import Linear, linear_cross_entropy


def test_a_checkpoint_moves_both_ways():
    torch.manual_seed(0)
    ours = Linear(7, 5)
    torch.manual_seed(0)
    theirs = nn.Linear(7, 5)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    theirs.load_state_dict(Linear(7, 5).state_dict())
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 40, 7)
    torch.testing.assert_close(ours(x), theirs(x))
    assert torch.equal(pickle.loads(pickle.dumps(copy.deepcopy(ours)))(x), ours(x))


def test_arguments_of_torch():
    assert Linear(3, 4, bias=False).bias is None
    layer = Linear(3, 4, dtype=torch.float64)
    assert layer(torch.randn(3, dtype=torch.float64)).shape == (4,)
    with pytest.raises(ValueError, match=r"\[2, 4\].*\[4, 3\]"):
        layer(torch.randn(2, 4, dtype=torch.float64))


def test_gradients_reach_all_parameters():
    layer = Linear(6, 9)
    x = torch.randn(50, 6, requires_grad=True)
    loss = linear_cross_entropy(layer(x), layer.weight.new_ones(4, 9), None, torch.zeros(50, dtype=torch.int64))
    loss.backward()
    assert x.grad is not None and all(p.grad is not None for p in layer.parameters())


def test_options_of_torch():
    x, weight, bias = torch.randn(8, 6), torch.randn(5, 6), torch.randn(5)
    targets = torch.tensor([0, 1, 2, 3, 4, 2, 2, 0])
    for options in ({}, {"ignore_index": 2}, {"label_smoothing": 0.3}, {"reduction": "none"}, {"reduction": "sum"}):
        expected = nn.functional.cross_entropy(nn.functional.linear(x, weight, bias), targets, **options)
        torch.testing.assert_close(linear_cross_entropy(x, weight, bias, targets, **options), expected)
