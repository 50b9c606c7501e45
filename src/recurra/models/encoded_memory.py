"""A body that reads a window with one recurrent network and runs over the steps after it with another."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recurra.layers import Attended, Decoder, DecoderState, Recurrent
from recurra.models.bridge import Bridge
from recurra.models.encoder import last_states


class _State(NamedTuple):
    """Where the decoder stands, and what it attends to; what is made of that for single steps, once they come."""

    layers: DecoderState
    memory: Tensor | None
    attended: Attended | None = None


class EncodedMemory(nn.Module):
    """Encoder–decoder over a series (Cho et al. 2014): an encoder reads all rows of a window but its last; a decoder,
    which starts from where that ended, reads the last and what follows, and may attend to the encoder's outputs.

    Args:
        encoder: reads one direction, so that its last state is that of the window's end.
        decoder: reads the same columns; with attention, its memory is the encoder's output.
        window: rows of a window, W, at least 2.

    Attributes:
        output_size: columns of the output, D.
        span: None: an output can depend on all steps before it.

    Raises:
        ValueError: the window is too short to be parted.
    """

    span: int | None = None

    def __init__(self, encoder: Recurrent, decoder: Decoder, window: int) -> None:
        super().__init__()
        if window < 2:
            raise ValueError(f"window={window}: the encoder reads all rows but the last, so at least 2 are needed")
        self.encoder, self.decoder, self.window = encoder, decoder, window
        self.output_size = decoder.output_size
        inputs = [encoder.input_size] + [encoder.output_size] * (encoder.num_layers - 1)
        sizes = [encoder.design.state_sizes(i) for i in inputs]
        self.bridge = Bridge(sizes, decoder.cell, decoder.state_sizes)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """A window and the steps after it, or one step more.

        Args:
            x: with no state [B, W + n, I], else [B, 1, I].
            state: after the steps before; None: `x` begins with a window.

        Returns:
            the output at the window's last row and at the n after it, [B, 1 + n, D], or at the one step; and the state
            to go on from.
        """
        if state is not None:
            attended = state.attended or self.decoder.attend(state.memory, batch=len(x))
            values, layers, _ = self.decoder.step(x[:, 0], state.layers, attended)
            return values.unsqueeze(1), _State(layers, state.memory, attended)
        start, memory = self._read(x)
        values, layers = self.decoder(x[:, self.window - 1 :], start, memory=memory)
        return values, _State(layers, memory)

    def attention(self, x: Tensor) -> Tensor | None:
        """How much each output attends to each row that the encoder reads, [B, 1 + n, W − 1]; None without attention.

        Args:
            x: a window and the steps after it, [B, W + n, I].
        """
        state, memory = self._read(x)
        if memory is None:
            return None
        attended, found = self.decoder.attend(memory), []
        for row in x[:, self.window - 1 :].unbind(1):
            _, state, weights = self.decoder.step(row, state, attended)
            found.append(weights)
        return torch.stack(found, 1)

    def _read(self, x: Tensor) -> tuple[DecoderState, Tensor | None]:
        """Where the decoder starts after a window, and what it attends to."""
        memory, ended = self.encoder(x[:, : self.window - 1])
        start = self.decoder.start(self.bridge(last_states(self.encoder, ended)))
        return start, None if self.decoder.attention is None else memory

    def repeat(self, state: Any, count: int) -> Any:
        """The state with each row `count` times, one after another."""
        rows = torch.arange(len(state.layers[0][0]), device=state.layers[0][0].device).repeat_interleave(count)
        memory = None if state.memory is None else state.memory[rows]
        attended = None if state.attended is None else state.attended.select(rows)
        return _State(self.decoder.select(state.layers, rows), memory, attended)
