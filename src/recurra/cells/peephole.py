"""LSTMs whose gates see the cell."""

from recurra.equations import Value, affine, cell, sigmoid, tanh, vector


@cell(state=("h", "c"))
def peephole_lstm(x: Value, h: Value, c: Value):
    """LSTM whose gates see the cell: i and f the old one, o the new one (Gers & Schmidhuber 2000)."""
    i = sigmoid(affine("i", x, h) + vector("p_i") * c)
    f = sigmoid(affine("f", x, h) + vector("p_f") * c)
    g = tanh(affine("g", x, h))
    c = f * c + i * g
    o = sigmoid(affine("o", x, h) + vector("p_o") * c)
    h = o * tanh(c)
    return h, (h, c)


@cell(state=("h", "c"))
def full_peephole_lstm(x: Value, h: Value, c: Value):
    """LSTM whose gates see the cell through full matrices, W [h, x, c], as course texts write it (Olah 2015)."""
    i = sigmoid(affine("i", x, h, c))
    f = sigmoid(affine("f", x, h, c))
    g = tanh(affine("g", x, h))
    c = f * c + i * g
    o = sigmoid(affine("o", x, h, c))
    h = o * tanh(c)
    return h, (h, c)
