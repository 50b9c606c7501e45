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
    residual, highway, slstm, multiplicative_lstm, conditioned, jointly_normed_lstm, lstm_with_output_layer,
    skip_by_mask, clamped_euler, unit_sphere,
]  # fmt: skip
