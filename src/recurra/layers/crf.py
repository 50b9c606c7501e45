"""A linear-chain conditional random field: the tags of a sequence judged together, neighbours by pairs."""

import torch
from torch import Tensor, nn

# Score of what must not be: far below every score that can be learnt, and finite, so that gradients stay so too.
_FORBIDDEN = -1e4


class LinearChainCRF(nn.Module):
    """Linear-chain conditional random field (Lafferty, McCallum & Pereira 2001) over the scores of a network.

    A path y of tags has the score Σ_t s_t[y_t] + start[y_1] + Σ_t transition[y_{t−1}, y_t] + end[y_T] and the
    probability exp(score) / Z, Z being the sum over all paths that are allowed.

    Args:
        tags: number of tags, C.
        follows: which tag may follow which, bool ``[C, C]``, row before column; None is any.
        first: which tags may come first, bool ``[C]``; None is any.
        last: which tags may come last, bool ``[C]``; None is any.

    Attributes:
        transitions: ``[C, C]``, from row to column.
        starts: ``[C]``.
        ends: ``[C]``.

    Raises:
        ValueError: fewer than one tag, a constraint of another shape, or constraints that no path meets.
    """

    follows: Tensor
    first: Tensor
    last: Tensor

    def __init__(
        self,
        tags: int,
        follows: Tensor | None = None,
        first: Tensor | None = None,
        last: Tensor | None = None,
    ) -> None:
        super().__init__()
        if tags < 1:
            raise ValueError(f"a random field over {tags} tags; expected at least 1")
        for name, given, shape in (
            ("follows", follows, (tags, tags)), ("first", first, (tags,)), ("last", last, (tags,)),
        ):  # fmt: skip
            allowed = torch.ones(shape, dtype=torch.bool) if given is None else given.bool()
            if allowed.shape != shape:
                raise ValueError(f"{name} has the shape {list(allowed.shape)}; expected {list(shape)}")
            if not allowed.any():
                raise ValueError(f"{name} allows nothing, so there is no path of tags")
            # Not in the state: whoever builds the model knows its constraints.
            self.register_buffer(name, allowed, persistent=False)
        self.transitions = nn.Parameter(torch.empty(tags, tags))
        self.starts = nn.Parameter(torch.empty(tags))
        self.ends = nn.Parameter(torch.empty(tags))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every parameter anew, uniformly in ±0.1."""
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)

    def forward(self, scores: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """The negative log-probability of the tags of each row, in nats: ``[B]``.

        Args:
            scores: ``[B, T, C]``; what lies behind a row's end is never read.
            tags: int64 ``[B, T]``; behind a row's end any number.
            lengths: steps of each row, int64 ``[B]``, each from 1 to T.
        """
        return self.log_partition(scores, lengths) - self.path_score(scores, tags, lengths)

    def path_score(self, scores: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """The score of one path for each row, ``[B]``; arguments as those of a call. A forbidden path scores below
        -5000."""
        transitions, starts, ends = self._constrained()
        lengths = lengths.to(scores.device)
        alive = torch.arange(scores.shape[1], device=scores.device) < lengths[:, None]
        tags = tags.masked_fill(~alive, 0)
        emitted = scores.gather(2, tags.unsqueeze(2)).squeeze(2).masked_fill(~alive, 0.0).sum(1)
        moved = transitions[tags[:, :-1], tags[:, 1:]].masked_fill(~alive[:, 1:], 0.0).sum(1)
        final = tags.gather(1, (lengths - 1).unsqueeze(1)).squeeze(1)
        return emitted + moved + starts[tags[:, 0]] + ends[final]

    def log_partition(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """log Z of each row, ``[B]``, by the forward algorithm; its gradient in `scores` is each tag's probability."""
        transitions, starts, ends = self._constrained()
        lengths = lengths.to(scores.device)
        alpha = starts + scores[:, 0]
        for t, alive in _steps(lengths, scores.shape[1]):
            # alpha[b, j] = log Σ_i exp(alpha[b, i] + transition[i, j]) + s_t[b, j]
            after = torch.logsumexp(alpha.unsqueeze(2) + transitions, dim=1) + scores[:, t]
            alpha = torch.where(alive, after, alpha)
        return torch.logsumexp(alpha + ends, dim=1)

    @torch.no_grad()
    def decode(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """The best allowed path of each row, int64 ``[B, T]``, by the Viterbi algorithm; zeros behind a row's end.

        Arguments as those of a call.
        """
        transitions, starts, ends = self._constrained()
        lengths = lengths.to(scores.device)
        best = starts + scores[:, 0]
        came_from = []
        for t, alive in _steps(lengths, scores.shape[1]):
            value, before = (best.unsqueeze(2) + transitions).max(1)
            best = torch.where(alive, value + scores[:, t], best)
            came_from.append(before)
        rows = torch.arange(len(scores), device=scores.device)
        tag = (best + ends).argmax(1)
        path = torch.zeros(scores.shape[:2], dtype=torch.int64, device=scores.device)
        for t in range(scores.shape[1] - 1, -1, -1):
            alive = t < lengths
            path[:, t] = torch.where(alive, tag, 0)
            if t:
                tag = torch.where(alive, came_from[t - 1][rows, tag], tag)
        return path

    def _constrained(self) -> tuple[Tensor, Tensor, Tensor]:
        """Transitions, starts and ends, with what must not be far below everything else."""
        return (
            torch.where(self.follows, self.transitions, _FORBIDDEN),
            torch.where(self.first, self.starts, _FORBIDDEN),
            torch.where(self.last, self.ends, _FORBIDDEN),
        )


def _steps(lengths: Tensor, steps: int) -> list[tuple[int, Tensor]]:
    """Every step but the first, with the rows that have it, bool ``[B, 1]``."""
    return [(t, (t < lengths).unsqueeze(1)) for t in range(1, steps)]
