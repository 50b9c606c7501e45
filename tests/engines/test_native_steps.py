"""Single steps on the native engine, beside those of the eager one in float64."""

from typing import Any

import pytest
import torch
from torch import Tensor

from recurra import cells
from recurra.engines import eager, memory
from recurra.engines.native_steps import NativeSteps
from recurra.engines.sweep import steps
from recurra.engines.widths import Call
from recurra.equations import Cell
from recurra.equations.attention import SCORES, attentive
from recurra.equations.rewrite import with_static

from .comparison import Trial
from .test_attention import EQUAL, attending

pytestmark = pytest.mark.usefixtures("one_thread")

STATIC = [with_static(cells.get(n)) for n in ("lstm", "gru", "mut1", "layer_norm_lstm", "slstm")]
PLAIN = [cells.get(n) for n in ("lstm", "indrnn", "projected_lstm", "jordan")]
CELLS = [*attending(), *STATIC, with_static(attentive(cells.get("gru"))), *PLAIN]


def trial(made: Cell, sources: tuple[int, ...] = (4, 1, 6)) -> Trial:
    return Trial(made, {**EQUAL, "S": 3}, 4, len(sources), 0, sources)


def call_of(t: Trial, dtype: torch.dtype) -> Call:
    arrays = {n: a.to(dtype) for n, a in t.arrays.items()}
    inputs, statics, memories = (tuple(t.part(k, arrays).values()) for k in ("input", "static", "memory"))
    parameters = {(n,): p for n, p in t.part("parameter", arrays).items()}
    sources = torch.tensor(t.sources) if memories else None
    given = tuple(x[:1] for x in inputs), statics, (None,) * len(t.cell.states)
    return Call(t.program, *given, parameters, memories=memories, sources=sources)


def ran(t: Trial, made: eager.Steps, dtype: torch.dtype, rows: Tensor | None = None) -> dict[str, Tensor]:
    """All that comes of the trial's steps; of its second step on with these rows alone."""
    arrays = {n: a.to(dtype) for n, a in t.arrays.items()}
    inputs, state = list(t.part("input", arrays).values()), tuple(t.part("state", arrays).values())
    found: dict[str, Tensor] = {}
    for k in range(t.steps):
        if k == 1 and rows is not None:
            inputs, state, made = [x[:, rows] for x in inputs], tuple(s[rows] for s in state), made.select(rows)
        output, state, seen = made.next([x[k] for x in inputs], state)
        found |= {f"{k} output": output, **{f"{k} {n}": s for n, s in seen.items()}}
        found |= {f"{k} state {n}": s for n, s in zip(t.cell.states, state, strict=True)}
    return found


def assert_agree(t: Trial, rows: Tensor | None = None) -> None:
    with torch.no_grad():
        expected = ran(t, eager.Steps(call_of(t, torch.float64)), torch.float64, rows)
        found = ran(t, steps(call_of(t, torch.float32), "auto"), torch.float32, rows)
        near = ran(t, eager.Steps(call_of(t, torch.float32)), torch.float32, rows)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        scale = float(value.abs().amax()) if value.isfinite().all() else 1.0
        worst = max(1e-5 * scale, 8 * float((near[name] - value).abs().nan_to_num().amax()))
        torch.testing.assert_close(found[name].double(), value, atol=worst, rtol=0, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("made", CELLS, ids=lambda c: c.name)
@pytest.mark.parametrize("sources", [(1,), (4, 1, 6), (17, 33, 3, 20, 16)], ids=["one", "few", "many"])
def test_steps_are_those_of_the_eager_engine(made: Cell, sources: tuple[int, ...]):
    memory.poison(float("nan"))
    assert_agree(trial(made, sources))


@pytest.mark.parametrize("made", CELLS, ids=lambda c: c.name)
def test_selected_rows_go_on_by_themselves(made: Cell):
    memory.poison(float("nan"))
    assert_agree(trial(made), torch.tensor([2, 0, 2, 2, 1]))


@pytest.mark.parametrize("made", [attentive(cells.get("lstm"), coverage=True), STATIC[0]], ids=lambda c: c.name)
@pytest.mark.parametrize("gradients", [False, True])
def test_rows_selected_again_and_with_gradients(made: Cell, gradients: bool):
    t = trial(made)

    def run(steps: eager.Steps) -> dict[str, Tensor]:
        inputs = [torch.cat([x[0].float()] * 2) for x in t.part("input", t.arrays).values()]
        chosen = torch.tensor([2, 0, -1, 1, 0])
        with torch.set_grad_enabled(gradients):
            selected = steps.select(chosen).select(torch.tensor([4, 1, -3]))
            state = tuple(s[[0, 0, 2]].float() for s in t.part("state", t.arrays).values())
            wanted = [s.requires_grad_(gradients) for s in state]
            output, state, seen = selected.next([x[:3] for x in inputs], state)
            found = {"output": output, **dict(zip(t.cell.states, state, strict=True)), **seen}
            if gradients:
                found |= {f"gradient of {n}": g for n, g in zip(t.cell.states, gradient(output, wanted), strict=True)}
        return {n: v.detach() for n, v in found.items()}

    def gradient(output: Tensor, wanted: list[Tensor]) -> tuple[Tensor, ...]:
        return torch.autograd.grad(output.square().sum(), wanted, materialize_grads=True)

    call = call_of(t, torch.float32)
    torch.testing.assert_close(run(NativeSteps(call)), run(eager.Steps(call)), rtol=1e-4, atol=1e-5)


def test_a_row_that_is_not_there_cannot_be_selected():
    made = NativeSteps(call_of(trial(attentive(cells.get("gru"))), torch.float32))
    with pytest.raises(IndexError, match="out of bounds"):
        made.select(torch.tensor([0, 3]))
    with pytest.raises(IndexError, match="out of bounds"):
        made.select(torch.tensor([0, 1])).select(torch.tensor([2]))


@pytest.mark.parametrize("score", SCORES)
def test_a_row_has_the_same_bits_in_any_company(score: str):
    t = trial(attentive(cells.get("gru"), score))
    with torch.no_grad():
        whole = ran(t, NativeSteps(call_of(t, torch.float32)), torch.float32, torch.tensor([0, 1, 2]))
        turned = ran(t, NativeSteps(call_of(t, torch.float32)), torch.float32, torch.tensor([2, 2, 0]))
    for name, value in whole.items():
        assert name.startswith("0") or torch.equal(turned[name], value[[2, 2, 0]]), name


def test_where_a_gradient_is_wanted_it_is_there():
    t = trial(attentive(cells.get("lstm")))
    call = call_of(t, torch.float32)
    wanted = call.parameters["W_key",].requires_grad_()
    x, state = [x[0] for x in call.inputs], [s.float() for s in t.part("state", t.arrays).values()]
    output, _, _ = steps(call, "auto").next(x, state)
    assert torch.autograd.grad(output.sum(), wanted)[0].abs().sum() > 0
    with torch.no_grad():
        found, _, _ = steps(call, "auto").next(x, state)
    torch.testing.assert_close(found, output)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_arrays_that_it_cannot_read_are_torchs_to_judge(dtype: torch.dtype):
    t = trial(cells.get("gru"))
    call = call_of(t, torch.float32)
    made, x = steps(call, "auto"), [x[0].to(dtype) for x in call.inputs]
    with torch.no_grad(), pytest.raises(RuntimeError, match="dtype"):
        made.next(x, [None])
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert made.next([x[0].bfloat16() for x in call.inputs], [None])[0].isfinite().all()


def test_steps_in_inference_mode():
    t = trial(attentive(cells.get("gru")))
    with torch.inference_mode():
        found = ran(t, NativeSteps(call_of(t, torch.float32)), torch.float32)
    with torch.no_grad():
        expected = ran(t, eager.Steps(call_of(t, torch.float32)), torch.float32)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("engine", "kind"), [("auto", NativeSteps), ("native", NativeSteps), ("eager", eager.Steps)])
def test_the_engine_is_the_one_named(engine: str, kind: type[Any]):
    assert type(steps(call_of(trial(cells.get("gru")), torch.float32), engine)) is kind


def test_what_the_native_engine_does_not_serve():
    call = call_of(trial(cells.get("gru")), torch.float64)
    assert type(steps(call, "auto")) is eager.Steps
    with pytest.raises(ValueError, match="it computes in float32, and a tensor is float64"):
        steps(call, "native")
