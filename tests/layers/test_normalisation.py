"""Normalisation that never counts padding: against torch's on what is not padding."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recurra.layers import Normalisation, Recurrent
from recurra.layers.normalisation import Norm

T, B, W = 6, 4, 8
LENGTHS = torch.tensor([6, 2, 0, 4])
ALIVE = (torch.arange(T)[:, None] < LENGTHS)[..., None]


def normed(x: Tensor, alive: Tensor | None, **options: Any) -> tuple[Tensor, Norm]:
    norm = Norm(Normalisation(**options), W).double()
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(0.5, 2, W))
        norm.bias.copy_(torch.linspace(-1, 1, W))
    return norm(x, alive), norm


def drawn() -> Tensor:
    x = 3 * torch.randn(T, B, W, dtype=torch.float64) + 1
    return torch.where(ALIVE, x, torch.nan)


def row_by_row(x: Tensor, of_row: Callable[[Tensor], Tensor]) -> Tensor:
    """What torch makes of each row ``[T, W]`` alone, NaN behind its end."""
    result = torch.full_like(x, torch.nan)
    for row, length in enumerate(LENGTHS.tolist()):
        if length:
            result[:length, row] = of_row(x[:length, row])
    return result


def assert_same(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(torch.where(ALIVE, found, 0.0), torch.where(ALIVE, expected, 0.0))


def test_layer_normalisation_is_torchs():
    x = drawn()
    found, norm = normed(x, ALIVE, kind="layer")
    assert_same(found, F.layer_norm(x, (W,), norm.weight, norm.bias))


def test_group_normalisation_of_a_step_is_torchs():
    x = drawn()
    found, norm = normed(x, ALIVE, kind="group", groups=4)
    assert_same(found, row_by_row(x, lambda row: F.group_norm(row, 4, norm.weight, norm.bias)))


@pytest.mark.parametrize(("kind", "groups"), [("group", 1), ("group", 4), ("instance", W)])
def test_statistics_over_time_are_those_of_the_row_alone(kind: str, groups: int):
    x = drawn()
    found, norm = normed(x, ALIVE, kind=kind, over_time=True, **({"groups": groups} if kind == "group" else {}))

    def of_row(row: Tensor) -> Tensor:
        return F.group_norm(row.T[None], groups, norm.weight, norm.bias)[0].T

    assert_same(found, row_by_row(x, of_row))
    full = torch.randn(T, B, W, dtype=torch.float64)
    whole = normed(full, None, kind=kind, over_time=True, **({"groups": groups} if kind == "group" else {}))[0]
    expected = F.group_norm(full.permute(1, 2, 0), groups, norm.weight, norm.bias).permute(2, 0, 1)
    torch.testing.assert_close(whole, expected)


def test_batch_normalisation_over_time_is_torchs_on_the_tokens():
    x = drawn()
    found, norm = normed(x, ALIVE, kind="batch", over_time=True)
    twin = nn.BatchNorm1d(W).double()
    twin.load_state_dict(norm.state_dict(), strict=False)
    twin.reset_running_stats()
    tokens = twin(x[ALIVE[..., 0]])
    torch.testing.assert_close(found[ALIVE[..., 0]], tokens)
    torch.testing.assert_close(norm.running_mean, twin.running_mean)
    torch.testing.assert_close(norm.running_var, twin.running_var)
    torch.testing.assert_close(norm.eval()(x, ALIVE)[ALIVE[..., 0]], twin.eval()(x[ALIVE[..., 0]]))


def test_batch_normalisation_of_a_step_sees_no_other_step():
    x = drawn()
    found, norm = normed(x, ALIVE, kind="batch")
    before = torch.zeros(W).double(), torch.ones(W).double()
    assert norm.running_mean is not None and (norm.running_mean != before[0]).all()
    for t in range(T):
        here = ALIVE[t, :, 0]
        if here.sum() > 1:
            expected = F.batch_norm(x[t, here], None, None, norm.weight, norm.bias, training=True)
        else:  # a step that one row reaches is judged by the running means as they were
            expected = F.batch_norm(x[t, here], *before, norm.weight, norm.bias)
        torch.testing.assert_close(found[t, here], expected)


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "layer"},
        {"kind": "group", "groups": 2},
        {"kind": "group", "over_time": True},
        {"kind": "instance", "over_time": True},
        {"kind": "batch"},
        {"kind": "batch", "over_time": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("place", ["between", "projection"])
def test_padding_never_counts_and_gradients_are_numbers(place: str, options: dict[str, Any]):
    norm = Normalisation(place=place, **options)
    layer = Recurrent("lstm", 4, 4, num_layers=2, bidirectional=True, normalisation=norm)
    twin = copy.deepcopy(layer)
    x, lengths = torch.randn(3, 5, 4), [5, 2, 3]
    for row, length in enumerate(lengths):
        x[row, length:] = torch.nan
    output, final = layer(x, lengths=lengths)
    expected, state = twin(x.nan_to_num(7.0), lengths=lengths)
    torch.testing.assert_close((output, *final, *layer.buffers()), (expected, *state, *twin.buffers()))
    assert all(g.isfinite().all() for g in torch.autograd.grad(output.sum(), list(layer.parameters())))


def test_a_causal_stack_with_norms_keeps_its_promise():
    for options in ({"kind": "layer"}, {"kind": "group", "groups": 2}, {"kind": "batch"}):
        for place in ("between", "projection"):
            norm = Normalisation(place=place, **options)  # type: ignore[arg-type]
            layer = Recurrent("gru", 4, 4, num_layers=2, causal=True, normalisation=norm)
            x = torch.randn(3, 5, 4, requires_grad=True)
            for t in range(4):
                (gradient,) = torch.autograd.grad(layer(x)[0][:, t].sum(), x)
                assert not gradient[:, t + 1 :].any()


@pytest.mark.parametrize("lengths", [None, [6, 3]], ids=["one row", "steps that one row reaches"])
def test_a_causal_batch_norm_does_not_judge_a_step_by_later_ones(lengths: list[int] | None):
    norm = Normalisation("batch", place="projection")
    layer = Recurrent("lstm", 4, 4, causal=True, normalisation=norm)
    x = torch.randn(2 if lengths else 1, 6, 4)
    other = x.clone()
    other[:, 5] = 100.0
    found = [copy.deepcopy(layer)(given, lengths=lengths)[0][:, :5] for given in (x, other)]
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)


def test_the_input_side_of_a_light_gru_is_normalised_over_the_batch():
    norm = Normalisation("batch", place="projection", over_time=True)
    layer = Recurrent("ligru", 3, 5, normalisation=norm).double()
    x = torch.randn(B, T, 3, dtype=torch.float64)
    output, _ = layer(x)
    first = layer.layers[0]
    products = F.batch_norm((x @ first.W.T).flatten(0, 1), None, None, training=True).view(B, T, 10)  # type: ignore[operator]
    h = torch.zeros(B, 5, dtype=torch.float64)
    for t in range(T):
        z, n = (products[:, t] + h @ first.U.T + first.b).chunk(2, -1)  # type: ignore[operator]
        z = torch.sigmoid(z)
        h = z * h + (1 - z) * n.relu()
        torch.testing.assert_close(output[:, t], h)
    assert set(first.state_dict()) == {
        "W", "U", "b", *(f"norms.W.{n}" for n in ("weight", "bias", "running_mean", "running_var")),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["lstm", "gru", "mut1", "qrnn", "sru"])
def test_without_a_norm_the_projection_outside_changes_nothing(name: str):
    layer = Recurrent(name, 4, 4, normalisation=Normalisation("batch", place="projection")).double().eval()
    plain = Recurrent(name, 4, 4).double()
    plain.load_state_dict({n: v for n, v in layer.state_dict().items() if "norms" not in n})
    x = torch.randn(2, 5, 4, dtype=torch.float64)
    torch.testing.assert_close(layer(x)[0], plain(x)[0], rtol=1e-4, atol=1e-4)  # running means 0 and 1, but for ε
    layer.float().engine = "native"
    torch.testing.assert_close(layer(x.float())[0].double(), plain(x)[0], rtol=1e-4, atol=1e-4)


def test_between_layers_lies_the_norm_and_then_the_noise():
    layer = Recurrent("gru", 3, 4, num_layers=2, normalisation=Normalisation("layer"), residual=True)
    below, above = (Recurrent("gru", size, 4) for size in (3, 4))
    for single, k in ((below, 0), (above, 1)):
        single.layers[0].load_state_dict(layer.layers[k].state_dict())
    x = torch.randn(2, 5, 3)
    inner = below(x)[0]
    torch.testing.assert_close(layer(x)[0], above(F.layer_norm(inner, (4,)))[0] + inner)


MISTAKES: dict[str, tuple[Callable[[], object], str]] = {
    "a typo": (lambda: Normalisation("bach"), "no kind of normalisation `bach`; did you mean 'batch'"),
    "no such place": (lambda: Normalisation("layer", place="inside"), "no place of normalisation `inside`"),
    "groups of a layer": (lambda: Normalisation("layer", groups=2), "groups is 2 with kind='layer'"),
    "an instance of one step": (lambda: Normalisation("instance"), "a single number.*over_time=True"),
    "a layer over time": (lambda: Normalisation("layer", over_time=True), "kind='group' with groups=1"),
    "layer norm inside": (lambda: Normalisation("layer", place="recurrent"), "place='recurrent' is for kind='batch'"),
    "no steps": (lambda: Normalisation("batch", steps=0), "steps of normalisation is 0; expected at least 1"),
    "no momentum": (lambda: Normalisation("batch", momentum=7.0), "momentum of normalisation is 7.0; expected 0 to 1"),
    "no epsilon": (lambda: Normalisation("layer", epsilon=-1.0), "epsilon of normalisation is -1.0; expected a number"),
    "groups that do not fit": (
        lambda: Recurrent("gru", 3, 4, num_layers=2, normalisation=Normalisation("group", groups=3)),
        "4 columns cannot be parted into 3 groups",
    ),
    "nothing between": (lambda: Recurrent("gru", 3, 4, normalisation=Normalisation("layer")), "needs two of them"),
    "the future in a causal task": (
        lambda: Recurrent(
            "gru", 3, 4, num_layers=2, causal=True, normalisation=Normalisation("instance", over_time=True)
        ),
        "causal=True promises .* instance statistics over time read them all",
    ),
    "the batch's future in a causal task": (
        lambda: Recurrent("gru", 3, 4, num_layers=2, causal=True, normalisation=Normalisation("batch", over_time=True)),
        "batch statistics over time read them all: take over_time=False",
    ),
    "a step over time": (
        lambda: Recurrent("gru", 3, 4, num_layers=2, normalisation=Normalisation("group", over_time=True)).step(
            torch.zeros(2, 3)
        ),
        "cannot run step by step: group statistics over time",
    ),
    "a batch of one": (
        lambda: Recurrent("gru", 3, 4, num_layers=2, normalisation=Normalisation("batch"))(torch.zeros(1, 1, 3)),
        "one number for each column; give more rows or steps",
    ),
    "no norm to take the place of": (
        lambda: Recurrent("lstm", 3, 4, normalisation=Normalisation("batch", place="recurrent")),
        "cell lstm has no layer norm whose place",
    ),
    "natively inside": (
        lambda: Recurrent(
            "layer_norm_lstm", 3, 4, normalisation=Normalisation("batch", place="recurrent"), engine="native"
        ),
        "runs step by step; take engine='auto' or 'eager'",
    ),
    "inside, one step": (
        lambda: Recurrent("layer_norm_lstm", 3, 4, normalisation=Normalisation("batch", place="recurrent")).step(
            torch.zeros(2, 3)
        ),
        "needs to know which step it is",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_has_no_place_is_refused(mistake: str):
    make, message = MISTAKES[mistake]
    with pytest.raises(ValueError, match=message):
        make()


def test_running_means_serve_single_steps():
    layer = Recurrent("gru", 3, 4, num_layers=2, normalisation=Normalisation("batch", over_time=True)).eval()
    x = torch.randn(2, 5, 3)
    state, outputs = layer.initial_state(2), []
    for t in range(5):
        output, state = layer.step(x[:, t], state)
        outputs.append(output)
    torch.testing.assert_close(torch.stack(outputs, 1), layer(x)[0])


# Batch normalisation inside the recurrence.


def batch_normed_lstm(layer: Recurrent, x: Tensor, sizes: list[int], running: bool) -> Tensor:
    """Cooijmans et al. 2017, equations 6 to 8, written out; rows sorted by length."""
    p = {n: layer.parameter(0, n) for n in layer.program.parameters}
    h, c = (torch.zeros(len(x), 5, dtype=x.dtype) for _ in "hc")
    outputs = []
    for t, alive in enumerate(sizes):

        def normed(v: Tensor, name: str, t: int = t) -> Tensor:
            at = min(t, 2)
            means = (layer.layers[0].norms.get_buffer(f"{kind}_{name}")[at] for kind in ("mean", "variance"))
            mean, variance = means if running else (None, None)
            return F.batch_norm(v, mean, variance, p[f"gain_{name}"], p[f"shift_{name}"], training=not running)

        def gate(k: str, t: int = t, n: int = alive, normed: Any = normed) -> Tensor:
            return normed(x[:n, t] @ p[f"W_{k}x"].T, f"{k}x") + normed(h[:n] @ p[f"U_{k}h"].T, f"{k}h")  # noqa: B023

        i, f, o = (torch.sigmoid(gate(k)) for k in "ifo")
        c = torch.cat([f * c[:alive] + i * torch.tanh(gate("g")), c[alive:]])
        h = torch.cat([o * torch.tanh(normed(c[:alive], "c")), h[alive:]])
        outputs.append(torch.cat([h[:alive], torch.zeros_like(h[alive:])]))
    return torch.stack(outputs, 1)


@pytest.mark.parametrize("reverse", [False, True])
def test_batch_normalisation_inside_the_loop_is_the_papers(reverse: bool):
    norm = Normalisation("batch", place="recurrent", steps=3)
    layer = Recurrent("layer_norm_lstm", 3, 5, normalisation=norm).double()
    torch.testing.assert_close(layer.parameter(0, "gain_ix"), torch.full((5,), 0.1).double())
    assert not layer.parameter(0, "shift_c").any()
    x = torch.randn(4, 6, 3, dtype=torch.float64)
    lengths = [6, 6, 4, 2]
    sizes = [sum(length > t for length in lengths) for t in range(6)]
    expected = batch_normed_lstm(layer, x, sizes, running=False)
    given = x.clone()
    for row, length in enumerate(lengths):
        if reverse:
            given[row, :length] = x[row, :length].flip(0)
            expected[row, :length] = expected[row, :length].flip(0)
        given[row, length:] = torch.nan
    layer.layers[0].reverse = reverse  # type: ignore[assignment]
    output, (h, _) = layer(given, lengths=lengths)
    torch.testing.assert_close(output, expected)
    ends = [0] * 4 if reverse else [n - 1 for n in lengths]
    torch.testing.assert_close(h[0], torch.stack([expected[row, end] for row, end in enumerate(ends)]))
    found = torch.autograd.grad(output.sum(), list(layer.parameters()))
    assert all(g.isfinite().all() for g in found)
    means = layer.layers[0].norms.get_buffer("mean_c")
    assert means[0].any() and means.shape == (3, 5)
    if not reverse:
        torch.testing.assert_close(layer.eval()(x)[0], batch_normed_lstm(layer, x, [4] * 6, running=True))
