import torch

from recurra import cells
from recurra.models.bridge import Bridge


def states(*names: str, layers: int = 1) -> list[dict[str, torch.Tensor]]:
    """What an encoder of 3 units ends with: 10 in the lowest layer, 20 in the next, too large for a tanh."""
    return [{n: torch.full((2, 3), 10.0 * (k + 1)) for n in names} for k in range(layers)]


def sizes(*names: str, layers: int = 1, width: int = 3) -> list[dict[str, int]]:
    return [dict.fromkeys(names, width) for _ in range(layers)]


def test_the_output_is_squashed_and_what_a_cell_sums_up_is_not():
    bridge = Bridge(sizes("h", "c"), cells.get("lstm"), sizes("h", "c", width=4))
    for one in (m for m in bridge.maps if isinstance(m, torch.nn.Linear)):
        torch.nn.init.ones_(one.weight)
    ((h, c),) = bridge(states("h", "c"))
    assert h.shape == c.shape == (2, 4)
    assert (h.abs() <= 1).all() and (c > 20).all()


def test_a_state_without_a_namesake_is_made_from_the_first():
    bridge = Bridge(sizes("h"), cells.get("lstm"), sizes("h", "c"))
    given = states("h")
    given[0]["h"].requires_grad_()
    bridge(given)[0][1].sum().backward()
    assert (given[0]["h"].grad != 0).any()


def test_a_start_from_infinity_stays():
    wanted = sizes("h", "c", "n", "m")
    ((*_, m),) = Bridge(sizes("h"), cells.get("slstm"), wanted)(states("h"))
    assert (m == -torch.inf).all()


def test_layers_meet_from_the_top():
    def read(encoder: int, decoder: int) -> list[float]:
        bridge = Bridge(sizes("h", layers=encoder), cells.get("gru"), sizes("h", layers=decoder), copied=True)
        return [layer[0][0, 0].item() for layer in bridge(states("h", layers=encoder))]

    assert read(2, 2) == [10, 20]
    assert read(3, 1) == [30]
    assert read(2, 3) == [10, 10, 20]
