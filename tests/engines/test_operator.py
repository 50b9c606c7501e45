"""A sweep as one operator of torch.library."""

from typing import Any

import pytest
import torch
from torch import Tensor

from recurra import cells
from recurra.engines import operator
from recurra.engines.sweep import sweep
from recurra.engines.widths import Call
from recurra.equations import Cell, affine, cell, sigmoid, tanh
from recurra.equations.program import Program, find

SIZES = {"I": 3, "H": 4}


@cell(state=("h",))
def gated_memory(x: Any, h: Any):
    """A user's own: what it keeps is its input, as it came."""
    h = sigmoid(affine("f", h)) * tanh(affine("x", x))
    return x, (h,)


def arrays(program: Program, dtype: torch.dtype) -> dict[str, Tensor]:
    shapes = {p.name: [SIZES[w] if isinstance(w, str) else w for w in p.shape] for p in program.parameters.values()}
    return {name: torch.randn(shape, dtype=dtype, requires_grad=True) for name, shape in shapes.items()}


def arguments(base: Cell, dtype: torch.dtype, lengths: list[int] | None = None) -> dict[str, Any]:
    torch.manual_seed(0)
    program = Program(base)
    state = [None, *[torch.randn(2, 4, dtype=dtype, requires_grad=True) for _ in base.states]][: len(base.states)]
    return {
        "program": program,
        "inputs": (torch.randn(5, 2, 3, dtype=dtype, requires_grad=True),),
        "state": state,
        "parameters": arrays(program, dtype),
        "lengths": None if lengths is None else torch.tensor(lengths),
        "reverse": lengths is not None,
    }


def gradients(given: dict[str, Any], results: tuple[Tensor, tuple[Tensor, ...]], used: int) -> list[Tensor]:
    """For the first of the results alone, or all of them."""
    found = [results[0], *results[1]][:used]
    sources = [*given["inputs"], *[s for s in given["state"] if s is not None], *given["parameters"].values()]
    loss = sum(y.square().sum() for y in found)
    return list(torch.autograd.grad(loss, sources, allow_unused=True, materialize_grads=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("lengths", [None, [3, 5]])
@pytest.mark.parametrize("used", [1, 3])
@pytest.mark.parametrize("base", [cells.get("peephole_lstm"), cells.get("mut1"), gated_memory], ids=str)
def test_it_gives_what_the_engines_give(base: Cell, used: int, lengths: list[int] | None, dtype: torch.dtype):
    given = arguments(base, dtype, lengths)
    expected = sweep(**given)
    layout = {(n,): p for n, p in given["parameters"].items()}
    call = Call(
        given["program"], given["inputs"], (), tuple(given["state"]), layout, given["lengths"], given["reverse"]
    )
    found = operator.sweep(call, "auto")
    for a, b in zip((found[0], *found[1]), (expected[0], *expected[1]), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    for a, b in zip(gradients(given, found, used), gradients(given, expected, used), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_it_keeps_the_rules_of_torch_library(dtype: torch.dtype):
    given = arguments(cells.get("lstm"), dtype)
    program, state = given["program"], given["state"][1]
    setting = f"{program.key}|{';'.join(given['parameters'])}|1{'01'}{'1' * len(given['parameters'])}|0|auto"
    tensors = [*given["inputs"], state, *given["parameters"].values()]
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(
        torch.ops.recurra.sweep.default, (setting, tensors, [None, None], [True] * len(tensors)), test_utils=tests
    )


def test_equations_have_one_key_and_others_another():
    lstm = cells.get("lstm")
    assert Program(lstm).key == Program(lstm).key
    assert find(Program(lstm).key).cell.name == "lstm"
    elman = cells.get("elman")
    keys = {Program(elman.with_options(activation=a, bias=b)).key for a in ("tanh", "relu") for b in (True, False)}
    assert len(keys) == 4 and all(key.startswith("elman-") for key in keys)


def test_an_unknown_key_is_an_error():
    with pytest.raises(ValueError, match=r"no program lstm-0 .*in this process; make the layer"):
        find("lstm-0")


def test_wrong_arrays_are_an_error_in_a_compiled_graph():
    given = arguments(cells.get("mut1"), torch.float32)
    given["parameters"]["W_m"] = torch.zeros(4, 7)
    with pytest.raises(Exception, match="parameter W_m has shape"):
        torch.compile(lambda: sweep(**given)[0], fullgraph=True, backend="aot_eager")()
    torch._dynamo.reset()
