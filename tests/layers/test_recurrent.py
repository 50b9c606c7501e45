"""A stack of recurrent layers."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from recurra import cells
from recurra.cells.elementwise import qrnn
from recurra.cells.lstm import projected_lstm
from recurra.equations import CellError, Value, affine, cell, tanh
from recurra.layers import Recurrent

from ..engines.specimens import conditioned, skip_by_mask


@cell(state=("h",))
def lettered(x: Value, h: Value):
    a = tanh(affine("a", x, bias=False))
    b = tanh(affine("b", x, bias=False))
    h = tanh(affine("c", a * b, h, bias=False))
    return h, (h,)


def test_shapes_and_names():
    layer = Recurrent("lstm", 5, 8, num_layers=2)
    output, state = layer(torch.randn(3, 4, 5))
    assert output.shape == (3, 4, 8) and layer.output_size == 8
    assert [s.shape for s in state] == [(2, 3, 8), (2, 3, 8)]
    assert layer.cell is cells.get("lstm") and layer.cell.doc
    names = dict(layer.named_parameters())
    assert names["layers.0.W"].shape == (32, 5) and names["layers.1.W"].shape == (32, 8)
    assert names["layers.1.U"].shape == (32, 8) and names["layers.0.b"].shape == (32,)
    assert len(names) == 6


def test_parameters_of_a_kind_share_an_array():
    layer = Recurrent("lstm", 5, 8, num_layers=2)
    for k, gate in enumerate("ifgo"):
        assert torch.equal(layer.parameter(1, f"U_{gate}"), layer.layers[1].U[8 * k : 8 * k + 8])
    with torch.no_grad():
        layer.parameter(0, "b_f").fill_(1.0)
    assert (layer.layers[0].b[8:16] == 1).all()
    with pytest.raises(ValueError, match=r"no parameter `W_j`; did you mean 'W_[a-z]'.*W_i, W_f"):
        layer.parameter(0, "W_j")
    # One letter, several shapes or sides: the ends tell them apart; what has no like keeps its name.
    assert set(Recurrent("peephole_lstm", 5, 8).layers[0].arrays) == {"W", "U", "b", "p"}
    assert set(Recurrent("elman", 5, 8).layers[0].arrays) == {"W_h", "U_h", "b_h"}
    two = Recurrent(qrnn, 5, 8).layers[0].arrays
    assert {n: tuple(p.shape) for n, p in two.items()} == {"W": (24, 5), "U": (24, 5), "b": (24,)}
    mixed = Recurrent(lettered, 5, 8).layers[0].arrays
    assert {n: tuple(p.shape) for n, p in mixed.items()} == {"W_a_b": (16, 5), "W_c": (8, 8), "U_c": (8, 8)}


def test_the_last_output_of_a_plain_cell_is_its_state():
    output, (h,) = Recurrent("gru", 5, 8, num_layers=3)(torch.randn(2, 6, 5))
    assert torch.equal(output[:, -1], h[-1])


def test_a_stack_is_its_layers_one_after_another():
    stack = Recurrent("lstm", 5, 8, num_layers=2)
    single = [Recurrent("lstm", size, 8) for size in (5, 8)]
    for k, layer in enumerate(single):
        layer.layers[0].load_state_dict(stack.layers[k].state_dict())
    x, state = torch.randn(3, 4, 5), tuple(torch.randn(2, 3, 8) for _ in "hc")
    output, final = stack(x, state)
    below, first = single[0](x, tuple(s[:1] for s in state))
    above, second = single[1](below, tuple(s[1:] for s in state))
    torch.testing.assert_close(output, above)
    for s, a, b in zip(final, first, second, strict=True):
        torch.testing.assert_close(s, torch.cat([a, b]))


@pytest.mark.parametrize("cell", ["lstm", "mut1", qrnn], ids=str)
def test_a_sequence_in_parts_is_the_whole(cell):
    layer = Recurrent(cell, 5, 8).eval()
    x = torch.randn(3, 7, 5)
    with torch.no_grad():
        whole, final = layer(x)
        state, parts = layer.initial_state(3), []
        for part in (x[:, :2], x[:, 2:3], x[:, 3:]):
            output, state = layer(part, state)
            parts.append(output)
        assert torch.equal(torch.cat(parts, 1), whole)
        assert all(torch.equal(a, b) for a, b in zip(state, final, strict=True))
        state, steps = layer.initial_state(3), []
        for t in range(7):
            output, state = layer.step(x[:, t], state)
            steps.append(output)
        assert torch.equal(torch.stack(steps, 1), whole)


def test_no_state_is_a_state_of_zeros():
    layer = Recurrent("peephole_lstm", 5, 8, num_layers=2)
    x = torch.randn(3, 4, 5)
    zeros = layer.initial_state(3)
    assert [s.shape for s in zeros] == [(2, 3, 8)] * 2 and not any(s.any() for s in zeros)
    assert torch.equal(layer(x)[0], layer(x, zeros)[0])
    like = layer.initial_state(3, torch.zeros(1, dtype=torch.float64))
    assert like[0].dtype == torch.float64
    assert layer.double().initial_state(1)[0].dtype == torch.float64


@pytest.mark.parametrize("name", cells.names())
def test_engines_agree_on_a_stack(name: str):
    layer = Recurrent(name, 8, 8, num_layers=2, widths={"O": 8, "P": 8})
    x = torch.randn(3, 4, 8)
    found = {}
    for engine in ("eager", "native"):
        layer.engine = engine
        given = x.clone().requires_grad_()
        output, state = layer(given)
        loss = output.square().sum() + sum(s.sum() for s in state)
        found[engine] = [output, *state, *torch.autograd.grad(loss, [given, *layer.parameters()])]
    for a, b in zip(*found.values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=2e-5 * (1 + b.abs().max().item()))


def test_every_parameter_starts_within_the_bound_or_where_the_equations_say():
    layer = Recurrent("layer_norm_lstm", 20, 25, num_layers=2)
    for name, p in layer.named_parameters():
        kind = name.split(".")[-1].split("_")[0]
        if kind == "gain":
            assert (p == 1).all()
        elif kind == "shift":
            assert (p == 0).all()
        else:
            assert p.abs().max() <= 0.2 and p.std() > 0.05
    before = layer.parameter(0, "U_ih").clone()
    torch.manual_seed(1)
    layer.reset_parameters()
    assert not torch.equal(before, layer.parameter(0, "U_ih"))
    torch.manual_seed(1)
    again = Recurrent("layer_norm_lstm", 20, 25, num_layers=2)
    assert torch.equal(again.parameter(1, "W_fx"), layer.parameter(1, "W_fx"))


def test_dropout_lies_between_layers_and_only_in_training():
    x = torch.randn(4, 6, 5)
    stack = Recurrent("elman", 5, 8, num_layers=2, dropout=0.5)
    torch.manual_seed(1)
    first = stack(x)[0]
    assert not torch.equal(first, stack(x)[0])
    torch.manual_seed(1)
    assert torch.equal(first, stack(x)[0])
    plain = Recurrent("elman", 5, 8, num_layers=2)
    plain.load_state_dict(stack.state_dict())
    assert torch.equal(stack.eval()(x)[0], plain(x)[0])
    # Neither before the first layer nor behind the last: one layer has no place for it.
    single = Recurrent("elman", 5, 8, dropout=0.9)
    assert torch.equal(single(x)[0], single(x)[0])
    # The lower layer's own states are whole.
    assert torch.equal(stack.train()(x)[1][0][0], plain(x)[1][0][0])


def test_a_double_layer_runs_and_another_dtype_of_input_is_refused():
    layer = Recurrent("gru", 5, 8).double()
    assert layer(torch.randn(2, 3, 5, dtype=torch.float64))[0].dtype == torch.float64
    layer.engine = "native"
    with pytest.raises(ValueError, match="float64"):
        layer(torch.randn(2, 3, 5, dtype=torch.float64))


@pytest.mark.parametrize("cell", ["lstm", "elman_relu"])
def test_a_copy_is_apart_and_a_pickle_comes_back(cell: str):
    layer = Recurrent(cell, 5, 8)
    x = torch.randn(2, 3, 5)
    expected = layer(x)[0].detach()  # plans are made
    twin, back = copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))
    with torch.no_grad():
        for p in layer.parameters():
            p.zero_()
    for other in (twin, back):
        assert torch.equal(other(x)[0], expected)
        assert other.cell.name == cell
    assert not torch.equal(layer(x)[0], expected)


def test_works_under_inference_mode():
    layer = Recurrent("lstm", 5, 8)
    x = torch.randn(2, 3, 5)
    expected = layer(x)[0].detach()
    with torch.inference_mode():
        assert torch.equal(layer(x)[0], expected)
        made = Recurrent("lstm", 5, 8)
        made.load_state_dict(layer.state_dict())
    with torch.no_grad():
        assert torch.equal(made(x)[0], expected)


MISTAKES: dict[str, tuple[Callable[[], object], str]] = {
    "no units": (lambda: Recurrent("lstm", 5, 0), "hidden_size is 0; expected at least 1"),
    "no layers": (lambda: Recurrent("lstm", 5, 8, num_layers=0), "num_layers is 0"),
    "a dropout of 1": (lambda: Recurrent("lstm", 5, 8, dropout=1.0), "dropout is 1.0; expected a probability"),
    "no such cell": (lambda: Recurrent("lsmt", 5, 8), "no cell `lsmt`; did you mean 'lstm'"),
    "no such engine": (lambda: Recurrent("lstm", 5, 8, engine="natve"), "no engine `natve`; did you mean 'native'"),
    "two inputs": (lambda: Recurrent(skip_by_mask, 5, 8), "takes x, mask, drive; a layer feeds one input"),
    "a static": (lambda: Recurrent(conditioned, 5, 8), r"takes a static input s; give its columns: static_size="),
    "an unknown width": (lambda: Recurrent(projected_lstm, 5, 8), "a width P, which this layer cannot know"),
    "a window over two widths": (
        lambda: Recurrent(qrnn, 5, 8, num_layers=2),
        "inputs of one width; here they have 5 and 8",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_layer_that_cannot_be_made_says_why(mistake: str):
    make, message = MISTAKES[mistake]
    with pytest.raises(ValueError, match=message):
        make()


def test_windows_stack_where_widths_are_equal():
    layer = Recurrent(qrnn, 8, 8, num_layers=2)
    x = torch.randn(2, 3, 8)
    output, state = layer(x)
    assert torch.equal(state[0][0], x[:, -1])
    assert layer(x, state)[0].shape == output.shape


CALLS: dict[str, tuple[Callable[[Recurrent], object], str]] = {
    "no time axis": (lambda m: m(torch.zeros(2, 5)), r"input has shape \[2, 5\]; expected \[B, T, 5\]"),
    "another width": (lambda m: m(torch.zeros(2, 3, 6)), r"input has shape \[2, 3, 6\]; expected \[B, T, 5\]"),
    "no row": (lambda m: m(torch.zeros(0, 3, 5)), r"\[0, 3, 5\]; expected at least one row and one step"),
    "no step": (lambda m: m(torch.zeros(2, 0, 5)), r"\[2, 0, 5\]; expected at least one row and one step"),
    "one state of two": (lambda m: m(torch.zeros(2, 3, 5), (torch.zeros(1, 2, 8),)), r"1 states given; .* has 2: h, c"),
    "a state of another batch": (
        lambda m: m(torch.zeros(2, 3, 5), (torch.zeros(1, 2, 8), torch.zeros(1, 3, 8))),
        r"state c has shape \[1, 3, 8\]; expected \[L, B, W\] = \[1, 2, 8\]",
    ),
}


@pytest.mark.parametrize("mistake", CALLS)
def test_a_call_that_does_not_fit_says_why(mistake: str):
    call, message = CALLS[mistake]
    with pytest.raises(ValueError, match=message):
        call(Recurrent("lstm", 5, 8))


def test_an_unknown_cell_is_a_cell_error_too():
    with pytest.raises(CellError):
        Recurrent("transformer", 5, 8)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("name", "options"),
    [("RNN", {"nonlinearity": "relu"}), ("LSTM", {}), ("LSTM", {"proj_size": 3, "dtype": torch.float64}), ("GRU", {})],
    ids=["RNN", "LSTM", "projected", "GRU"],
)
def test_a_stack_of_torchs_layers(name: str, options: dict[str, Any], bias: bool):
    theirs = getattr(nn, name)(5, 8, num_layers=2, bidirectional=True, bias=bias, dropout=0.5, **options).eval()
    ours = Recurrent.from_torch(theirs)
    x = torch.randn(3, 4, 5, dtype=options.get("dtype"))
    (expected, final), (found, state) = theirs(x.transpose(0, 1)), ours(x)
    torch.testing.assert_close(found.transpose(0, 1), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(state, final if name == "LSTM" else (final,), rtol=1e-5, atol=1e-6)
    assert ours.dropout == 0.5 and not ours.training


def test_another_module_is_no_stack_of_torchs_layers():
    with pytest.raises(TypeError, match=r"torch\.nn's RNN, LSTM or GRU, or recurra's; got Linear"):
        Recurrent.from_torch(nn.Linear(2, 3))  # type: ignore[arg-type]


# What a parameter holds is read anew at every call, however it was changed.


def fused_update(layer: Recurrent) -> None:
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.5, fused=True)
    layer(torch.ones(2, 3, 5))[0].sum().backward()
    optimizer.step()


def write_through_data(layer: Recurrent) -> None:
    for p in layer.parameters():
        p.data.copy_(-2 * p.data)


def replace_data(layer: Recurrent) -> None:
    for p in layer.parameters():
        p.data = -2 * p.data


def write_through_numpy(layer: Recurrent) -> None:
    for p in layer.parameters():
        p.detach().numpy()[...] *= -2


def from_one_vector(layer: Recurrent) -> None:
    size = sum(p.numel() for p in layer.parameters())
    nn.utils.vector_to_parameters(torch.randn(size), layer.parameters())


def load(layer: Recurrent) -> None:
    layer.load_state_dict({n: -2 * v for n, v in layer.state_dict().items()}, assign=True)


CHANGES = [fused_update, write_through_data, replace_data, write_through_numpy, from_one_vector, load]


@pytest.mark.parametrize("change", CHANGES, ids=lambda f: f.__name__)
def test_a_changed_parameter_is_seen(change: Callable[[Recurrent], None]):
    layer = Recurrent("lstm", 5, 8, engine="native")
    x = torch.randn(1, 2, 5)
    with torch.no_grad():
        before = layer(x)[0]
    change(layer)
    with torch.no_grad():
        after = layer(x)[0]
        layer.engine = "eager"
        torch.testing.assert_close(after, layer(x)[0])
    assert not torch.allclose(before, after)
