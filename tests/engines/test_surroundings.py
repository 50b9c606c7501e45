"""What surrounds a call: torch's defaults and modes, other threads, forks, and what becomes of its arrays later."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from recurra import cells
from recurra.engines import linear as linear_layers
from recurra.engines.cross_entropy import Settings, cross_entropy

from .comparison import SIZES, Trial, assert_same_bits, on_engine, results

pytestmark = pytest.mark.usefixtures("one_thread")
RAGGED = on_engine("native", lengths=(2, 4, 0))


@pytest.fixture
def trial() -> Trial:
    return Trial(cells.get("lstm"), SIZES, steps=4, rows=3)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("run", [on_engine("native"), RAGGED], ids=["even", "ragged"])
def test_torchs_default_dtype_changes_nothing(trial: Trial, run: Any, dtype: torch.dtype):
    expected = results(trial, run, torch.float32)
    torch.set_default_dtype(dtype)
    try:
        assert_same_bits(results(trial, run, torch.float32), expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_torchs_default_device_changes_nothing(trial: Trial):
    expected = results(trial, on_engine("native", lengths=(2, 4, 0)), torch.float32)
    arrays = {n: a.float().requires_grad_() for n, a in trial.arrays.items()}
    lengths = torch.tensor([2, 4, 0])
    with torch.device("meta"):
        output, final = trial_sweep(trial, arrays, lengths)
        weights = [trial.weights["output"].float(), *(trial.weights[f"final {n}"].float() for n in trial.cell.states)]
        found = torch.autograd.grad([output, *final], list(arrays.values()), weights)
    assert torch.equal(output, expected["output"])  # type: ignore[arg-type]
    for name, gradient in zip(arrays, found, strict=True):
        assert torch.equal(gradient, expected[f"gradient of {name}"]), name  # type: ignore[arg-type]


def trial_sweep(trial: Trial, arrays: dict[str, Tensor], lengths: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    from recurra.engines.sweep import sweep

    inputs, state = ([*trial.part(kind, arrays).values()] for kind in ("input", "state"))
    return sweep(trial.program, inputs, state, trial.part("parameter", arrays), lengths=lengths, engine="native")


@pytest.mark.parametrize("setting", ["float64", "bfloat16", "meta"])
def test_torchs_defaults_change_no_linear_layer(setting: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(linear_layers, "_slower", lambda x: None)
    features, weight, bias = (torch.randn(shape, requires_grad=True) for shape in ((70, 20), (50, 20), (50,)))
    targets = torch.randint(50, (70,))

    def run() -> list[Tensor]:
        loss = cross_entropy(features, weight, bias, targets, Settings(label_smoothing=0.1))
        y = linear_layers.linear(features, weight, bias)
        loss_each = cross_entropy(features, weight, bias, targets, Settings(reduction="none"))
        one = torch.ones((), dtype=torch.float32, device="cpu")
        sources = [features, weight, bias]
        return [y, loss, loss_each, *torch.autograd.grad([y.sum(), loss, loss_each.sum()], sources, [one] * 3)]

    expected = run()
    if setting == "meta":
        with torch.device("meta"):
            found = run()
    else:
        torch.set_default_dtype(getattr(torch, setting))
        try:
            found = run()
        finally:
            torch.set_default_dtype(torch.float32)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype is torch.float32 and torch.equal(a, b)


def test_lengths_may_be_changed_once_the_call_is_over(trial: Trial):
    def run(lengths: Tensor, later: int) -> Tensor:
        x = trial.arrays["input x"].float().requires_grad_()
        arrays = {n: a.float() for n, a in trial.arrays.items()} | {"input x": x}
        output, _ = trial_sweep(trial, arrays, lengths)
        lengths.fill_(later)
        return torch.autograd.grad(output.square().sum(), x)[0]

    assert torch.equal(run(torch.tensor([2, 4, 0]), 10_000_000), run(torch.tensor([2, 4, 0]), 1))


@pytest.mark.parametrize("run", [on_engine("native"), RAGGED], ids=["even", "ragged"])
@pytest.mark.parametrize("turned", [False, True], ids=["time first", "batch first"])
def test_results_may_be_changed_in_place(trial: Trial, run: Any, turned: bool):
    x = trial.arrays["input x"].float()
    x = x.transpose(0, 1).contiguous().transpose(0, 1) if turned else x
    arrays = {n: a.float() for n, a in trial.arrays.items()} | {"input x": x.requires_grad_()}
    expected = torch.autograd.grad(run(trial, arrays)[0].sum(), x)[0]
    output, final = run(trial, arrays)
    output.add_(1.0)
    for state in final:
        state.zero_()
    assert torch.equal(torch.autograd.grad(output.sum(), x)[0], expected)


@pytest.mark.parametrize("name", ["input x", "state h", "parameter U_f", "parameter b_f"])
def test_an_array_changed_before_the_backward_pass_is_an_error(trial: Trial, name: str):
    arrays = {n: a.float().requires_grad_(n != name) for n, a in trial.arrays.items()}
    output, _ = on_engine("native")(trial, arrays)
    arrays[name].zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


def test_one_tensor_given_twice_counts_once_in_derivatives_of_derivatives(trial: Trial):
    def run(engine: str) -> tuple[Tensor, Tensor]:
        start = torch.linspace(-1, 1, 3 * SIZES["H"]).view(3, -1).requires_grad_()
        arrays = {n: a.float() for n, a in trial.arrays.items()} | {"state h": start, "state c": start}
        output, _ = on_engine(engine)(trial, arrays)
        (first,) = torch.autograd.grad(output.square().sum(), start, create_graph=True)
        return first.detach(), torch.autograd.grad(first.square().sum(), start)[0]

    for native, eager in zip(run("native"), run("eager"), strict=True):
        torch.testing.assert_close(native, eager, rtol=1e-4, atol=1e-4)


def negative(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """A tensor whose memory holds the opposite of what it is, and one that is the same without that."""
    view = torch._neg_view(torch.randn(shape))  # type: ignore[attr-defined]
    assert view.is_neg()
    return view, view.clone()


def test_a_tensor_that_is_the_negative_of_its_memory_is_read_right(trial: Trial):
    for name in ("input x", "parameter U_f", "parameter b_f"):
        view, plain = negative(tuple(trial.arrays[name].shape))
        arrays = {n: a.float() for n, a in trial.arrays.items()}
        outputs = [on_engine("native")(trial, arrays | {name: t})[0] for t in (view, plain)]
        assert torch.equal(*outputs)
    x, plain = negative((40, 8))
    weight, targets = torch.randn(9, 8), torch.randint(9, (40,))
    losses = [cross_entropy(f, weight, None, targets, Settings()) for f in (x, plain)]
    assert torch.equal(*losses)


class Wrapped(torch.Tensor):
    """A tensor without memory of its own, as those that trace or shard are."""

    @staticmethod
    def __new__(cls, inner: Tensor) -> "Wrapped":
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)  # type: ignore[attr-defined]

    def __init__(self, inner: Tensor) -> None:
        self.inner = inner

    @classmethod
    def __torch_dispatch__(cls, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        def open_(a: Any) -> Any:
            return a.inner if isinstance(a, Wrapped) else a

        return func(*torch.utils._pytree.tree_map(open_, args), **torch.utils._pytree.tree_map(open_, kwargs or {}))


def test_tensors_that_stand_for_others_run_by_torchs_operations(trial: Trial):
    arrays = {n: a.float() for n, a in trial.arrays.items()}
    found, _ = on_engine("auto")(trial, arrays | {"input x": Wrapped(arrays["input x"])})
    torch.testing.assert_close(found, on_engine("native")(trial, arrays)[0])
    with pytest.raises(ValueError, match="a Wrapped stands for"):
        on_engine("native")(trial, arrays | {"input x": Wrapped(arrays["input x"])})


def test_modes_that_watch_operations_see_them(trial: Trial):
    arrays = {n: a.float() for n, a in trial.arrays.items()}
    with FakeTensorMode() as mode:
        fake = {n: mode.from_tensor(a) for n, a in arrays.items()}
        assert on_engine("auto")(trial, fake)[0].shape == (4, 3, SIZES["H"])

    def run(x: Tensor) -> Tensor:
        return on_engine("auto")(trial, arrays | {"input x": x})[0]

    other = torch.randn_like(arrays["input x"])
    torch.testing.assert_close(make_fx(run)(arrays["input x"])(other), run(other))


def test_many_threads_run_one_cell_at_once(trial: Trial):
    expected = results(trial, RAGGED, torch.float32)

    def work(_: int) -> None:
        for _ in range(20):
            assert_same_bits(results(trial, RAGGED, torch.float32, poisoned=False), expected)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
    finally:
        sys.setswitchinterval(interval)


FORKED = """
import os, signal, numpy, torch, recurra
from recurra.layers import linear_cross_entropy
torch.set_num_threads(2)
layer, x = recurra.Recurrent("lstm", 100, 200), torch.randn(16, 20, 100)
stepper, step = recurra.Stepper(recurra.Recurrent("lstm", 600, 600)), numpy.ones((1, 600), numpy.float32)
weight, targets = torch.randn(500, 100), torch.zeros(16, dtype=torch.int64)
with torch.no_grad():
    def run():
        stepper.reset()
        found = layer(x)[0], linear_cross_entropy(x[:, 0], weight, None, targets), stepper.step(step)
        return [numpy.array(value) for value in found]
    expected = run()
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(not all((a == b).all() for a, b in zip(run(), expected)))
    print(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a fork is safe on Linux only")
def test_a_forked_process_computes_on():
    """OpenMP waits in the child for threads that live in the parent alone."""
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "0", done.stderr
