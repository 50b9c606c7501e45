"""What a model writes, one after another, and reads back: tokens, frames of values, or sets of labels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recurra.engines.linear import PackedLinear
from recurra.layers import linear_cross_entropy
from recurra.models.outlook import Outlook

# Between an embedding's usual 1, which makes the first logits too large, and an output layer's 1/√E, which makes the
# first inputs so small that learning starts late.
TIED_DEVIATION = 0.3
# Stands where there is no target.
NO_TARGET = -100
# The chance of a label that was never met.
_RARE = 1e-3
# Logits held at once where tokens are drawn.
_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class LossSettings:
    """How the loss of B rows of T outputs is taken.

    Attributes:
        behind: which steps are behind a row's end and cost nothing, bool [B, T]; None: none.
        label_smoothing: share of each target that is spread evenly over all labels (Szegedy et al. 2015).
        reduction: "none" for [B, T], or "sum" for their sum, whose gradient of tokens is found in one pass.
    """

    behind: Tensor | None = None
    label_smoothing: float = 0.0
    reduction: Literal["none", "sum"] = "none"

    def reduced(self, losses: Tensor) -> Tensor:
        """Losses [B, T] as they are asked for."""
        if self.behind is not None:
            losses = losses.masked_fill(self.behind, 0.0)
        return losses.sum() if self.reduction == "sum" else losses


class TokenOutput(nn.Module):
    """Tokens of a vocabulary: a vector for each that is read, and an output layer over all of them.

    Args:
        size: number of tokens, V.
        embedding: the vectors of the tokens, of width E.
        features: columns that the output layer reads, D.
        tied: whether the output layer's weight is the embedding matrix (Press & Wolf 2016); where D is not E, a learned
            projection without bias brings the features to that width first.

    Attributes:
        width: columns of what is read back, E.
    """

    def __init__(self, size: int, embedding: nn.Embedding, features: int, *, tied: bool = False) -> None:
        super().__init__()
        self.size, self.embedding, self.width = size, embedding, embedding.embedding_dim
        wanted = self.width if tied else features
        self.projection = nn.Linear(features, wanted, bias=False) if wanted != features else None
        bound = wanted**-0.5
        # With tied weights nothing is registered twice, so the parameters can be saved by name as they are.
        self.weight = None if tied else nn.Parameter(torch.empty(size, wanted).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(size))
        if tied:
            nn.init.normal_(embedding.weight, std=TIED_DEVIATION)

    def read(self, outputs: Tensor) -> Tensor:
        """Tokens int64 [...] to [..., E]."""
        return self.embedding(outputs)

    def logits(self, features: Tensor) -> Tensor:
        """[..., D] to [..., V]."""
        return F.linear(self._projected(features), self._weight(), self.bias)

    def prepared(self) -> Callable[[Tensor], Tensor]:
        """`logits` of features [N, D] with the parameters as they are at its first call, for many steps of decoding."""
        layer = PackedLinear(self._weight(), self.bias)
        return lambda features: layer(self._projected(features))

    def nats(self, features: Tensor, targets: Tensor, settings: LossSettings) -> Tensor:
        """−log p of targets int64 [B, T], -100 where there is none, from features [B, T, D], without
        holding all logits."""
        if settings.behind is not None:
            targets = targets.masked_fill(settings.behind, NO_TARGET)
        found = linear_cross_entropy(
            self._projected(features).flatten(0, -2),
            self._weight(),
            self.bias,
            targets.flatten(),
            ignore_index=NO_TARGET,
            label_smoothing=settings.label_smoothing,
            reduction=settings.reduction,
        )
        return found.view(targets.shape) if settings.reduction == "none" else found

    def own(self, features: Tensor, feed: str, generator: torch.Generator | None = None) -> Tensor:
        """Tokens int64 [N] from features [N, D]: a `sample` of what the model says, or the `best`."""
        return own_tokens(features, self.logits, self.size, feed, generator)

    def _projected(self, features: Tensor) -> Tensor:
        return features if self.projection is None else self.projection(features)

    def _weight(self) -> Tensor:
        return self.embedding.weight if self.weight is None else self.weight


def own_tokens(
    features: Tensor,
    logits: Callable[[Tensor], Tensor],
    size: int,
    feed: str,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Tokens that a model says, without holding all logits.

    Args:
        features: what its output layer reads, [N, D].
        logits: the output layer, [n, D] to [n, V].
        size: V.
        feed: a `sample`, or the `best`, the likeliest.
        generator: of the samples; None: torch's global one.

    Returns:
        int64 [N].
    """
    parts = map(logits, features.split(max(1, _AT_ONCE // size)))
    if feed == "best":
        return torch.cat([part.argmax(-1) for part in parts])
    drawn = [torch.multinomial(part.softmax(-1), 1, generator=generator) for part in parts]
    return torch.cat(drawn).squeeze(-1)


class FrameOutput(nn.Module):
    """Real-valued frames of K columns.

    Args:
        kind: what is said of a value, and what it costs (see `Outlook`).
        size: K.
        features: columns that the output layer reads, D.

    Attributes:
        width: columns of what is read back, K.
    """

    def __init__(self, kind: str, size: int, features: int) -> None:
        super().__init__()
        self.outlook, self.width = Outlook(kind, features, 1, size), size

    def read(self, outputs: Tensor) -> Tensor:
        """The frames as they are."""
        return outputs

    def logits(self, features: Tensor) -> Tensor:
        """The parameters of each value, [..., K, P]."""
        return self.outlook(features)[..., 0, :, :]

    def prepared(self) -> Callable[[Tensor], Tensor]:
        """`logits`: there is nothing to prepare."""
        return self.logits

    def nats(self, features: Tensor, targets: Tensor, settings: LossSettings) -> Tensor:
        """The loss of frames [B, T, K], summed over their columns: −log p of `gaussian` and `student`, else the kind's
        error, which is not in nats.

        Raises:
            ValueError: labels are to be smoothed, and frames have none.
        """
        if settings.label_smoothing:
            raise ValueError(
                f"label_smoothing={settings.label_smoothing}: frames of values have no labels to smooth; leave it out"
            )
        return settings.reduced(self.outlook.losses(self.logits(features), targets).sum(-1))

    def own(self, features: Tensor, feed: str, generator: torch.Generator | None = None) -> Tensor:
        """Frames [..., K] from features [..., D]: a `sample`, or the `best`, what is expected."""
        parameters = self.logits(features)
        return self.outlook.point(parameters) if feed == "best" else self.outlook.sample(parameters, generator)


class LabelOutput(nn.Module):
    """Sets of K labels, such as the notes that sound together: each is there or not, by a chance of its own.

    Args:
        size: K.
        features: columns that the output layer reads, D.

    Attributes:
        width: columns of what is read back, K.
    """

    def __init__(self, size: int, features: int) -> None:
        super().__init__()
        self.linear, self.width = nn.Linear(features, size), size

    def start(self, frequencies: Tensor) -> None:
        """Let each label begin with its own chance, [K]; one that is never or always there is taken for a rare one."""
        with torch.no_grad():
            self.linear.bias.copy_(frequencies.clamp(_RARE, 1 - _RARE).logit())

    def read(self, outputs: Tensor) -> Tensor:
        """The labels as numbers, 0 or 1."""
        return outputs.to(self.linear.weight.dtype)

    def logits(self, features: Tensor) -> Tensor:
        """[..., D] to [..., K]."""
        return self.linear(features)

    def prepared(self) -> Callable[[Tensor], Tensor]:
        """`logits`: there is nothing to prepare."""
        return self.logits

    def nats(self, features: Tensor, targets: Tensor, settings: LossSettings) -> Tensor:
        """−log p of sets [B, T, K]. With label smoothing s, a label is taken for 1 − s/2 or s/2."""
        logits = self.logits(features)
        share = settings.label_smoothing
        soft = targets.to(logits.dtype) * (1.0 - share) + 0.5 * share
        return settings.reduced(F.binary_cross_entropy_with_logits(logits, soft, reduction="none").sum(-1))

    def own(self, features: Tensor, feed: str, generator: torch.Generator | None = None) -> Tensor:
        """Sets [..., K] of 0 and 1 from features [..., D]: a `sample`, or the `best`, all that are likelier there."""
        chances = self.logits(features).sigmoid()
        return (chances > 0.5).to(chances.dtype) if feed == "best" else torch.bernoulli(chances, generator=generator)


Output = TokenOutput | FrameOutput | LabelOutput
