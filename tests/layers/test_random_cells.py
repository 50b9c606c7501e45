"""Cells drawn at random, rewritten by the options of a layer: every engine must agree on them too."""

import torch
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from recurra.equations import Cell, CellError
from recurra.equations.rewrite import matrices_reading, projected, resets, with_static
from recurra.layers import Regularisation

from ..engines.comparison import Trial, assert_close, assert_native_agrees, on_engine, on_oracle, results
from ..engines.test_random_cells import Drawn, drawn_cells


@st.composite
def rewritten_cells(draw: st.DrawFn) -> tuple[Drawn, list[str], Cell]:
    """A cell, what was done to it, and what became of it."""
    drawn: Drawn = draw(drawn_cells())
    cell, done = drawn.cell, []
    try:
        if draw(st.booleans()):
            cell, done = with_static(cell), ["static"]
        if draw(st.booleans()):
            cell, done = projected(cell), [*done, "projected"]
    except CellError:
        pass  # no matrix reads an input of this cell, or one of them something else too
    rates = {s: draw(st.sampled_from([0.0, 0.3])) for s in cell.states}
    drops = any(matrices_reading(cell, s) for s in cell.states) and draw(st.booleans())
    noise = Regularisation(0.3 if drops else 0.0, rates)
    training = draw(st.booleans())
    cell, done = noise.rewrite(cell, training=training), [*done, f"{noise}, training={training}"]
    if draw(st.booleans()):
        cell, done = resets(cell), [*done, "resets"]
    return drawn, done, cell


@settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    rewritten_cells(),
    st.sampled_from([{"I": 5, "H": 8, "O": 3, "S": 2}, {"I": 1, "H": 1, "O": 1, "S": 1}]),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(0, 3),
)
def test_drawn_cells_with_options_agree(
    case: tuple[Drawn, list[str], Cell], sizes: dict[str, int], steps: int, rows: int, seed: int
):
    drawn, done, cell = case
    note(drawn.source)
    note(str(done))
    trial = Trial(cell, sizes, steps, rows, seed)
    for name, array in trial.arrays.items():
        if name == "input reset" or name.startswith("input zone_"):
            trial.arrays[name] = (array > 0).to(array.dtype)
    exact = results(trial, on_engine("eager"), torch.float64, poisoned=False)
    assert_close(exact, results(trial, on_oracle, torch.float64, poisoned=False), 1e-9)
    assert_native_agrees(trial)
