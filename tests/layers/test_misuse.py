"""What does not fit is refused in clear words; what is unusual and allowed works."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import recurra
from recurra.layers import Decoder, Initialisation, Normalisation, linear_cross_entropy

X = torch.zeros(2, 4, 3)
PACKED = pack_padded_sequence(torch.zeros(4, 2, 3), torch.tensor([4, 2]))
H = torch.zeros(1, 2, 5)


@pytest.mark.parametrize("x", [np.zeros((2, 4, 3), np.float32), [[0.0]], None, PACKED])
def test_an_input_that_is_no_tensor_is_a_type_error(x: Any):
    with pytest.raises(TypeError, match=r"the input is a \w+; expected a tensor \[B, T, 3\]"):
        recurra.Recurrent("lstm", 3, 5)(x)


@pytest.mark.parametrize("state", [H, (None, None), (H, None)])
def test_a_state_that_is_no_tuple_of_tensors_is_a_type_error(state: Any):
    with pytest.raises(TypeError, match="no tuple of tensors; expected one for each of h, c"):
        recurra.Recurrent("lstm", 3, 5)(X, state)


@pytest.mark.parametrize("resets", [True, [[False] * 4] * 2])
def test_resets_that_are_no_tensor_are_a_type_error(resets: Any):
    with pytest.raises(TypeError, match=r"expected a bool tensor \[B, T\] = \[2, 4\]"):
        recurra.Recurrent("lstm", 3, 5)(X, resets=resets)


@pytest.mark.parametrize("lengths", [{1, 2}, [1, None], "12", [[1], [2, 3]]])
def test_lengths_that_are_no_numbers_are_a_type_error(lengths: Any):
    with pytest.raises(TypeError, match=r"lengths are .*; expected a whole number for each row"):
        recurra.Recurrent("lstm", 3, 5)(X, lengths=lengths)


@pytest.mark.parametrize("option", ["regularisation", "normalisation", "initialisation", "feedback"])
def test_an_option_of_another_type_is_a_type_error(option: str):
    with pytest.raises(TypeError, match=f"{option} is 'layer', a str; expected {option.title()}"):
        recurra.Recurrent("lstm", 3, 5, **{option: "layer"})


def test_a_cell_or_an_attention_of_another_type_is_a_type_error():
    for kind in (recurra.Recurrent, Decoder):
        with pytest.raises(TypeError, match="cell is 3, a int; expected a cell, or the name of one"):
            kind(3, 3, 5)
    with pytest.raises(TypeError, match="attention is 'dot', a str; expected Attention"):
        Decoder("gru", 3, 5, memory_size=4, attention="dot")
    with pytest.raises(ValueError, match=r"the static input is a list; expected \[B, S\] = \[2, 1\]"):
        recurra.Recurrent("lstm", 3, 5, static_size=1)(X, static=[[1.0], [2.0]])


@pytest.mark.parametrize(
    ("x", "state", "said"),
    [
        (X.double(), None, "parameter W_i, W_f, W_g, W_o is float32 on cpu, and input x is float64 on cpu"),
        (X.long(), None, "input x is int64 on cpu"),
        (X.to("meta"), None, "input x is float32 on meta"),
        (X, (H.double(), H), "state h is float64 on cpu, and input x is float32 on cpu"),
        (X, (H, H.to("meta")), "state c is float32 on meta"),
    ],
)
def test_arrays_of_two_kinds_are_named(x: Tensor, state: Any, said: str):
    with pytest.raises(ValueError, match=f"{said}.*expected one dtype and one device"):
        recurra.Recurrent("lstm", 3, 5)(x, state)


@pytest.mark.parametrize(
    ("cell", "options", "said"),
    [
        ("projected_lstm", {"widths": {"P": 0}}, "the width P of cell projected_lstm is 0"),
        ("jordan", {"widths": {"O": -1}}, "the width O of cell jordan is -1"),
        ("lstm", {"num_layers": 1.5}, "num_layers is 1.5; expected at least 1, a whole number"),
    ],
)
def test_a_size_that_is_none_is_refused_when_the_layer_is_made(cell: str, options: dict[str, Any], said: str):
    with pytest.raises(ValueError, match=said):
        recurra.Recurrent(cell, 3, 5, **options)


def test_autocast_may_bring_other_dtypes_together():
    with torch.autocast("cpu", torch.bfloat16):
        assert recurra.Recurrent("gru", 3, 5)(X.bfloat16())[0].shape == (2, 4, 5)


@pytest.mark.parametrize("sizes", [[2, 3], [5], [2, -1], [], [4, -1, 1]])
def test_a_packed_sequence_that_contradicts_itself_is_refused(sizes: list[int]):
    packed = PackedSequence(torch.zeros(4, 3), torch.tensor(sizes, dtype=torch.int64))
    with pytest.raises((RuntimeError, IndexError)):
        nn.GRU(3, 5)(packed)
    with pytest.raises(RuntimeError, match=r"batch_sizes .*expected numbers that never rise and add up"):
        recurra.GRU(3, 5)(packed)


def test_a_state_of_another_dtype_is_torchs_error():
    for layer in (nn.GRU(3, 5, batch_first=True), recurra.GRU(3, 5, batch_first=True)):
        with pytest.raises(RuntimeError):
            layer(X, H.double())


def test_targets_on_another_device_are_refused():
    with pytest.raises(ValueError, match="targets are on meta and the features on cpu"):
        linear_cross_entropy(
            torch.randn(4, 3), torch.randn(5, 3), None, torch.zeros(4, dtype=torch.int64, device="meta")
        )


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("cls", [recurra.GRU, recurra.LSTM, recurra.RNN])
def test_outputs_may_be_changed_in_place_as_torchs(cls: Any, batch_first: bool):
    layer = cls(3, 5, batch_first=batch_first)
    x = X.clone().requires_grad_()
    layer(x)[0].relu_().sum().backward()
    assert x.grad is not None


OPTIONS = {
    "twin": lambda: recurra.GRU(3, 5, num_layers=2, bidirectional=True, batch_first=True),
    "initialised": lambda: recurra.Recurrent("lstm", 3, 5, initialisation=Initialisation(forget_bias=1.0)),
    "normalised": lambda: recurra.Recurrent("gru", 3, 5, normalisation=Normalisation("batch", "projection")),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_torchs_default_device_changes_no_layer_that_is_made(name: str):
    """Modules that are made under it are on it; those that were made before run where they are."""
    layer, x = OPTIONS[name](), torch.randn(2, 4, 3)
    expected = layer(x)[0]
    with torch.device("meta"):
        assert torch.equal(layer(x)[0], expected)
        assert next(OPTIONS[name]().parameters()).is_meta


def test_a_packed_sequence_runs_under_another_default_device():
    layer = recurra.GRU(3, 5)
    expected = layer(PACKED)[0].data
    with torch.device("meta"):
        assert torch.equal(layer(PACKED)[0].data, expected)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_a_copy_of_a_stepper_goes_its_own_way(copied: Any):
    layer = recurra.Recurrent("gru", 3, 5, num_layers=2, static_size=2)
    stepper, x = recurra.Stepper(layer, 2), torch.randn(2, 3)
    stepper.static = torch.ones(2, 2)
    stepper.step(x)
    other = copied(stepper)
    expected = stepper.step(x).clone()
    stepper.reset()
    assert torch.equal(other.step(x), expected)


def test_a_stepper_made_in_inference_mode_steps_on_outside():
    with torch.inference_mode():
        stepper = recurra.Stepper(recurra.Recurrent("gru", 3, 5))
    stepper.step(torch.ones(1, 3))
    stepper.reset()
    stepper.state = tuple(torch.ones_like(s) for s in stepper.state)


@pytest.mark.parametrize("setting", ["float64", "bfloat16", "meta"])
def test_torchs_defaults_change_no_stepper(setting: str):
    layer, x = recurra.Recurrent("gru", 3, 5, residual=True, num_layers=2), torch.randn(1, 3)
    expected = recurra.Stepper(layer).step(x).clone()
    if setting == "meta":
        with torch.device("meta"):
            assert torch.equal(recurra.Stepper(layer).step(x), expected)
        return
    torch.set_default_dtype(getattr(torch, setting))
    try:
        assert torch.equal(recurra.Stepper(layer).step(x), expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_stepper_refuses_a_tensor_that_is_the_negative_of_its_memory():
    with pytest.raises(ValueError, match="resolve_neg"):
        recurra.Stepper(recurra.Recurrent("gru", 3, 5)).step(torch._neg_view(torch.ones(1, 3)))  # type: ignore[attr-defined]
