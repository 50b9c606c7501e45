"""N→N in step, many at once: which keys sound in the next frame, from all frames before it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recurra.layers import Recurrent, State


class NoteModel(nn.Module):
    """Recurrent layers over the frames of a piano roll, and a chance for each key that it sounds in the next frame.

    Given the frames before, each key sounds or not by itself (Boulanger-Lewandowski et al. 2012 call this RNN; Chung et
    al. 2014 compare cells with it). The first frame is predicted from nothing: a frame of silence is read before it.

    Args:
        recurrent: the layers; they read [B, T, K] and perhaps a static input [B, S].
        keys: number of keys, K.
        dropout: chance that a value of what the layers give is dropped in training.
    """

    def __init__(self, recurrent: Recurrent, keys: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.recurrent = recurrent
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(recurrent.output_size, keys)

    def start(self, frequencies: Tensor) -> None:
        """Let every key begin with the chance that it has in the training data, [K], within 0.001 and 0.999."""
        with torch.no_grad():
            self.output.bias.copy_(frequencies.clamp(1e-3, 1 - 1e-3).logit())

    def forward(self, frames: Tensor, lengths: Tensor, static: Tensor | None = None) -> Tensor:
        """The logit of each key in each frame, given the frames before it, [B, T, K].

        Args:
            frames: 1 where a key sounds, else 0, float [B, T, K].
            lengths: frames of each row, int64 [B], on the CPU.
            static: what is known of the whole piece, [B, S].
        """
        before = F.pad(frames[:, :-1], (0, 0, 1, 0))
        values, _ = self.recurrent(before, lengths=lengths, static=static)
        return self.output(self.dropout(values))

    def nats(self, logits: Tensor, frames: Tensor, lengths: Tensor) -> Tensor:
        """−log p of each frame, the sum over its keys, [B, T]; 0 behind a row's end."""
        nats = F.binary_cross_entropy_with_logits(logits, frames, reduction="none").sum(-1)
        steps = torch.arange(frames.shape[1], device=frames.device)
        return nats.masked_fill(steps >= lengths.to(frames.device)[:, None], 0.0)

    def step(
        self, frames: Tensor, state: State | None = None, static: Tensor | None = None
    ) -> tuple[Tensor, State, dict[str, Tensor]]:
        """Read one frame [B, K]: the logits of the next one [B, K], the state, and further results by name (none)."""
        values, state = self.recurrent.step(frames, state, static)
        return self.output(self.dropout(values)), state, {}
