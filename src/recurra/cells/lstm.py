"""Long short-term memory and its variants."""

from recurra.equations import Value, affine, cell, layer_norm, sigmoid, tanh, vector


@cell(state=("h", "c"))
def lstm(x: Value, h: Value, c: Value):
    """Long short-term memory with a forget gate (Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000)."""
    i = sigmoid(affine("i", x, h))
    f = sigmoid(affine("f", x, h))
    g = tanh(affine("g", x, h))
    o = sigmoid(affine("o", x, h))
    c = f * c + i * g
    h = o * tanh(c)
    return h, (h, c)


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
def layer_norm_lstm(x: Value, h: Value, c: Value):
    """LSTM with each gate's projections normalised, and the cell inside the last tanh (Ba, Kiros & Hinton 2016)."""

    def gate(name: str) -> Value:
        from_input = layer_norm(affine(f"{name}x", x, bias=False), f"{name}x")
        from_state = layer_norm(affine(f"{name}h", h, bias=False), f"{name}h")
        return from_input + from_state

    i = sigmoid(gate("i"))
    f = sigmoid(gate("f"))
    g = tanh(gate("g"))
    o = sigmoid(gate("o"))
    c = f * c + i * g
    h = o * tanh(layer_norm(c, "c"))
    return h, (h, c)
