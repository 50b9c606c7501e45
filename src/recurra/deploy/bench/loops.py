"""Careful loops over torch operations: gates stacked, all that needs no state taken for all steps at once."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recurra.deploy.bench.problem import Problem

State = tuple[Tensor, ...]


class Loop(nn.Module):
    """A cell as one would write it by hand.

    Attributes:
        states: how many states it has, each as wide as the output.
        w: ``[G · H, I]``, what meets the input.
        u: ``[G · H, H]``, what meets the output of the step before.
        b: ``[G · H]``.
    """

    states = 1
    w: Tensor
    u: Tensor
    b: Tensor

    def __init__(self, **parameters: Tensor) -> None:
        super().__init__()
        for name, value in parameters.items():
            self.register_parameter(name, nn.Parameter(value))

    def project(self, x: Tensor) -> tuple[Tensor, ...]:
        """What needs no state, from the input ``[T, B, I]`` of all steps: each ``[T, B, …]``."""
        return (F.linear(x, self.w, self.b),)

    def step(self, given: tuple[Tensor, ...], state: State) -> State:
        """The next state, the output first. `given` is a step of what `project` gives."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Output ``[T, B, H]`` from input ``[T, B, I]``."""
        state: State = (x.new_zeros(x.shape[1], self.u.shape[1]),) * self.states
        outputs: list[Tensor] = []
        for given in zip(*(p.unbind(0) for p in self.project(x)), strict=True):
            state = self.step(given, state)
            outputs.append(state[0])
        return torch.stack(outputs)


class ElmanLoop(Loop):
    def step(self, given: tuple[Tensor, ...], state: State) -> State:
        return (torch.tanh(torch.addmm(given[0], state[0], self.u.t())),)


class LstmLoop(Loop):
    """The gates in the order i, f, o, g, so that one sigmoid serves three."""

    states = 2

    def step(self, given: tuple[Tensor, ...], state: State) -> State:
        h, c = state
        z = torch.addmm(given[0], h, self.u.t())
        width = c.shape[1]
        i, f, o = torch.sigmoid(z[:, : 3 * width]).chunk(3, 1)
        c = torch.addcmul(f * c, i, torch.tanh(z[:, 3 * width :]))
        return o * torch.tanh(c), c


class GruLoop(Loop):
    bu: Tensor

    def step(self, given: tuple[Tensor, ...], state: State) -> State:
        h, width = state[0], state[0].shape[1]
        z = F.linear(h, self.u, self.bu)
        r, keep = torch.sigmoid(given[0][:, : 2 * width] + z[:, : 2 * width]).chunk(2, 1)
        n = torch.tanh(torch.addcmul(given[0][:, 2 * width :], r, z[:, 2 * width :]))
        return (torch.lerp(n, h, keep),)


class PeepholeLoop(Loop):
    states = 2
    p: Tensor

    def step(self, given: tuple[Tensor, ...], state: State) -> State:
        h, c = state
        i, f, g, o = torch.addmm(given[0], h, self.u.t()).chunk(4, 1)
        i = torch.sigmoid(torch.addcmul(i, self.p[0], c))
        f = torch.sigmoid(torch.addcmul(f, self.p[1], c))
        c = torch.addcmul(f * c, i, torch.tanh(g))
        return torch.sigmoid(torch.addcmul(o, self.p[2], c)) * torch.tanh(c), c


class Mut1Loop(Loop):
    un: Tensor
    bn: Tensor

    def project(self, x: Tensor) -> tuple[Tensor, ...]:
        z, r, m = F.linear(x, self.w, self.b).chunk(3, 2)
        return torch.sigmoid(z), r, torch.tanh(m) + self.bn

    def step(self, given: tuple[Tensor, ...], state: State) -> State:
        (z, r, m), h = given, state[0]
        r = torch.sigmoid(torch.addmm(r, h, self.u.t()))
        n = torch.tanh(torch.addmm(m, r * h, self.un.t()))
        return (torch.lerp(h, n, z),)


class LayerNormLoop(Loop):
    states = 2
    gain_x: Tensor
    gain_h: Tensor
    gain_c: Tensor
    shift: Tensor
    shift_c: Tensor

    def project(self, x: Tensor) -> tuple[Tensor, ...]:
        products = F.linear(x, self.w).unflatten(2, self.gain_x.shape)
        return (torch.addcmul(self.shift, F.layer_norm(products, products.shape[-1:]), self.gain_x),)

    def step(self, given: tuple[Tensor, ...], state: State) -> State:
        h, c = state
        products = F.linear(h, self.u).unflatten(1, self.gain_h.shape)
        z = torch.addcmul(given[0], F.layer_norm(products, c.shape[-1:]), self.gain_h)
        i, f, o = torch.sigmoid(z[:, :3]).unbind(1)
        c = torch.addcmul(f * c, i, torch.tanh(z[:, 3]))
        return o * torch.tanh(F.layer_norm(c, c.shape[-1:], self.gain_c, self.shift_c)), c


def make_loop(problem: Problem) -> Loop | None:
    """The loop of the problem's cell with its parameters, or None if nobody has written one."""
    of, width = problem.stacked, problem.shape.hidden

    def named(kind: str, gates: str) -> Tensor:
        return of(*[f"{kind}_{g}" for g in gates])

    match problem.cell:
        case "elman":
            return ElmanLoop(w=of("W_h"), u=of("U_h"), b=of("b_h"))
        case "lstm":
            return LstmLoop(w=named("W", "ifog"), u=named("U", "ifog"), b=named("b", "ifog"))
        case "gru_after":
            bias = torch.cat([torch.zeros(2 * width), of("b_nh")])
            return GruLoop(w=named("W", "rzn"), u=of("U_r", "U_z", "U_nh"), b=named("b", "rzn"), bu=bias)
        case "peephole_lstm":
            peepholes = named("p", "ifo").view(3, width)
            return PeepholeLoop(w=named("W", "ifgo"), u=named("U", "ifgo"), b=named("b", "ifgo"), p=peepholes)
        case "mut1":
            return Mut1Loop(w=named("W", "zrm"), u=of("U_r"), b=named("b", "zrm"), un=of("U_n"), bn=of("b_n"))
        case "layer_norm_lstm":
            x, h = [f"{g}x" for g in "ifog"], [f"{g}h" for g in "ifog"]
            vectors = {
                "gain_x": of(*[f"gain_{g}" for g in x]).view(4, width),
                "gain_h": of(*[f"gain_{g}" for g in h]).view(4, width),
                "shift": (of(*[f"shift_{g}" for g in x]) + of(*[f"shift_{g}" for g in h])).view(4, width),
            }
            matrices = {"w": of(*[f"W_{g}" for g in x]), "u": of(*[f"U_{g}" for g in h])}
            return LayerNormLoop(**matrices, **vectors, gain_c=of("gain_c"), shift_c=of("shift_c"))
        case _:
            return None
