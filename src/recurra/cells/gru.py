"""The gated recurrent unit, with its reset on either side of the recurrent product, and its simpler relatives."""

from recurra.equations import Value, affine, cell, relu, sigmoid, tanh


@cell(state=("h",))
def gru(x: Value, h: Value):
    """Gated recurrent unit, reset before the recurrent product (Cho et al. 2014); z keeps the old state."""
    r = sigmoid(affine("r", x, h))
    z = sigmoid(affine("z", x, h))
    n = tanh(affine("n", x, r * h))
    h = (1 - z) * n + z * h
    return h, (h,)


@cell(state=("h",))
def gru_after(x: Value, h: Value, *, bias: bool = True):
    """Gated recurrent unit, reset after the recurrent product, as in cuDNN and PyTorch; z keeps the old state."""
    r = sigmoid(affine("r", x, h, bias=bias))
    z = sigmoid(affine("z", x, h, bias=bias))
    n = tanh(affine("n", x, bias=bias) + r * affine("nh", h, bias=bias))
    h = (1 - z) * n + z * h
    return h, (h,)


@cell(state=("h",))
def minimal_gated(x: Value, h: Value):
    """Minimal gated unit (Zhou et al. 2016): one gate forgets and resets; f takes in the new state."""
    f = sigmoid(affine("f", x, h))
    n = tanh(affine("n", x, f * h))
    h = (1 - f) * h + f * n
    return h, (h,)


@cell(state=("h",))
def ligru(x: Value, h: Value):
    """Light GRU (Ravanelli et al. 2018): no reset, relu, W x batch-normalised by the layer; z keeps the old state."""
    z = sigmoid(affine("z", x, h))
    n = relu(affine("n", x, h))
    h = z * h + (1 - z) * n
    return h, (h,)
