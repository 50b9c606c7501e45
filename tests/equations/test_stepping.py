"""What is given ahead of single steps, and what they hand out."""

from recurra import cells
from recurra.equations import affine, cell, observe, tanh
from recurra.equations.attention import attentive
from recurra.equations.rewrite import with_static
from recurra.equations.stepping import stepping


def test_the_keys_of_a_memory_are_given():
    attending = attentive(cells.get("gru"))
    found = stepping(attending)
    assert dict(found.cell.memories) == {"memory": "M", "W_key": "A"}
    assert set(attending.traced.graph.parameters) - set(found.cell.traced.graph.parameters) == {"W_key", "b_key"}
    assert found.ahead["W_key"].args == attending.traced.memories


def test_what_is_observed_is_a_state():
    found = stepping(attentive(cells.get("gru")))
    assert found.observed == ("attention", "context")
    assert found.cell.states == {"h": "H", "seen_attention": 1, "seen_context": "M"}
    assert found.cell.source_states == ("seen_attention",)


def test_the_share_of_a_static_input_is_given_with_the_bias():
    found = stepping(with_static(cells.get("lstm")))
    assert dict(found.cell.statics) == {"static": "S", "W_i2": "H", "W_f2": "H", "W_g2": "H", "W_o2": "H"}
    left = set(found.cell.traced.graph.parameters)
    assert {"W_i", "U_i"} <= left and not left & {"W_i2", "b_i"}


def test_a_matrix_that_is_used_twice_stays():
    @cell(state=("h",), static=("s", "z"), width={"s": "H"})
    def tied(h, s, z):
        both = affine("t", s) + affine("t", h) + affine("own", z)
        observe("both", both)
        return tanh(both), (tanh(both),)

    found = stepping(tied)
    assert set(found.ahead) == {"W_own"}
    assert {"W_t", "b_t"} <= set(found.cell.traced.graph.parameters)


def test_a_cell_that_knows_nothing_ahead_is_left_as_it_is():
    found = stepping(cells.get("peephole_lstm"))
    assert not found.ahead and not found.observed
    assert found.cell.states == cells.get("peephole_lstm").states
