"""Rows of their own lengths, resets, both directions, residual connections, static inputs: against rows run alone."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from recurra import cells
from recurra.equations import CellError
from recurra.layers import Initialisation, Normalisation, Recurrent, Regularisation

from ..engines.specimens import conditioned, unit_sphere
from .by_hand import run_stack

B, T, I, H = 5, 7, 6, 6  # noqa: E741  # the letters of the shapes
CELLS: list[Any] = [n for n in cells.names() if n not in ("jordan", "back_projection", "projected_lstm")]


def drawn(seed: int) -> tuple[Recurrent, dict[str, Any]]:
    """A stack with some of the options, in float64, and a call that fits it."""
    choose = random.Random(seed)
    torch.manual_seed(seed)
    cell = choose.choice([*CELLS, unit_sphere])
    residual, bidirectional = choose.random() < 0.4, choose.random() < 0.5
    square = cell == "qrnn"
    layers = 1 if square and bidirectional else choose.choice([1, 2, 3])
    inputs = (2 * H if bidirectional else H) if residual and layers == 1 else choose.choice([3, I])
    inputs = H if square else inputs
    residual = residual and (layers > 1 or inputs == (2 * H if bidirectional else H))
    static_size = choose.choice([0, 0, 4])
    rate = 0.0 if cell == "slstm" else choose.choice([0.0, 0.3])
    stack = Recurrent(
        cell, inputs, H, num_layers=layers, residual=residual, bidirectional=bidirectional, static_size=static_size,
        regularisation=Regularisation(zoneout=rate), initialisation=Initialisation(learned_state=choose.random() < 0.4),
    ).double().eval()  # fmt: skip
    with torch.no_grad():
        for p in stack.parameters():
            p.add_(0.2 * torch.randn_like(p))
    call: dict[str, Any] = {"x": torch.randn(B, T, inputs, dtype=torch.float64)}
    if choose.random() < 0.5:
        call["state"] = tuple(torch.randn_like(s).abs() for s in stack.initial_state(B))
    if choose.random() < 0.7:
        call["lengths"] = choose.sample([0, 1, 1, T, T - 1, 3, 4], B)
    if choose.random() < 0.6:
        call["resets"] = torch.rand(B, T) < 0.25
        call["resets"][0, 0] = call["resets"][1, T - 1] = call["resets"][2, 0] = call["resets"][2, T - 1] = True
    if static_size:
        call["static"] = torch.randn(B, static_size, dtype=torch.float64)
    return stack, call


def results(run: Callable[..., Any], stack: Recurrent, call: dict[str, Any]) -> list[Tensor]:
    """Output, final states, and all gradients of a loss on both."""
    given = {n: v.clone().requires_grad_() if n in ("x", "static") else v for n, v in call.items()}
    if "state" in call:
        given["state"] = tuple(s.clone().requires_grad_() for s in call["state"])
    output, final = run(**given)
    finite = [f for f in final if f.isfinite().all()]
    loss = sum((v * torch.linspace(-1, 1, v.numel(), dtype=v.dtype).view_as(v)).sum() for v in (output, *finite))
    sources = [given["x"], *given.get("state", ()), *stack.parameters()]
    sources += [given["static"]] if "static" in given else []
    found = torch.autograd.grad(loss, sources, allow_unused=True)  # type: ignore[arg-type]
    return [output, *final, *(torch.zeros_like(s) if g is None else g for s, g in zip(sources, found, strict=True))]


@pytest.mark.parametrize("seed", range(60))
def test_a_batch_is_its_rows_alone(seed: int):
    stack, call = drawn(seed)
    stack.engine = "eager"
    expected = results(lambda **given: run_stack(stack, **given), stack, call)
    for a, b in zip(results(stack, stack, call), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("seed", range(60))
def test_the_fast_engine_agrees(seed: int):
    stack, call = drawn(seed)
    stack.engine = "eager"
    expected = results(stack, stack, call)
    stack.float().engine = "auto"
    single = {n: tuple(s.float() for s in v) if n == "state" else v for n, v in call.items()}
    single = {n: v.float() if isinstance(v, Tensor) and v.dtype == torch.float64 else v for n, v in single.items()}
    for a, b in zip(results(stack, stack, single), expected, strict=True):
        b = b.float()
        bound = 2e-5 * (1 + b[b.isfinite()].abs().max().item() if b.isfinite().any() else 1)
        torch.testing.assert_close(a, b, rtol=1e-4, atol=bound)


@pytest.mark.parametrize("engine", ["eager", "native"])
def test_what_lies_behind_an_end_is_never_read(engine: str):
    x = torch.randn(3, 4, 5)
    lengths = [4, 2, 0]
    stack = Recurrent("lstm", 5, 5, num_layers=2, residual=True, engine=engine)
    expected, state = stack(x, lengths=lengths)
    for row, length in enumerate(lengths):
        x[row, length:] = float("nan")
    output, final = stack(x, lengths=torch.tensor(lengths))
    assert torch.equal(output, expected) and all(torch.equal(a, b) for a, b in zip(final, state, strict=True))
    assert not output[1, 2:].any() and not output[2].any()
    assert all(g.isfinite().all() for g in torch.autograd.grad(output.sum(), list(stack.parameters())))


def test_a_row_of_no_step_ends_where_it_starts():
    stack = Recurrent("gru", 3, 4, bidirectional=True, initialisation=Initialisation(learned_state=True))
    with torch.no_grad():
        stack.layers[0].starts["h"].copy_(torch.randn(4))
    output, (h,) = stack(torch.randn(2, 5, 3), lengths=[0, 5])
    assert torch.equal(h[:, 0], stack.initial_state(2)[0][:, 0]) and h[0, 0].any() and not output[0].any()
    given = torch.randn(2, 2, 4)
    assert torch.equal(stack(torch.randn(2, 5, 3), (given,), [0, 5])[1][0][:, 0], given[:, 0])


def test_a_document_behind_a_reset_knows_nothing_of_the_one_before():
    stack = Recurrent("lstm", 3, 4, num_layers=2, bidirectional=True).eval()
    x = torch.randn(1, 9, 3)
    resets = torch.zeros(1, 9, dtype=torch.bool)
    resets[0, [0, 4]] = True
    whole, _ = stack(x, resets=resets)
    apart = torch.cat([stack(x[:, :4])[0], stack(x[:, 4:])[0]], 1)
    torch.testing.assert_close(whole, apart)


def test_a_reset_goes_back_to_the_start_and_not_to_the_state_given():
    stack = Recurrent("gru", 3, 4)
    x, state = torch.randn(2, 5, 3), (torch.randn(1, 2, 4),)
    resets = torch.zeros(2, 5, dtype=torch.bool)
    resets[:, 0] = True
    torch.testing.assert_close(stack(x, state, resets=resets)[0], stack(x)[0])


def test_a_static_input_is_the_input_repeated():
    stack = Recurrent("lstm", 3, 4, static_size=2)
    wide = Recurrent("lstm", 5, 4)
    names = {"layers.0.W": torch.cat([stack.layers[0].W_i_f_g_o, stack.layers[0].W_i2_f2_g2_o2], 1)}
    wide.load_state_dict({n: names.get(n, getattr(stack.layers[0], n[9:], None)) for n in wide.state_dict()})
    x, static = torch.randn(2, 6, 3), torch.randn(2, 2)
    expected, _ = wide(torch.cat([x, static[:, None].expand(2, 6, 2)], -1))
    torch.testing.assert_close(stack(x, static=static)[0], expected)
    stepped, _ = stack.step(x[:, 0], stack.initial_state(2), static)
    torch.testing.assert_close(stepped, expected[:, 0])


def test_a_cell_that_asks_for_a_static_input_gets_it():
    stack = Recurrent(conditioned, 3, 4, static_size=4, num_layers=2).double()
    x, static = torch.randn(2, 6, 3).double(), torch.randn(2, 4).double()
    torch.testing.assert_close(stack(x, static=static)[0], run_stack(stack, x, static=static)[0])


def test_both_directions_have_a_place_in_names_and_state():
    stack = Recurrent("lstm", 3, 4, num_layers=2, bidirectional=True)
    x = torch.randn(2, 6, 3)
    output, (h, _) = stack(x)
    assert output.shape == (2, 6, 8) and stack.output_size == 8 and h.shape == (4, 2, 4)
    assert torch.equal(h[2], output[:, -1, :4]) and torch.equal(h[3], output[:, 0, 4:])
    assert stack.reverse_layers[1].W.shape == (16, 8)
    assert torch.equal(stack.parameter(1, "W_f", reverse=True), stack.reverse_layers[1].W[4:8])


def test_a_stack_with_every_option_is_copied_and_pickled():
    import copy
    import pickle

    stack = Recurrent(
        "gru", 4, 4, num_layers=2, static_size=2, residual=True, bidirectional=True,
        regularisation=Regularisation(recurrent_dropout=0.2, zoneout={"h": 0.1}),
        initialisation=Initialisation(learned_state=True),
    ).eval()  # fmt: skip
    x, static = torch.randn(2, 3, 4), torch.randn(2, 2)
    expected = stack(x, static=static)[0]
    for other in (copy.deepcopy(stack), pickle.loads(pickle.dumps(stack))):
        assert torch.equal(other(x, static=static)[0], expected)


MISTAKES: dict[str, tuple[Callable[[], object], str]] = {
    "nothing to add": (lambda: Recurrent("lstm", 3, 4, residual=True), "from 3 to 4 columns adds nothing"),
    "causal both ways": (
        lambda: Recurrent("lstm", 3, 4, bidirectional=True, causal=True),
        "causal=True promises .* a bidirectional layer reads them all",
    ),
    "a static of no columns": (lambda: Recurrent("lstm", 3, 4, static_size=-1), "static_size is -1"),
    "a static of another width": (lambda: Recurrent(conditioned, 3, 4, static_size=5), "static_size is 5; .* H = 4"),
    "no step both ways": (
        lambda: Recurrent("lstm", 3, 4, bidirectional=True).step(torch.zeros(2, 3)),
        "cannot run step by step: a bidirectional layer",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_options_that_do_not_fit_say_why(mistake: str):
    make, message = MISTAKES[mistake]
    with pytest.raises(ValueError, match=message):
        make()


def test_a_cell_that_reads_no_input_through_a_matrix_takes_no_static():
    from recurra.equations import Value, cell

    @cell(state=("h",), width={"x": "H"})
    def sums(x: Value, h: Value):
        return h + x, (h + x,)

    with pytest.raises(CellError, match="no affine of it reads its input"):
        Recurrent(sums, 4, 4, static_size=2)
    with pytest.raises(CellError, match="no matrix multiplies an input"):
        Recurrent(sums, 4, 4, normalisation=Normalisation("layer", place="projection"))


X = torch.zeros(2, 3, 5)
CALLS: dict[str, tuple[dict[str, Any], str]] = {
    "a negative length": ({"lengths": [3, -1]}, "a length is -1; expected 0 to 3"),
    "a length too long": ({"lengths": torch.tensor([4, 1])}, "a length is 4; expected 0 to 3"),
    "lengths of another batch": (
        {"lengths": [1, 2, 3]},
        r"lengths are int64 \[3\] on cpu; expected int64 \[B\] = \[2\]",
    ),
    "lengths in float": ({"lengths": torch.tensor([1.0, 2.0])}, r"lengths are float32 \[2\]"),
    "lengths in int32": ({"lengths": torch.tensor([1, 2], dtype=torch.int32)}, r"lengths are int32 \[2\]"),
    "resets of another shape": (
        {"resets": torch.zeros(3, 2, dtype=torch.bool)},
        r"resets are bool \[3, 2\]; expected bool \[B, T\] = \[2, 3\]",
    ),
    "resets in float": ({"resets": torch.zeros(2, 3)}, r"resets are float32 \[2, 3\]"),
    "no static": ({"static": None}, r"static input is missing; expected \[B, S\] = \[2, 4\]"),
    "a static of another shape": ({"static": torch.zeros(2, 5)}, r"of shape \[2, 5\]; expected \[B, S\] = \[2, 4\]"),
    "a state of one direction": (
        {"state": (torch.zeros(1, 2, 8), torch.zeros(1, 2, 8))},
        r"state h has shape \[1, 2, 8\]; expected \[2L, B, W\] = \[2, 2, 8\]",
    ),
}


@pytest.mark.parametrize("mistake", CALLS)
def test_a_call_that_does_not_fit_says_why(mistake: str):
    call, message = CALLS[mistake]
    stack = Recurrent("lstm", 5, 8, bidirectional=True, static_size=4)
    with pytest.raises(ValueError, match=message):
        stack(X, **{"static": torch.zeros(2, 4), **call})


def test_a_static_that_nobody_asked_for_is_refused():
    with pytest.raises(ValueError, match="made without one"):
        Recurrent("lstm", 5, 8)(X, static=torch.zeros(2, 4))
