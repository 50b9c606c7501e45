"""From a model's step to sequences: `step(x, state) -> (logits, state, extras)` is all this room knows of a model."""

from recurra.decoding.sampling import Sampler, Step, sample

__all__ = ["Sampler", "Step", "sample"]
