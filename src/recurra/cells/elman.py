"""The simple recurrent network."""

from recurra.equations import Value, affine, cell, relu, sigmoid, tanh

ACTIVATIONS = {"tanh": tanh, "relu": relu, "sigmoid": sigmoid}


@cell(state=("h",))
def elman(x: Value, h: Value, *, activation: str = "tanh"):
    """Simple recurrent network (Elman 1990, "Finding structure in time")."""
    h = ACTIVATIONS[activation](affine("h", x, h))
    return h, (h,)


elman_relu = elman.with_options("elman_relu", activation="relu")
elman_sigmoid = elman.with_options("elman_sigmoid", activation="sigmoid")
