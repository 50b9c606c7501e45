"""Cells whose recurrence is element by element: every product is of inputs alone, this step's or the one's before."""

from recurra.equations import Value, affine, cell, sigmoid, tanh, vector


@cell(state=("c",))
def sru(x: Value, c: Value):
    """Simple recurrent unit (Lei et al. 2018); the paper's skipped x is W x, so that I ≠ H works."""
    f = sigmoid(affine("f", x) + vector("v_f") * c)
    r = sigmoid(affine("r", x) + vector("v_r") * c)
    c = f * c + (1 - f) * affine("c", x, bias=False)
    h = r * c + (1 - r) * affine("s", x, bias=False)
    return h, (c,)


@cell(state={"p": "I", "c": "H"})
def qrnn(x: Value, p: Value, c: Value):
    """Quasi-recurrent network, a window of two inputs and fo-pooling (Bradbury et al. 2017); p is the input before."""
    z = tanh(affine("z", x, p))
    f = sigmoid(affine("f", x, p))
    o = sigmoid(affine("o", x, p))
    c = f * c + (1 - f) * z
    h = o * c
    return h, (x, c)


@cell(state=("h",))
def min_gru(x: Value, h: Value):
    """minGRU (Feng et al. 2024, "Were RNNs all we needed?"); z takes in the new state."""
    z = sigmoid(affine("z", x))
    n = affine("n", x)
    h = (1 - z) * h + z * n
    return h, (h,)


@cell(state=("h",))
def min_lstm(x: Value, h: Value):
    """minLSTM, its gates brought to a sum of one (Feng et al. 2024, "Were RNNs all we needed?")."""
    f = sigmoid(affine("f", x))
    i = sigmoid(affine("i", x))
    n = affine("n", x)
    h = f / (f + i) * h + i / (f + i) * n
    return h, (h,)
