"""The gated recurrent unit, with its reset on either side of the recurrent product."""

from recurra.equations import Value, affine, cell, sigmoid, tanh


@cell(state=("h",))
def gru(x: Value, h: Value):
    """Gated recurrent unit, reset before the recurrent product (Cho et al. 2014); z keeps the old state."""
    r = sigmoid(affine("r", x, h))
    z = sigmoid(affine("z", x, h))
    n = tanh(affine("n", x, r * h))
    h = (1 - z) * n + z * h
    return h, (h,)


@cell(state=("h",))
def gru_after(x: Value, h: Value):
    """Gated recurrent unit, reset after the recurrent product, as in cuDNN and PyTorch; z keeps the old state."""
    r = sigmoid(affine("r", x, h))
    z = sigmoid(affine("z", x, h))
    n = tanh(affine("n", x) + r * affine("nh", h))
    h = (1 - z) * n + z * h
    return h, (h,)
