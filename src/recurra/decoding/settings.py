"""How a beam search is run."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from recurra.decoding.limits import Constraints
from recurra.decoding.penalties import Penalties
from recurra.decoding.required import Phrase


@dataclass(frozen=True, kw_only=True)
class BeamSettings:
    """How a beam search is run.

    Attributes:
        end: the end symbol; None: every sequence has `maximum` tokens.
        maximum: tokens before the end symbol, at most; for all sentences or one for each. A sequence that reaches it is
            ended there, and the end symbol's probability counts as everywhere.
        size: hypotheses kept for each sentence, K. One that has ended keeps its place.
        nbest: hypotheses given back for each sentence, at most; from 1 to `size`.
        length_penalty: α of `Penalties`; above 0 longer hypotheses gain, below 0 shorter ones.
        coverage_penalty: β of `Penalties`, at least 0; it needs a model that gives attention.
        constraints: what else the sequences must be.
        required: for each sentence the phrases that must stand somewhere in it, in any order; a phrase is a token, or
            several one after another. Phrases share no token, and one that is named twice must stand twice. None:
            none. The search then keeps `size` hypotheses for each number of their tokens that are still to come, and
            costs as many times as much.
        early_stop: end the search of a sentence once nothing better can come; it never changes the result.

    Raises:
        ValueError: a setting is out of range.
    """

    end: int | None
    maximum: int | Sequence[int] | Tensor
    size: int = 5
    nbest: int = 1
    length_penalty: float = 0.0
    coverage_penalty: float = 0.0
    constraints: Constraints = field(default_factory=Constraints)
    required: Sequence[Sequence[Phrase]] | None = None
    early_stop: bool = True

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"size={self.size}: expected at least 1 hypothesis for each sentence")
        if not 1 <= self.nbest <= self.size:
            raise ValueError(
                f"nbest={self.nbest}: expected a number of hypotheses from 1 to the beam's size={self.size}"
            )
        _ = self.penalties

    @property
    def penalties(self) -> Penalties:
        """The penalties of the score."""
        return Penalties(self.length_penalty, self.coverage_penalty)
