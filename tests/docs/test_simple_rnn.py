"""The page for learners: its code is taken from the page itself, held against finite differences and the library."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from recurra.layers import Recurrent

PAGE = Path(__file__).resolve().parents[2] / "docs" / "simple_rnn.md"
CODE = re.findall(r"^```python\n(.*?)^```\n", PAGE.read_text(encoding="utf-8"), re.M | re.S)[0]


@pytest.fixture(scope="module")
def network() -> dict:
    """The names that the page's first block defines."""
    names: dict = {}
    exec(compile(CODE, PAGE.name, "exec"), names)
    return names


def problem(sizes: tuple[int, int, int, int]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Inputs and parameters for B, T, I, H of `sizes`, and the slope of the loss [B, T, H]."""
    rng = np.random.default_rng(1)
    B, T, inputs, H = sizes
    shapes = {"x": (B, T, inputs), "h0": (B, H), "W": (H, inputs), "U": (H, H), "b": (H,)}
    return {name: rng.normal(size=shape) * 0.7 for name, shape in shapes.items()}, rng.normal(size=(B, T, H))


def test_it_is_thirty_lines():
    assert len([line for line in CODE.splitlines() if line.strip()]) <= 30


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (2, 7, 3, 5)])
def test_gradients_agree_with_finite_differences(network, sizes):
    values, g = problem(sizes)

    def loss() -> float:
        return float(np.sum(g * network["forward"](**values)[:, 1:]))

    h = network["forward"](**values)
    gradients = network["backward"](g, values["x"], h, values["W"], values["U"])
    for value, gradient in zip(values.values(), gradients, strict=True):
        assert gradient.shape == value.shape
        for index in np.ndindex(value.shape):
            kept = value[index]
            value[index] = kept + 1e-5
            above = loss()
            value[index] = kept - 1e-5
            below = loss()
            value[index] = kept
            assert gradient[index] == pytest.approx((above - below) / 2e-5, rel=1e-7, abs=1e-8)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (3, 9, 5, 7)])
def test_the_engine_computes_the_same(network, dtype, tolerance, sizes):
    values, g = problem(sizes)
    layer = Recurrent("elman", sizes[2], sizes[3]).to(dtype)
    parameters = [layer.get_parameter(f"layers.0.{name}") for name in ("W_h", "U_h", "b_h")]
    with torch.no_grad():
        for parameter, name in zip(parameters, "WUb", strict=True):
            parameter.copy_(torch.from_numpy(values[name]))
    x, h0 = (torch.from_numpy(values[name]).to(dtype).requires_grad_() for name in ("x", "h0"))
    output, (last,) = layer(x, (h0.unsqueeze(0),))
    wanted = torch.autograd.grad((output * torch.from_numpy(g).to(dtype)).sum(), [x, h0, *parameters])

    h = network["forward"](**values)
    gradients = network["backward"](g, values["x"], h, values["W"], values["U"])
    np.testing.assert_allclose(output.detach(), h[:, 1:], rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(last[0].detach(), h[:, -1], rtol=tolerance, atol=tolerance)
    for ours, theirs in zip(gradients, wanted, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=tolerance, atol=tolerance)
