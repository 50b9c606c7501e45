import pytest
import torch

from recurra.layers import Recurrent
from recurra.models import DelayMemory, Lags, RecurrentMemory

BODIES = {
    "recurrent": lambda: RecurrentMemory(Recurrent("gru", 3, 4)),
    "lags": lambda: Lags([2, 0, 5], 6, 2),
    "tdnn": lambda: DelayMemory(3, 4, delays=3, layers=2),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_runs_on_from_where_it_stopped(name):
    torch.manual_seed(0)
    body, x = BODIES[name]().eval(), torch.randn(2, 9, 3)
    whole, _ = body(x)
    first, state = body(x[:, :4])
    rest = []
    for step in range(4, 9):
        value, state = body(x[:, step : step + 1], state)
        rest.append(value)
    assert whole.shape == (2, 9, body.output_size)
    assert torch.allclose(torch.cat([first, *rest], 1), whole, atol=1e-6)


@pytest.mark.parametrize("name", BODIES)
def test_a_repeated_state_goes_on_alike(name):
    body, x = BODIES[name]().eval(), torch.randn(2, 5, 3)
    state = body(x)[1]
    after, _ = body(x[:, :1], state)
    repeated, _ = body(x[:, :1].repeat_interleave(3, 0), body.repeat(state, 3))
    assert torch.allclose(repeated, after.repeat_interleave(3, 0), atol=1e-6)


@pytest.mark.parametrize("name", ["lags", "tdnn"])
def test_an_output_depends_on_its_span_alone(name):
    torch.manual_seed(0)
    body = BODIES[name]()
    x = torch.randn(1, 12, 3, requires_grad=True)
    body(x)[0][0, 10].sum().backward()
    touched = x.grad[0].abs().sum(1).nonzero()[:, 0]
    assert touched.min() == 10 - body.span + 1 and touched.max() == 10


def test_lags_without_layers_are_the_values_themselves():
    x = torch.arange(1.0, 7).reshape(1, 3, 2)
    values, _ = Lags([2, 1], 0, 0)(x)
    assert values[0].tolist() == [[0, 1, 2], [1, 3, 4], [3, 5, 6]]
    with pytest.raises(ValueError, match="nothing would be read"):
        Lags([0, 0], 4, 1)
