"""Cells that attend to a memory, on every engine."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from recurra import cells
from recurra.engines import eager, memory, native
from recurra.engines.sweep import sweep
from recurra.engines.widths import Call
from recurra.equations import (
    Cell,
    CellError,
    affine,
    attend,
    cell,
    dot,
    relu,
    sigmoid,
    softmax,
    tanh,
    vector,
    weighted_sum,
)
from recurra.equations.attention import SCORES, attentive
from recurra.equations.program import Program

from .comparison import (
    SIZES,
    Trial,
    assert_close,
    assert_native_agrees,
    assert_same_bits,
    on_engine,
    on_oracle,
    results,
)

pytestmark = pytest.mark.usefixtures("one_thread")

EQUAL = {**SIZES, "M": 8}  # scores by dot product need a memory as wide as the query


@cell(state={"h": "H", "used": "A"}, memory=("m", "used"))
def wandering(x, h, used, m):
    """A memory that is read through a gate made of what was read before, and changes as it goes."""
    key = tanh(affine("key", m, x, width="A") + used)
    weights = softmax(dot(key, vector("v", "A")) - 0.5 * dot(used, used))
    found = weighted_sum(weights * sigmoid(dot(key, affine("gate", h, width="A"))), relu(m))
    h = tanh(affine("h", x, h, found))
    return h, (h, 0.5 * used + weights * key)


@cell(state=("h",), memory=("first", "second"), static=("s",), width={"first": "M", "second": 3, "s": "I"})
def two_memories(x, h, first, second, s):
    """Two memories of one length; one query comes from the input alone, one is the same all along."""
    asked = softmax(dot(first, affine("a", x, width="M")))
    settled = softmax(dot(second, affine("b", s, width=3), scaled=True))
    read = affine("r", weighted_sum(asked, second), weighted_sum(settled, first), weighted_sum(asked * settled, first))
    h = tanh(affine("h", h) + read)
    return h, (h,)


@cell(state=("h",), memory=("m",))
def asking_twice(x, h, m):
    """Two questions to one memory, by parameters of their own."""
    first, _ = attend(m, h)
    second, weights = attend(m, first, "general", name="again_")
    h = tanh(affine("h", x, h, second)) + weighted_sum(weights, weights)
    return h, (h,)


def attending() -> list[Cell]:
    gru, lstm, elman = cells.get("gru"), cells.get("lstm"), cells.get("elman")
    return [
        *[attentive(gru, score) for score in SCORES],
        attentive(lstm, "general", place="after", feeding=True),
        attentive(lstm, "additive", coverage=True),
        attentive(elman, "concat", place="after", feeding=True, coverage=True, window=2),
        attentive(cells.get("layer_norm_lstm"), "dot", place="after"),
        wandering,
        two_memories,
        asking_twice,
    ]


def trial(made: Cell, steps: int = 5, sources: tuple[int, ...] = (4, 1, 6), seed: int = 0) -> Trial:
    return Trial(made, EQUAL, steps, len(sources), seed, sources)


@pytest.mark.parametrize("made", attending(), ids=lambda c: c.name)
def test_eager_agrees_with_the_equations(made: Cell):
    t = trial(made)
    assert_close(results(t, on_engine("eager"), torch.float64), results(t, on_oracle, torch.float64), tolerance=1e-12)


@pytest.mark.parametrize("made", attending(), ids=lambda c: c.name)
@pytest.mark.parametrize(
    ("steps", "sources"), [(1, (1,)), (5, (4, 1, 6)), (12, (17, 33, 3, 20, 16))], ids=["one", "few", "many"]
)
def test_native_agrees(made: Cell, steps: int, sources: tuple[int, ...]):
    assert_native_agrees(trial(made, steps, sources))


@pytest.mark.parametrize("made", attending(), ids=lambda c: c.name)
def test_native_agrees_with_lengths(made: Cell):
    t = trial(made, 6, (4, 9, 1, 5), seed=1)
    assert_native_agrees(t, lengths=(3, 6, 0, 1))
    assert_native_agrees(t, lengths=(3, 6, 0, 1), reverse=True)


SOME = [attentive(cells.get("gru"), coverage=True), attentive(cells.get("lstm"), "general", place="after", window=2)]


@pytest.mark.parametrize("made", SOME, ids=lambda c: c.name)
def test_a_row_does_not_depend_on_the_others_nor_on_threads(made: Cell):
    t = Trial(made, {"I": 20, "H": 48, "M": 40, "A": 33}, 9, 5, 3, (7, 1, 12, 3, 9))
    whole = results(t, on_engine("native"), torch.float32)
    torch.set_num_threads(3)
    assert_same_bits(results(t, on_engine("native"), torch.float32), whole)
    torch.set_num_threads(1)
    per_row = [n for n in whole if "parameter" not in n]
    for row in range(5):
        alone = results(t.row(row), on_engine("native"), torch.float32)
        for name in per_row:
            rows = 1 if name == "output" or " input " in name else 0
            expected = whole[name].narrow(rows, row, 1)
            if alone[name].dim() == 3 and rows == 0:
                expected = expected[:, : alone[name].shape[1]]
            assert torch.equal(alone[name], expected), name


@pytest.mark.parametrize("made", SOME, ids=lambda c: c.name)
def test_a_second_derivative(made: Cell):
    t = trial(made, 3, (2, 3), seed=4)
    arrays = {n: a.float().requires_grad_() for n, a in t.arrays.items()}
    exact = {n: a.clone().requires_grad_() for n, a in t.arrays.items()}
    found = []
    for engine, given in (("native", arrays), ("eager", exact)):
        output, _ = on_engine(engine)(t, given)
        (first,) = torch.autograd.grad((output**2).sum(), given["memory memory"], create_graph=True)
        found.append(torch.autograd.grad((first**2).sum(), list(given.values()), allow_unused=True))
    for a, b in zip(*found, strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            torch.testing.assert_close(a.double(), b, rtol=1e-3, atol=1e-3)


def test_what_changes_under_a_matrix_runs_on_the_eager_engine(caplog: pytest.LogCaptureFixture):
    @cell(state=("h",), memory=("m",))
    def deep(x, h, m):
        hidden = tanh(affine("one", m, width="A") + affine("two", h, width="A"))
        h = tanh(affine("h", x, weighted_sum(softmax(affine("score", hidden, width=1)), m)))
        return h, (h,)

    t = trial(deep)
    assert_close(results(t, on_engine("auto"), torch.float64), results(t, on_oracle, torch.float64), tolerance=1e-12)
    with pytest.raises(ValueError, match="affine score has what changes"):
        results(t, on_engine("native"), torch.float32)


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        (torch.tensor([4, 7, 1]), "a number of sources is 7; expected 1 to 6"),
        (torch.tensor([4, 0, 1]), "a number of sources is 0; expected 1 to 6"),
        (torch.tensor([4, 2]), r"sources are int64 \[2\]"),
        (torch.tensor([4.0, 2.0, 1.0]), "sources are float32"),
    ],
)
def test_numbers_of_sources_that_cannot_be(sources: torch.Tensor, message: str):
    t = trial(attentive(cells.get("gru")))
    inputs, state, given = (list(t.part(kind, t.arrays).values()) for kind in ("input", "state", "memory"))
    for memories in (given, []):
        with pytest.raises(ValueError, match=message if memories else "0 memories given; expected 1: memory"):
            sweep(t.program, inputs, state, t.part("parameter", t.arrays), memories=memories, sources=sources)


OWNERS = torch.tensor([2, 0, 2, 1, 0])


def sharing(t: Trial, lengths: torch.Tensor | None = None, owners: torch.Tensor = OWNERS) -> Call:
    """The trial's sweep, whose five rows read three memories."""
    arrays = {n: a.float() for n, a in t.arrays.items()}
    inputs, statics, state = (tuple(t.part(kind, arrays).values()) for kind in ("input", "static", "state"))
    memories = tuple(m[:3] for m in t.part("memory", arrays).values())
    parameters = {(n,): p for n, p in t.part("parameter", arrays).items()}
    sources = torch.tensor([4, 1, 6])[OWNERS]
    return Call(t.program, inputs, statics, state, parameters, lengths, False, memories, sources, owners)


@pytest.mark.parametrize("made", attending(), ids=lambda c: c.name)
@pytest.mark.parametrize("lengths", [None, torch.tensor([3, 4, 0, 1, 4])], ids=["whole", "ragged"])
def test_rows_that_share_memories(made: Cell, lengths: torch.Tensor | None):
    memory.poison(float("nan"))
    call = sharing(trial(made, 4, (6,) * 5), lengths)
    apart = replace(call, memories=tuple(m[OWNERS] for m in call.memories), owners=None)
    with torch.no_grad():
        expected = native.sweep(apart)
        torch.testing.assert_close(native.sweep(call), expected, rtol=0, atol=0)
        torch.testing.assert_close(eager.sweep(call), expected, rtol=1e-4, atol=1e-4)


def test_a_shared_memory_has_its_gradient_on_the_eager_engine():
    call = sharing(trial(attentive(cells.get("gru")), 4, (6,) * 5))
    given = call.memories[0].requires_grad_()
    assert native.obstacle(call) == "of a memory that several rows read it gives no gradient"
    apart = replace(call, memories=(given[OWNERS],), owners=None)
    found, expected = (torch.autograd.grad(s[0].sum(), given)[0] for s in (eager.sweep(call), native.sweep(apart)))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("owners", "message"),
    [
        (torch.tensor([2, 0, 3, 1, 0]), "an owner is 3; expected 0 to 2, the rows of the memory"),
        (torch.tensor([2, 0, -1, 1, 0]), "an owner is -1; expected 0 to 2"),
        (torch.tensor([2, 0]), r"owners are int64 \[2\]"),
    ],
)
def test_owners_that_cannot_be(owners: torch.Tensor, message: str):
    with pytest.raises(ValueError, match=message):
        sharing(trial(attentive(cells.get("gru")), 4, (6,) * 5), owners=owners).check()


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda m, h: softmax(dot(h, h)), "softmax of a value that is one for all sources"),
        (lambda m, h: softmax(m), "softmax of scores with width M"),
        (lambda m, h: weighted_sum(m, h), "weighted_sum of a value that is one for all sources"),
        (lambda m, h: dot(m, h), "dot of values with widths H and M"),
        (lambda m, h: m, "the output has a value for every source"),
    ],
)
def test_misuse_names_the_mend(function: Callable[[Any, Any], Any], message: str):
    @cell(state=("h",), memory=("m",))
    def wrong(x, h, m):
        return function(m, h), (tanh(affine("h", x, h)),)

    with pytest.raises(CellError, match=message):
        Program(wrong)
