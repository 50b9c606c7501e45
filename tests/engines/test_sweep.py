"""The entry to the engines: which one runs, what it says, and what it refuses."""

import logging

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

from recurra import cells
from recurra.engines import sweep as sweep_file

from .comparison import SIZES, Trial, on_engine
from .specimens import conditioned

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def trial() -> Trial:
    return Trial(cells.get("gru"), SIZES, steps=3, rows=2)


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The engines that ran, call by call."""
    found: list[str] = []
    for name in ("eager", "native"):
        engine = getattr(sweep_file, name)

        def spy(call, name=name, run=engine.sweep):
            found.append(name)
            return run(call)

        monkeypatch.setattr(engine, "sweep", spy)
    return found


def single(trial: Trial) -> dict[str, Tensor]:
    return {n: a.float() for n, a in trial.arrays.items()}


def test_auto_takes_native_for_float32_and_eager_for_the_rest(trial: Trial, chosen: list[str]):
    on_engine("auto")(trial, single(trial))
    on_engine("auto")(trial, trial.arrays)
    assert chosen == ["native", "eager"]


def test_the_engine_that_is_asked_for_runs(trial: Trial, chosen: list[str]):
    on_engine("eager")(trial, single(trial))
    on_engine("native")(trial, single(trial))
    assert chosen == ["eager", "native"]


@pytest.mark.parametrize("odd", ["input x", "state h", "parameter U_z"])
def test_one_array_of_another_dtype_is_an_obstacle(trial: Trial, odd: str):
    arrays = single(trial) | {odd: trial.arrays[odd]}
    with pytest.raises(ValueError, match=r"native engine cannot serve this call: .*float32.*float64.*eager.*auto"):
        on_engine("native")(trial, arrays)


def test_another_device_is_an_obstacle(trial: Trial):
    with pytest.raises(ValueError, match="on the CPU, and a tensor is on meta"):
        on_engine("native")(trial, {n: a.to("meta") for n, a in single(trial).items()})


def test_a_typo_gets_the_nearest_name(trial: Trial):
    with pytest.raises(ValueError, match=r"no engine `natve`.*native.*auto, eager, native"):
        on_engine("natve")(trial, single(trial))


def test_the_log_says_which_engine_runs_and_why(trial: Trial, caplog: pytest.LogCaptureFixture):
    sweep_file._tell.cache_clear()
    with caplog.at_level(logging.INFO, "recurra.engines"):
        for arrays in (single(trial), single(trial), trial.arrays):
            on_engine("auto")(trial, arrays)
    said = [r.getMessage() for r in caplog.records if r.name == "recurra.engines"]
    assert len(said) == 2, "once a cell, engine and reason"
    assert "gru runs on the native engine" in said[0]
    assert "gru runs on the eager engine" in said[1] and "float64" in said[1]


def test_a_missing_library_is_said_and_eager_runs(trial: Trial, monkeypatch, tmp_path, chosen: list[str]):
    monkeypatch.setattr(sweep_file, "_missing_library", lambda: f"the native library was not found in {tmp_path}")
    on_engine("auto")(trial, single(trial))
    assert chosen == ["eager"]
    with pytest.raises(ValueError, match="not found in"):
        on_engine("native")(trial, single(trial))


# Transformations of torch: the native engine knows reverse mode alone, so `auto` leaves these to the eager engine.


def total(trial: Trial, arrays: dict[str, Tensor], x: Tensor) -> Tensor:
    output, final = on_engine("auto")(trial, arrays | {"input x": x})
    return output.sum() + final[0].square().sum()


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_forward_mode_derivatives_are_not_lost(trial: Trial):
    arrays, along = single(trial), torch.ones_like(trial.arrays["input x"], dtype=torch.float32)
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(total(trial, arrays, forward_ad.make_dual(arrays["input x"], along))).tangent
    x = arrays["input x"].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(total(trial, arrays, x), x)
    assert tangent is not None
    torch.testing.assert_close(tangent, gradient.sum(), rtol=1e-4, atol=1e-4)


def test_a_dual_level_without_tangents_is_no_obstacle(trial: Trial, chosen: list[str]):
    with forward_ad.dual_level():
        on_engine("auto")(trial, single(trial))
    assert chosen == ["native"]


def test_function_transforms_work(trial: Trial):
    arrays = single(trial)
    x = arrays["input x"]
    found = torch.func.grad(lambda x: total(trial, arrays, x))(x)
    needs = x.clone().requires_grad_()
    torch.testing.assert_close(found, torch.autograd.grad(total(trial, arrays, needs), needs)[0], rtol=1e-4, atol=1e-5)
    mapped = torch.func.vmap(lambda x: total(trial, arrays, x))(torch.stack([x, 2 * x]))
    torch.testing.assert_close(mapped, torch.stack([total(trial, arrays, k * x) for k in (1, 2)]), rtol=1e-5, atol=1e-5)


def test_eager_passes_gradcheck():
    trial = Trial(conditioned, {"I": 2, "H": 3}, steps=3, rows=2)
    arrays = [a.clone().requires_grad_() for a in trial.arrays.values()]

    def run(*arrays: Tensor) -> tuple[Tensor, ...]:
        output, final = on_engine("eager")(trial, dict(zip(trial.arrays, arrays, strict=True)))
        return output, *final

    assert torch.autograd.gradcheck(run, arrays)


def test_a_sequence_needs_a_step_and_a_row(trial: Trial):
    for shape in ((0, 2, 5), (3, 0, 5)):
        arrays = single(trial) | {"input x": torch.zeros(shape), "state h": torch.zeros(shape[1], 8)}
        for engine in ("eager", "native"):
            with pytest.raises(ValueError, match="at least one step and one row"):
                on_engine(engine)(trial, arrays)
