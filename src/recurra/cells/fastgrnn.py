"""FastGRNN, for very small machines."""

from recurra.equations import Value, affine, cell, sigmoid, tanh, vector


@cell(state=("h",))
def fastgrnn(x: Value, h: Value):
    """FastGRNN (Kusupati et al. 2018): gate and candidate share matrices, two learned numbers weigh the candidate."""
    a = affine("a", x, h, bias=False)
    z = sigmoid(a + vector("b_z"))
    n = tanh(a + vector("b_n"))
    s = sigmoid(vector("zeta", width=1, initial=1.0)) * (1 - z) + sigmoid(vector("nu", width=1, initial=-4.0))
    h = s * n + z * h
    return h, (h,)
