"""The scalar LSTM of xLSTM."""

import math

from recurra.equations import CellError, Value, affine, cell, exp, maximum, sigmoid, softplus, tanh


@cell(state=("h", "c", "n", "m"), initial={"m": -math.inf})
def slstm(x: Value, h: Value, c: Value, n: Value, m: Value, *, heads: int = 1, forget: str = "sigmoid"):
    """sLSTM (Beck et al. 2024, "xLSTM"): exponential gates, a normaliser n, and a stabiliser m that keeps exp in range.

    The recurrent matrices are block-diagonal, one block for each of `heads`. The forget gate is a `sigmoid`, or an
    `exp` as the input gate is.
    """
    if forget not in ("sigmoid", "exp"):
        raise CellError(f"forget={forget!r} is no gate of the sLSTM", "Choose sigmoid or exp")

    def gate(name: str) -> Value:
        return affine(name, x) + affine(f"{name}h", h, bias=False, blocks=heads)

    z = tanh(gate("z"))
    o = sigmoid(gate("o"))
    a = gate("i")
    b = gate("f")
    if forget == "sigmoid":
        b = -softplus(-b)
    b = b + m
    m = maximum(a, b)
    i = exp(a - m)
    f = exp(b - m)
    c = f * c + i * z
    n = f * n + i
    h = o * c / n
    return h, (h, c, n, m)
