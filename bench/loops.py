"""Careful recurrent loops over torch operations: gates stacked, the input projection taken for all steps at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class PeepholeLoop(nn.Module):
    """A peephole LSTM as one would write it by hand. Input ``[B, T, I]``, output ``[B, T, H]``."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(hidden)
        shapes = {"w": (4 * hidden, inputs), "u": (4 * hidden, hidden), "b": (4 * hidden,), "p": (3, hidden)}
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape).uniform_(-bound, bound)))

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        projected = nn.functional.linear(x.transpose(0, 1), self.w, self.b)
        u = self.u.t()
        h = c = x.new_zeros(x.shape[0], self.p.shape[1])
        outputs: list[Tensor] = []
        for z in projected.unbind(0):
            i, f, g, o = torch.addmm(z, h, u).chunk(4, 1)
            i = torch.sigmoid(torch.addcmul(i, self.p[0], c))
            f = torch.sigmoid(torch.addcmul(f, self.p[1], c))
            c = torch.addcmul(f * c, i, torch.tanh(g))
            h = torch.sigmoid(torch.addcmul(o, self.p[2], c)) * torch.tanh(c)
            outputs.append(h)
        return torch.stack(outputs, 1), None
