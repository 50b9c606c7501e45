"""RNN, LSTM and GRU against torch.nn's, for every combination of options."""

import itertools
import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence

import recurra

INPUTS, UNITS = 3, 5
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "RNN": ("RNN", {}),
    "RNN-relu": ("RNN", {"nonlinearity": "relu"}),
    "LSTM": ("LSTM", {}),
    "LSTM-projected": ("LSTM", {"proj_size": 2}),
    "GRU": ("GRU", {}),
}
FORMS = ("batch", "one row", "packed", "packed unsorted")


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """The same numbers in every run, on one thread: fast also where the processor is shared."""
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pair(kind: str, **options: Any) -> tuple[nn.RNNBase, nn.RNNBase]:
    """torch's layer and ours, made from the same seed."""
    name, fixed = KINDS[kind]
    made = []
    for module in (nn, recurra):
        torch.manual_seed(1)
        made.append(getattr(module, name)(INPUTS, UNITS, **fixed, **options))
    return made[0], made[1]


def combinations(kind: str) -> Iterator[tuple[dict[str, Any], str, bool]]:
    """Options, the form of the input, and whether states are given."""
    draw = random.Random(kind)
    flags = (True, False)
    for layers, bias, first, both, dropout, form in itertools.product((1, 3), flags, flags, flags, (0.0, 0.4), FORMS):
        if dropout and layers == 1:
            continue
        options = {
            "num_layers": layers, "bias": bias, "batch_first": first, "bidirectional": both, "dropout": dropout,
            "dtype": draw.choice((torch.float32, torch.float64)),
        }  # fmt: skip
        yield options, form, draw.choice(flags)


def example(layer: nn.RNNBase, form: str, with_states: bool) -> tuple[Tensor, tuple[Tensor, ...] | None]:
    """An input that is still to be packed, and states; all want their gradients."""
    dtype = layer.weight_ih_l0.dtype
    steps, rows = 4, 3
    shape = (rows, steps) if layer.batch_first else (steps, rows)
    x = torch.randn(*(shape if form != "one row" else (steps,)), INPUTS, dtype=dtype, requires_grad=True)
    if not with_states:
        return x, None
    layers = layer.num_layers * (2 if layer.bidirectional else 1)
    widths = (layer.proj_size or UNITS, UNITS) if layer.mode == "LSTM" else (UNITS,)
    lead = (layers,) if form == "one row" else (layers, rows)
    return x, tuple(torch.randn(*lead, w, dtype=dtype, requires_grad=True) for w in widths)


def results(layer: nn.RNNBase, form: str, x: Tensor, states: tuple[Tensor, ...] | None) -> list[Tensor]:
    """Outputs, final states, and the gradients of everything for random gradients of these."""
    torch.manual_seed(2)  # of the dropout
    hx = None if states is None else states if layer.mode == "LSTM" else states[0]
    given: Any = x
    if form.startswith("packed"):
        lengths = torch.tensor([4, 2, 1] if form == "packed" else [2, 4, 1])
        given = pack_padded_sequence(x, lengths, layer.batch_first, enforce_sorted=form == "packed")
    output, final = layer(given, hx)
    assert isinstance(output, PackedSequence) == isinstance(given, PackedSequence)
    outputs = output.data if isinstance(output, PackedSequence) else output
    found = [outputs, *(final if layer.mode == "LSTM" else (final,))]
    torch.manual_seed(3)
    sources = [x, *(states or ()), *layer.parameters()]
    return [*found, *torch.autograd.grad(found, sources, [torch.randn(y.shape, dtype=y.dtype) for y in found])]


@pytest.mark.parametrize("kind", KINDS)
def test_every_combination_is_as_torchs(kind: str):
    count = 0
    for options, form, with_states in combinations(kind):
        theirs, ours = pair(kind, **options)
        inputs = example(theirs, form, with_states)
        tolerance = 1e-5 if options["dtype"] is torch.float32 else 1e-12
        for k, (found, expected) in enumerate(zip(*(results(m, form, *inputs) for m in (ours, theirs)), strict=True)):
            torch.testing.assert_close(
                found,
                expected,
                rtol=tolerance,
                atol=tolerance,
                msg=lambda text, at=(options, form, with_states, k): f"{at}: {text}",
            )
        count += 1
    assert count == 96


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_moves_both_ways(kind: str):
    theirs, ours = pair(kind, num_layers=2, bidirectional=True)
    assert repr(ours) == repr(theirs)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in theirs.state_dict().items()}
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))  # of one seed
    for source, target in ((theirs, ours), (ours, theirs)):
        with torch.no_grad():
            for p in source.parameters():
                p.normal_(std=0.3)
        target.load_state_dict(source.state_dict())
        x = torch.randn(4, 2, INPUTS)
        torch.testing.assert_close(ours(x)[0], theirs(x)[0])


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_are_drawn_anew_as_torchs_are(kind: str):
    theirs, ours = pair(kind)
    for layer in (theirs, ours):
        torch.manual_seed(7)
        layer.reset_parameters()
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    ours.flatten_parameters()
    assert [len(arrays) for arrays in ours.all_weights] == [len(arrays) for arrays in theirs.all_weights]


def test_arguments_by_position():
    assert recurra.RNN(3, 5, 2, "relu", False, True, 0.5, True).extra_repr() == (
        nn.RNN(3, 5, 2, "relu", False, True, 0.5, True).extra_repr()
    )
    for name in ("LSTM", "GRU"):
        arguments = (3, 5, 2, False, True, 0.5, True)
        assert repr(getattr(recurra, name)(*arguments)) == repr(getattr(nn, name)(*arguments))
    assert recurra.LSTM(3, 5, 1, True, False, 0.0, False, 2).weight_hr_l0.shape == (2, 5)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ((3, 5), {"dropout": 1.5}),
        ((3, 5), {"dropout": True}),
        ((0, 5), {}),
        ((3, -1), {}),
        ((3.0, 5), {}),
        ((3, 5), {"num_layers": 0}),
        ((3, 5), {"bias": 1}),
        ((3, 5), {"batch_first": "yes"}),
        ((3, 5), {"proj_size": 5}),
        ((3, 5), {"proj_size": -1}),
        ((3,), {}),
        ((3, 5), {"hidden": 4}),
    ],
)
def test_a_wrong_constructor_fails_as_torchs(name: str, arguments: tuple[Any, ...], options: dict[str, Any]):
    with pytest.raises((ValueError, TypeError)) as expected:
        getattr(nn, name)(*arguments, **options)
    with pytest.raises(expected.type) as found:
        getattr(recurra, name)(*arguments, **options)
    assert str(found.value) == str(expected.value)


def test_a_wrong_nonlinearity_fails_as_torchs():
    for module in (nn, recurra):
        with pytest.raises(ValueError, match=r"Unknown nonlinearity 'sine'\. Select from 'tanh' or 'relu'\."):
            module.RNN(3, 5, nonlinearity="sine")


def test_dropout_of_one_layer_warns_as_torchs():
    for module in (nn, recurra):
        with pytest.warns(UserWarning, match="dropout option adds dropout after all but last"):
            module.GRU(3, 5, dropout=0.5)


def zeros(*shapes: tuple[int, ...]) -> tuple[Tensor, ...]:
    return tuple(torch.zeros(s) for s in shapes)


@pytest.mark.parametrize(
    ("name", "x", "hx"),
    [
        ("LSTM", torch.zeros(3), None),
        ("GRU", torch.zeros(1, 4, 2, 3), None),
        ("LSTM", torch.zeros(4, 2, 4), None),
        ("RNN", torch.zeros(4, 2, 3, dtype=torch.float64), None),
        ("GRU", torch.zeros(0, 2, 3), None),
        ("GRU", torch.zeros(4, 2, 3), torch.zeros(2, 5)),
        ("GRU", torch.zeros(4, 3), torch.zeros(1, 2, 5)),
        ("RNN", torch.zeros(4, 2, 3), torch.zeros(1, 3, 5)),
        ("LSTM", torch.zeros(4, 2, 3), zeros((1, 2, 5), (1, 2, 4))),
        ("LSTM", torch.zeros(4, 2, 3), zeros((2, 2, 5), (1, 2, 5))),
        ("LSTM", torch.zeros(4, 2, 3), zeros((2, 5), (2, 5))),
        ("GRU", pack_sequence([torch.zeros(4, 2), torch.zeros(2, 2)]), None),
    ],
)
def test_a_wrong_call_fails_as_torchs(name: str, x: Any, hx: Any):
    with pytest.raises((ValueError, RuntimeError)) as expected:
        getattr(nn, name)(3, 5)(x, hx)
    with pytest.raises(expected.type) as found:
        getattr(recurra, name)(3, 5)(x, hx)
    assert str(found.value).split()[:3] == str(expected.value).split()[:3]


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_tensors_in_two_places_fail_as_torchs(name: str):
    elsewhere, x = torch.zeros(1, 2, 5, device="meta"), torch.zeros(4, 2, 3)
    calls = [(x.to("meta"), None), (x, (elsewhere, elsewhere) if name == "LSTM" else elsewhere)]
    for given in calls:
        with pytest.raises(RuntimeError, match="same device"):
            getattr(nn, name)(3, 5)(*given)
        with pytest.raises(RuntimeError, match="tensors are not at the same device"):
            getattr(recurra, name)(3, 5)(*given)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layers", [1, 2])
def test_the_output_lies_as_torchs_whatever_the_input_does(kind: str, layers: int):
    theirs, ours = pair(kind, num_layers=layers)
    for x in (torch.randn(2, 4, INPUTS).transpose(0, 1), torch.randn(4, 1, INPUTS).expand(4, 2, INPUTS)):
        assert theirs(x)[0].is_contiguous()
        found = ours(x)[0]
        torch.testing.assert_close(found.view(8, -1), theirs(x)[0].view(8, -1), rtol=1e-5, atol=1e-6)


def test_states_of_other_rows_than_a_packed_input_are_an_error():
    x = pack_sequence([torch.zeros(4, 3), torch.zeros(2, 3)])
    with pytest.raises(RuntimeError, match=r"Expected hidden\[0\] size \(1, 2, 5\), got \[1, 3, 5\]"):
        recurra.LSTM(3, 5)(x, zeros((1, 3, 5), (1, 3, 5)))


@pytest.mark.parametrize("hx", [torch.zeros(1, 2, 5), zeros((1, 2, 5))])
def test_an_lstm_wants_two_states(hx: Any):
    with pytest.raises(TypeError, match=r"Expected hx to be a tuple \(h_0, c_0\)"):
        recurra.LSTM(3, 5)(torch.zeros(4, 2, 3), hx)


@pytest.mark.parametrize("kind", KINDS)
def test_no_rows_give_no_outputs_and_zero_gradients(kind: str):
    theirs, ours = pair(kind)
    for layer in (theirs, ours):
        output, _ = layer(torch.randn(4, 0, INPUTS))
        assert output.shape == (4, 0, layer.proj_size or UNITS)
        output.sum().backward()
        assert not any(p.grad.any() for p in layer.parameters())


def test_a_parameter_may_be_replaced():
    """By a parametrisation, and by a plain attribute, as weight-drop scripts do."""
    layers = pair("LSTM")
    x = torch.randn(4, 2, INPUTS)
    for layer in layers:
        torch.nn.utils.parametrizations.weight_norm(layer, "weight_hh_l0")
    torch.testing.assert_close(layers[1](x)[0], layers[0](x)[0])
    layers[1](x)[0].sum().backward()
    assert all(p.grad is not None for p in layers[1].parameters())

    layer = recurra.GRU(INPUTS, UNITS)
    whole = layer.weight_hh_l0.detach()
    del layer.weight_hh_l0
    layer.weight_hh_l0 = whole * 0
    assert not torch.equal(layer(x)[0][-1], nn.GRU(INPUTS, UNITS)(x)[0][-1])
    zeroed = nn.GRU(INPUTS, UNITS)
    zeroed.load_state_dict({**layer.state_dict(), "weight_hh_l0": whole * 0})
    torch.testing.assert_close(layer(x)[0], zeroed(x)[0])


def test_the_cells_are_torchs():
    """A step alone gives an engine nothing to take out of the loop."""
    assert recurra.LSTMCell is nn.LSTMCell and recurra.GRUCell is nn.GRUCell and recurra.RNNCell is nn.RNNCell
