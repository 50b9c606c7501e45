"""What parameters start from."""

from collections.abc import Callable

import pytest
import torch

from recurra import cells
from recurra.equations.program import Program
from recurra.layers import Initialisation, Recurrent
from recurra.layers.gates import find_gates

H = 8


def made(cell: str, **options: object) -> Recurrent:
    return Recurrent(cell, 5, H, num_layers=2, initialisation=Initialisation(**options))  # type: ignore[arg-type]


def test_uniform_within_a_bound_of_ones_own():
    layer = made("layer_norm_lstm", bound=0.01)
    for name, p in layer.named_parameters():
        assert p.abs().max() <= 0.01 or ("gain" in name and (p == 1).all())


@pytest.mark.parametrize("cell", ["lstm", "gru_after", "slstm"])
def test_recurrent_matrices_orthogonal_each(cell: str):
    layer = made(cell, recurrent="orthogonal")
    matrices = [p for p in layer.program.parameters.values() if p.name.startswith("U_")]
    for p in matrices:
        for block in layer.parameter(1, p.name).chunk(p.blocks):
            torch.testing.assert_close(block @ block.T, torch.eye(len(block)), atol=1e-5, rtol=0)
    assert len(matrices) > 1 and layer.parameter(0, "W_i" if cell != "gru_after" else "W_r").abs().max() <= H**-0.5


def test_identity_and_biases_of_zero():
    layer = made("elman_relu", recurrent="identity")
    for k in range(2):
        assert torch.equal(layer.layers[k].U_h, torch.eye(H)) and not layer.layers[k].b_h.any()


GATES = {
    "lstm": ({"b_f": 1}, {"b_i": "b_f"}),
    "coupled_lstm": ({"b_f": 1}, {}),
    "peephole_lstm": ({"b_f": 1}, {"b_i": "b_f"}),
    "layer_norm_lstm": ({"shift_fx": 1}, {}),
    "slstm": ({"b_f": 1}, {"b_i": "b_f"}),
    "gru": ({"b_z": 1}, {}),
    "gru_after": ({"b_z": 1}, {}),
    "minimal_gated": ({"b_f": -1}, {}),
    "mut1": ({"b_z": -1}, {}),
    "mut2": ({"b_z": -1}, {}),
    "ligru": ({"b_z": 1}, {}),
    "sru": ({"b_f": 1}, {}),
    "min_lstm": ({"b_f": 1}, {"b_i": "b_f"}),
    "elman": ({}, {}),
    "residual_rnn": ({}, {}),
}


@pytest.mark.parametrize("cell", GATES)
def test_gates_are_found_by_what_they_do(cell: str):
    gates = find_gates(Program(cells.get(cell)), {"I": 3, "H": H})
    assert (gates.keeping, gates.taking) == GATES[cell]


@pytest.mark.parametrize(("cell", "name", "value"), [("lstm", "b_f", 1.5), ("mut1", "b_z", -1.5), ("gru", "b_z", 1.5)])
def test_forget_bias_opens_the_gate_that_keeps(cell: str, name: str, value: float):
    layer = made(cell, forget_bias=1.5)
    assert (layer.parameter(0, name) == value).all() and (layer.parameter(1, name) == value).all()
    other = next(n for n in layer.program.parameters if n.startswith("b_") and n != name)
    assert layer.parameter(0, other).abs().max() <= H**-0.5


def test_chrono_spreads_the_spans_of_memory():
    layer = Recurrent("lstm", 5, 1000, initialisation=Initialisation(chrono=50))
    keep = layer.parameter(0, "b_f")
    spans = keep.exp()
    assert spans.min() >= 1 and spans.max() <= 49.01 and abs(spans.mean() - 25) < 2
    assert torch.equal(layer.parameter(0, "b_i"), -keep)


def test_a_learned_state_starts_from_the_cells_and_learns():
    layer = made("slstm", learned_state=True)
    names = [n for n, _ in layer.named_parameters() if "starts" in n]
    assert sorted(names) == sorted(f"layers.{k}.starts.{s}" for k in range(2) for s in "hcn")
    state = layer.initial_state(3)
    assert [s.shape for s in state] == [(2, 3, H)] * 4 and (state[3] == -torch.inf).all()
    layer = made("gru", learned_state=True)
    output, _ = layer(torch.randn(3, 4, 5))
    gradients = torch.autograd.grad(output.sum(), [s.starts["h"] for s in layer.layers])  # type: ignore[union-attr, index]
    assert all(g.any() for g in gradients)
    with torch.no_grad():
        layer.layers[1].starts["h"].fill_(0.5)  # type: ignore[union-attr, index]
    assert (layer.initial_state(3)[0][1] == 0.5).all() and not layer.initial_state(3)[0][0].any()
    x = torch.randn(3, 4, 5)
    torch.testing.assert_close(layer(x)[0], layer(x, layer.initial_state(3))[0])


MISTAKES: dict[str, tuple[Callable[[], object], str]] = {
    "a typo": (lambda: Initialisation(recurrent="ortogonal"), "no initialisation `ortogonal`; did you mean 'orthog"),
    "no bound": (lambda: Initialisation(bound=0.0), "bound is 0.0"),
    "no span": (lambda: Initialisation(chrono=2), "chrono is 2; expected .* at least 3"),
    "both": (lambda: Initialisation(chrono=9, forget_bias=1.0), "give one"),
    "no gate": (lambda: made("elman", forget_bias=1.0), "cell elman has no gate with a bias"),
    "no matrix": (lambda: made("indrnn", recurrent="orthogonal"), "cell indrnn has no recurrent matrix"),
    "not square": (
        lambda: Recurrent("projected_lstm", 5, H, widths={"P": 3}, initialisation=Initialisation(recurrent="identity")),
        r"U_i of cell projected_lstm is \[8, 3\], no square",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_start_that_cannot_be_is_refused(mistake: str):
    make, message = MISTAKES[mistake]
    with pytest.raises(ValueError, match=message):
        make()
