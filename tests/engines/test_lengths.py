"""Rows of their own lengths, and both directions: each row is as if it were alone and went the usual way."""

import pytest
import torch
from torch import Tensor

from recurra import cells
from recurra.engines.sweep import sweep
from recurra.equations import Cell

from .comparison import (
    SIZES,
    Results,
    Trial,
    assert_close,
    assert_native_agrees,
    assert_same_bits,
    on_engine,
    program,
    results,
)
from .oddities import ODDITIES
from .specimens import PUBLISHED

ZOO = [cells.get(name) for name in cells.names()]
FUSED = [c for c in ZOO if all(p.blocks == 1 for p in program(c).parameters.values())]
LENGTHS = [4, 0, 7, 1, 7, 3, 0, 2]
DIRECTIONS = pytest.mark.parametrize("reverse", [False, True], ids=["onwards", "backwards"])

pytestmark = pytest.mark.usefixtures("one_thread")


def one_by_one(trial: Trial, lengths: list[int], reverse: bool) -> Results:
    """Every row alone, with as many steps as it has, turned round in time where it runs backwards."""
    found: dict[str, list[Tensor]] = {}
    for r, length in enumerate(lengths):
        row = trial.row(r)
        if not length:
            parts = {"output": torch.zeros_like(row.weights["output"])}
            parts |= {f"final {n}": row.arrays[f"state {n}"] for n in trial.cell.states}
            parts |= {f"gradient of input {n}": torch.zeros_like(row.arrays[f"input {n}"]) for n in trial.cell.inputs}
            parts |= {f"gradient of state {n}": row.weights[f"final {n}"] for n in trial.cell.states}
        else:
            cut = row.but(
                {n: turned(a[:length], reverse) for n, a in row.arrays.items() if n.startswith("input")},
                {"output": turned(row.weights["output"][:length], reverse)},
            )
            alone = results(cut, on_engine("eager"), torch.float64, poisoned=False)
            parts = {n: t for n, t in alone.items() if t is not None}
            for n in [n for n in parts if n == "output" or n.startswith("gradient of input")]:
                parts[n] = torch.nn.functional.pad(turned(parts[n], reverse), (0, 0, 0, 0, 0, trial.steps - length))
        for n, part in parts.items():
            found.setdefault(n, []).append(part)
    joined: Results = {}
    for n, parts in found.items():
        joined[n] = sum(parts) if n.startswith("gradient of parameter") else torch.cat(parts, -2)  # type: ignore[assignment]
    return joined


def turned(a: Tensor, reverse: bool) -> Tensor:
    return a.flip(0) if reverse else a


@DIRECTIONS
@pytest.mark.parametrize("cell", ZOO, ids=lambda c: c.name)
def test_a_row_is_as_if_it_were_alone(cell: Cell, reverse: bool):
    trial = Trial(cell, SIZES, steps=7, rows=len(LENGTHS))
    eager = on_engine("eager", lengths=LENGTHS, reverse=reverse)
    found = results(trial, eager, torch.float64, poisoned=False)
    expected = one_by_one(trial, LENGTHS, reverse)
    assert_close({n: found[n] for n in expected}, expected, 1e-12)


@DIRECTIONS
@pytest.mark.parametrize("cell", [*FUSED, *PUBLISHED, *ODDITIES], ids=lambda c: c.name)
def test_native_agrees(cell: Cell, reverse: bool):
    trial = Trial(cell, SIZES, steps=7, rows=len(LENGTHS), seed=1)
    assert_native_agrees(trial, lengths=LENGTHS, reverse=reverse)
    assert_native_agrees(trial, reverse=reverse)


@DIRECTIONS
@pytest.mark.parametrize("name", ["lstm", "gru", "layer_norm_lstm"])
def test_native_agrees_at_other_sizes(name: str, reverse: bool):
    for steps, rows in ((1, 1), (60, 3), (45, 40), (300, 9)):
        lengths = [(7 * r * r + 3 * r) % (steps + 1) for r in range(rows)]
        lengths[rows // 2] = max(1, steps - 1)  # nobody has the last step, and it must not be read
        assert_native_agrees(Trial(cells.get(name), {"I": 17, "H": 33}, steps, rows), lengths=lengths, reverse=reverse)


@DIRECTIONS
@pytest.mark.parametrize("cell", FUSED, ids=lambda c: c.name)
def test_threads_and_company_do_not_change_a_bit(cell: Cell, reverse: bool):
    lengths = [(5 * r) % 13 for r in range(33)]
    trial = Trial(cell, {"I": 17, "H": 63, "O": 19, "P": 33}, steps=12, rows=33)
    native = on_engine("native", lengths=lengths, reverse=reverse)
    expected = results(trial, native, torch.float32)
    for threads in (2, 3):
        torch.set_num_threads(threads)
        assert_same_bits(results(trial, native, torch.float32), expected)
    torch.set_num_threads(1)
    alone = results(trial.row(5), on_engine("native", lengths=lengths[5:6], reverse=reverse), torch.float32)
    shared = ("output", "final", "gradient of input", "gradient of state")
    picked = {n: None if t is None else t[..., 5:6, :] for n, t in expected.items() if n.startswith(shared)}
    assert_same_bits({n: t for n, t in alone.items() if n.startswith(shared)}, picked)


@pytest.mark.parametrize("engine", ["eager", "native"])
def test_padding_is_never_read(engine: str):
    trial = Trial(cells.get("lstm"), SIZES, steps=7, rows=len(LENGTHS))
    behind = torch.arange(7)[:, None] >= torch.tensor(LENGTHS)
    dirty = trial.arrays["input x"].clone()
    dirty[behind] = float("nan")
    ragged = on_engine(engine, lengths=LENGTHS)
    dtype = torch.float32 if engine == "native" else torch.float64
    clean = results(trial, ragged, dtype, wanted=[])
    assert_same_bits(results(trial.but({"input x": dirty}), ragged, dtype, wanted=[]), clean)
    output = clean["output"]
    assert output is not None and not output[behind].any()


@pytest.mark.parametrize("engine", ["eager", "native"])
def test_no_row_has_a_step(engine: str):
    trial = Trial(cells.get("gru"), SIZES, steps=3, rows=2)
    found = results(trial, on_engine(engine, lengths=[0, 0]), torch.float32)
    for n, t in found.items():
        if n == "final h":
            assert torch.equal(t, trial.arrays["state h"].float())  # type: ignore[arg-type]
        elif n == "gradient of state h":
            assert torch.equal(t, trial.weights["final h"].float())  # type: ignore[arg-type]
        else:
            assert t is None or not t.any(), n


def test_one_array_of_several_parameters():
    """As torch's weight_ih: rows by gate, and a gradient for the whole."""
    trial = Trial(cells.get("lstm"), {"I": 5, "H": 8}, steps=6, rows=3)
    gates = "ifgo"
    named = {n: a.float().requires_grad_() for n, a in trial.part("parameter", trial.arrays).items()}
    stacked = {
        tuple(f"{kind}_{g}" for g in order): torch.cat([named[f"{kind}_{g}"].detach() for g in order]).requires_grad_()
        for kind, order in (("W", gates), ("U", "ogif"), ("b", "fi"))
    }
    alone = {n: p for n, p in named.items() if n in ("b_g", "b_o")}
    x = trial.arrays["input x"].float()
    for engine in ("eager", "native"):
        for p in (*named.values(), *stacked.values()):
            p.grad = None
        expected, _ = sweep(trial.program, [x], [None, None], named, engine=engine)
        expected.square().sum().backward()
        wanted = {n: p.grad for n, p in named.items()}
        found, _ = sweep(trial.program, [x], [None, None], {**stacked, **alone}, engine=engine)
        assert torch.equal(found, expected)
        for p in alone.values():
            p.grad = None
        found.square().sum().backward()
        for names, p in stacked.items():
            assert p.grad is not None
            torch.testing.assert_close(p.grad, torch.cat([wanted[n] for n in names]))  # type: ignore[arg-type]
        for n, p in alone.items():
            torch.testing.assert_close(p.grad, wanted[n])


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        (torch.tensor([3, -1]), "a length is -1; expected 0 to 4"),
        (torch.tensor([5, 1]), "a length is 5; expected 0 to 4"),
        (torch.tensor([3]), r"int64 \[1\] on cpu; expected int64 \[2\]"),
        (torch.tensor([3.0, 1.0]), r"float32 \[2\] on cpu; expected int64 \[2\]"),
    ],
)
@pytest.mark.parametrize("engine", ["eager", "native"])
def test_lengths_that_do_not_fit(lengths: Tensor, message: str, engine: str):
    trial = Trial(cells.get("gru"), SIZES, steps=4, rows=2)
    own = {n: p.float() for n, p in trial.part("parameter", trial.arrays).items()}
    with pytest.raises(ValueError, match=message):
        sweep(trial.program, [trial.arrays["input x"].float()], [None], own, lengths=lengths, engine=engine)


def test_an_array_that_cannot_be_shared_evenly():
    trial = Trial(cells.get("gru"), SIZES, steps=4, rows=2)
    own: dict[str | tuple[str, ...], Tensor] = {n: p.float() for n, p in trial.part("parameter", trial.arrays).items()}
    own["W_r", "W_z"] = torch.zeros(15, 5)
    del own["W_r"], own["W_z"]
    with pytest.raises(ValueError, match=r"W_r, W_z share .* shape \[15, 5\]; expected rows for 2 of one size"):
        sweep(trial.program, [trial.arrays["input x"].float()], [None], own)
