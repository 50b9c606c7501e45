"""Cells with layer normalisation inside the step."""

from recurra.equations import Value, affine, cell, group_norm, layer_norm, sigmoid, tanh


@cell(state=("h", "c"))
def layer_norm_lstm(x: Value, h: Value, c: Value, *, groups: int = 1):
    """LSTM with each projection normalised alone, and the cell inside the last tanh (after Ba, Kiros & Hinton 2016).

    With several groups of units, each is normalised by itself: group normalisation (Wu & He 2018).
    """

    def norm(value: Value, name: str) -> Value:
        return group_norm(value, name, groups=groups)

    def gate(name: str) -> Value:
        from_input = norm(affine(f"{name}x", x, bias=False), f"{name}x")
        from_state = norm(affine(f"{name}h", h, bias=False), f"{name}h")
        return from_input + from_state

    i = sigmoid(gate("i"))
    f = sigmoid(gate("f"))
    g = tanh(gate("g"))
    o = sigmoid(gate("o"))
    c = f * c + i * g
    h = o * tanh(norm(c, "c"))
    return h, (h, c)


@cell(state=("h", "c"))
def joint_norm_lstm(x: Value, h: Value, c: Value):
    """LSTM with the four gates normalised jointly, what x brings and what h brings apart (Ba, Kiros & Hinton 2016)."""
    ix, fx, gx, ox = layer_norm(tuple(affine(f"{k}x", x, bias=False) for k in "ifgo"), "x")
    ih, fh, gh, oh = layer_norm(tuple(affine(f"{k}h", h, bias=False) for k in "ifgo"), "h")
    i = sigmoid(ix + ih)
    f = sigmoid(fx + fh)
    g = tanh(gx + gh)
    o = sigmoid(ox + oh)
    c = f * c + i * g
    h = o * tanh(layer_norm(c, "c"))
    return h, (h, c)


@cell(state=("h",))
def layer_norm_gru(x: Value, h: Value):
    """GRU, its gates normalised jointly, its candidate alone (Ba, Kiros & Hinton 2016); z takes in the new state."""
    rx, zx = layer_norm((affine("rx", x, bias=False), affine("zx", x, bias=False)), "x")
    rh, zh = layer_norm((affine("rh", h, bias=False), affine("zh", h, bias=False)), "h")
    r = sigmoid(rx + rh)
    z = sigmoid(zx + zh)
    n = tanh(layer_norm(affine("nx", x, bias=False), "nx") + r * layer_norm(affine("nh", h, bias=False), "nh"))
    h = (1 - z) * h + z * n
    return h, (h,)
