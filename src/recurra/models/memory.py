"""Bodies that run over a series and on from where they stopped: all map [B, T, I] and a state to [B, T, D] and one."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from recurra.layers import Recurrent
from recurra.models.encoded_memory import EncodedMemory
from recurra.models.memoryless import TimeDelay


class RecurrentMemory(nn.Module):
    """Recurrent layers, whose state is all they know of the steps before.

    Attributes:
        output_size: columns of the output, D.
        span: steps that an output can depend on; None: all before it.
    """

    span: int | None = None

    def __init__(self, recurrent: Recurrent) -> None:
        super().__init__()
        self.recurrent = recurrent
        self.output_size = recurrent.output_size

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """[B, T, I] and the state after the steps before (None: the start) to [B, T, D] and the state to go on from."""
        return self.recurrent(x, state)

    def repeat(self, state: Any, count: int) -> Any:
        """The state with each row `count` times, one after another."""
        return tuple(part.repeat_interleave(count, 1) for part in state)


class _FiniteMemory(nn.Module):
    """A body that sees the last `span` steps; its state is the inputs of all of them but the present one."""

    span: int
    output_size: int

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """[B, T, I] and the inputs before [B, span − 1, I] (None: zeros) to [B, T, D] and the inputs to go on from."""
        before = x.new_zeros(len(x), self.span - 1, x.shape[2]) if state is None else state
        inputs = torch.cat([before, x], 1)
        return self._values(inputs, x.shape[1]), inputs[:, inputs.shape[1] - self.span + 1 :]

    def repeat(self, state: Tensor, count: int) -> Tensor:
        """The state with each row `count` times, one after another."""
        return state.repeat_interleave(count, 0)

    def _values(self, inputs: Tensor, steps: int) -> Tensor:
        """The output [B, steps, D] at the last steps of `inputs` [B, span − 1 + steps, I]."""
        raise NotImplementedError


class Lags(_FiniteMemory):
    """The last values of each column side by side, through a feed-forward net: AR, NARX, a window.

    With no hidden layer the values come out as they are, for a linear head: AR(K) where there are K lags of the series
    alone. With orders of their own for the series' past and for what drives it: NARX (Leontaritis & Billings 1985).

    Args:
        orders: how many of its last values are read of each column, the present one included, [I]; 0: none.
        hidden: width of each hidden layer.
        layers: number of hidden layers; 0: none.
        dropout: chance that a value between two layers is dropped in training.

    Raises:
        ValueError: no column is read.
    """

    def __init__(self, orders: Sequence[int], hidden: int, layers: int, dropout: float = 0.0) -> None:
        super().__init__()
        if max(orders) < 1:
            raise ValueError("every order is 0, so nothing would be read; give one column an order of at least 1")
        self.span = max(orders)
        # Which lags of which columns: 1 where a value is read, [span, I], the oldest first.
        lags = torch.arange(self.span - 1, -1, -1)[:, None] < torch.tensor(orders)
        self.register_buffer("read", lags.flatten().nonzero()[:, 0], persistent=False)
        widths = [int(sum(orders))] + [hidden] * layers
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.dropout = nn.Dropout(dropout)
        self.output_size = widths[-1]

    def _values(self, inputs: Tensor, steps: int) -> Tensor:
        lagged = inputs.unfold(1, self.span, 1).transpose(2, 3)  # [B, T, span, I]
        read: Tensor = self.read  # type: ignore[assignment]  # a buffer
        values = lagged.flatten(2)[:, :, read]
        for k, layer in enumerate(self.layers):
            values = torch.tanh(layer(values if k == 0 else self.dropout(values)))
        return values


class DelayMemory(_FiniteMemory):
    """A time-delay network over a series; see `TimeDelay` for its arguments."""

    def __init__(self, inputs: int, hidden: int, delays: int, layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.network = TimeDelay(inputs, hidden, delays, layers, dropout)
        self.span = layers * (delays - 1) + 1
        self.output_size = hidden

    def _values(self, inputs: Tensor, steps: int) -> Tensor:
        lengths = torch.full((len(inputs),), inputs.shape[1])
        return self.network(inputs, lengths)[:, inputs.shape[1] - steps :]


Memory = RecurrentMemory | EncodedMemory | Lags | DelayMemory
