"""The native engine against the eager one: values and gradients of every kind of call."""

import random

import pytest
import torch
from torch import Tensor

from recurra import cells
from recurra.engines import library
from recurra.equations import Cell
from recurra.equations.program import Program

from .comparison import (
    SIZES,
    Results,
    Trial,
    assert_native_agrees,
    assert_same_bits,
    distance,
    on_engine,
    results,
    scale,
)
from .oddities import ODDITIES, deep_after, delay_line, output_is_a_constant, static_work, tied_rates
from .specimens import PUBLISHED, conditioned, skip_by_mask, slstm

ZOO = [cells.get(name) for name in cells.names()]
ALL = [*ZOO, *PUBLISHED, *ODDITIES]
SOME = [
    cells.get("lstm"),
    cells.get("layer_norm_lstm"),
    slstm,
    skip_by_mask,
    deep_after,
    delay_line,
    static_work,
    tied_rates,
]
WIDE = {"I": 17, "H": 63, "O": 16, "P": 33}
THIN = {"I": 2, "H": 1, "O": 1, "P": 3}

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("cell", ALL, ids=lambda c: c.name)
@pytest.mark.parametrize(
    ("sizes", "steps", "rows"),
    [(dict.fromkeys("IHOP", 1), 1, 1), (THIN, 2, 2), (WIDE, 5, 7), (dict.fromkeys("IHOP", 16), 12, 3)],
    ids=["one", "thin", "wide", "long"],
)
def test_agrees(cell: Cell, sizes: dict[str, int], steps: int, rows: int):
    assert_native_agrees(Trial(cell, sizes, steps, rows))


@pytest.mark.parametrize(
    ("sizes", "steps", "rows"),
    [((500, 63), 3, 2), ((63, 500), 2, 9), ((1, 500), 2, 1), ((200, 200), 4, 20), ((17, 1), 29, 1), ((16, 17), 1, 64)],
    ids=lambda p: str(p),
)
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_agrees_at_other_sizes(name: str, sizes: tuple[int, int], steps: int, rows: int):
    assert_native_agrees(Trial(cells.get(name), {"I": sizes[0], "H": sizes[1]}, steps, rows))


@pytest.mark.parametrize("cell", ALL, ids=lambda c: c.name)
def test_some_gradients_of_some_results(cell: Cell):
    trial = Trial(cell, SIZES, steps=4, rows=3, seed=1)
    choice = random.Random(cell.name)
    for _ in range(2):
        wanted = choice.sample(sorted(trial.arrays), choice.randint(1, len(trial.arrays)))
        used = choice.sample(sorted(trial.weights), choice.randint(1, len(trial.weights)))
        assert_native_agrees(trial, wanted=wanted, used=used)


@pytest.mark.parametrize("cell", SOME, ids=lambda c: c.name)
def test_each_gradient_alone(cell: Cell):
    trial = Trial(cell, SIZES, steps=4, rows=3, seed=2)
    for name in trial.arrays:
        assert_native_agrees(trial, wanted=[name])
    for name in trial.weights:
        assert_native_agrees(trial, used=[name])


def batch_major(a: Tensor) -> Tensor:
    return a.transpose(0, 1).contiguous().transpose(0, 1)


def columns_of_a_wider(a: Tensor) -> Tensor:
    wide = torch.full((*a.shape[:-1], a.shape[-1] + 5), float("nan"), dtype=a.dtype)
    wide[..., 2 : 2 + a.shape[-1]] = a
    return wide[..., 2 : 2 + a.shape[-1]]


def every_other_column(a: Tensor) -> Tensor:
    return torch.stack([a, torch.full_like(a, float("nan"))], -1).flatten(-2)[..., ::2]


def columns_first(a: Tensor) -> Tensor:
    return a.transpose(0, -1).contiguous().transpose(0, -1)


LAYOUTS = [batch_major, columns_of_a_wider, every_other_column, columns_first]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("cell", SOME, ids=lambda c: c.name)
def test_any_layout_of_the_arrays(cell: Cell, layout):
    trial = Trial(cell, SIZES, steps=3, rows=4)

    def laid(arrays: dict[str, Tensor]) -> dict[str, Tensor]:
        many = {n: a.float() for n, a in arrays.items() if a.dim() > 1 or layout is not batch_major}
        return {n: layout(a) for n, a in many.items()}

    assert_native_agrees(trial, native=trial.but(laid(trial.arrays), laid(trial.weights)))


@pytest.mark.parametrize("cell", SOME, ids=lambda c: c.name)
def test_arrays_repeated_without_memory(cell: Cell):
    """Inputs, states and incoming gradients expanded over steps and rows; one number as every gradient."""
    trial = Trial(cell, SIZES, steps=3, rows=4)
    first = {n: a[..., :1, :].expand(a.shape) for n, a in trial.arrays.items() if not n.startswith("parameter")}
    steps = {n: a[:1].expand(a.shape) for n, a in trial.arrays.items() if n.startswith("input")}
    ones = {n: torch.ones((), dtype=torch.float64).expand(a.shape) for n, a in trial.weights.items()}
    for arrays, weights in ((first, ones), (steps, {n: a[..., :1].expand(a.shape) for n, a in trial.weights.items()})):
        alike = trial.but(arrays, weights)
        native = trial.but(
            {n: a.float()[..., :1, :].expand(a.shape) for n, a in arrays.items()} if arrays is first
            else {n: a.float()[:1].expand(a.shape) for n, a in arrays.items()},
            {n: a.float()[..., :1].expand(a.shape) for n, a in weights.items()},
        )  # fmt: skip
        assert_native_agrees(alike, native=native)


def test_columns_of_one_stacked_parameter():
    """The parameters as row slices of one tensor, as torch.nn stacks them: its gradient is whole."""
    trial = Trial(cells.get("lstm"), SIZES, steps=3, rows=2)
    gates = "ifgo"
    stacked = torch.cat([trial.arrays[f"parameter U_{g}"] for g in gates]).float().requires_grad_()
    arrays = {n: a.float() for n, a in trial.arrays.items()}
    arrays |= {f"parameter U_{g}": u for g, u in zip(gates, stacked.chunk(4), strict=True)}
    output, _ = on_engine("native")(trial, arrays)
    (found,) = torch.autograd.grad((output * trial.weights["output"].float()).sum(), stacked)
    exact = results(trial, on_engine("eager"), torch.float64, used=["output"])
    parts = [exact[f"gradient of parameter U_{g}"] for g in gates]
    whole = torch.cat([p for p in parts if p is not None])
    assert distance(found, whole) < 1e-5 * scale(whole)


def second_derivatives(trial: Trial, engine: str, dtype: torch.dtype, used: list[str]) -> Results:
    """Derivatives of a weighed sum of all first derivatives, also by the gradients that come in."""
    arrays = {n: a.to(dtype).requires_grad_() for n, a in trial.arrays.items()}
    weights = {n: trial.weights[n].to(dtype).requires_grad_() for n in used}
    output, final = on_engine(engine)(trial, arrays)
    found = {"output": output} | {f"final {n}": f for n, f in zip(trial.cell.states, final, strict=True)}
    first = torch.autograd.grad(
        [found[n] for n in used], list(arrays.values()), list(weights.values()), create_graph=True, allow_unused=True
    )
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros((), dtype=dtype)
    for g in first:
        if g is not None:
            total = total + (g * torch.randn(g.shape, generator=generator).to(dtype)).sum()
    sources = arrays | weights
    second = torch.autograd.grad(total, list(sources.values()), allow_unused=True)
    return dict(zip(sources, second, strict=True)) | dict(zip((f"first {n}" for n in arrays), first, strict=True))


@pytest.mark.parametrize("cell", [*ZOO, slstm, conditioned, static_work], ids=lambda c: c.name)
def test_second_derivatives(cell: Cell):
    trial = Trial(cell, {"I": 3, "H": 4, "O": 2, "P": 5}, steps=3, rows=2)
    used = list(trial.weights)
    exact = second_derivatives(trial, "eager", torch.float64, used)
    plain = second_derivatives(trial, "eager", torch.float32, used)
    found = second_derivatives(trial, "native", torch.float32, used)
    for n, reference in exact.items():
        allowed = max(8 * distance(plain[n], reference), 3e-6 * (1 + scale(reference)))
        assert distance(found[n], reference) <= allowed, n


def test_second_derivatives_of_what_depends_on_nothing():
    """Only the output is used, and it is a constant: first and second derivatives are zero, not an error."""
    trial = Trial(output_is_a_constant, SIZES, steps=2, rows=2)
    arrays = {n: a.float().requires_grad_() for n, a in trial.arrays.items()}
    output, _ = on_engine("native")(trial, arrays)
    first = torch.autograd.grad(output.sum(), list(arrays.values()), create_graph=True, allow_unused=True)
    assert all(g is None or not g.any() for g in first)


def test_backward_twice_gives_the_same_bits():
    trial = Trial(cells.get("gru"), WIDE, steps=4, rows=5)
    arrays = {n: a.float().requires_grad_() for n, a in trial.arrays.items()}
    output, final = on_engine("native")(trial, arrays)
    loss = output.square().sum() + sum(f.sum() for f in final)
    first = torch.autograd.grad(loss, list(arrays.values()), retain_graph=True)
    results(Trial(cells.get("lstm"), WIDE, steps=4, rows=5), on_engine("native"), torch.float32)
    again = torch.autograd.grad(loss, list(arrays.values()))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(loss, list(arrays.values()))


def test_two_sweeps_open_at_once():
    """What one call keeps for its backward pass is not touched by the next."""
    trials = [Trial(cells.get("lstm"), WIDE, steps=4, rows=5, seed=k) for k in range(3)]
    alone = [results(t, on_engine("native"), torch.float32) for t in trials]
    arrays = [{n: a.float().requires_grad_() for n, a in t.arrays.items()} for t in trials]
    runs = [on_engine("native")(t, a) for t, a in zip(trials, arrays, strict=True)]
    for k in (1, 0, 2):
        found = dict(zip(trials[k].weights, (runs[k][0], *runs[k][1]), strict=True))
        grads = torch.autograd.grad(
            list(found.values()), list(arrays[k].values()), [w.float() for w in trials[k].weights.values()]
        )
        together = found | {f"gradient of {n}": g for n, g in zip(arrays[k], grads, strict=True)}
        assert_same_bits(together, alone[k])


def test_the_caller_may_overwrite_what_came_out():
    trial = Trial(cells.get("lstm"), SIZES, steps=4, rows=3)
    expected = results(trial, on_engine("native"), torch.float32)
    arrays = {n: a.float().requires_grad_() for n, a in trial.arrays.items()}
    output, final = on_engine("native")(trial, arrays)
    loss = (output * trial.weights["output"].float()).sum()
    loss = loss + sum((f * trial.weights[f"final {n}"].float()).sum() for n, f in zip("hc", final, strict=True))
    with torch.no_grad():
        output.fill_(float("nan"))
        for f in final:
            f.fill_(float("nan"))
    grads = torch.autograd.grad(loss, list(arrays.values()))
    for n, g in zip(arrays, grads, strict=True):
        reference = expected[f"gradient of {n}"]
        assert reference is not None
        assert torch.equal(g, reference), n


def test_a_parameter_changed_before_the_backward_pass_is_an_error():
    trial = Trial(cells.get("gru"), SIZES, steps=2, rows=2)
    arrays = {n: a.float().requires_grad_() for n, a in trial.arrays.items()}
    output, _ = on_engine("native")(trial, arrays)
    with torch.no_grad():
        arrays["parameter U_z"].add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        output.sum().backward()


def test_a_changed_parameter_is_seen_by_the_next_call():
    trial = Trial(cells.get("elman"), SIZES, steps=2, rows=2)
    arrays = {n: a.float() for n, a in trial.arrays.items()}
    before, _ = on_engine("native")(trial, arrays)
    arrays["parameter U_h"].mul_(-2.0)
    after, _ = on_engine("native")(trial, arrays)
    assert not torch.equal(before, after)
    assert distance(after, on_engine("eager")(trial, arrays)[0]) < 1e-5


@pytest.mark.parametrize("cell", [*SOME, *ODDITIES[:4]], ids=lambda c: c.name)
def test_states_left_out_are_zeros(cell: Cell):
    trial = Trial(cell, SIZES, steps=3, rows=2)
    zeros = {n: torch.zeros_like(a) for n, a in trial.arrays.items() if n.startswith("state")}
    names = [n for n in trial.arrays if n not in zeros]
    expected = results(trial.but(zeros), on_engine("native"), torch.float32, wanted=names)

    def without(trial: Trial, arrays: dict[str, Tensor]):
        return on_engine("native")(trial, {n: None if n in zeros else a for n, a in arrays.items()})  # type: ignore[dict-item]

    assert_same_bits(results(trial, without, torch.float32, wanted=names), expected)


@pytest.mark.parametrize("instruction_set", library.INSTRUCTION_SETS)
def test_every_instruction_set_agrees(instruction_set: str, monkeypatch: pytest.MonkeyPatch):
    if instruction_set not in library.available():
        pytest.skip(f"this processor cannot run {instruction_set}")
    monkeypatch.setenv("RECURRA_ISA", instruction_set)
    assert library.kernels().name.decode() == instruction_set
    for cell in (cells.get("lstm"), cells.get("layer_norm_lstm"), slstm, static_work):
        trial = Trial(cell, WIDE, steps=3, rows=9)
        trial.program = Program(cell)  # plans keep the kernels they were made with
        assert_native_agrees(trial)
        for reverse in (False, True):
            assert_native_agrees(trial, lengths=[3, 0, 1, 2, 3, 3, 1, 0, 2], reverse=reverse)
