"""Both directions of a layer side by side: the numbers of one after the other."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import recurra
from recurra.engines import memory, native
from recurra.engines.widths import Call
from recurra.layers import Recurrent, Regularisation


@dataclass
class Together:
    """How many sweeps ran side by side, call after call."""

    counts: list[int] = field(default_factory=list[int])


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch) -> Together:
    seen, run = Together(), native.sweep_together

    def counting(calls: Sequence[Call]) -> list[native.Result]:
        seen.counts.append(len(calls))
        return run(calls)

    monkeypatch.setattr(native, "sweep_together", counting)
    return seen


def outcome(layer: nn.Module, x: Tensor, *arguments: Any, threads: int) -> list[Tensor]:
    """Output, states and all gradients of a layer, run with so many threads."""
    torch.set_num_threads(threads)
    memory.poison(float("nan"))
    torch.manual_seed(3)
    x = x.clone().requires_grad_()
    output, states = layer(x, *arguments)
    states = states if isinstance(states, tuple) else (states,)
    loss = output.sin().sum() + sum(s.square().sum() for s in states)
    wanted = [x, *(p for p in layer.parameters() if p.requires_grad)]
    return [output, *states, *torch.autograd.grad(loss, wanted)]


def assert_same(found: list[Tensor], expected: list[Tensor]) -> None:
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a, b)


CELLS = ["lstm", "gru", "mut1", "layer_norm_lstm"]


# At 96 columns the work is worth a thread for each direction, at 8 it is not.
@pytest.mark.parametrize("size", [8, 96])
@pytest.mark.parametrize("name", CELLS)
def test_a_stack(name: str, size: int, together: Together):
    layer, x = Recurrent(name, 7, size, num_layers=2, bidirectional=True), torch.randn(1, 19, 7)
    expected = outcome(layer, x, threads=1)
    assert 2 not in together.counts
    assert_same(outcome(layer, x, threads=2), expected)
    assert together.counts.count(2) == 2  # once a layer


@pytest.mark.parametrize("length", [0, 4, 9])
def test_a_row_that_ends_early(length: int, together: Together):
    layer, x, lengths = Recurrent("gru", 5, 8, bidirectional=True), torch.randn(1, 9, 5), torch.tensor([length])
    expected = outcome(layer, x, None, lengths, threads=1)
    assert_same(outcome(layer, x, None, lengths, threads=2), expected)
    assert 2 in together.counts


def test_masks_are_drawn_in_the_same_order(together: Together):
    options = Regularisation(recurrent_dropout=0.3, weight_drop=0.2)
    layer = Recurrent("lstm", 5, 8, bidirectional=True, regularisation=options)
    x = torch.randn(1, 9, 5)
    assert_same(outcome(layer, x, threads=2), outcome(layer, x, threads=1))
    assert 2 in together.counts


@pytest.mark.parametrize("make", [recurra.LSTM, recurra.GRU, recurra.RNN])
def test_a_layer_in_the_place_of_torchs(make: type[nn.Module], together: Together):
    layer, x = make(7, 96, num_layers=2, bidirectional=True), torch.randn(19, 1, 7)
    assert_same(outcome(layer, x, threads=2), outcome(layer, x, threads=1))
    assert together.counts.count(2) == 2


def test_one_direction_may_be_frozen(together: Together):
    layer, x = Recurrent("lstm", 5, 8, bidirectional=True), torch.randn(1, 9, 5)
    layer.layers.requires_grad_(False)
    assert_same(outcome(layer, x, threads=2), outcome(layer, x, threads=1))
    assert 2 in together.counts
    torch.set_num_threads(2)
    output, _ = layer(x)  # and nothing of the frozen one is wanted at all
    gradient = torch.autograd.grad(output.sum(), layer.reverse_layers[0].U)[0]
    assert gradient.abs().sum() > 0


def test_the_output_of_one_direction_may_be_left_unused():
    layer, x = Recurrent("lstm", 5, 8, bidirectional=True), torch.randn(1, 9, 5)
    gradients: list[Tensor] = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        output, _ = layer(x)
        (found,) = torch.autograd.grad(output[..., 8:].sum(), [layer.reverse_layers[0].W], retain_graph=True)
        gradients.append(found)
        missing = torch.autograd.grad(output[..., 8:].sum(), [layer.layers[0].W], allow_unused=True)[0]
        assert missing is None or not missing.any()
    assert torch.equal(*gradients)


def test_a_second_derivative(together: Together):
    layer, x = Recurrent("gru", 5, 8, bidirectional=True), torch.randn(1, 4, 5)
    found: list[tuple[Tensor, ...]] = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        read = x.clone().requires_grad_()
        (first,) = torch.autograd.grad(layer(read)[0].square().sum(), read, create_graph=True)
        found.append(torch.autograd.grad(first.square().sum(), [read, *layer.parameters()]))
    torch.testing.assert_close(found[1], found[0])
    assert 2 in together.counts


def test_without_gradients_and_in_many_rows(together: Together):
    layer, x = Recurrent("lstm", 5, 8, bidirectional=True), torch.randn(2, 9, 5)
    torch.set_num_threads(2)
    with torch.no_grad():
        output, _ = layer(x[:1])
        assert together.counts == [2]
        torch.testing.assert_close(layer(x)[0][:1], output, rtol=0, atol=0)
    assert together.counts == [2, 1, 1]  # rows for both threads run one direction after the other
