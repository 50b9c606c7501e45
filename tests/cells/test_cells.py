"""The zoo by name, and its cells against those that torch has. Against their papers: `test_papers`."""

import math
import re
from collections.abc import Iterator

import pytest
import torch
from torch import nn

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


def test_options_stand_behind_a_name():
    cell = cells.get("recurrent_highway(depth=3, coupled=False)")
    assert cell.name == "recurrent_highway(depth=3, coupled=False)"
    assert cell.options == {"depth": 3, "coupled": False}
    assert cells.get("recurrent_highway").options["depth"] == 2


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("elman(activaton='relu')", "no option `activaton`; did you mean 'activation'"),
        ("elman('relu')", "cannot be read. Write them as in a call"),
        ("elman(activation=relu)", "cannot be read"),
        ("elman(activation=)", "cannot be read"),
        ("elmn()", "did you mean 'elman'"),
    ],
)
def test_options_that_cannot_be_meant(name: str, said: str):
    with pytest.raises(CellError, match=re.escape(said)):
        cells.get(name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("elman(activation='tahn')", "no activation `tahn`; did you mean 'tanh'"),
        ("recurrent_highway(depth=0)", "Choose a depth of at least 1"),
        ("slstm(forget='relu')", "Choose sigmoid or exp"),
    ],
)
def test_values_of_options_that_cannot_be_meant(name: str, said: str):
    with pytest.raises(CellError, match=re.escape(said)):
        cells.get(name).traced  # noqa: B018  # tracing is what refuses them


def test_the_slstm_says_where_its_stabiliser_starts():
    layer = Recurrent("slstm", INPUTS, UNITS)
    assert layer.initial_state(2)[3].eq(-math.inf).all()
    x = torch.randn(2, 3, INPUTS)
    torch.testing.assert_close(layer(x)[0], layer(x, layer.initial_state(2))[0])
