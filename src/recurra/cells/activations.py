"""The nonlinearities that a cell may be given by name."""

from __future__ import annotations

from collections.abc import Callable

from recurra.equations import CellError, Value, nearest, relu, sigmoid, tanh


def _linear(x: Value) -> Value:
    return x


_ACTIVATIONS: dict[str, Callable[[Value], Value]] = {"tanh": tanh, "relu": relu, "sigmoid": sigmoid, "linear": _linear}


def nonlinear(name: str) -> Callable[[Value], Value]:
    """The nonlinearity of that name: tanh, relu, sigmoid, or linear, which is none.

    Raises:
        CellError: there is none; the message gives the nearest.
    """
    if name not in _ACTIVATIONS:
        raise CellError(
            f"there is no activation `{name}`{nearest(name, _ACTIVATIONS)}",
            f"The activations: {', '.join(_ACTIVATIONS)}",
        )
    return _ACTIVATIONS[name]
