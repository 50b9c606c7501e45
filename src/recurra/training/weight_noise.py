"""Noise on the parameters while a gradient is taken: a regulariser that asks for minima which are wide."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


@contextmanager
def weight_noise(parameters: Sequence[Tensor], deviation: float) -> Iterator[None]:
    """Gaussian noise on every parameter as long as one is inside; afterwards each is bit for bit what it was.

    So the gradient is that of the disturbed parameters, and the update is one of those without noise (Jim et al. 1996;
    Graves 2011, with noise of a fixed size). The draws are new at each entry and come from torch's generator of the
    parameters' device, which a checkpoint holds.

    Args:
        parameters: what is disturbed, in place; arrays of any shape.
        deviation: standard deviation of the noise; 0: none, and nothing is drawn.
    """
    if not deviation:
        yield
        return
    with torch.no_grad():
        # Kept whole: taking the same noise off again would leave rounding behind, which gathers over the updates.
        kept = [parameter.clone() for parameter in parameters]
        for parameter in parameters:
            parameter.add_(torch.randn_like(parameter), alpha=deviation)
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, before in zip(parameters, kept, strict=True):
                parameter.copy_(before)
