"""Cells that stretch the language: published ones beyond the zoo. Those made to hurt are in `oddities`."""

from __future__ import annotations

from recurra.equations import (
    Cell,
    Value,
    abs,
    affine,
    cell,
    exp,
    layer_norm,
    maximum,
    relu,
    sigmoid,
    softplus,
    sqrt,
    tanh,
    vector,
)


@cell(state=("h", "c"))
def full_peephole_lstm(x: Value, h: Value, c: Value):
    i = sigmoid(affine("i", x, h, c))
    f = sigmoid(affine("f", x, h, c))
    g = tanh(affine("g", x, h))
    c = f * c + i * g
    o = sigmoid(affine("o", x, h, c))
    h = o * tanh(c)
    return h, (h, c)


@cell(state=("h",))
def mut2(x: Value, h: Value):
    z = sigmoid(affine("z", x, h))
    r = sigmoid(affine("rx", x) + affine("r", h))
    n = tanh(affine("n", r * h, x))
    h = n * z + h * (1 - z)
    return h, (h,)


@cell(state=("h",))
def mut3(x: Value, h: Value):
    z = sigmoid(affine("z", x, tanh(h)))
    r = sigmoid(affine("r", x, h))
    n = tanh(affine("n", r * h, x))
    h = n * z + h * (1 - z)
    return h, (h,)


@cell(state={"y": "O"})
def jordan(x: Value, y: Value):
    h = sigmoid(affine("h", x, y))
    y = tanh(affine("y", h, width="O"))
    return y, (y,)


@cell(state={"h": "P", "c": "H"})
def projected_lstm(x: Value, h: Value, c: Value):
    i = sigmoid(affine("i", x, h))
    f = sigmoid(affine("f", x, h))
    o = sigmoid(affine("o", x, h))
    c = f * c + i * tanh(affine("g", x, h))
    h = affine("p", o * tanh(c), width="P", bias=False)
    return h, (h, c)


@cell(state=("h",))
def residual(x: Value, h: Value):
    h = h + 0.5 * relu(affine("a", x, h))
    return h, (h,)


@cell(state=("s",))
def highway(x: Value, s: Value, *, depth: int = 2):
    for k in range(depth):
        operands = (x, s) if k == 0 else (s,)
        h = tanh(affine(f"h{k}", *operands))
        t = sigmoid(affine(f"t{k}", *operands))
        s = h * t + s * (1 - t)
    return s, (s,)


@cell(state=("h", "c", "n", "m"))
def slstm(x: Value, h: Value, c: Value, n: Value, m: Value):
    z = tanh(affine("z", x, h))
    o = sigmoid(affine("o", x, h))
    i = affine("i", x, h)
    f = -softplus(-affine("f", x, h))
    top = maximum(f + m, i)
    i = exp(i - top)
    f = exp(f + m - top)
    c = f * c + i * z
    n = f * n + i
    h = o * c / maximum(abs(n), 1.0)
    return h, (h, c, n, top)


@cell(state=("c",))
def sru(x: Value, c: Value):
    w = affine("w", x, bias=False)
    f = sigmoid(affine("f", x) + vector("v_f") * c)
    r = sigmoid(affine("r", x) + vector("v_r") * c)
    c = f * c + (1 - f) * w
    return r * tanh(c) + (1 - r) * affine("skip", x, bias=False), (c,)


@cell(state=("h",))
def min_gru(x: Value, h: Value):
    z = sigmoid(affine("z", x))
    h = (1 - z) * h + z * affine("h", x)
    return h, (h,)


@cell(state={"p": "I", "c": "H"})
def qrnn(x: Value, p: Value, c: Value):
    z = tanh(affine("z", x, p))
    f = sigmoid(affine("f", x, p))
    o = sigmoid(affine("o", x, p))
    c = f * c + (1 - f) * z
    return o * c, (x, c)


@cell(state=("h", "c"))
def multiplicative_lstm(x: Value, h: Value, c: Value):
    m = affine("mx", x, bias=False) * affine("mh", h, bias=False)
    i = sigmoid(affine("i", x, m))
    f = sigmoid(affine("f", x, m))
    o = sigmoid(affine("o", x, m))
    c = f * c + i * tanh(affine("g", x, m))
    h = tanh(c) * o
    return h, (h, c)


@cell(state=("h",), static=("s",))
def conditioned(x: Value, s: Value, h: Value):
    gate = sigmoid(affine("gate", s))
    h = tanh(affine("h", x, h, s)) * gate + s * 0.1
    return h, (h,)


@cell(state=("h", "c"))
def jointly_normed_lstm(x: Value, h: Value, c: Value):
    gates = tuple(affine(k, x, h) for k in "ifgo")
    i, f, g, o = layer_norm(gates, "gates")
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h = sigmoid(o) * tanh(layer_norm(c, "c"))
    return h, (h, c)


@cell(state=("h", "c"))
def lstm_with_output_layer(x: Value, h: Value, c: Value):
    i = sigmoid(affine("i", x, h))
    f = sigmoid(affine("f", x, h))
    c = f * c + i * tanh(affine("g", x, h))
    h = tanh(c)
    return affine("y", relu(affine("a", h, width="P")), width="O"), (h, c)


@cell(state=("h", "u"), width={"mask": 1})
def skip_by_mask(x: Value, mask: Value, drive: Value, h: Value, u: Value):
    """Several inputs, one of width 1."""
    new = tanh(affine("h", x, h) + drive)
    h = mask * new + (1 - mask) * h
    return h, (h, u + drive * h)


@cell(state=("h",))
def clamped_euler(x: Value, h: Value):
    """A leaky unit with learned scalars."""
    rate = sigmoid(vector("rate", width=1))
    drive = tanh(affine("h", x, h)) * vector("gain", width=1)
    h = (1 - rate) * h + rate * drive
    return h, (h,)


@cell(state=("h",))
def unit_sphere(x: Value, h: Value):
    """The norm of the new state is one: a row reduction of the cell's own making."""
    h = affine("h", x, h)
    square = affine("q", h * h, width=1)
    h = h / sqrt(abs(square) + 1.0)
    return h, (h,)


PUBLISHED: list[Cell] = [
    full_peephole_lstm, mut2, mut3, jordan, projected_lstm, residual, highway, slstm, sru, min_gru, qrnn,
    multiplicative_lstm, conditioned, jointly_normed_lstm, lstm_with_output_layer, skip_by_mask, clamped_euler,
    unit_sphere,
]  # fmt: skip
