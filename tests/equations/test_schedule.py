"""What is done ahead of the loop, in it, and behind it; and what is kept for the backward pass."""

import subprocess
import sys

import pytest

from recurra import cells
from recurra.cells.elementwise import min_gru, sru
from recurra.equations import Cell
from recurra.equations.adjoint import Key
from recurra.equations.program import Program, Training
from recurra.equations.schedule import Region, Schedule

from ..engines.oddities import ODDITIES, deep_after, deep_before, gated_input, static_work
from ..engines.specimens import PUBLISHED, lstm_with_output_layer

ALL = [*map(cells.get, cells.names()), *PUBLISHED, *ODDITIES]


def everything(program: Program) -> frozenset[Key]:
    cell = program.cell
    return frozenset(
        [("input", n) for n in cell.inputs]
        + [("static", n) for n in cell.statics]
        + [("parameter", n) for n in program.parameters]
    )


def products(pass_: Schedule, region: Region) -> list[set[str]]:
    """The matrices of each stage of a region that has products."""
    found = [{str(n.attr[0]) for n in stage.products} for stage in pass_.stages.get(region, [])]  # type: ignore[index]
    return [stage for stage in found if stage]


def training(cell: Cell) -> Training:
    program = Program(cell)
    return program.training(everything(program))


GATES = {"lstm": "ifgo", "peephole_lstm": "ifgo"}


@pytest.mark.parametrize("name", GATES)
def test_an_lstm_has_one_stage_of_products_in_the_loop(name: str):
    program = Program(cells.get(name))
    both = training(cells.get(name))
    for forward in (program.inference, both.forward):
        assert products(forward, Region.BEFORE) == [{f"W_{g}" for g in "ifgo"}]
        assert products(forward, Region.LOOP) == [{f"U_{g}" for g in "ifgo"}]
    assert products(both.backward, Region.LOOP) == [{f"U_{g}" for g in "ifgo"}]
    assert products(both.backward, Region.AFTER) == [{f"W_{g}" for g in "ifgo"}]


def test_a_gru_has_two():
    both = training(cells.get("gru"))
    assert products(both.forward, Region.BEFORE) == [{"W_r", "W_z", "W_n"}]
    assert products(both.forward, Region.LOOP) == [{"U_r", "U_z"}, {"U_n"}]
    backward = products(both.backward, Region.LOOP)
    assert backward[0] >= {"U_n"} and "U_r" in backward[1] and len(backward) == 2
    assert products(Program(cells.get("gru_after")).inference, Region.LOOP) == [{"U_r", "U_z", "U_nh"}]


@pytest.mark.parametrize("cell", [sru, min_gru], ids=lambda c: c.name)
def test_an_elementwise_recurrence_has_no_products_in_the_loop(cell: Cell):
    both = training(cell)
    assert not products(Program(cell).inference, Region.LOOP)
    assert not products(both.forward, Region.LOOP)
    assert not products(both.backward, Region.LOOP)


def test_chains_leave_the_loop_on_both_sides():
    assert [len(s) for s in products(Program(deep_before).inference, Region.BEFORE)] == [2, 1, 1, 1]
    assert products(Program(deep_before).inference, Region.LOOP) == [{"U_h"}]
    after = Program(deep_after).inference
    assert products(after, Region.LOOP) == [{"U_h"}]
    assert {"U_y", "U_y2"} <= products(after, Region.AFTER)[-1] | products(after, Region.AFTER)[-2]
    head = Program(lstm_with_output_layer).inference
    assert products(head, Region.AFTER) == [{"U_a"}, {"U_y"}]


def test_a_product_of_a_gated_input_stays_in_the_loop():
    assert products(Program(gated_input).inference, Region.LOOP) == [{"U_g", "U_h2"}, {"U_h"}]
    # Its gradient waits for the gate's: both are in the backward loop.
    assert not products(training(gated_input).backward, Region.AFTER)


def test_work_on_statics_is_done_once_a_sequence():
    both = training(static_work)
    assert products(both.forward, Region.SEQUENCE) == [{"W_j", "W_k2"}, {"W_k"}, {"W_l"}]
    assert products(both.forward, Region.LOOP) == [{"U_h"}]
    assert products(both.backward, Region.LOOP) == [{"U_h"}]
    assert set.union(*products(both.backward, Region.SEQUENCE_AFTER)) == {"W_j", "W_k", "W_k2", "W_l"}


@pytest.mark.parametrize("cell", ALL, ids=lambda c: c.name)
def test_gradients_of_parameters_are_outside_the_loop(cell: Cell):
    backward = training(cell).backward
    for key, node in backward.results.items():
        if key[0] == "parameter":
            assert backward.region[node] >= Region.SUMS or node.op in ("constant", "broaden"), key


@pytest.mark.parametrize("cell", ALL, ids=lambda c: c.name)
def test_no_work_comes_before_what_it_needs(cell: Cell):
    program = Program(cell)
    both = training(cell)
    for pass_ in (program.inference, both.forward, both.backward):
        at = dict.fromkeys(pass_.order, -1)
        for stages in pass_.stages.values():
            for k, stage in enumerate(stages):
                at.update(dict.fromkeys(stage.products, 2 * k) | dict.fromkeys(stage.tape, 2 * k + 1))
        done = [n for stages in pass_.stages.values() for s in stages for n in (*s.products, *s.tape)]
        assert len(done) == len(set(done)) == sum(pass_.region[n] is not Region.LEAF for n in pass_.order)
        for n in done:
            for a in n.args:
                if n.op in ("weight_gradient", "bias_gradient"):
                    continue  # these come last of all, whatever their operands are
                assert pass_.region[a] <= pass_.region[n] or a.op == "sum_time" or pass_.region[a] is Region.LEAF
                if pass_.region[a] is pass_.region[n] and n.op == "product":
                    assert at[a] < at[n] or (a is n.args[-1] and at[a] <= at[n])
                elif pass_.region[a] is pass_.region[n]:
                    assert at[a] <= at[n]


def saved(cell: Cell) -> set[str]:
    """What is kept for the backward pass, by the names of the cell's function (an operation where it has none)."""
    both, names = training(cell), cell.traced.names
    nodes = cell.traced.graph.nodes
    kept = [nodes[int(key[1])] for key in both.forward.results if key[0] == "saved"]
    return {names.get(n, n.op) for n in kept} | set(both.saved_states)


def test_what_is_kept():
    assert saved(cells.get("lstm")) == {"i", "f", "g", "o", "tanh", "h", "c"}
    assert saved(cells.get("gru")) == {"r", "z", "n", "h"}
    assert saved(cells.get("elman")) == {"h"}


def test_the_sum_of_a_product_makes_no_product():
    backward = training(cells.get("layer_norm_lstm")).backward
    sums = [n for n in backward.order if n.op in ("row_sum", "row_dot")]
    assert sums and all(a.op != "mul" for n in sums if n.op == "row_sum" for a in n.args)


def test_frozen_weights_and_plain_data_cost_nothing():
    program = Program(cells.get("lstm"))
    frozen = program.training(frozenset({("input", "x")}))
    assert set(frozen.backward.results) == {("input", "x")}
    assert not frozen.backward.stages.get(Region.SUMS)
    data = program.training(frozenset(("parameter", n) for n in program.parameters))
    assert not products(data.backward, Region.AFTER), "no product leads back to the input"


def test_programs_are_planned_once():
    program = Program(cells.get("gru"))
    wanted = everything(program)
    assert program.training(wanted) is program.training(frozenset(set(wanted)))
    assert program.inference is program.inference


def test_the_plan_does_not_depend_on_the_run():
    """Hash seeds must not change the order of work, and so the bits of results."""
    script = (
        "from recurra import cells\n"
        "from recurra.equations.program import Program\n"
        "for name in cells.names():\n"
        "    p = Program(cells.get(name))\n"
        "    t = p.training(frozenset([('input', 'x'), *(('parameter', n) for n in p.parameters)]))\n"
        "    for s in (p.inference, t.forward, t.backward):\n"
        "        for r, stages in s.stages.items():\n"
        "            print(name, r, [[(n.op, n.id) for n in (*x.products, *x.tape)] for x in stages])\n"
        "import sys\n"
        "print('torch' in sys.modules, 'numpy' in sys.modules)\n"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert runs[0].endswith("False False\n"), "equations and cells need neither torch nor numpy"
