"""A sequence of vectors as one vector."""

import torch
from torch import Tensor, nn

SUMMARIES = ("last", "step", "mean", "max", "attention")


class Summary(nn.Module):
    """The vector that stands for a whole sequence.

    | kind        | the vector                                                                                    |
    |-------------|-----------------------------------------------------------------------------------------------|
    | `last`      | the output at the row's last step; of the half that reads backwards, at its first             |
    | `step`      | the output at a step of its own: `step` from 1, or from the end, -1 the last                  |
    | `mean`      | the mean over the row's steps                                                                 |
    | `max`       | the largest value over the row's steps, column by column                                      |
    | `attention` | the weighted mean, weights softmax(v·tanh(W h + b)) over the row's steps (Yang et al. 2016)   |

    Args:
        kind: one of these.
        width: columns of the sequence, D.
        backwards: how many of them, the last ones, come from layers that read from the end.
        step: for `step`; in a row that is shorter, its nearest step.
    """

    def __init__(self, kind: str, width: int, *, backwards: int = 0, step: int = -1) -> None:
        super().__init__()
        if kind not in SUMMARIES:
            raise ValueError(f"summary {kind!r} is not one of {', '.join(SUMMARIES)}")
        if step == 0:
            raise ValueError("step=0: steps count from 1, or from the end from -1")
        self.kind, self.backwards, self.step = kind, backwards, step
        self.map = nn.Linear(width, width) if kind == "attention" else None
        self.query = nn.Linear(width, 1, bias=False) if kind == "attention" else None

    def forward(self, sequence: Tensor, lengths: Tensor) -> Tensor:
        """[B, T, D] with lengths int64 [B], on the CPU, each at least 1, to [B, D]."""
        lengths = lengths.to(sequence.device)
        rows = torch.arange(len(sequence), device=sequence.device)
        if self.kind == "last":
            last = sequence[rows, lengths - 1]
            if not self.backwards:
                return last
            return torch.cat([last[:, : -self.backwards], sequence[:, 0, -self.backwards :]], dim=1)
        if self.kind == "step":
            place = torch.full_like(lengths, self.step - 1) if self.step > 0 else lengths + self.step
            return sequence[rows, torch.minimum(place.clamp(min=0), lengths - 1)]
        behind = (torch.arange(sequence.shape[1], device=sequence.device) >= lengths[:, None]).unsqueeze(-1)
        if self.kind == "mean":
            return sequence.masked_fill(behind, 0.0).sum(1) / lengths[:, None]
        if self.kind == "max":
            return sequence.masked_fill(behind, -torch.inf).amax(1)
        return (self.weights(sequence, behind) * sequence.masked_fill(behind, 0.0)).sum(1)

    def weights(self, sequence: Tensor, behind: Tensor) -> Tensor:
        """The weight of each step for `attention`, [B, T, 1]; `behind` says which steps are behind the row's end."""
        if self.map is None or self.query is None:
            raise ValueError(f"a summary of the kind {self.kind} has no weights; take attention")
        return self.query(torch.tanh(self.map(sequence))).masked_fill(behind, -torch.inf).softmax(1)
