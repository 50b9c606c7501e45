"""Noise on the parameters while a gradient is taken."""

import pytest
import torch

from recurra.tasks.config import ConfigError, OptimizerConfig
from recurra.training.weight_noise import weight_noise


def test_inside_there_is_noise_of_the_size_asked_for():
    parameters = [torch.full((300, 300), 2.0), torch.zeros(10_000)]
    with weight_noise(parameters, 0.075):
        for parameter, mean in zip(parameters, (2.0, 0.0), strict=True):
            assert parameter.mean().item() == pytest.approx(mean, abs=0.005)
            assert parameter.std().item() == pytest.approx(0.075, rel=0.05)


def test_behind_it_every_bit_is_as_before():
    torch.manual_seed(0)
    parameters = [torch.randn(7, 5, requires_grad=True), torch.randn(3, requires_grad=True)]
    before = [parameter.detach().clone() for parameter in parameters]
    for _ in range(3):
        with weight_noise(parameters, 10.0):
            pass
    assert all(torch.equal(parameter, kept) for parameter, kept in zip(parameters, before, strict=True))


def test_an_error_inside_takes_the_noise_off_too():
    parameter = torch.ones(4, requires_grad=True)
    with pytest.raises(KeyError), weight_noise([parameter], 1.0):
        raise KeyError
    assert (parameter == 1.0).all()


def test_the_gradient_is_that_of_the_disturbed_parameter():
    parameter = torch.full((5,), 3.0, requires_grad=True)
    with weight_noise([parameter], 0.5):
        disturbed = parameter.detach().clone()
        (parameter**2).sum().backward()
    assert not torch.equal(disturbed, parameter)
    assert torch.equal(parameter.grad, 2 * disturbed)


def test_each_entry_draws_anew_from_the_generator_that_a_checkpoint_holds():
    parameter, seen = torch.zeros(4), []
    torch.manual_seed(5)
    state = torch.get_rng_state()
    for _ in range(2):
        with weight_noise([parameter], 1.0):
            seen.append(parameter.clone())
    torch.set_rng_state(state)
    with weight_noise([parameter], 1.0):
        assert torch.equal(parameter, seen[0])
    assert not torch.equal(seen[0], seen[1])


def test_without_noise_nothing_is_drawn():
    state = torch.get_rng_state()
    with weight_noise([torch.zeros(4)], 0.0):
        assert torch.equal(torch.get_rng_state(), state)


def test_a_negative_size_is_refused():
    with pytest.raises(ConfigError, match=r"optimizer\.weight_noise=-1 is out of range"):
        OptimizerConfig(weight_noise=-1)
