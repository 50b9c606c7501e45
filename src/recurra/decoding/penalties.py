"""What a hypothesis is ranked by: its log-probability, divided for its length, less what it left of the source."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

# Where no attention at all went, its logarithm would be -∞ for every hypothesis, and rank none.
_LEAST_COVERAGE = 1e-10


@dataclass(frozen=True)
class Penalties:
    """The score of Wu et al. (2016), s(Y) = log P(Y) / lp(Y) + cp(Y).

    lp(Y) = ((5 + |Y|) / 6)^α and cp(Y) = β Σᵢ log min(Σⱼ pᵢⱼ, 1), where |Y| counts the predictions, the end symbol's
    included, and pᵢⱼ is the attention that the j-th of them paid to position i of the source; a sum below 1e-10 counts
    as that.

    Attributes:
        length: α; above 0 longer hypotheses gain, below 0 shorter ones.
        coverage: β, at least 0; above 0, hypotheses that looked at the whole source gain.

    Raises:
        ValueError: a penalty is out of range.
    """

    length: float = 0.0
    coverage: float = 0.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.length):
            raise ValueError(f"length_penalty={self.length}: expected a finite exponent, such as 0.6")
        if not 0 <= self.coverage < math.inf:
            raise ValueError(f"coverage_penalty={self.coverage}: expected a weight of 0 or more, such as 0.2")

    def divisors(self, longest: int, like: Tensor) -> Tensor:
        """lp(Y) of hypotheses of 0 to `longest` predictions, float64 [longest + 1], on the device of `like`.

        Raises:
            ValueError: they leave the range of numbers.
        """
        lengths = torch.arange(longest + 1, dtype=torch.float64, device=like.device)
        divisors = ((5 + lengths) / 6) ** self.length
        # Monotone in exact arithmetic; made so in floating point, since the search's early stop is built on it.
        divisors = divisors.cummax(0).values if self.length >= 0 else divisors.flip(0).cummax(0).values.flip(0)
        if not (torch.isfinite(divisors) & (divisors > 0)).all():
            raise ValueError(f"length_penalty={self.length} is beyond all numbers for {longest} tokens: use a smaller")
        return divisors

    def uncovered(self, attended: Tensor, lengths: Tensor | None) -> Tensor:
        """cp(Y), float64 [N], at most 0.

        Args:
            attended: [N, S], the attention that each position of the source received in all.
            lengths: int64 [N], positions of each source; None: all S are.
        """
        logarithms = attended.double().clamp(_LEAST_COVERAGE, 1).log()
        if lengths is not None:
            outside = torch.arange(attended.shape[1], device=attended.device) >= lengths[:, None]
            logarithms = logarithms.masked_fill(outside, 0)
        return self.coverage * logarithms.sum(1)
