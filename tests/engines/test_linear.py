"""The native linear layer and the cross-entropy of one, which share most of their code, against torch in float64."""

import itertools
import logging
from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from recurra.engines import cross_entropy as cross_entropy_file
from recurra.engines import library, linear, memory
from recurra.engines.cross_entropy import Settings, cross_entropy

# Relative to the largest value of a result.
TOLERANCE = 3e-6
SIZES = [
    (1, 1, 1), (2, 1, 7), (3, 7, 33), (5, 63, 16), (40, 63, 1), (40, 200, 33), (300, 63, 129), (600, 33, 257),
    (20, 200, 10_000),
]  # fmt: skip
Case = tuple[Tensor, Tensor, Tensor, Tensor]


@pytest.fixture(autouse=True)
def poisoned(one_thread: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """NaN in all memory that is used again, and linear layers on the native library also where torch is faster."""
    memory.poison(float("nan"))
    monkeypatch.setattr(linear, "_slower", lambda x: None)


@pytest.fixture(params=library.available())
def instruction_set(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("RECURRA_ISA", request.param)
    return request.param


def case(rows: int, inputs: int, outputs: int) -> Case:
    """Features, weight, bias, targets; a third of the targets is to be ignored where there are enough."""
    generator = torch.Generator().manual_seed(rows + 7 * inputs + 31 * outputs)
    x = torch.randn(rows, inputs, generator=generator)
    weight = torch.randn(outputs, inputs, generator=generator) / inputs**0.5
    bias = torch.randn(outputs, generator=generator)
    targets = torch.randint(outputs, (rows,), generator=generator)
    if rows > 4:
        targets[torch.rand(rows, generator=generator) < 0.3] = -100
    return x, weight, bias, targets


def loss(targets: Tensor, settings: Settings, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return cross_entropy(x, weight, bias, targets, settings)


def torch_loss(targets: Tensor, settings: Settings, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.cross_entropy(
        F.linear(x, weight, bias),
        targets,
        ignore_index=settings.ignore_index,
        label_smoothing=settings.label_smoothing,
        reduction=settings.reduction,
    )


def with_gradients(function: Callable[..., Tensor], tensors: list[Tensor], weights: Tensor | None = None):
    """The value, and the gradient of its sum, or of its sum weighted by `weights`."""
    leaves = [t.detach().clone().requires_grad_() for t in tensors]
    value = function(*leaves)
    gradients = torch.autograd.grad(value if weights is None else (value * weights.to(value)).sum(), leaves)
    return [value.detach(), *gradients]


def assert_close(found: list[Tensor], expected: list[Tensor], least: float = 1e-3) -> None:
    """`least`: the size of the terms where their exact sum is zero."""
    for a, e in zip(found, expected, strict=True):
        assert a.shape == e.shape and torch.isfinite(a).all()
        assert (a.double() - e).abs().max().item() <= TOLERANCE * max(e.abs().max().item(), least)


@pytest.mark.parametrize("size", SIZES)
def test_cross_entropy_equals_torch(instruction_set: str, size: tuple[int, int, int]):
    x, weight, bias, targets = case(*size)
    exact = [t.double() for t in (x, weight, bias)]
    for smoothing, reduction in itertools.product((0.0, 0.1), ("mean", "sum", "none")):
        settings = Settings(label_smoothing=smoothing, reduction=reduction)  # type: ignore[arg-type]
        weights = torch.linspace(-1, 2, len(x)) if reduction == "none" else torch.tensor(-1.5)
        found = with_gradients(partial(loss, targets, settings), [x, weight, bias], weights)
        expected = with_gradients(partial(torch_loss, targets, settings), exact, weights)
        assert_close(found, expected, least=len(x) if size[2] == 1 else 1e-3)
        with torch.no_grad():
            assert torch.equal(cross_entropy(x, weight, bias, targets, settings), found[0])


@pytest.mark.parametrize("size", SIZES)
def test_linear_equals_torch(instruction_set: str, size: tuple[int, int, int]):
    x, weight, bias, _ = case(*size)
    weights = torch.randn(size[0], size[2], generator=torch.Generator().manual_seed(0))
    found = with_gradients(linear.linear, [x, weight, bias], weights)
    exact = [t.double() for t in (x, weight, bias)]
    # A single column's sum of weights is small beside them.
    assert_close(found, with_gradients(F.linear, exact, weights), least=1.0 if size[2] == 1 else 1e-3)


def test_many_chunks_and_groups_agree_with_torch():
    """More logits than are held at once."""
    x, weight, bias, targets = case(1100, 9, 9000)
    settings = Settings(label_smoothing=0.2)
    found = with_gradients(partial(loss, targets, settings), [x, weight, bias])
    exact = [t.double() for t in (x, weight, bias)]
    assert_close(found, with_gradients(partial(torch_loss, targets, settings), exact))


def test_without_bias_and_with_another_ignored_class():
    x, weight, _, targets = case(40, 20, 30)
    targets = targets.clamp_min(3)
    settings = Settings(ignore_index=3)
    found = with_gradients(partial(loss, targets, settings), [x, weight])
    exact = [x.double(), weight.double()]
    assert_close(found, with_gradients(partial(torch_loss, targets, settings), exact))
    weights = torch.randn(40, 30)
    assert_close(with_gradients(linear.linear, [x, weight], weights), with_gradients(F.linear, exact, weights))


@pytest.mark.parametrize("frozen", range(1, 7))
def test_only_wanted_gradients_are_given(frozen: int):
    x, weight, bias, targets = case(40, 20, 30)
    whole = with_gradients(partial(loss, targets, Settings()), [x, weight, bias])[1:]
    plain = with_gradients(lambda *t: linear.linear(*t).square(), [x, weight, bias], torch.ones(()))[1:]
    leaves = [t.clone().requires_grad_(not frozen >> k & 1) for k, t in enumerate((x, weight, bias))]
    cross_entropy(*leaves, targets, Settings()).backward()
    for leaf, expected in zip(leaves, whole, strict=True):
        assert leaf.grad is None if not leaf.requires_grad else torch.equal(leaf.grad, expected)  # type: ignore[arg-type]
        leaf.grad = None
    linear.linear(*leaves).square().sum().backward()
    for leaf, expected in zip(leaves, plain, strict=True):
        if leaf.requires_grad:
            torch.testing.assert_close(leaf.grad, expected)
        else:
            assert leaf.grad is None


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_all_positions_ignored(smoothing: float, reduction: str):
    x, weight, bias, targets = case(9, 5, 6)
    settings = Settings(label_smoothing=smoothing, reduction=reduction)  # type: ignore[arg-type]
    targets.fill_(-100)
    found = with_gradients(partial(loss, targets, settings), [x, weight, bias], torch.ones(()))
    exact = [t.double() for t in (x, weight, bias)]
    value = with_gradients(partial(torch_loss, targets, settings), exact, torch.ones(()))[0]
    torch.testing.assert_close(found[0].double(), value, equal_nan=True)
    assert all(not gradient.any() for gradient in found[1:])


def test_ignored_rows_have_no_influence():
    """Not even rows of NaN, unlike with torch."""
    x, weight, bias, targets = case(300, 20, 30)
    kept = targets != -100
    x[~kept] = float("nan")
    whole = with_gradients(partial(loss, targets, Settings()), [x, weight, bias])
    part = with_gradients(partial(loss, targets[kept], Settings()), [x[kept], weight, bias])
    assert torch.equal(whole[1][kept], part[1]) and not whole[1][~kept].any()
    assert all(torch.equal(whole[k], part[k]) for k in (0, 2, 3))


def test_classes_of_no_probability():
    """A bias of -inf masks classes, here all of the first tiles."""
    x, weight, bias, targets = case(30, 20, 500)
    bias[:300] = float("-inf")
    targets = 300 + targets.clamp_min(0) % 200
    found = with_gradients(partial(loss, targets, Settings()), [x, weight, bias])
    exact = [t.double() for t in (x, weight, bias)]
    assert_close(found, with_gradients(partial(torch_loss, targets, Settings()), exact))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_not_hidden(value: float):
    x, weight, bias, targets = case(30, 20, 50)
    targets = targets.clamp_min(0)
    x[4, 5] = value
    each = cross_entropy(x, weight, bias, targets, Settings(reduction="none"))
    expected = torch_loss(targets, Settings(reduction="none"), x, weight, bias)
    torch.testing.assert_close(each, expected, equal_nan=True, rtol=1e-5, atol=1e-5)
    assert not torch.isfinite(each[4]) and torch.isfinite(each).sum() == 29


def test_large_logits_neither_overflow_nor_lose_the_loss():
    x, weight, bias, targets = case(30, 20, 50)
    targets = targets.clamp_min(0)
    found = with_gradients(partial(loss, targets, Settings()), [x * 1e4, weight, bias])
    exact = [x.double() * 1e4, weight.double(), bias.double()]
    assert_close(found, with_gradients(partial(torch_loss, targets, Settings()), exact))


@pytest.mark.parametrize("size", [(1100, 33, 100), (700, 20, 5000), (20, 64, 3000), (3, 5, 7)])
def test_threads_do_not_change_a_bit(size: tuple[int, int, int]):
    x, weight, bias, targets = case(*size)
    results: list[list[Tensor]] = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        fused = with_gradients(partial(loss, targets, Settings()), [x, weight, bias])
        results.append(fused + with_gradients(lambda *t: linear.linear(*t).sin(), [x, weight, bias], torch.ones(())))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0][:4], other[:4], strict=True))
        # `sin` and `sum` are torch's, and part their work by threads: only what does not go through a sum of torch.
        assert all(torch.equal(a, b) for a, b in zip(results[0][5:], other[5:], strict=True))


def test_a_row_of_a_linear_layer_does_not_depend_on_the_others():
    x, weight, bias, _ = case(300, 63, 77)
    whole = linear.linear(x, weight, bias)
    for rows in (slice(0, 1), slice(5, 40), slice(130, 300)):
        assert torch.equal(linear.linear(x[rows], weight, bias), whole[rows])


@pytest.mark.parametrize("size", SIZES)
def test_packed_before_it_gives_the_same_bits(instruction_set: str, size: tuple[int, int, int]):
    x, weight, bias, _ = case(*size)
    packed = linear.PackedLinear(weight, bias)
    for rows in (x, x[:1], x[len(x) // 2 :]):
        memory.poison(float("nan"))
        assert torch.equal(packed(rows), linear.linear(rows, weight, bias))
    turned = linear.PackedLinear(weight.t().contiguous().t())
    assert torch.equal(turned(x), linear.linear(x, weight))


def test_packed_before_it_goes_on_with_the_weight_it_met():
    x, weight, bias, _ = case(7, 63, 33)
    packed = linear.PackedLinear(weight, bias)
    first = packed(x)
    weight.zero_()
    bias.zero_()
    assert torch.equal(packed(x), first)
    fresh = linear.PackedLinear(weight, bias)
    fresh.prepare()
    weight.fill_(1.0)
    assert not fresh(x).any()


def test_packed_before_a_gradient_and_other_numbers_are_served_all_the_same():
    x, weight, bias, _ = case(7, 63, 33)
    learnt = weight.requires_grad_()
    packed = linear.PackedLinear(learnt, bias)
    (gradient,) = torch.autograd.grad(packed(x).sum(), learnt)
    torch.testing.assert_close(gradient, x.sum(0).expand(33, -1))
    with torch.no_grad():
        assert torch.equal(packed(x), linear.linear(x, weight, bias))
    double = linear.PackedLinear(weight.detach().double(), bias.double())
    torch.testing.assert_close(double(x.double()), F.linear(x.double(), weight.double(), bias.double()))
    with torch.no_grad(), pytest.raises(ValueError, match=r"input has shape \[7, 62\]"):
        packed(x[:, :62])


def test_instruction_sets_agree(monkeypatch: pytest.MonkeyPatch):
    x, weight, bias, targets = case(300, 63, 129)
    found: dict[str, list[Tensor]] = {}
    for name in library.available():
        monkeypatch.setenv("RECURRA_ISA", name)
        found[name] = with_gradients(partial(loss, targets, Settings()), [x, weight, bias])
    for results in found.values():
        assert_close(results, [t.double() for t in found["baseline"]])


def test_backward_twice_gives_the_same_gradients():
    x, weight, bias, targets = case(40, 20, 30)
    leaves = [t.requires_grad_() for t in (x, weight, bias)]
    value = loss(targets, Settings(), *leaves)
    first = torch.autograd.grad(value, leaves, retain_graph=True)
    kept = [g.clone() for g in first]
    for g in first:
        g.zero_()
    second = torch.autograd.grad(3 * value, leaves)
    for a, b in zip(kept, second, strict=True):
        torch.testing.assert_close(3 * a, b)


def test_layouts_of_memory_do_not_matter():
    x, weight, bias, targets = case(40, 20, 30)
    expected = with_gradients(partial(loss, targets, Settings()), [x, weight, bias])
    odd = [x.t().contiguous().t(), weight.t().contiguous().t(), torch.stack([bias, bias], 1)[:, 0]]
    spread = torch.stack([targets, targets], 1)[:, 0]
    leaves = [t.requires_grad_() for t in odd]
    value = loss(spread, Settings(), *leaves)
    found = [value.detach(), *torch.autograd.grad(value, leaves)]
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    batch = x.view(8, 5, 20).transpose(0, 1)
    assert torch.equal(linear.linear(batch, weight, bias), linear.linear(batch.contiguous(), weight, bias))


def test_second_derivatives():
    x, weight, bias, targets = case(6, 4, 5)
    exact = [t.double() for t in (x, weight, bias)]

    def penalty(function: Callable[..., Tensor], tensors: list[Tensor]) -> list[Tensor]:
        leaves = [t.clone().requires_grad_() for t in tensors]
        gradients = torch.autograd.grad(function(*leaves), leaves, create_graph=True)
        return [*torch.autograd.grad(sum((g.square().sum() for g in gradients), torch.zeros(())), leaves)]

    for reduction in ("mean", "none"):

        def squared(function: Callable[..., Tensor], settings: Settings = Settings(reduction=reduction)):  # type: ignore[arg-type]  # noqa: B008
            return lambda *t: function(targets, settings, *t).square().sum()

        found = penalty(squared(loss), [x, weight, bias])
        expected = penalty(squared(torch_loss), exact)
        torch.testing.assert_close(found, expected, check_dtype=False, rtol=1e-4, atol=1e-5)
    found = penalty(lambda *t: linear.linear(*t).square().sum(), [x, weight, bias])
    expected = penalty(lambda *t: F.linear(*t).square().sum(), exact)
    torch.testing.assert_close(found, expected, check_dtype=False, rtol=1e-4, atol=1e-4)


def test_float64_bfloat16_and_transforms_are_served_by_torch(caplog: pytest.LogCaptureFixture):
    x, weight, bias, targets = case(6, 4, 5)
    linear._tell.cache_clear()
    with caplog.at_level(logging.INFO, logger="recurra.engines"):
        for dtype in (torch.float64, torch.bfloat16):
            tensors = [t.to(dtype) for t in (x, weight, bias)]
            assert torch.equal(cross_entropy(*tensors, targets, Settings()), torch_loss(targets, Settings(), *tensors))
            assert torch.equal(linear.linear(*tensors), F.linear(*tensors))
        by_row = torch.func.vmap(torch.func.grad(lambda row: linear.linear(row[None], weight, bias).sum()))(x)
        torch.testing.assert_close(by_row, weight.sum(0).expand(6, 4))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert linear.linear(x, weight, bias).dtype is torch.bfloat16
            assert cross_entropy(x, weight, bias, targets, Settings()).dtype is torch.float32
        cross_entropy(x, weight, bias, targets, Settings())
    assert "float64" in caplog.text and "bfloat16" in caplog.text and "torch.func" in caplog.text
    assert "autocast" in caplog.text and "cross-entropy runs on the native library" in caplog.text


def test_torch_makes_logits_for_some_rows_at_a_time(monkeypatch: pytest.MonkeyPatch):
    x, weight, bias, targets = (t.double() if t.is_floating_point() else t for t in case(40, 4, 5))
    monkeypatch.setattr(cross_entropy_file, "_TORCH_LOGITS", 30)
    sizes: list[int] = []
    plain = cross_entropy_file._torch_rows
    monkeypatch.setattr(cross_entropy_file, "_torch_rows", lambda f, *rest: sizes.append(len(f)) or plain(f, *rest))
    for reduction in ("mean", "sum", "none"):
        settings = Settings(label_smoothing=0.1, reduction=reduction)  # type: ignore[arg-type]
        found = cross_entropy(x, weight, bias, targets, settings)
        torch.testing.assert_close(found, torch_loss(targets, settings, x, weight, bias))
    assert max(sizes) == 6


def test_a_linear_layer_runs_where_it_is_faster(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()
    x, weight, bias, _ = case(32, 4, 5)
    for intel, rows, expected in (
        (False, 32, "on the native library: it"),
        (False, 31, "few rows"),
        (True, 32, "as fast"),
    ):
        linear._tell.cache_clear()
        caplog.clear()
        monkeypatch.setattr(linear, "_is_intel", lambda intel=intel: intel)
        with caplog.at_level(logging.INFO, logger="recurra.engines"):
            linear.linear(x[:rows], weight, bias)
        assert expected in caplog.text


def test_torch_compile_sees_torch_operations():
    x, weight, bias, targets = case(6, 4, 5)
    whole = torch.compile(
        lambda *t: linear.linear(*t).sum() + cross_entropy(*t, targets, Settings()), fullgraph=True, backend="eager"
    )
    torch.testing.assert_close(
        whole(x, weight, bias), F.linear(x, weight, bias).sum() + torch_loss(targets, Settings(), x, weight, bias)
    )


def test_no_rows_at_all():
    x, weight, bias, targets = case(3, 4, 5)
    assert cross_entropy(x[:0], weight, bias, targets[:0], Settings(reduction="sum")) == 0
    assert cross_entropy(x[:0], weight, bias, targets[:0], Settings()).isnan()
    assert linear.linear(x[:0], weight, bias).shape == (0, 5)


@pytest.mark.parametrize("target", [5, -1, 2**40, -(2**40)])
def test_a_target_out_of_range_is_an_error(target: int):
    x, weight, bias, targets = case(4, 4, 5)
    targets[2] = target
    with pytest.raises(IndexError, match=rf"target {target} of row 2 .*from 0 to 4.*ignore_index=-100"):
        cross_entropy(x.requires_grad_(), weight, bias, targets, Settings())


def test_what_does_not_fit_is_an_error():
    x, weight, bias, targets = case(4, 4, 5)
    with pytest.raises(ValueError, match=r"\[4, 4\].*\[5, 3\].*flatten"):
        cross_entropy(x, weight[:, :3], bias, targets, Settings())
    with pytest.raises(ValueError, match="flatten"):
        cross_entropy(x[None], weight, bias, targets[None], Settings())
    with pytest.raises(ValueError, match=r"targets have shape \[3\]; expected \[4\]"):
        cross_entropy(x, weight, bias, targets[:3], Settings())
    with pytest.raises(TypeError, match=r"torch.int32; expected torch.int64"):
        cross_entropy(x, weight, bias, targets.int(), Settings())
    with pytest.raises(ValueError, match=r"bias has shape \[4\]; expected \[5\]"):
        cross_entropy(x, weight, bias[:4], targets, Settings())
    with pytest.raises(ValueError, match=r"'average'.*mean, sum, none"):
        cross_entropy(x, weight, bias, targets, Settings(reduction="average"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"label_smoothing is 1.5"):
        cross_entropy(x, weight, bias, targets, Settings(label_smoothing=1.5))
    with pytest.raises(ValueError, match=r"\[4, 3\].*\[5, 4\]"):
        linear.linear(x[:, :3], weight, bias)
    with pytest.raises(ValueError, match=r"bias has shape \[4\]"):
        linear.linear(x, weight, bias[:4])
