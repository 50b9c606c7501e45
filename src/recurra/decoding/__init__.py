"""From a model's step to sequences: `step(x, state) -> (logits, state, extras)` is all this room knows of a model."""

from recurra.decoding.beam import beam_search
from recurra.decoding.hypothesis import Hypothesis
from recurra.decoding.limits import Constraints
from recurra.decoding.roll_out import greedy, sample_sequences
from recurra.decoding.sampling import Sampler, sample
from recurra.decoding.settings import BeamSettings
from recurra.decoding.step import Select, Step
from recurra.decoding.unknown import replace_unknown

__all__ = [
    "BeamSettings",
    "Constraints",
    "Hypothesis",
    "Sampler",
    "Select",
    "Step",
    "beam_search",
    "greedy",
    "replace_unknown",
    "sample",
    "sample_sequences",
]
