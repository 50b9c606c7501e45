import math

import numpy as np
import pytest
import torch

from recurra.models.outlook import KINDS, LEVELS, Outlook, pinball, student_quantiles


@pytest.mark.parametrize("kind", KINDS)
def test_a_forecast_has_a_point_quantiles_and_samples(kind):
    torch.manual_seed(0)
    outlook = Outlook(kind, 5, steps=3, targets=2)
    parameters = outlook(torch.randn(4, 5))
    point, quantiles = outlook.point(parameters), outlook.quantiles(parameters)
    assert parameters.shape[:3] == (4, 3, 2) and point.shape == (4, 3, 2)
    assert quantiles.shape == (4, 3, 2, 1 if outlook.is_point else len(LEVELS))
    assert (quantiles.diff(dim=-1) >= 0).all() and outlook.sample(parameters).shape == (4, 3, 2)
    moved = outlook.point(outlook(torch.zeros(4, 5), torch.full((4, 1, 2), 10.0)))
    assert torch.allclose(moved, outlook.point(outlook(torch.zeros(4, 5))) + 10, atol=1e-5)
    outlook.loss(parameters, torch.randn(4, 3, 2)).backward()
    assert all(parameter.grad is not None for parameter in outlook.parameters())


@pytest.mark.parametrize("kind", ["gaussian", "student", "quantiles"])
def test_samples_are_spread_as_the_quantiles_say(kind):
    torch.manual_seed(0)
    outlook = Outlook(kind, 2, steps=1, targets=1)
    parameters = outlook(torch.ones(1, 2)).detach()
    if kind == "quantiles":
        parameters = torch.linspace(-1, 1, len(LEVELS)).expand(1, 1, 1, -1)
    drawn = outlook.sample(parameters.expand(40000, -1, -1, -1), torch.Generator().manual_seed(1)).flatten()
    quantiles = outlook.quantiles(parameters)[0, 0, 0]
    for level in (0.1, 0.25, 0.5, 0.8):
        share = (drawn < quantiles[LEVELS.index(level)]).float().mean()
        assert abs(share - level) < (0.035 if kind == "quantiles" else 0.01)


def test_likelihoods_are_those_of_torch():
    torch.manual_seed(0)
    truth = torch.randn(6, 2)
    for kind in ("gaussian", "student"):
        outlook = Outlook(kind, 3, steps=1, targets=2)
        parameters = outlook(torch.randn(6, 3))[:, 0].detach()
        scale = torch.nn.functional.softplus(parameters[..., 1]) + 1e-4
        if kind == "gaussian":
            known = torch.distributions.Normal(parameters[..., 0], scale)
        else:
            known = torch.distributions.StudentT(outlook.nu(), parameters[..., 0], scale)
        assert torch.allclose(outlook.loss(parameters, truth), -known.log_prob(truth).mean(), atol=1e-5)


def test_quantiles_of_a_t_are_those_of_the_tables():
    assert np.allclose(student_quantiles([0.9, 0.975], 3), [1.6377, 3.1824], atol=1e-3)
    assert np.allclose(student_quantiles([0.025, 0.95], 30), [-2.0423, 1.6973], atol=1e-3)


def test_twice_the_pinball_loss_is_near_the_crps():
    """Of a standard normal and a value y: y(2Φ(y) − 1) + 2φ(y) − 1/√π (Gneiting & Raftery 2007)."""
    quantiles = torch.special.ndtri(torch.tensor(LEVELS, dtype=torch.float64))
    for y in (0.0, 0.7, -1.5):
        cdf, density = 0.5 * (1 + math.erf(y / 2**0.5)), math.exp(-y * y / 2) / (2 * math.pi) ** 0.5
        crps = y * (2 * cdf - 1) + 2 * density - 1 / math.pi**0.5
        assert abs(1.9 * float(pinball(quantiles, torch.tensor(y, dtype=torch.float64))) - crps) < 0.005


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="'l2' is none of mse, mae"):
        Outlook("l2", 1, 1, 1)
