"""Networks without gates: the simple recurrent network, and states that add up."""

from recurra.cells.activations import nonlinear
from recurra.equations import Value, affine, cell, vector


@cell(state=("h",))
def elman(x: Value, h: Value, *, activation: str = "tanh", bias: bool = True):
    """Simple recurrent network (Elman 1990, "Finding structure in time")."""
    h = nonlinear(activation)(affine("h", x, h, bias=bias))
    return h, (h,)


elman_relu = elman.with_options("elman_relu", activation="relu")
elman_sigmoid = elman.with_options("elman_sigmoid", activation="sigmoid")


@cell(state=("h",))
def indrnn(x: Value, h: Value, *, activation: str = "relu"):
    """Independently recurrent network (Li et al. 2018): each unit feeds back to itself alone."""
    h = nonlinear(activation)(affine("h", x) + vector("u") * h)
    return h, (h,)


@cell(state=("h",))
def linear_rnn(x: Value, h: Value, *, activation: str = "tanh"):
    """Linear recurrence: what the input brings is added to the old state, an LSTM's error carousel without gates."""
    h = h + nonlinear(activation)(affine("h", x))
    return h, (h,)


@cell(state=("h",))
def residual_rnn(x: Value, h: Value, *, activation: str = "tanh"):
    """Residual recurrence: the step adds to the old state, as a residual layer does to its input (He et al. 2016)."""
    h = h + nonlinear(activation)(affine("h", x, h))
    return h, (h,)
