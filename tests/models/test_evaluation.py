"""A model as it is used, for a while."""

import pytest
from torch import nn

from recurra.models.evaluation import evaluating


@pytest.mark.parametrize("training", [True, False])
def test_each_part_comes_back_to_its_own_mode(training: bool):
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2)))
    model.train(training)
    model[1][1].eval()  # frozen while the rest learns
    model[1][0].train()
    modes = {name: part.training for name, part in model.named_modules()}
    with evaluating(model):
        assert not any(part.training for part in model.modules())
    assert {name: part.training for name, part in model.named_modules()} == modes


def test_it_comes_back_after_an_error():
    model = nn.Sequential(nn.Dropout(), nn.Linear(2, 2).eval())
    with pytest.raises(RuntimeError, match="halted"), evaluating(model):
        raise RuntimeError("halted")
    assert [part.training for part in model] == [True, False]
