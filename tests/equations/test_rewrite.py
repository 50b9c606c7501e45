"""Zoneout, variational dropout, resets and lengths as rewrites: what they mean, and that every engine agrees."""

import pytest
import torch
from torch import Tensor

from recurra import cells
from recurra.engines.sweep import sweep
from recurra.equations import Cell, CellError
from recurra.equations.program import Program
from recurra.equations.rewrite import (
    lengths,
    matrices_reading,
    resets,
    variational_dropout,
    with_static,
    zoneout,
    zoneout_mean,
)

T, B, I, H = 6, 3, 5, 7  # noqa: E741  # the letters of the shapes
SIZES = {"I": I, "H": H, "S": 2, 1: 1}


def arrays(cell: Cell, dtype: torch.dtype) -> dict[str, Tensor]:
    """One array for each input, static, state and parameter; marks are 0 or 1, and the same in every dtype."""
    generator = torch.Generator().manual_seed(3)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    given = {n: draw(T, B, SIZES[w]) for n, w in cell.inputs.items()}
    given = {n: v if n == "x" else (v > 0.3).to(dtype) for n, v in given.items()}
    given |= {n: draw(B, SIZES[w]) for n, w in (*cell.statics.items(), *cell.states.items())}
    given |= {n: draw(*(SIZES[w] for w in p.shape)) for n, p in Program(cell).parameters.items()}
    return given


def run(cell: Cell, given: dict[str, Tensor], engine: str = "eager") -> tuple[Tensor, tuple[Tensor, ...]]:
    program = Program(cell)
    return sweep(
        program,
        [given[n] for n in cell.inputs],
        [given[n] for n in cell.states],
        {n: given[n] for n in program.parameters},
        statics=[given[n] for n in cell.statics],
        engine=engine,
    )


def by_hand(given: dict[str, Tensor], cell: Cell) -> tuple[list[Tensor], list[tuple[Tensor, ...]]]:
    """Outputs and states of a cell run one step after another; what goes in may be changed in between by the caller."""
    outputs, states = [], []
    state = tuple(given[n] for n in cell.states)
    for t in range(T):
        step = given | {"x": given["x"][t : t + 1]} | dict(zip(cell.states, state, strict=True))
        y, state = run(cell, step)
        outputs.append(y[0])
        states.append(state)
    return outputs, states


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_zoneout_keeps_the_units_of_its_mask(name: str) -> None:
    inner = cells.get(name)
    cell = zoneout(inner)
    given = arrays(cell, torch.float64)
    output, _ = run(cell, given)
    state = tuple(given[n] for n in inner.states)
    for t in range(T):
        step = given | {"x": given["x"][t : t + 1]} | dict(zip(inner.states, state, strict=True))
        _, new = run(inner, step)
        masks = [given[f"zone_{n}"][t] for n in inner.states]
        state = tuple(torch.where(m != 0, o, n) for m, o, n in zip(masks, state, new, strict=True))
        torch.testing.assert_close(output[t], state[0])


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_zoneout_is_its_mean_over_all_masks(name: str) -> None:
    inner, state = cells.get(name), cells.get(name).states
    cell = zoneout_mean(inner, dict.fromkeys(state, 0.25))
    given = arrays(cell, torch.float64)
    given["x"] = given["x"][:1]
    output, mean = run(cell, given)
    _, new = run(inner, given)
    for n, m, target in zip(state, mean, new, strict=True):
        torch.testing.assert_close(m, 0.25 * given[n] + 0.75 * target)
    torch.testing.assert_close(output[0], mean[0])


def test_zoneout_of_one_state_leaves_the_other() -> None:
    cell = zoneout(cells.get("lstm"), ["c"])
    assert list(cell.inputs) == ["x", "zone_c"]


READERS = [
    ("lstm", "h", ["U_i", "U_f", "U_g", "U_o"]),
    ("lstm", "c", []),  # its own product with a matrix it has none
    ("gru", "h", ["U_r", "U_z", "U_n"]),  # U_n reads r ⊙ h
    ("mut1", "h", ["U_r", "U_n"]),
    ("full_peephole_lstm", "c", ["U_i2", "U_f2"]),  # the output gate reads the new c
    ("projected_lstm", "c", []),  # the projection reads o ⊙ tanh of the new c
]


@pytest.mark.parametrize(("name", "state", "expected"), READERS)
def test_matrices_that_read_a_state(name: str, state: str, expected: list[str]) -> None:
    assert matrices_reading(cells.get(name), state) == expected


def test_matrices_of_no_state() -> None:
    with pytest.raises(CellError, match="has no state `g`"):
        matrices_reading(cells.get("lstm"), "g")


def test_a_static_input_stands_beside_the_input() -> None:
    cell = with_static(cells.get("gru"))
    assert cell.statics == {"static": "S"} and list(cell.inputs) == ["x"]
    shapes = {n: p.shape for n, p in Program(cell).parameters.items()}
    assert shapes["W_n2"] == ("H", "S") and shapes["W_n"] == ("H", "I") and shapes["U_n"] == ("H", "H")
    with pytest.raises(CellError, match="it has an argument `static`"):
        with_static(cell)


def test_variational_dropout_masks_the_state_in_products_alone() -> None:
    cell = variational_dropout(cells.get("gru_after"))
    given = arrays(cell, torch.float64)
    output, _ = run(cell, given)
    masked = {n: v * given["drop_h"][0] if n.startswith("U_") else v for n, v in given.items()}
    row = {n: v[:, :1] if n == "x" else v[:1] if n == "h" else v for n, v in masked.items()}
    expected, _ = run(cells.get("gru_after"), row)
    torch.testing.assert_close(output[:, :1], expected)  # a mask on h is a mask on the columns of U


def test_a_reset_starts_anew_even_behind_a_nan() -> None:
    inner = cells.get("lstm")
    cell = resets(inner)
    given = arrays(cell, torch.float64)
    given["reset"] = torch.zeros(T, B, 1, dtype=torch.float64)
    given["reset"][3] = 1
    given["x"][2] = float("nan")
    output, _ = run(cell, given)
    tail = given | {"x": given["x"][3:], "h": given["start_h"], "c": given["start_c"]}
    torch.testing.assert_close(output[3:], run(inner, tail)[0])


def test_behind_its_length_a_row_gives_zeros_and_keeps_its_state() -> None:
    inner = cells.get("lstm")
    cell = lengths(inner)
    given = arrays(cell, torch.float64)
    long = torch.tensor([4, 0, T])
    given["alive"] = (torch.arange(T)[:, None] < long).to(torch.float64)[..., None]
    output, final = run(cell, given)
    outputs, states = by_hand(given, inner)
    for row, length in enumerate(long.tolist()):
        assert not output[length:, row].any()
        for k, name in enumerate(inner.states):
            expected = states[length - 1][k][row] if length else given[name][row]
            torch.testing.assert_close(final[k][row], expected)
        for t in range(length):
            torch.testing.assert_close(output[t, row], outputs[t][row])


@pytest.mark.parametrize("name", ["elman", "lstm", "peephole_lstm", "gru", "gru_after", "mut1", "layer_norm_lstm"])
def test_all_at_once_natively(name: str) -> None:
    cell = lengths(resets(variational_dropout(zoneout(cells.get(name)))))

    def gradients(dtype: torch.dtype, engine: str) -> list[Tensor]:
        given = arrays(cell, dtype)
        marks = {n for n in cell.inputs if n != "x"}
        wanted = [v.requires_grad_() for n, v in given.items() if n not in marks]
        output, final = run(cell, given, engine)
        loss = output.sum() + sum((f * f).sum() for f in final)
        return [output, *final, *torch.autograd.grad(loss, wanted)]

    for exact, fast in zip(gradients(torch.float64, "eager"), gradients(torch.float32, "native"), strict=True):
        torch.testing.assert_close(fast.double(), exact, rtol=1e-4, atol=2e-5 * (1 + exact.abs().max().item()))


def test_the_printed_equations_name_what_is_kept() -> None:
    from recurra.equations import unicode

    text = unicode(zoneout(cells.get("elman")))
    assert "h′ₜ = tanh(W_h xₜ + U_h hₜ₋₁ + b_h)" in text
    assert "hₜ = select(zone_hₜ, hₜ₋₁, h′ₜ)" in text
