"""Decoders: step by step as in one sweep, rows by themselves, and wrong use."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from recurra.equations import affine, cell, dot, observe, softmax, tanh, weighted_sum
from recurra.layers import Attention, Decoder, Regularisation

KINDS = [
    None,
    Attention(),
    Attention("general", place="after", feeding=True),
    Attention(coverage=True, width=5),
    Attention("concat", feeding=True, window=2),
    Attention("dot", place="after"),
]


def made(attention: Attention | None, **options: object) -> Decoder:
    torch.manual_seed(0)
    size = 0 if attention is None else 8
    return Decoder("lstm", 5, 8, memory_size=size, attention=attention, num_layers=2, static_size=3, **options)  # type: ignore[arg-type]


def given(decoder: Decoder) -> tuple[Tensor, dict[str, Tensor]]:
    torch.manual_seed(1)
    x, static, memory = torch.randn(3, 4, 5), torch.randn(3, 3), torch.randn(3, 6, 8)
    lengths = torch.tensor([6, 1, 4])
    return x, {"static": static} | ({"memory": memory, "memory_lengths": lengths} if decoder.memory_size else {})


@pytest.fixture(params=[True, False], ids=["with gradients", "without"])
def gradients(request: pytest.FixtureRequest) -> Iterator[None]:
    """Both engines of single steps: where a gradient may be wanted, it is torch's."""
    with torch.set_grad_enabled(request.param):
        yield


@pytest.mark.usefixtures("gradients")
@pytest.mark.parametrize("attention", KINDS, ids=str)
def test_step_by_step_is_the_sweep(attention: Attention | None):
    decoder = made(attention)
    x, what = given(decoder)
    whole, final = decoder(x, **what)
    attended, state = decoder.attend(**what), decoder.initial_state(3)
    for t in range(4):
        output, state, weights = decoder.step(x[:, t], state, attended)
        torch.testing.assert_close(output, whole[:, t], atol=1e-6, rtol=1e-6)
        if attention is None:
            assert weights is None
        else:
            assert weights.shape == (3, 6)
            assert (weights[1, 1:] == 0).all() and (weights[2, 4:] == 0).all()
            if attention.window is None:
                torch.testing.assert_close(weights.sum(-1), torch.ones(3))
    for after, expected in zip(state, final, strict=True):
        for a, b in zip(after, expected, strict=True):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-6)


@pytest.mark.usefixtures("gradients")
@pytest.mark.parametrize("attention", KINDS, ids=str)
def test_selected_rows_go_on_by_themselves(attention: Attention | None):
    decoder = made(attention)
    x, what = given(decoder)
    rows = torch.tensor([2, 2, 0])
    attended, state = decoder.attend(**what), decoder.initial_state(3)
    _, state, _ = decoder.step(x[:, 0], state, attended)
    expected, _, _ = decoder.step(x[:, 1], state, attended)
    found, _, _ = decoder.step(x[rows, 1], decoder.select(state, rows), attended.select(rows))
    torch.testing.assert_close(found, expected[rows], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("attention", KINDS[1:], ids=str)
def test_what_lies_behind_the_sources_is_not_read(attention: Attention):
    decoder = made(attention)
    x, what = given(decoder)
    expected, _ = decoder(x, **what)
    spoilt = what["memory"].clone()
    spoilt[1, 1:], spoilt[2, 4:] = float("nan"), float("inf")
    spoilt.requires_grad_()
    found, _ = decoder(x, **{**what, "memory": spoilt})
    torch.testing.assert_close(found, expected)
    (gradient,) = torch.autograd.grad(found.sum(), spoilt)
    assert (gradient[1, 1:] == 0).all() and (gradient[2, 4:] == 0).all()
    assert attention.window is not None or (gradient[0] != 0).any(1).all()


@pytest.mark.usefixtures("gradients")
def test_what_is_observed_need_not_be_used():
    @cell(state=("h",), memory=("m",))
    def watched(x, h, m):
        weights = softmax(dot(affine("query", h, width="M"), m))
        observe("attention", weights * weights)
        h = tanh(affine("h", x, h, weighted_sum(weights, m)))
        return h, (h,)

    decoder = Decoder(watched, 5, 8, memory_size=8)
    x, what = given(decoder)
    _, _, weights = decoder.step(x[:, 0], decoder.initial_state(3), decoder.attend(what["memory"]))
    assert weights is not None and weights.shape == (3, 6) and (weights.sum(-1) < 1).all()


@pytest.mark.usefixtures("gradients")
def test_a_mask_is_one_for_the_sequence_in_steps_too():
    decoder = made(Attention(), regularisation=Regularisation(recurrent_dropout=0.5, zoneout=0.3))
    x, what = given(decoder)
    attended, state = decoder.attend(**what), decoder.initial_state(3)
    first, _, _ = decoder.step(x[:, 0], state, attended)
    assert first.isfinite().all()
    decoder.eval()
    whole, _ = decoder(x, **what)
    output, _, _ = decoder.step(x[:, 0], state, decoder.attend(**what))
    torch.testing.assert_close(output, whole[:, 0], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory_size": 4}, "give both, or neither"),
        ({"attention": Attention()}, "give both, or neither"),
        ({"memory_size": 4, "attention": Attention("dot")}, "a memory as wide as the query, 8"),
        ({"memory_size": 4, "attention": Attention("best")}, "additive, concat"),
        ({"memory_size": 4, "attention": Attention(place="during")}, "before, after"),
        ({"memory_size": 4, "attention": Attention(window=0)}, "at least 1"),
        ({"memory_size": 8, "attention": Attention("dot", coverage=True)}, "additive or concat"),
        ({"num_layers": 0}, "at least 1"),
    ],
)
def test_settings_that_cannot_be_meant(options: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        Decoder("gru", 5, 8, **options)  # type: ignore[arg-type]


def test_calls_that_do_not_fit():
    decoder = made(Attention())
    x, what = given(decoder)
    with pytest.raises(ValueError, match=r"made with a memory of 8 columns; give it: \[B, S, M\]"):
        decoder(x, static=what["static"])
    with pytest.raises(ValueError, match="memory has shape"):
        decoder(x, **{**what, "memory": torch.randn(3, 6, 7)})
    with pytest.raises(ValueError, match="a number of sources is 0; expected 1 to 6"):
        decoder(x, **{**what, "memory_lengths": torch.tensor([6, 0, 4])})
    with pytest.raises(ValueError, match=r"states are given for 1 layers"):
        decoder.start([[torch.zeros(3, 8)]])
    with pytest.raises(ValueError, match="give batch"):
        Decoder("gru", 5, 8).attend()
    with pytest.raises(ValueError, match="given to a decoder made without one"):
        Decoder("gru", 5, 8)(x, memory=torch.randn(3, 6, 8))
