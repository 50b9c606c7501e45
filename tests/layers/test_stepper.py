"""Streaming: the bits of the whole sequence, one step at a time."""

import copy
import gc
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import recurra
from recurra import cells
from recurra.engines import memory
from recurra.layers import Recurrent, Stepper
from recurra.layers.initialisation import Initialisation
from recurra.layers.normalisation import Normalisation
from recurra.layers.regularisation import Regularisation

STEPS = 5
WIDTHS = {"jordan": {"O": 21}, "back_projection": {"O": 21}, "projected_lstm": {"P": 13}}


def stepped(name: str, layers: int) -> Recurrent:
    """A stack of a cell's layers; skips where a stack or the native engine does not serve the cell."""
    try:
        layer = Recurrent(name, 21, 21, num_layers=layers, widths=WIDTHS.get(name, {}), engine="native")
        Stepper(layer)
    except ValueError as error:
        pytest.skip(str(error))
    return layer


def run_whole(layer: Recurrent, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    with torch.no_grad():
        return layer.eval()(x)


def run_in_steps(stepper: Stepper, x: Tensor) -> Tensor:
    return torch.stack([stepper.step(t).clone() for t in x.transpose(0, 1).contiguous()], 1)


def assert_streams(layer: Recurrent, x: Tensor, **options: int) -> None:
    expected, final = run_whole(layer, x)
    memory.poison(float("nan"))
    stepper = Stepper(layer, x.shape[0], **options)
    assert torch.equal(run_in_steps(stepper, x), expected)
    assert all(torch.equal(a, b) for a, b in zip(stepper.state, final, strict=True))


@pytest.mark.parametrize("name", cells.names())
@pytest.mark.parametrize(("batch", "layers"), [(1, 1), (1, 3), (5, 2), (33, 1)])
def test_a_stream_gives_the_bits_of_the_sequence(name: str, batch: int, layers: int):
    assert_streams(stepped(name, layers), torch.randn(batch, STEPS, 21))


@pytest.mark.parametrize("name", ["lstm", "gru", "gru_after", "elman", "mut1", "peephole_lstm"])
def test_common_cells_stream(name: str):
    Stepper(Recurrent(name, 4, 8, num_layers=2))


@pytest.mark.parametrize("name", ["lstm", "gru", "gru_after", "mut1"])
@pytest.mark.parametrize("hidden", [200, 256])
@pytest.mark.parametrize(("batch", "threads"), [(1, 1), (1, 2), (1, 3), (7, 2)])
def test_threads_share_a_step_without_changing_a_bit(name: str, hidden: int, batch: int, threads: int):
    layer = Recurrent(name, 300, hidden, num_layers=2)
    assert_streams(layer, torch.randn(batch, STEPS, 300), threads=threads)


@pytest.mark.parametrize("inputs", [4, 8])
def test_residual_connections_stream(inputs: int):
    layer = Recurrent("gru", inputs, 8, num_layers=3, residual=True)
    assert_streams(layer, torch.randn(3, STEPS, inputs))


def test_what_is_dropped_in_training_streams_as_in_evaluation():
    options = Regularisation(zoneout={"h": 0.1, "c": 0.2}, weight_drop=0.5)
    layer = Recurrent("lstm", 4, 8, num_layers=2, dropout=0.5, regularisation=options)
    assert_streams(layer, torch.randn(3, STEPS, 4))


def test_a_static_input_streams():
    layer = Recurrent("lstm", 4, 8, num_layers=2, static_size=3)
    x, static = torch.randn(2, STEPS, 4), torch.randn(2, 3)
    stepper = Stepper(layer, 2)
    stepper.static = static
    with torch.no_grad():
        assert torch.equal(run_in_steps(stepper, x), layer(x, static=static)[0])
    assert stepper.static is not None
    assert torch.equal(stepper.static, static)
    with pytest.raises(ValueError, match=r"shape \[1, 3\]; expected \[B, S\] = \[2, 3\]"):
        stepper.static = static[:1]
    with pytest.raises(ValueError, match="take no static input"):
        Stepper(Recurrent("lstm", 4, 8)).static = static


def test_a_learned_start_streams():
    layer = Recurrent("lstm", 4, 8, initialisation=Initialisation(learned_state=True))
    with torch.no_grad():
        for start in layer.layers[0].starts.values():
            start.normal_()
    assert_streams(layer, torch.randn(2, STEPS, 4))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"bidirectional": True}, "both directions need the whole sequence"),
        ({"normalisation": Normalisation("layer", place="projection")}, "normalisation outside the cell"),
    ],
)
def test_layers_that_need_more_than_the_step_before_are_refused(options: dict[str, Any], text: str):
    with pytest.raises(ValueError, match=text):
        Stepper(Recurrent("lstm", 4, 8, **options))


def test_arrays_and_tensors_give_the_same():
    layer = Recurrent("lstm", 4, 8)
    x = torch.randn(2, 4)
    tensor = Stepper(layer, 2).step(x)
    array = Stepper(layer, 2).step(x.numpy())
    assert isinstance(tensor, Tensor)
    assert isinstance(array, np.ndarray)
    assert np.array_equal(array, tensor.numpy())


def test_a_step_returns_the_memory_of_the_stepper():
    stepper = Stepper(Recurrent("lstm", 4, 8))
    first = stepper.step(torch.randn(1, 4))
    kept = first.clone()
    assert stepper.step(torch.randn(1, 4)) is first
    assert not torch.equal(first, kept)


def test_the_state_can_be_read_and_set():
    layer = Recurrent("lstm", 4, 8, num_layers=2)
    x = torch.randn(3, 2 * STEPS, 4)
    expected = run_whole(layer, x)[0][:, STEPS:]
    first, second = Stepper(layer, 3), Stepper(layer, 3)
    run_in_steps(first, x[:, :STEPS])
    state = first.state
    assert torch.equal(run_in_steps(first, x[:, STEPS:]), expected)
    second.state = state
    assert torch.equal(run_in_steps(second, x[:, STEPS:]), expected)


def test_reset_begins_anew():
    layer = Recurrent("lstm", 4, 8)
    x = torch.randn(3, STEPS, 4)
    stepper = Stepper(layer, 3)
    expected = run_in_steps(stepper, x)
    stepper.reset()
    assert torch.equal(run_in_steps(stepper, x), expected)
    state = stepper.state
    stepper.reset(1)
    assert all(not s[:, 1].any() for s in stepper.state)
    assert all(torch.equal(s[:, [0, 2]], t[:, [0, 2]]) for s, t in zip(stepper.state, state, strict=True))
    assert torch.equal(run_in_steps(stepper, x)[1], expected[1])


def test_a_stream_starts_where_the_cell_says():
    layer = Recurrent("slstm", 4, 8)
    assert any(s.abs().max() > 0 for s in layer.initial_state(2))
    assert_streams(layer, torch.randn(2, STEPS, 4))


def test_parameters_are_those_of_the_last_refresh():
    layer = Recurrent("peephole_lstm", 4, 8, num_layers=2)
    x = torch.randn(2, STEPS, 4)
    stepper = Stepper(layer, 2)
    before = run_in_steps(stepper, x)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(1.5)
    stepper.reset()
    assert torch.equal(run_in_steps(stepper, x), before)
    stepper.refresh()
    stepper.reset()
    assert torch.equal(run_in_steps(stepper, x), run_whole(layer, x)[0])


def test_refresh_keeps_the_state():
    layer = Recurrent("gru", 4, 8)
    x = torch.randn(1, STEPS, 4)
    stepper = Stepper(layer)
    found = run_in_steps(stepper, x[:, :2])
    stepper.refresh()
    assert torch.equal(torch.cat([found, run_in_steps(stepper, x[:, 2:])], 1), run_whole(layer, x)[0])


def test_a_stepper_outlives_its_layer():
    layer = Recurrent("lstm", 4, 8)
    x = torch.randn(1, STEPS, 4)
    expected = run_whole(layer, x)[0]
    stepper = Stepper(layer)
    # Another layer's memory, where the first one's would be written over.
    layer.layers[0] = copy.deepcopy(layer.layers[0])
    gc.collect()
    assert torch.equal(run_in_steps(stepper, x), expected)


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (torch.zeros(2, 5), r"shape \[2, 5\]; expected \[B, I\] = \[2, 4\]"),
        (torch.zeros(4), r"shape \[4\]; expected"),
        (torch.zeros(2, 4, dtype=torch.float64), "torch.float64; expected float32"),
        (torch.zeros(4, 2).T, "not contiguous"),
        (torch.zeros(2, 4, device="meta"), "on meta; expected it on the CPU"),
        (torch.zeros(2, 4, requires_grad=True), "wants a gradient"),
        (np.zeros((2, 4)), "float64; expected float32"),
        (np.zeros((4, 2), np.float32).T, "not contiguous"),
        (np.zeros((1, 4), np.float32), r"shape \[1, 4\]"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(x: Tensor, text: str):
    stepper = Stepper(Recurrent("lstm", 4, 8), 2)
    with pytest.raises(ValueError, match=text):
        stepper.step(x)


def test_an_input_of_another_type_is_refused():
    with pytest.raises(TypeError, match="list; expected a torch tensor or a numpy array"):
        Stepper(Recurrent("lstm", 2, 8)).step([[0.0, 0.0]])  # type: ignore[type-var]


def test_a_state_that_does_not_fit_is_refused():
    stepper = Stepper(Recurrent("lstm", 4, 8), 2)
    h, c = stepper.state
    with pytest.raises(ValueError, match="1 states given; expected 2: h, c"):
        stepper.state = (h,)
    with pytest.raises(ValueError, match=r"state c has shape \[1, 2, 7\]; expected \[L, B, W\] = \[1, 2, 8\]"):
        stepper.state = (h, c[..., :7])


@pytest.mark.parametrize("layer", [recurra.LSTM(3, 5), torch.nn.GRU(3, 5)], ids=["twin", "torch"])
def test_layers_of_torch_become_a_recurrent_first(layer: torch.nn.RNNBase):
    with pytest.raises(TypeError, match=r"Stepper\(Recurrent\.from_torch\(layer\)\)"):
        Stepper(layer)  # type: ignore[arg-type]
    x = torch.randn(1, 4, 3)
    stepper = Stepper(Recurrent.from_torch(layer))
    found = torch.stack([stepper.step(x[:, t].contiguous()).clone() for t in range(4)])
    torch.testing.assert_close(found, layer(x.transpose(0, 1))[0])


@pytest.mark.parametrize("options", [{"batch": 0}, {"threads": 0}])
def test_a_stepper_needs_rows_and_threads(options: dict[str, int]):
    with pytest.raises(ValueError, match="=0: a stepper needs at least 1"):
        Stepper(Recurrent("lstm", 4, 8), **options)


def test_what_the_native_engine_cannot_run_is_refused():
    with pytest.raises(ValueError, match="float32, and a tensor is float64"):
        Stepper(Recurrent("lstm", 4, 8).double())
    with pytest.raises(ValueError, match="it was asked for"):
        Stepper(Recurrent("lstm", 4, 8, engine="eager"))
