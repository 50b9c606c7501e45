"""The word vectors that a model's symbols start from."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from recurra.data import read_word_vectors

logger = logging.getLogger("recurra.tasks")


def word_vectors(path: Path, symbols: Sequence[str]) -> Tensor:
    """The vector that a file has for each symbol, float32 [V, E]; a row of NaN where it has none.

    Raises:
        DataError: the file cannot be read, or has a vector for none of them.
    """
    found = read_word_vectors(path, symbols)
    vectors = np.full((len(symbols), len(next(iter(found.values())))), np.nan, dtype=np.float32)
    for k, symbol in enumerate(symbols):
        if symbol in found:
            vectors[k] = found[symbol]
    logger.info("%s has vectors for %d of %d symbols", path, len(found), len(symbols))
    return torch.from_numpy(vectors)
