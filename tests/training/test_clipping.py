"""Clipping against the formulas, worked out by hand in numpy."""

import numpy as np
import pytest
import torch

from recurra.tasks.config import ConfigError
from recurra.training.clipping import clip_gradients

FIRST = np.array([[3.0, -4.0], [0.0, 12.0]])  # norm 13
SECOND = np.array([0.3, -0.4])  # norm 0.5


def parameters() -> list[torch.Tensor]:
    made = []
    for gradient in (FIRST, SECOND):
        parameter = torch.zeros(gradient.shape, dtype=torch.float64, requires_grad=True)
        parameter.grad = torch.from_numpy(gradient.copy())
        made.append(parameter)
    return [*made, torch.zeros(3, requires_grad=True)]  # the last one has no gradient


def clipped(limit: float, method: str) -> tuple[float, np.ndarray, np.ndarray]:
    of = parameters()
    norm = clip_gradients(of, limit, method)
    return norm.item(), of[0].grad.numpy(), of[1].grad.numpy()


TOTAL = np.sqrt(13.0**2 + 0.5**2)


def test_the_global_norm_is_the_root_of_all_squares():
    norm, first, second = clipped(2.0, "norm")
    assert norm == pytest.approx(TOTAL, rel=1e-14)
    np.testing.assert_allclose(first, FIRST * 2.0 / TOTAL, rtol=1e-14)
    np.testing.assert_allclose(second, SECOND * 2.0 / TOTAL, rtol=1e-14)


def test_a_norm_within_the_limit_changes_nothing():
    norm, first, second = clipped(14.0, "norm")
    assert norm == pytest.approx(TOTAL, rel=1e-14)
    assert (first == FIRST).all()
    assert (second == SECOND).all()


def test_each_parameter_by_its_own_norm():
    norm, first, second = clipped(2.0, "parameter")
    assert norm == pytest.approx(TOTAL, rel=1e-14)
    np.testing.assert_allclose(first, FIRST * 2.0 / 13.0, rtol=1e-14)
    assert (second == SECOND).all()


def test_by_value():
    norm, first, second = clipped(2.0, "value")
    assert norm == pytest.approx(TOTAL, rel=1e-14)
    assert (first == [[2.0, -2.0], [0.0, 2.0]]).all()
    assert (second == SECOND).all()


@pytest.mark.parametrize("method", ["norm", "parameter", "value"])
def test_zero_means_no_clipping(method: str):
    norm, first, second = clipped(0.0, method)
    assert norm == pytest.approx(TOTAL, rel=1e-14)
    assert (first == FIRST).all()
    assert (second == SECOND).all()


@pytest.mark.parametrize("method", ["norm", "parameter", "value"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_shows_in_the_norm(method: str, bad: float):
    of = parameters()
    of[1].grad[0] = bad
    assert not torch.isfinite(clip_gradients(of, 1.0, method))


@pytest.mark.parametrize("method", ["norm", "parameter"])
def test_a_gradient_of_zeros_stays(method: str):
    parameter = torch.zeros(3, requires_grad=True)
    parameter.grad = torch.zeros(3)
    assert clip_gradients([parameter], 1.0, method).item() == 0.0
    assert (parameter.grad == 0.0).all()


def test_no_gradients_at_all():
    assert clip_gradients([torch.zeros(3, requires_grad=True)], 1.0).item() == 0.0


def test_an_unknown_method_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'norm'"):
        clip_gradients(parameters(), 1.0, "norms")
