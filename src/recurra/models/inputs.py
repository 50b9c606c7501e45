"""What a network reads: symbols that become vectors, or vectors as they are."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def unit_vectors(symbols: int, width: int) -> nn.Embedding:
    """Learned vectors of length 1 on average: longer ones drive the gates of a decoder shut before it has learnt what
    to look at, and it learns some times slower.

    Args:
        symbols: number of symbols, V.
        width: width of the vectors, E.
    """
    embedding, bound = nn.Embedding(symbols, width), (3.0 / width) ** 0.5
    nn.init.uniform_(embedding.weight, -bound, bound)
    return embedding


class SymbolInput(nn.Module):
    """Symbols as learned vectors, or as one-hot vectors.

    Args:
        symbols: number of symbols, V.
        width: width of the learned vectors, E; None: one-hot vectors, of width V.

    Attributes:
        width: columns of the output.
    """

    def __init__(self, symbols: int, width: int | None) -> None:
        super().__init__()
        self.symbols, self.width = symbols, width or symbols
        self.embedding = nn.Embedding(symbols, width) if width else None

    def start(self, vectors: Tensor, *, fixed: bool = False) -> None:
        """Give the symbols vectors to start from [V, E]; a row of NaN leaves its symbol's own. `fixed`: for good.

        Raises:
            ValueError: the symbols are one-hot, or the shape is another.
        """
        if self.embedding is None:
            raise ValueError("symbols that enter as one-hot vectors have no vectors to start from; take learned ones")
        weight = self.embedding.weight
        if vectors.shape != weight.shape:
            raise ValueError(f"vectors of shape {list(vectors.shape)} are given; expected {list(weight.shape)}")
        with torch.no_grad():
            weight.copy_(torch.where(vectors.isnan(), weight, vectors))
        weight.requires_grad_(not fixed)

    def forward(self, inputs: Tensor) -> Tensor:
        """int64 [B, T] to [B, T, E]."""
        if self.embedding is None:
            return F.one_hot(inputs, self.symbols).float()
        return self.embedding(inputs)


class VectorInput(nn.Module):
    """Vectors, brought to the mean 0 and the deviation 1 that they have in the training data.

    Args:
        width: columns of the vectors, I.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))

    def standardise(self, mean: Tensor, deviation: Tensor) -> None:
        """Take each column's mean and deviation, [I] each; a column that never changes is only shifted."""
        self.mean.copy_(mean)
        self.deviation.copy_(torch.where(deviation > 1e-6, deviation, 1.0))

    def forward(self, inputs: Tensor) -> Tensor:
        """float32 [B, T, I] to the same shape."""
        return (inputs - self.mean) / self.deviation
