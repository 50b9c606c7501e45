"""What the language refuses, and that it says where and how to mend it."""

import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from recurra.equations import (
    Cell,
    CellError,
    Value,
    affine,
    cell,
    detach,
    exp,
    layer_norm,
    maximum,
    relu,
    select,
    sigmoid,
    tanh,
    vector,
)
from recurra.equations.graph import Rate


def asks_for_truth(x: Value, h: Value):
    h = tanh(affine("h", x, h))
    if h > 0.5:
        h = h - 1
    return h, (h,)


def chained_comparison(x: Value, h: Value):
    h = select(0 < affine("a", h) < 1, h, 0.0)
    return h, (h,)


def unknown_name(x: Value, h: Value):
    h = tahn(affine("h", x, h))  # type: ignore[name-defined]  # noqa: F821
    return h, (h,)


def math_function(x: Value, h: Value):
    h = math.tanh(affine("h", x, h))
    return h, (h,)


def two_widths(x: Value, h: Value):
    h = tanh(x + h)
    return h, (h,)


def one_new_state_too_many(x: Value, h: Value):
    h = tanh(affine("h", x, h))
    return h, (h, h)


def state_of_another_width(x: Value, h: Value):
    h = tanh(affine("h", x, h))
    return h, (x,)


def bare_state(x: Value, h: Value):
    h = tanh(affine("h", x, h))
    return h, h


def nothing_returned(x: Value, h: Value):
    tanh(affine("h", x, h))


def tied_with_other_operands(x: Value, h: Value):
    h = tanh(affine("h", x, h) + affine("h", h))
    return h, (h,)


def tied_with_other_shapes(x: Value, h: Value):
    h = tanh(affine("h", x, bias=False) + affine("h", h, bias=False))
    return h, (h,)


def tied_with_another_bias(x: Value, h: Value):
    h = tanh(affine("h", h) + affine("h", h, bias=False))
    return h, (h,)


def tied_with_another_role(x: Value, h: Value):
    h = tanh(affine("h", x, h) + vector("b_h"))
    return h, (h,)


def no_operand(x: Value, h: Value):
    h = tanh(affine("h"))
    return h, (h,)


def a_text(x: Value, h: Value):
    h = tanh(affine("h", x, h)) + "1"
    return h, (h,)


def a_cube(x: Value, h: Value):
    h = tanh(affine("h", x, h)) ** 3
    return h, (h,)


def a_list(x: Value, h: Value):
    h = maximum(affine("h", x, h), [1.0])
    return h, (h,)


def a_slice(x: Value, h: Value):
    h = tanh(affine("h", x, h)[:2])
    return h, (h,)


def a_product_of_arrays(x: Value, h: Value):
    h = tanh(x @ h)
    return h, (h,)


def a_method(x: Value, h: Value):
    h = affine("h", x, h).tanh()
    return h, (h,)


REFUSED: list[tuple[Callable[..., Any], str, str]] = [
    (asks_for_truth, "if h > 0.5:", "select(condition, a, b)"),
    (chained_comparison, "h = select(0 < affine", "select(condition, a, b)"),
    (unknown_name, "h = tahn(", "did you mean 'tanh'? Import it from recurra.equations"),
    (math_function, "h = math.tanh(", "Use the functions of recurra.equations"),
    (two_widths, "h = tanh(x + h)", "values with widths H and I. Bring them to one width with affine"),
    (one_new_state_too_many, "", "2 new states are returned, 1 are declared. Return one for each of: h"),
    (state_of_another_width, "", "state h has width I, the state has width H. Bring it to H with affine"),
    (bare_state, "", "does not return an output and a tuple of new states. End with: return h, (h, c)"),
    (nothing_returned, "", "does not return an output"),
    (tied_with_other_operands, "affine(\"h\", h))", "give the second use a name of its own"),
    (tied_with_other_shapes, "affine(\"h\", h, bias=False))", "is a matrix [H, I] and a matrix [H, H]. One name"),
    (tied_with_another_bias, "affine(\"h\", h, bias=False))", "different operands or bias"),
    (tied_with_another_role, "vector(\"b_h\"))", "is a bias [H] and a vector [H]"),
    (no_operand, "h = tanh(affine(\"h\"))", "affine('h') has no operand. Give it at least one value"),
    (a_text, "+ \"1\"", "a value of type str meets a symbol. Use symbols and plain numbers only"),
    (a_cube, "** 3", "the power 3 of a symbol"),
    (a_list, "maximum(", "a value of type list meets a symbol"),
    (a_slice, "[:2])", "Use arithmetic and the functions of recurra.equations"),
    (a_product_of_arrays, "x @ h", "Use arithmetic and the functions of recurra.equations"),
    (a_method, ".tanh()", "no attribute 'tanh'"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "line", "mend"), REFUSED, ids=lambda p: getattr(p, "__name__", ""))
def test_a_mistake_is_named_with_its_cell_its_line_and_the_mend(function: Callable[..., Any], line: str, mend: str):
    made = cell(state=("h",))(function)
    with pytest.raises(CellError) as caught:
        _ = made.traced
    message = str(caught.value)
    assert message.startswith(f"cell {function.__name__}")
    assert __file__ in message
    assert line in message
    assert mend in message
    if line:
        number = int(message.split(__file__ + ":")[1].split(",")[0])
        first = function.__code__.co_firstlineno
        assert first < number <= first + 4


@pytest.mark.parametrize(
    "use", [lambda: affine("h", 1.0), lambda: tanh(0.5), lambda: vector("v"), lambda: layer_norm(1.0, "n")]
)
def test_outside_a_cell(use: Callable[[], object]):
    with pytest.raises(CellError, match=r"called outside a cell\. Call it inside a function decorated with @cell"):
        use()


def test_symbols_of_two_cells_do_not_mix():
    kept: list[Value] = []

    @cell(state=("h",))
    def first(x: Value, h: Value):
        kept.append(affine("h", x, h))
        return h, (h,)

    @cell(state=("h",))
    def second(x: Value, h: Value):
        h = h + kept[0]
        return h, (h,)

    assert first.traced
    with pytest.raises(CellError, match=r"cell second.*h = h \+ kept\[0\].*a symbol of another cell"):
        _ = second.traced


def test_a_declaration_without_its_argument():
    with pytest.raises(CellError, match="cell f: `cc` is declared but no argument of the function; did you mean 'c'"):

        @cell(state=("h", "cc"))
        def f(x: Value, h: Value, c: Value):
            return h, (h, c)


def test_an_unknown_option():
    @cell(state=("h",))
    def f(x: Value, h: Value, *, activation: str = "tanh"):
        return h, (h,)

    with pytest.raises(CellError, match="no option `activaton`; did you mean 'activation'"):
        f.with_options(activaton="relu")
    assert f.with_options("g", activation="relu").name == "g"
    assert f.options == {"activation": "tanh"}


def test_another_error_of_the_function_is_left_as_it_is():
    @cell(state=("h",))
    def broken(x: Value, h: Value):
        return {}["key"], (h,)

    with pytest.raises(KeyError):
        _ = broken.traced


def test_a_language_is_left_behind_a_failed_trace():
    with pytest.raises(CellError):
        _ = cell(state=("h",))(two_widths).traced
    with pytest.raises(CellError, match="outside a cell"):
        tanh(1.0)


@cell(state={"h": "P", "c": "H"}, static=("s",), width={"s": "O", "mask": 1})
def shaped(x: Value, u: Value, mask: Value, s: Value, h: Value, c: Value):
    """What it is."""
    c = tanh(affine("c", x, u, s, h, c)) * mask
    return c, (affine("p", c, width="P"), c)


def test_arguments_and_widths():
    assert shaped.inputs == {"x": "I", "u": "H", "mask": 1}
    assert shaped.statics == {"s": "O"} and shaped.states == {"h": "P", "c": "H"}
    assert shaped.doc == "What it is." and shaped.name == "shaped"
    traced = shaped.traced
    assert [n.rate for n in (*traced.inputs, *traced.statics, *traced.states)] == [Rate.STEP] * 3 + [
        Rate.SEQUENCE, Rate.LOOP, Rate.LOOP,
    ]  # fmt: skip
    assert traced.output.width == "H" and [n.width for n in traced.new_states] == ["P", "H"]


def test_names_of_parameters():
    parameters = shaped.traced.graph.parameters
    assert list(parameters) == ["W_c", "W_c2", "W_c3", "U_c", "U_c2", "b_c", "U_p", "b_p"]
    assert parameters["W_c"].shape == ("H", "I") and parameters["W_c3"].shape == ("H", "O")
    assert parameters["U_c"].shape == ("H", "P") and parameters["U_p"].shape == ("P", "H")
    assert parameters["b_p"].shape == ("P",) and parameters["b_p"].role == "bias"


def test_starting_values_and_joint_norms():
    @cell(state=("h",))
    def f(x: Value, h: Value):
        a, b = layer_norm((affine("a", x), affine("b", h, width="P")), "n")
        h = tanh(a + vector("v", initial=0.5) + affine("c", b) + layer_norm(h, "m"))
        return h, (h,)

    parameters = f.traced.graph.parameters
    starts = {n: p.initial for n, p in parameters.items() if p.role in ("gain", "shift", "vector")}
    assert starts == {
        "gain_n1": 1.0, "shift_n1": 0.0, "gain_n2": 1.0, "shift_n2": 0.0, "v": 0.5, "gain_m": 1.0, "shift_m": 0.0,
    }  # fmt: skip
    assert parameters["gain_n2"].shape == ("P",)


def test_an_expression_written_twice_is_one_value():
    @cell(state=("h",))
    def f(x: Value, h: Value):
        a = sigmoid(affine("a", x, h)) * sigmoid(affine("a", x, h))
        return a, (relu(detach(h) + 0.0) * 1.0,)

    ops = [n.op for n in f.traced.graph.nodes]
    assert ops.count("sigmoid") == ops.count("affine") == 1
    assert f.traced.new_states[0].op == "relu", "adding 0 and multiplying by 1 leave nothing behind"


def test_a_cell_is_pickled_by_name():
    assert pickle.loads(pickle.dumps(shaped)).states == shaped.states

    @cell(state=("h",))
    def local(x: Value, h: Value):
        return exp(h), (h,)

    with pytest.raises(CellError, match="Define it at the top level of its module"):
        pickle.loads(pickle.dumps(local))


def test_a_cell_runs_under_another_interpreter():
    from recurra.equations.language import interpreting

    class Text:
        def pointwise(self, op: str, *args: Any) -> str:
            return f"{op}({', '.join(map(str, args))})"

        def affine(self, name: str, operands: tuple[Any, ...], width: Any, bias: bool, blocks: int) -> str:
            return f"{name}[{', '.join(operands)}]"

        def vector(self, name: str, width: Any, initial: float | None) -> str:
            return name

        def norm(self, parts: tuple[Any, ...], name: str, groups: int, epsilon: float) -> tuple[Any, ...]:
            return parts

    @cell(state=("h",))
    def f(x: Value, h: Value):
        h = tanh(affine("h", x, h))
        return h, (h,)

    with interpreting(Text()):
        assert f(x="x", h="h") == ("tanh(h[x, h])", ("tanh(h[x, h])",))
    assert isinstance(f, Cell)
