"""The zoo: its cells are what the literature says, and what torch computes where torch has them."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from recurra import cells
from recurra.equations import CellError
from recurra.layers import Recurrent

INPUTS, UNITS = 5, 7


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small work on one thread: fast also where the processor is shared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_names_are_those_of_the_cells():
    assert cells.names() == list(dict.fromkeys(cells.names()))
    for name in cells.names():
        found = cells.get(name)
        assert found.name == name and found.doc and found.traced
    wanted = {
        "elman",
        "elman_relu",
        "elman_sigmoid",
        "lstm",
        "peephole_lstm",
        "gru",
        "gru_after",
        "mut1",
        "layer_norm_lstm",
    }
    assert wanted <= set(cells.names())


@pytest.mark.parametrize(
    ("typo", "meant"), [("lsmt", "lstm"), ("GRU_after", "gru_after"), ("peephole", "peephole_lstm")]
)
def test_a_typo_gets_the_nearest(typo: str, meant: str):
    with pytest.raises(CellError, match=f"no cell `{typo}`; did you mean '{meant}'.*elman"):
        cells.get(typo)
    with pytest.raises(CellError, match=r"no cell `xyz`.*The cells: "):
        cells.get("xyz")


TWINS = {
    "elman": (nn.RNN(INPUTS, UNITS, batch_first=True), "h"),
    "elman_relu": (nn.RNN(INPUTS, UNITS, nonlinearity="relu", batch_first=True), "h"),
    "lstm": (nn.LSTM(INPUTS, UNITS, batch_first=True), "ifgo"),
    "gru_after": (nn.GRU(INPUTS, UNITS, batch_first=True), "rzn"),
}


@pytest.mark.parametrize("engine", ["eager", "native"])
@pytest.mark.parametrize("name", TWINS)
def test_equals_torch(name: str, engine: str):
    twin, gates = TWINS[name]
    torch.manual_seed(0)
    layer = Recurrent(name, INPUTS, UNITS, engine=engine)
    chunks = {n: p.chunk(len(gates)) for n, p in twin.named_parameters()}
    with torch.no_grad():
        ours = {n: layer.parameter(0, n) for n in layer.program.parameters}
        for k, g in enumerate(gates):
            ours[f"W_{g}"].copy_(chunks["weight_ih_l0"][k])
            recurrent = "nh" if (name, g) == ("gru_after", "n") else g
            ours[f"U_{recurrent}"].copy_(chunks["weight_hh_l0"][k])
            ours[f"b_{g}"].copy_(chunks["bias_ih_l0"][k])
            if recurrent == g:
                ours[f"b_{g}"].add_(chunks["bias_hh_l0"][k])
            else:
                ours[f"b_{recurrent}"].copy_(chunks["bias_hh_l0"][k])
    x = torch.randn(3, 6, INPUTS)
    state = tuple(torch.randn(1, 3, UNITS) for _ in layer.cell.states)
    output, final = layer(x, state)
    expected, last = twin(x, state if len(state) > 1 else state[0])
    torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-5)
    for a, b in zip(final, last if isinstance(last, tuple) else (last,), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    array = "W_h" if gates == "h" else "W"
    (found,) = torch.autograd.grad(output.square().sum(), layer.layers[0].get_parameter(array))
    (theirs,) = torch.autograd.grad(expected.square().sum(), twin.weight_ih_l0)
    torch.testing.assert_close(found, theirs, rtol=1e-4, atol=1e-4)


# The others, written out once more from their papers.


def step_by_hand(name: str, p: dict[str, Tensor], x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    def both(g: str, h: Tensor = h) -> Tensor:
        return x @ p[f"W_{g}"].T + h @ p[f"U_{g}"].T + p[f"b_{g}"]

    def norm(v: Tensor, n: str) -> Tensor:
        return nn.functional.layer_norm(v, v.shape[-1:], p[f"gain_{n}"], p[f"shift_{n}"])

    def normed(g: str) -> Tensor:
        return norm(x @ p[f"W_{g}x"].T, f"{g}x") + norm(h @ p[f"U_{g}h"].T, f"{g}h")

    match name:
        case "elman_sigmoid":
            return torch.sigmoid(both("h")), c
        case "peephole_lstm":
            i = torch.sigmoid(both("i") + p["p_i"] * c)
            f = torch.sigmoid(both("f") + p["p_f"] * c)
            c = f * c + i * torch.tanh(both("g"))
            return torch.sigmoid(both("o") + p["p_o"] * c) * torch.tanh(c), c
        case "gru":
            r, z = torch.sigmoid(both("r")), torch.sigmoid(both("z"))
            return (1 - z) * torch.tanh(both("n", r * h)) + z * h, c
        case "mut1":
            z = torch.sigmoid(x @ p["W_z"].T + p["b_z"])
            r = torch.sigmoid(both("r"))
            inner = torch.tanh(x @ p["W_m"].T + p["b_m"])
            return torch.tanh((r * h) @ p["U_n"].T + p["b_n"] + inner) * z + h * (1 - z), c
    i, f, o = (torch.sigmoid(normed(g)) for g in "ifo")
    c = f * c + i * torch.tanh(normed("g"))
    return o * torch.tanh(norm(c, "c")), c


@pytest.mark.parametrize(
    "name", sorted(set(cells.names()) & {"elman_sigmoid", "peephole_lstm", "gru", "mut1", "layer_norm_lstm"})
)
def test_equals_its_paper(name: str):
    torch.manual_seed(1)
    layer = Recurrent(name, INPUTS, UNITS).double()
    with torch.no_grad():
        for p in layer.parameters():
            p.add_(0.3 * torch.randn_like(p))
    x, h, c = torch.randn(2, 4, INPUTS).double(), torch.randn(2, UNITS).double(), torch.randn(2, UNITS).double()
    states = (h, c)[: len(layer.cell.states)]
    output, _ = layer(x, tuple(s.unsqueeze(0) for s in states))
    for t in range(4):
        named = {n: layer.parameter(0, n) for n in layer.program.parameters}
        h, c = step_by_hand(name, named, x[:, t], h, c)
        torch.testing.assert_close(output[:, t], h, rtol=1e-12, atol=1e-12)
