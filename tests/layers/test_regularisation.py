"""Noise inside the loop: what each kind means, and that all engines make the same of the same masks."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from recurra import cells
from recurra.engines.sweep import sweep
from recurra.equations.program import Program
from recurra.equations.rewrite import matrices_reading
from recurra.layers import Recurrent, Regularisation

T, B, H = 6, 4, 7
CELLS = [n for n in cells.names() if n not in ("jordan", "back_projection", "projected_lstm")]


def run(layer: Recurrent, x: Tensor, **call: Any) -> list[Tensor]:
    """Output, final states and gradients, masks drawn from one seed."""
    torch.manual_seed(5)
    given = x.clone().requires_grad_()
    output, final = layer(given, **call)
    loss = sum((v * torch.linspace(-1, 1, v.numel()).view_as(v).to(v)).sum() for v in (output, *final))
    found = torch.autograd.grad(loss, [given, *layer.parameters()], allow_unused=True)  # type: ignore[arg-type]
    return [output, *final, *(g for g in found if g is not None)]


@pytest.mark.parametrize("name", CELLS)
def test_engines_agree_given_the_same_masks(name: str):
    recurrent = any(matrices_reading(cells.get(name), s) for s in cells.get(name).states)
    drop = 0.3 if recurrent else 0.0
    layer = Recurrent(
        name, H, H, num_layers=2, dropout=0.2,
        regularisation=Regularisation(drop, 0.0 if name == "slstm" else 0.3, drop),
    )  # fmt: skip
    x, lengths = torch.randn(B, T, H), [T, 1, 0, 3]
    layer.engine = "eager"
    expected = run(layer, x, lengths=lengths)
    layer.engine = "auto"
    for a, b in zip(run(layer, x, lengths=lengths), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * (1 + b.abs().max().item()))


def test_recurrent_dropout_hides_the_same_units_at_every_step():
    layer = Recurrent("gru", 3, H, regularisation=Regularisation(recurrent_dropout=0.5)).double()
    x = torch.randn(1, T, 3).double()
    torch.manual_seed(1)
    output, _ = layer(x)
    torch.manual_seed(1)
    keep = torch.empty(1, H, dtype=torch.float64).bernoulli_(0.5) * 2
    assert 0 < (keep == 0).sum() < H
    # A mask on what is multiplied is a mask on the columns of the matrix, r ⊙ h included.
    with torch.no_grad():
        layer.layers[0].U.mul_(keep[0])
    torch.testing.assert_close(layer.eval()(x)[0], output)


def test_zoneout_keeps_old_units_and_takes_the_mean_in_evaluation():
    rates = {"h": 0.2, "c": 0.6}
    layer = Recurrent("lstm", 3, 2000, regularisation=Regularisation(zoneout=rates))
    x, state = torch.randn(1, 1, 3), tuple(torch.randn(1, 1, 2000) for _ in "hc")
    _, new = Recurrent.forward(layer, x, state)
    plain = Recurrent("lstm", 3, 2000)
    plain.load_state_dict(layer.state_dict())
    _, wanted = plain(x, state)
    _, mean = layer.eval()(x, state)
    for old, noisy, target, average, p in zip(state, new, wanted, mean, rates.values(), strict=True):
        kept = noisy == old
        assert abs(kept.float().mean() - p) < 0.05
        torch.testing.assert_close(noisy[~kept], target[~kept])
        torch.testing.assert_close(average, p * old + (1 - p) * target)


def test_weight_drop_drops_elements_of_recurrent_matrices_for_a_call():
    layer = Recurrent("lstm", 3, 50, regularisation=Regularisation(weight_drop=0.4)).double()
    x, state = torch.zeros(1, 2, 3).double(), tuple(torch.randn(1, 1, 50).double() for _ in "hc")
    torch.manual_seed(2)
    output, _ = layer(x, state)
    torch.manual_seed(2)
    dropped = torch.nn.functional.dropout(layer.layers[0].U, 0.4)
    assert abs((dropped == 0).float().mean() - 0.4) < 0.05
    arrays = {names: layer.layers[0].get_parameter(a) for a, names in layer.layers[0].stacks.items()}
    arrays[layer.layers[0].stacks["U"]] = dropped
    expected, _ = sweep(Program(layer.cell), [x.transpose(0, 1)], [s[0] for s in state], arrays)
    torch.testing.assert_close(output.transpose(0, 1), expected)
    (gradient,) = torch.autograd.grad(output.sum(), layer.layers[0].U)
    assert not gradient[dropped == 0].any() and gradient.any()
    plain = Recurrent("lstm", 3, 50).double()
    plain.load_state_dict(layer.state_dict())
    torch.testing.assert_close(layer.eval()(x, state)[0], plain(x, state)[0])


def test_a_seed_gives_the_noise_again():
    layer = Recurrent("lstm", 3, H, bidirectional=True, regularisation=Regularisation(0.3, 0.3, 0.3))
    x = torch.randn(B, T, 3)
    first = run(layer, x)
    assert all(torch.equal(a, b) for a, b in zip(run(layer, x), first, strict=True))
    assert not torch.equal(layer(x)[0], first[0])


MISTAKES: dict[str, tuple[Callable[[], object], str]] = {
    "no chance": (lambda: Regularisation(recurrent_dropout=1.0), "recurrent_dropout is 1.0; expected a probability"),
    "a chance below zero": (lambda: Regularisation(zoneout={"h": -0.1}), "zoneout of h is -0.1"),
    "no such state": (lambda: Regularisation(zoneout={"hh": 0.1}), "no such state; did you mean 'h'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_chance_that_is_none_is_refused(mistake: str):
    make, message = MISTAKES[mistake]
    with pytest.raises(ValueError, match=message):
        Recurrent("lstm", 3, 4, regularisation=make())  # type: ignore[arg-type]


def test_noise_with_nothing_to_act_on_is_refused():
    with pytest.raises(ValueError, match="no matrix of cell indrnn reads a state"):
        Recurrent("indrnn", 3, 4, regularisation=Regularisation(recurrent_dropout=0.1))
    with pytest.raises(ValueError, match="cell sru has no recurrent matrix"):
        Recurrent("sru", 3, 4, regularisation=Regularisation(weight_drop=0.1))
    with pytest.raises(ValueError, match="zoneout of m: this state starts from -inf"):
        Recurrent("slstm", 3, 4, regularisation=Regularisation(zoneout=0.1))
