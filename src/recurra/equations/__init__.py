"""The cell language: a step written as equations → graph → derivative → program. Needs neither torch nor numpy."""

from recurra.equations.attention import attend
from recurra.equations.cell import Cell, Traced, cell, nearest
from recurra.equations.errors import CellError
from recurra.equations.graph import Parameter, Rate, Width
from recurra.equations.language import (
    Value,
    abs,
    affine,
    detach,
    dot,
    exp,
    group_norm,
    layer_norm,
    log,
    maximum,
    minimum,
    observe,
    relu,
    select,
    sigmoid,
    softmax,
    softplus,
    sqrt,
    tanh,
    vector,
    weighted_sum,
)
from recurra.equations.printing import latex, unicode

__all__ = [
    "Cell", "CellError", "Parameter", "Rate", "Traced", "Value", "Width", "abs", "affine", "attend", "cell", "detach",
    "dot", "exp", "group_norm", "latex", "layer_norm", "log", "maximum", "minimum", "nearest", "observe", "relu",
    "select", "sigmoid", "softmax", "softplus", "sqrt", "tanh", "unicode", "vector", "weighted_sum",
]  # fmt: skip
