"""The cells found by search over ten thousand architectures (Jozefowicz, Zaremba & Sutskever 2015)."""

from recurra.equations import Value, affine, cell, sigmoid, tanh


@cell(state=("h",))
def mut1(x: Value, h: Value):
    """MUT1 (Jozefowicz, Zaremba & Sutskever 2015); the paper's inner tanh(x) is tanh(W x + b), so that I ≠ H works."""
    z = sigmoid(affine("z", x))
    r = sigmoid(affine("r", x, h))
    n = tanh(affine("n", r * h) + tanh(affine("m", x)))
    h = n * z + h * (1 - z)
    return h, (h,)


@cell(state=("h",))
def mut2(x: Value, h: Value):
    """MUT2 (Jozefowicz, Zaremba & Sutskever 2015); the bare x in the paper's r is W x, so that I ≠ H works."""
    z = sigmoid(affine("z", x, h))
    r = sigmoid(affine("r", x, h))
    n = tanh(affine("n", x, r * h))
    h = n * z + h * (1 - z)
    return h, (h,)


@cell(state=("h",))
def mut3(x: Value, h: Value):
    """MUT3 (Jozefowicz, Zaremba & Sutskever 2015): the gate z sees tanh(h)."""
    z = sigmoid(affine("z", x, tanh(h)))
    r = sigmoid(affine("r", x, h))
    n = tanh(affine("n", x, r * h))
    h = n * z + h * (1 - z)
    return h, (h,)
