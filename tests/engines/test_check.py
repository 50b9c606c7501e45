"""The check of a cell: what it compares, and that it finds what is wrong."""

import re
from typing import Any

import pytest
import torch
from torch import Tensor

import recurra
from recurra import cells
from recurra.engines import check
from recurra.engines.check import DisagreementError, check_cell
from recurra.engines.sweep import sweep
from recurra.equations import CellError, Value, affine, cell, log, tanh
from recurra.equations.attention import attentive

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_report_tells_how_far_each_engine_is_off():
    assert recurra.check_cell is check_cell
    report = check_cell("gru", widths={"H": 40})
    assert report.cell == "gru" and set(report.errors) == {"eager", "native"} and report.unserved is None
    assert all(0 < error < 3e-6 for error in report.errors.values())
    # Output, final state; gradients of x, h and of nine parameters.
    assert report.arrays == report.trials * (2 + 2 + 9)
    assert str(report).startswith(f"gru: {report.arrays} results of {report.trials} trials agree")


def test_what_native_does_not_serve_is_said():
    report = check_cell(cells.get("slstm(heads=2)"))
    assert report.unserved is not None and "multiples of 16" in report.unserved and report.unserved in str(report)


@pytest.mark.parametrize("place", ["output", "final h", "gradient of parameter U_h", "gradient of input x"])
@pytest.mark.parametrize("wrong", [1e-4, float("nan")])
def test_an_engine_that_is_off_is_found(monkeypatch: pytest.MonkeyPatch, place: str, wrong: float):
    def faulty(*arguments: Any, engine: str, **options: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
        _, inputs, _, parameters = arguments
        # A number that does not change the result, but a gradient.
        x, u = (
            Off.apply(v, wrong if n in place else 0.0) for v, n in ((inputs[0], "input x"), (parameters["U_h"], "U_h"))
        )
        given = (arguments[0], [x], arguments[2], {**parameters, "U_h": u})
        output, (h,) = sweep(*(given if engine == "native" else arguments), engine=engine, **options)
        if engine == "native":
            output, h = (v + wrong if n == place else v for v, n in ((output, "output"), (h, "final h")))
        return output, (h,)

    monkeypatch.setattr(check, "sweep", faulty)
    with pytest.raises(DisagreementError, match=f"cell elman: {place} on the native engine is off by .* with T = 1"):
        check_cell("elman")


class Off(torch.autograd.Function):
    """The same value, and a gradient that is off."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, wrong: float) -> Tensor:
        ctx.wrong = wrong
        return value.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        return gradient + ctx.wrong, None


def test_a_cell_that_leaves_the_numbers_is_found():
    @cell(state=("h",))
    def poles(x: Value, h: Value):
        h = log(affine("h", x, h))
        return h, (h,)

    with pytest.raises(DisagreementError, match=r"cell poles: .* is not finite with T = \d.*away from their poles"):
        check_cell(poles)


def test_a_cell_against_the_rules_is_refused():
    @cell(state=("h",))
    def narrow(x: Value, h: Value):
        h = tanh(affine("h", x, h)) + x
        return h, (h,)

    with pytest.raises(CellError, match=re.escape("add of values with widths H and I")):
        check_cell(narrow)
    with pytest.raises(CellError, match="did you mean 'gru'"):
        check_cell("gur")


def test_parts_of_a_width_are_whole():
    @cell(state={"h": "H"})
    def parted(x: Value, h: Value):
        half = tanh(affine("a", x, h, width="H/6"))
        h = tanh(affine("b", half, h) + affine("c", h, bias=False, blocks=4))
        return h, (h,)

    assert check_cell(parted).trials > 0


@pytest.mark.parametrize("options", [{}, {"coverage": True, "window": 3}, {"score": "dot", "place": "after"}], ids=str)
def test_cells_that_attend_are_checked_too(options: dict[str, Any]):
    report = check_cell(attentive(cells.get("lstm"), **options))
    assert report.unserved is None
    assert report.errors["native"] < 1e-4
