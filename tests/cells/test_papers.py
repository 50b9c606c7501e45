"""Every cell against the formulas of its paper, written out once more on torch tensors: outputs, states, gradients."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, sigmoid, tanh
from torch.linalg import vecdot

from recurra import cells
from recurra.engines import library
from recurra.engines.check import check_cell
from recurra.engines.sweep import sweep
from recurra.equations import Cell
from recurra.equations.graph import columns
from recurra.equations.program import Program

SIZES = {"I": 5, "H": 8, "O": 3, "P": 6}
T, B = 4, 3

Step = Callable[..., tuple[Tensor, tuple[Tensor, ...]]]


class P(dict[str, Tensor]):
    """The parameters of a cell: p.both("i", x, h) is W_i x + U_i h + b_i."""

    def both(self, name: str, x: Tensor, h: Tensor) -> Tensor:
        return x @ self[f"W_{name}"].T + h @ self[f"U_{name}"].T + self.get(f"b_{name}", torch.zeros(()))

    def w(self, name: str, x: Tensor) -> Tensor:
        return x @ self[f"W_{name}"].T + self.get(f"b_{name}", torch.zeros(()))

    def u(self, name: str, h: Tensor) -> Tensor:
        return h @ self[f"U_{name}"].T + self.get(f"b_{name}", torch.zeros(()))

    def norm(self, name: str, v: Tensor, groups: int = 1) -> Tensor:
        gain, shift = self[f"gain_{name}"], self[f"shift_{name}"]
        return F.layer_norm(v, v.shape[-1:], gain, shift) if groups == 1 else F.group_norm(v, groups, gain, shift)

    def joint(self, kind: str, gates: str, side: str, v: Tensor) -> Tensor:
        """Layer norm over all the gates at once (Ba et al. 2016, eq. 20), as one vector of all of them."""
        stacked = torch.cat([self[f"{kind}_{g}{side}"] for g in gates])
        many = range(1, len(gates) + 1)
        gain = torch.cat([self[f"gain_{side}{k}"] for k in many])
        shift = torch.cat([self[f"shift_{side}{k}"] for k in many])
        return F.layer_norm(v @ stacked.T, [len(stacked)], gain, shift)


PAPERS: dict[str, Step] = {}


def paper(step: Step) -> Step:
    PAPERS[step.__name__] = step
    return step


@paper
def elman(p: P, x, h):
    h = tanh(p.both("h", x, h))
    return h, (h,)


@paper
def elman_relu(p: P, x, h):
    h = p.both("h", x, h).clamp(min=0)
    return h, (h,)


@paper
def elman_sigmoid(p: P, x, h):
    h = 1 / (1 + torch.exp(-p.both("h", x, h)))
    return h, (h,)


@paper
def indrnn(p: P, x, h):
    """Li et al. 2018, eq. 4: h = σ(W x + u ⊙ h + b), the nonlinearity a relu."""
    h = (p.w("h", x) + p["u"] * h).clamp(min=0)
    return h, (h,)


@paper
def linear_rnn(p: P, x, h):
    h = h + tanh(p.w("h", x))
    return h, (h,)


@paper
def residual_rnn(p: P, x, h):
    h = h + tanh(p.both("h", x, h))
    return h, (h,)


@paper
def jordan(p: P, x, y):
    """Jordan 1986: the state is the output of the step before, and nothing else."""
    hidden = tanh(x @ p["W_h"].T + y @ p["U_h"].T + p["b_h"])
    y = hidden @ p["U_y"].T + p["b_y"]
    return y, (y,)


@paper
def back_projection(p: P, x, h, y):
    """Jaeger 2001, eq. 1.6: x(n+1) = f(W_in u(n+1) + W x(n) + W_back y(n))."""
    h = tanh(x @ p["W_h"].T + h @ p["U_h"].T + y @ p["U_h2"].T + p["b_h"])
    y = h @ p["U_y"].T + p["b_y"]
    return y, (h, y)


def gates(p: P, names: str, x, h) -> list[Tensor]:
    return [sigmoid(p.both(n, x, h)) for n in names]


@paper
def lstm(p: P, x, h, c):
    i, f, o = gates(p, "ifo", x, h)
    c = f * c + i * tanh(p.both("g", x, h))
    h = o * tanh(c)
    return h, (h, c)


@paper
def lstm_no_forget_gate(p: P, x, h, c):
    i, o = gates(p, "io", x, h)
    c = c + i * tanh(p.both("g", x, h))
    h = o * tanh(c)
    return h, (h, c)


@paper
def lstm_no_input_gate(p: P, x, h, c):
    f, o = gates(p, "fo", x, h)
    c = f * c + tanh(p.both("g", x, h))
    h = o * tanh(c)
    return h, (h, c)


@paper
def lstm_no_output_gate(p: P, x, h, c):
    i, f = gates(p, "if", x, h)
    c = f * c + i * tanh(p.both("g", x, h))
    h = tanh(c)
    return h, (h, c)


@paper
def coupled_lstm(p: P, x, h, c):
    """Greff et al. 2017: f = 1 − i, here written with i = 1 − f; c is a moving average."""
    f, o = gates(p, "fo", x, h)
    c = torch.lerp(tanh(p.both("g", x, h)), c, f)
    h = o * tanh(c)
    return h, (h, c)


@paper
def projected_lstm(p: P, x, h, c):
    """Sak et al. 2014: r = W_rm m, m = o ⊙ tanh(c); r feeds back."""
    i, f, o = gates(p, "ifo", x, h)
    c = f * c + i * tanh(p.both("g", x, h))
    r = (o * tanh(c)) @ p["U_p"].T
    return r, (r, c)


@paper
def peephole_lstm(p: P, x, h, c):
    i = sigmoid(p.both("i", x, h) + p["p_i"] * c)
    f = sigmoid(p.both("f", x, h) + p["p_f"] * c)
    c = f * c + i * tanh(p.both("g", x, h))
    h = sigmoid(p.both("o", x, h) + p["p_o"] * c) * tanh(c)
    return h, (h, c)


@paper
def full_peephole_lstm(p: P, x, h, c):
    def gate(n: str) -> Tensor:
        return sigmoid(
            torch.cat([h, x, c], -1) @ torch.cat([p[f"U_{n}"], p[f"W_{n}"], p[f"U_{n}2"]], 1).T + p[f"b_{n}"]
        )

    i, f = gate("i"), gate("f")
    c = f * c + i * tanh(p.both("g", x, h))
    h = gate("o") * tanh(c)
    return h, (h, c)


@paper
def layer_norm_lstm(p: P, x, h, c, *, groups: int):
    def gate(n: str) -> Tensor:
        return p.norm(f"{n}x", x @ p[f"W_{n}x"].T, groups) + p.norm(f"{n}h", h @ p[f"U_{n}h"].T, groups)

    c = sigmoid(gate("f")) * c + sigmoid(gate("i")) * tanh(gate("g"))
    h = sigmoid(gate("o")) * tanh(p.norm("c", c, groups))
    return h, (h, c)


@paper
def joint_norm_lstm(p: P, x, h, c):
    """Ba et al. 2016, eq. 20–22."""
    i, f, g, o = (p.joint("W", "ifgo", "x", x) + p.joint("U", "ifgo", "h", h)).chunk(4, -1)
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h = sigmoid(o) * tanh(p.norm("c", c))
    return h, (h, c)


@paper
def layer_norm_gru(p: P, x, h):
    """Ba et al. 2016, eq. 30–32."""
    r, z = (p.joint("W", "rz", "x", x) + p.joint("U", "rz", "h", h)).chunk(2, -1)
    n = tanh(p.norm("nx", x @ p["W_nx"].T) + sigmoid(r) * p.norm("nh", h @ p["U_nh"].T))
    h = (1 - sigmoid(z)) * h + sigmoid(z) * n
    return h, (h,)


@paper
def slstm(p: P, x, h, c, n, m, *, heads: int = 1, forget: str = "sigmoid"):
    """Beck et al. 2024, eq. 8–17, without the stabiliser: its result must not depend on that."""

    def gate(name: str) -> Tensor:
        recurrent = torch.block_diag(*p[f"U_{name}h"].chunk(heads))
        return p.w(name, x) + h @ recurrent.T

    scale = torch.exp(m)  # what the stabilised sums stand for is exp(m) times as large; exp(−∞) is 0
    c, n = c * scale, n * scale
    f = sigmoid(gate("f")) if forget == "sigmoid" else torch.exp(gate("f"))
    i = torch.exp(gate("i"))
    m = torch.maximum(torch.log(f) + m, gate("i"))
    c, n = f * c + i * tanh(gate("z")), f * n + i
    h = sigmoid(gate("o")) * c / n
    return h, (h, c / torch.exp(m), n / torch.exp(m), m)


@paper
def gru(p: P, x, h):
    """Cho et al. 2014, eq. 5–8: h = z h + (1 − z) h̃."""
    r, z = gates(p, "rz", x, h)
    h = z * h + (1 - z) * tanh(x @ p["W_n"].T + (r * h) @ p["U_n"].T + p["b_n"])
    return h, (h,)


@paper
def gru_after(p: P, x, h):
    r, z = gates(p, "rz", x, h)
    n = tanh(x @ p["W_n"].T + p["b_n"] + r * (h @ p["U_nh"].T + p["b_nh"]))
    h = (1 - z) * n + z * h
    return h, (h,)


@paper
def minimal_gated(p: P, x, h):
    """Zhou et al. 2016: h = (1 − f) ⊙ h + f ⊙ h̃."""
    (f,) = gates(p, "f", x, h)
    h = torch.lerp(h, tanh(p.both("n", x, f * h)), f)
    return h, (h,)


@paper
def ligru(p: P, x, h):
    """Ravanelli et al. 2018, eq. 4, the batch norm of W x left to the layer."""
    (z,) = gates(p, "z", x, h)
    h = z * h + (1 - z) * p.both("n", x, h).clamp(min=0)
    return h, (h,)


@paper
def mut1(p: P, x, h):
    z, r = sigmoid(p.w("z", x)), sigmoid(p.both("r", x, h))
    h = tanh((r * h) @ p["U_n"].T + tanh(p.w("m", x)) + p["b_n"]) * z + h * (1 - z)
    return h, (h,)


@paper
def mut2(p: P, x, h):
    z, r = gates(p, "zr", x, h)
    h = tanh((r * h) @ p["U_n"].T + x @ p["W_n"].T + p["b_n"]) * z + h * (1 - z)
    return h, (h,)


@paper
def mut3(p: P, x, h):
    z = sigmoid(p.both("z", x, tanh(h)))
    r = sigmoid(p.both("r", x, h))
    h = tanh((r * h) @ p["U_n"].T + x @ p["W_n"].T + p["b_n"]) * z + h * (1 - z)
    return h, (h,)


@paper
def fastgrnn(p: P, x, h):
    """Kusupati et al. 2018, eq. 3: W and U are shared; ζ and ν pass a sigmoid to stay in (0, 1)."""
    product = x @ p["W_a"].T + h @ p["U_a"].T
    z, candidate = sigmoid(product + p["b_z"]), tanh(product + p["b_n"])
    h = (sigmoid(p["zeta"]) * (1 - z) + sigmoid(p["nu"])) * candidate + z * h
    return h, (h,)


@paper
def recurrent_highway(p: P, x, s, *, depth: int = 2, coupled: bool = True):
    """Zilly et al. 2017, eq. 6–9."""
    for k in range(1, depth + 1):

        def inner(kind: str, s=s, k=k) -> Tensor:
            total = s @ p[f"U_{kind}{k}"].T + p[f"b_{kind}{k}"]
            return total + x @ p[f"W_{kind}{k}"].T if k == 1 else total

        h, t = tanh(inner("h")), sigmoid(inner("t"))
        s = h * t + s * (1 - t if coupled else sigmoid(inner("c")))
    return s, (s,)


@paper
def sru(p: P, x, c):
    """Lei et al. 2018, eq. 1–4; the skipped x is W_s x."""
    f = sigmoid(p.w("f", x) + p["v_f"] * c)
    r = sigmoid(p.w("r", x) + p["v_r"] * c)
    c = f * c + (1 - f) * (x @ p["W_c"].T)
    return r * c + (1 - r) * (x @ p["W_s"].T), (c,)


@paper
def qrnn(p: P, before, c, x):
    raise AssertionError("its convolution is over the whole sequence: see below")


@paper
def min_gru(p: P, x, h):
    z = sigmoid(p.w("z", x))
    h = (1 - z) * h + z * p.w("n", x)
    return h, (h,)


@paper
def min_lstm(p: P, x, h):
    f, i = sigmoid(p.w("f", x)), sigmoid(p.w("i", x))
    total = f + i
    h = (f / total) * h + (i / total) * p.w("n", x)
    return h, (h,)


def run_paper(cell: Cell, p: P, x: Tensor, state: list[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
    if cell.function.__name__ == "qrnn":
        return convolved(p, x, *state)
    defaults = {"bias", "activation", "output"}
    options = {n: v for n, v in cell.options.items() if n not in defaults}
    step, outputs, states = PAPERS[cell.name.partition("(")[0]], [], tuple(state)
    for t in range(T):
        output, states = step(p, x[t], *states, **options)
        outputs.append(output)
    return torch.stack(outputs), states


def convolved(p: P, x: Tensor, before: Tensor, c: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Bradbury et al. 2017, eq. 1 and fo-pooling: a masked convolution of width 2, then the pooling."""
    padded = torch.cat([before[None], x]).permute(1, 2, 0)

    def convolution(n: str) -> Tensor:
        kernel = torch.stack([p[f"U_{n}"], p[f"W_{n}"]], -1)
        return F.conv1d(padded, kernel, p[f"b_{n}"]).permute(2, 0, 1)

    z, f, o = tanh(convolution("z")), sigmoid(convolution("f")), sigmoid(convolution("o"))
    outputs = []
    for t in range(T):
        c = f[t] * c + (1 - f[t]) * z[t]
        outputs.append(o[t] * c)
    return torch.stack(outputs), (x[-1], c)


NAMES = [
    *cells.names(), "recurrent_highway(depth=1)", "recurrent_highway(depth=3, coupled=False)", "slstm(heads=4)",
    "slstm(heads=2, forget='exp')", "layer_norm_lstm(groups=2)",
]  # fmt: skip


def test_there_is_a_paper_for_every_cell():
    assert PAPERS.keys() == set(cells.names())


@pytest.mark.parametrize("name", NAMES)
def test_equals_its_paper(name: str):
    cell = cells.get(name)
    program = Program(cell)
    generator = torch.Generator().manual_seed(3)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    p = P({n: 0.6 * draw(*(columns(w, SIZES) for w in q.shape)) for n, q in program.parameters.items()})
    x = draw(T, B, SIZES["I"])
    state = [draw(B, columns(w, SIZES)) for w in cell.states.values()]
    if any(cell.initial.values()):
        state = [torch.full_like(s, start) for s, start in zip(state, cell.initial.values(), strict=True)]
    found, expected = [], []
    for run, results in ((lambda a, s: sweep(program, (a[0],), s, a[1], engine="eager"), found), (None, expected)):
        given = x.clone().requires_grad_()
        parameters = P({n: v.clone().requires_grad_() for n, v in p.items()})
        states = [s.clone().requires_grad_(bool(s.isfinite().all())) for s in state]
        output, final = run((given, parameters), states) if run else run_paper(cell, parameters, given, states)
        loss = vecdot(output.flatten(), draw_like(output)) + sum(vecdot(s.flatten(), draw_like(s)) for s in final)
        sources = [given, *parameters.values(), *(s for s in states if s.requires_grad)]
        gradients = torch.autograd.grad(loss, sources, allow_unused=True)
        results += [output, *final, *(torch.zeros(()) if g is None else g for g in gradients)]
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def draw_like(value: Tensor) -> Tensor:
    return torch.linspace(-1.0, 1.3, value.numel(), dtype=value.dtype)


@pytest.mark.parametrize("name", NAMES)
def test_every_engine_agrees(name: str):
    report = check_cell(name)
    assert report.trials >= 5 and report.errors["eager"] < 2e-5
    assert report.errors["native"] < 2e-5
    assert "heads" in name or report.unserved is None


@pytest.mark.parametrize("instruction_set", library.INSTRUCTION_SETS[1:])
def test_every_instruction_set_agrees_on_every_cell(instruction_set: str, monkeypatch: pytest.MonkeyPatch):
    """The best one that the processor has serves all other tests."""
    if instruction_set not in library.available():
        pytest.skip(f"this processor cannot run {instruction_set}")
    monkeypatch.setenv("RECURRA_ISA", instruction_set)
    for name in cells.names():
        assert check_cell(name).errors["native"] < 2e-5


def test_the_stabiliser_of_the_slstm_keeps_large_exponents_finite():
    program = Program(cells.get("slstm"))
    p = {n: torch.zeros([columns(w, SIZES) for w in q.shape]) for n, q in program.parameters.items()}
    p["W_z"] += 0.3
    x = torch.ones(6, 1, SIZES["I"])
    for exponent in (-300.0, 0.0, 300.0):
        p["b_i"].fill_(exponent)
        start = [torch.full((1, SIZES["H"]), v) for v in program.cell.initial.values()]
        for engine in ("eager", "native"):
            output, _ = sweep(program, (x,), start, p, engine=engine)
            # With one input all along, the average that c / n takes is its one value.
            torch.testing.assert_close(output, torch.full_like(output, 0.5 * math.tanh(1.5)))
