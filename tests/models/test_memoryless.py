import pytest
import torch

from recurra.models import Bag, Positions, TimeDelay, Window

LENGTHS = torch.tensor([4, 6])


def bodies() -> dict[str, torch.nn.Module]:
    torch.manual_seed(0)
    return {"bag": Bag(3, 5), "positions": Positions(3, 5, 6), "window": Window(3, 5, 4), "tdnn": TimeDelay(3, 5, 2, 2)}


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(2, 6, 3)


@pytest.mark.parametrize("name", bodies())
def test_a_row_is_the_same_alone_and_beside_a_longer_one(name, x):
    body = bodies()[name]
    poisoned = x.clone()
    poisoned[0, 4:] = 1e6
    together, alone = body(poisoned, LENGTHS), body(x[:1, :4], LENGTHS[:1])
    torch.testing.assert_close(together[:1, : alone.shape[1]], alone)
    assert together[0, alone.shape[1] :].eq(0).all()


def test_a_bag_knows_no_order_and_positions_do(x):
    turned = x.flip(1)
    lengths = torch.tensor([6, 6])
    bag, positions = bodies()["bag"], bodies()["positions"]
    torch.testing.assert_close(bag(turned, lengths).sum(1), bag(x, lengths).sum(1))
    assert not torch.allclose(positions(turned, lengths).sum(1), positions(x, lengths).sum(1))


def test_positions_are_a_linear_map_of_each_place(x):
    body = bodies()["positions"]
    expected = torch.stack([x[1, t] @ body.weight[t] + body.bias[t] for t in range(6)])
    torch.testing.assert_close(body(x, LENGTHS)[1], expected)
    assert Positions(3, 5, 2)(x, LENGTHS)[:, 2:].eq(0).all()


def test_a_window_sees_the_last_steps_only(x):
    body = bodies()["window"]
    changed = x.clone()
    changed[1, 1] += 1  # outside the last four of six
    torch.testing.assert_close(body(changed, LENGTHS)[1], body(x, LENGTHS)[1])
    changed[1, 2] += 1
    assert not torch.allclose(body(changed, LENGTHS)[1], body(x, LENGTHS)[1])


@pytest.mark.parametrize(("layers", "reach"), [(1, 1), (2, 2), (3, 3)])
def test_delays_at_every_layer_reach_further(x, layers, reach):
    """With delays of two steps at each layer, a step sees as many steps before it as there are layers."""
    body = TimeDelay(3, 8, 2, layers)
    x = x[1:].requires_grad_()
    body(x, LENGTHS[1:])[0, 5].sum().backward()
    seen = x.grad[0].abs().sum(-1) > 0
    assert seen.tolist() == [t >= 5 - reach for t in range(6)]
