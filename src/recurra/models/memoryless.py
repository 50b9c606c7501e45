"""Networks without recurrence, to hold recurrent ones against: all map [B, T, I] with lengths to [B, T', H]."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def _mask(lengths: Tensor, steps: int, like: Tensor) -> Tensor:
    """1 where a row has a step and 0 behind its end, [B, T, 1], on the device and of the type of `like`."""
    return (torch.arange(steps) < lengths[:, None]).unsqueeze(-1).to(like)


class Bag(nn.Module):
    """One map for every step, whatever its place: relu(W x + b). Summed up, it knows what came but not in which order.

    Args:
        inputs: columns of the input, I.
        hidden: columns of the output, H.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.map = nn.Linear(inputs, hidden)
        self.output_size = hidden

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """[B, T, I] to [B, T, H]."""
        return F.relu(self.map(x)) * _mask(lengths, x.shape[1], x)


class Positions(nn.Module):
    """A map of its own for each place: W_t x + b_t. It knows what stood where, but no step sees another.

    Args:
        inputs: columns of the input, I.
        hidden: columns of the output, H.
        span: places that have a map, from the first; what stands behind them is not read.
    """

    def __init__(self, inputs: int, hidden: int, span: int) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(span, inputs, hidden).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(span, hidden).uniform_(-bound, bound))
        self.output_size = hidden

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """[B, T, I] to [B, T, H], zeros behind the places that have a map."""
        span = min(x.shape[1], len(self.weight))
        mapped = torch.einsum("bti,tih->bth", x[:, :span], self.weight[:span]) + self.bias[:span]
        return F.pad(mapped * _mask(lengths, span, x), (0, 0, 0, x.shape[1] - span))


class Window(nn.Module):
    """A feed-forward net on the last steps of a row, side by side; shorter rows have zeros before their first step.

    Args:
        inputs: columns of the input, I.
        hidden: width of each hidden layer, H.
        span: steps that are read.
        layers: number of hidden layers.
        dropout: chance that a value between two layers is dropped in training.
    """

    def __init__(self, inputs: int, hidden: int, span: int, layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.span = span
        widths = [span * inputs] + [hidden] * layers
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.dropout = nn.Dropout(dropout)
        self.output_size = hidden

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """[B, T, I] to [B, 1, H]."""
        x = F.pad(x, (0, 0, self.span, 0))
        # The last `span` steps of each row, which now end at the row's length.
        places = lengths[:, None] + torch.arange(self.span)
        rows = torch.arange(len(x))[:, None]
        values = x[rows.to(x.device), places.to(x.device)].flatten(1)
        for k, layer in enumerate(self.layers):
            values = F.relu(layer(values if k == 0 else self.dropout(values)))
        return values.unsqueeze(1)


class TimeDelay(nn.Module):
    """A time-delay network (Waibel et al. 1989): every layer sees its own input now and at the steps before.

    Each layer has a map for each delay, so after L layers of D delays a step has seen L·(D − 1) steps before it.

    Args:
        inputs: columns of the input, I.
        hidden: width of each layer, H.
        delays: steps that a layer sees, the present one included, D.
        layers: number of layers, L.
        dropout: chance that a value between two layers is dropped in training.
    """

    def __init__(self, inputs: int, hidden: int, delays: int, layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.delays = delays
        self.layers = nn.ModuleList(nn.Conv1d(inputs if k == 0 else hidden, hidden, delays) for k in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.output_size = hidden

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """[B, T, I] to [B, T, H]; no step depends on a later one."""
        mask = _mask(lengths, x.shape[1], x)
        for k, layer in enumerate(self.layers):
            values = (x if k == 0 else self.dropout(x)) * mask
            x = F.relu(layer(F.pad(values.transpose(1, 2), (self.delays - 1, 0)))).transpose(1, 2)
        return x * mask
