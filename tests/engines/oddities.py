"""Cells made to hurt: states that move, ends of every kind, products that wait on products."""

from __future__ import annotations

from recurra.equations import (
    Cell,
    Value,
    abs,
    affine,
    cell,
    detach,
    exp,
    layer_norm,
    log,
    maximum,
    minimum,
    relu,
    select,
    sigmoid,
    softplus,
    sqrt,
    tanh,
    vector,
)


@cell(state=("a", "b"))
def swapped(x: Value, a: Value, b: Value):
    return affine("y", x, a, b), (b, a)


@cell(state=("a", "b"))
def swapped_changed(x: Value, a: Value, b: Value):
    return a - b, (b, tanh(affine("a", x, a)))


@cell(state=("a", "b"))
def crossed_products(x: Value, a: Value, b: Value):
    return a * b, (affine("a", x, b), affine("b", a, bias=False))


@cell(state=("h", "k"))
def shared_new_value(x: Value, h: Value, k: Value):
    h = tanh(affine("h", x, h) + 0.5 * k)
    return h, (h, h)


@cell(state=("h", "k"))
def unchanged_state(x: Value, h: Value, k: Value):
    h = tanh(affine("h", x, h, k)) * k
    return h, (h, k)


@cell(state=("h", "p", "q"))
def delay_line(x: Value, h: Value, p: Value, q: Value):
    new = tanh(affine("h", x, h, q))
    return new + q, (new, h, p)


@cell(state={"p": "I", "q": "I", "h": "H"})
def shift_register(x: Value, p: Value, q: Value, h: Value):
    return affine("y", x, p, q) + h, (x, p, tanh(affine("h", q, h)))


@cell(state={"h": "H", "k": 1})
def scalar_state(x: Value, h: Value, k: Value):
    k = 0.9 * k + affine("k", h, x, width=1)
    h = tanh(affine("h", x, h) + k) * k
    return h, (h, k)


@cell(state=("h",))
def output_is_the_input(x: Value, h: Value):
    return x, (tanh(affine("h", x, h)),)


@cell(state=("h",))
def output_is_the_old_state(x: Value, h: Value):
    return h, (tanh(affine("h", x, h)),)


@cell(state=("h",))
def output_is_a_constant(x: Value, h: Value):
    return 0.5, (tanh(affine("h", x, h)),)


@cell(state=("h",))
def output_is_learned(x: Value, h: Value):
    return exp(vector("v")), (tanh(affine("h", x, h)),)


@cell(state=("h",), static=("s",))
def output_is_static(x: Value, s: Value, h: Value):
    return s, (tanh(affine("h", x, h)),)


@cell(state=("h",))
def output_is_the_reset(x: Value, h: Value):
    """An output that products of the loop read too."""
    r = sigmoid(affine("r", x, h)) * h
    return r, (tanh(affine("h", x, r)),)


@cell(state=("h",))
def output_of_width_1(x: Value, h: Value):
    h = tanh(affine("h", x, h))
    return affine("y", h, width=1) * 2.0, (h,)


@cell(state=("h",))
def output_of_both_sides(x: Value, h: Value):
    new = tanh(affine("h", x, h))
    return affine("y", h, new, x, width="O"), (new,)


@cell(state=("a", "b", "c"), static=("s",))
def plain_new_states(x: Value, s: Value, a: Value, b: Value, c: Value):
    """New states that are a static, a number and a learned value."""
    return tanh(affine("y", x, a, b, c)), (s, 0.25, vector("v"))


@cell(state=("h",))
def linear(x: Value, h: Value):
    h = affine("h", x, h)
    return h, (h,)


@cell(state=("h",))
def blind(x: Value, h: Value):
    """The input is not read."""
    h = tanh(affine("h", h))
    return h, (h,)


@cell(state=("h", "never"))
def forgetful(x: Value, h: Value, never: Value):
    """A state that is not read, and one input product alone."""
    return tanh(affine("y", x)), (h * 0.5, affine("n", x))


@cell(state=("h",))
def detached(x: Value, h: Value):
    a = affine("a", x, h)
    gate = sigmoid(a)
    gate = gate + detach(select(gate > 0.5, 1.0, 0.0) - gate)
    h = gate * tanh(affine("h", x, detach(h))) + (1 - gate) * h
    return h, (h,)


@cell(state=("h",))
def detached_state(x: Value, h: Value):
    new = tanh(affine("h", x, h))
    return new * detach(h), (detach(new),)


@cell(state=("h",))
def ties(x: Value, h: Value):
    a, b = relu(affine("a", x, h)), relu(affine("b", x, h))
    top, low = maximum(a, b), minimum(a, b)
    same = maximum(h, h) + minimum(top, top)
    h = 0.3 * (top - low + same) + select(a > b, a, select(b > a, b, h))
    return tanh(h) + abs(a * 0.0), (tanh(h),)


@cell(state=("h",))
def rough_functions(x: Value, h: Value):
    a = softplus(affine("a", x, h))
    b = sqrt(abs(affine("b", x)) + 0.3)
    c = log(a + 0.2) / b
    h = tanh(c) - 1.0 / (1.0 + exp(-a)) + 0.5 * h**2
    return -h / (b + a), (tanh(h),)


@cell(state=("h",))
def deep_before(x: Value, h: Value):
    """Products of step-rate values that feed products, all ahead of the loop."""
    a = tanh(affine("a", x, width="P"))
    b = sigmoid(affine("b", a, x))
    c = relu(affine("c", b * b, width="O"))
    h = tanh(affine("h", c, h) * b)
    return h, (h,)


@cell(state=("h",))
def deep_after(x: Value, h: Value):
    """Products that nothing feeds back, one behind the other."""
    a = tanh(affine("a", h, x, width="P"))
    b = tanh(affine("b", a, h))
    y = affine("y", b * sigmoid(affine("g", x)), a, width="O")
    return y, (tanh(affine("h", x, h)),)


@cell(state=("h",))
def deep_loop(x: Value, h: Value):
    a = tanh(affine("a", x, h, width="P"))
    b = tanh(affine("b", a, h, width="O"))
    h = tanh(affine("h", b, a, x, h))
    return h, (h,)


@cell(state=("h",))
def gated_input(x: Value, h: Value):
    seen = x * sigmoid(affine("g", h, width="I"))
    h = tanh(affine("h", seen, h))
    return h, (h,)


@cell(state=("h", "c"))
def tied(x: Value, h: Value, c: Value):
    """One matrix on values of several rates."""
    e = affine("e", x)
    a = tanh(affine("s", e, h))
    b = tanh(affine("s", c, a))
    return a + affine("s", e * e, b), (a, b)


@cell(state=("h",), static=("s",))
def tied_rates(x: Value, s: Value, h: Value):
    learned = affine("w", vector("v"))
    once = affine("w", exp(vector("v") * 0.1))
    kept = affine("w", s)
    step = affine("w", affine("e", x))
    h = tanh(affine("w", h) + learned * kept + once + step)
    return h, (h,)


@cell(state=("h",), static=("s", "z"), width={"z": "P"})
def static_work(x: Value, s: Value, z: Value, h: Value):
    """Products of values given once, and their gradients from sums over the steps."""
    key = tanh(affine("k", affine("j", z), s))
    scale = 1.0 / (1.0 + affine("l", key, width=1) ** 2)
    h = tanh(affine("h", x, h) * key + vector("v") * s) * scale
    return h * s, (h,)


@cell(state=("h",))
def learned_work(x: Value, h: Value):
    """Arithmetic and products of learned values alone."""
    direction = vector("d") / sqrt(affine("n", vector("d") * vector("d"), width=1) ** 2 + 1.0)
    h = tanh(affine("h", x, h)) * direction * vector("a", width=1) + affine("m", direction)
    return h, (h,)


@cell(state=("h",))
def norms_of_all_rates(x: Value, h: Value):
    inner = layer_norm(affine("i", x), "i")
    a, b = layer_norm((affine("a", x, inner), affine("b", h, width="P")), "joint")
    h = tanh(a * layer_norm(vector("v"), "v") + affine("c", b))
    return affine("y", layer_norm(h, "y"), width="O"), (h,)


@cell(state=("h",))
def norm_of_one(x: Value, h: Value):
    """A norm over one column is its shift; one over a column and more is not."""
    k = affine("k", h, x, width=1)
    a, b = layer_norm((k, affine("b", h)), "two")
    h = tanh(affine("h", x, h) * layer_norm(k, "k") + a * b)
    return h, (h,)


@cell(state=("h",))
def numbered_widths(x: Value, h: Value):
    a = tanh(affine("a", x, h, width=19))
    h = tanh(affine("h", a, h) + affine("k", 1.5, a, bias=False))
    return affine("y", a * a, h, width=2), (h,)


@cell(state=("h",))
def broadcasts(x: Value, h: Value):
    k, v = affine("k", x, h, width=1), vector("v", width=1)
    gate = sigmoid(k + v)
    h = gate * h + (k - v) * tanh(affine("h", x, h)) * maximum(k, h) + select(k > v, h, k)
    return gate + v, (tanh(h),)


@cell(state=("h",))
def squares(x: Value, h: Value):
    a = affine("a", x, h)
    a = a * a + a
    h = tanh(a - a * h * 0.5) / (1.0 + a * a)
    return h + h, (h,)


@cell(state=("a", "b", "c"))
def operands_out_of_order(x: Value, a: Value, b: Value, c: Value):
    """A product's operands in another order than that in which they are known, depending on what is saved."""
    early = sigmoid(a)
    return x, (tanh(affine("a", x)), tanh(affine("b", x)), affine("c", b, early, bias=False))


ODDITIES: list[Cell] = [
    swapped, swapped_changed, crossed_products, shared_new_value, unchanged_state, delay_line, shift_register,
    scalar_state, output_is_the_input, output_is_the_old_state, output_is_a_constant, output_is_learned,
    output_is_static, output_is_the_reset, output_of_width_1, output_of_both_sides, plain_new_states, linear, blind,
    forgetful, detached, detached_state, ties, rough_functions, deep_before, deep_after, deep_loop, gated_input, tied,
    tied_rates, static_work, learned_work, norms_of_all_rates, norm_of_one, numbered_widths, broadcasts, squares,
    operands_out_of_order,
]  # fmt: skip
