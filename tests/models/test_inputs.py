import pytest
import torch

from recurra.models import SymbolInput, VectorInput


def test_symbols_are_vectors_or_one_hot():
    ids = torch.tensor([[2, 0]])
    assert SymbolInput(3, None)(ids).tolist() == [[[0, 0, 1], [1, 0, 0]]]
    learned = SymbolInput(3, 4)
    assert learned.width == 4 and torch.equal(learned(ids)[0, 0], learned.embedding.weight[2])


def test_symbols_start_from_given_vectors_where_there_are_any():
    inputs = SymbolInput(2, 3)
    own = inputs.embedding.weight[1].clone()
    inputs.start(torch.tensor([[1.0, 2, 3], [float("nan")] * 3]), fixed=True)
    assert inputs.embedding.weight[0].tolist() == [1, 2, 3] and torch.equal(inputs.embedding.weight[1], own)
    assert not inputs.embedding.weight.requires_grad
    with pytest.raises(ValueError, match=r"shape \[1, 3\] are given; expected \[2, 3\]"):
        inputs.start(torch.ones(1, 3))
    with pytest.raises(ValueError, match="one-hot"):
        SymbolInput(2, None).start(torch.ones(2, 2))


def test_vectors_are_standardised_and_a_constant_column_is_only_shifted():
    inputs = VectorInput(2)
    inputs.standardise(torch.tensor([1.0, 5.0]), torch.tensor([2.0, 0.0]))
    assert inputs(torch.tensor([[[5.0, 5.0]]])).tolist() == [[[2.0, 0.0]]]
    assert {"mean", "deviation"} <= set(inputs.state_dict())
