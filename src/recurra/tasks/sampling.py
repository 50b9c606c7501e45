"""The scheduled sampling that the settings describe."""

from recurra.models import ScheduledSampling
from recurra.tasks.config import SamplingConfig


def build_sampling(config: SamplingConfig) -> ScheduledSampling | None:
    """What a model is to be made with; None: teacher forcing."""
    if config.schedule == "none":
        return None
    return ScheduledSampling(
        config.schedule,
        k=config.k,
        slope=config.slope,
        minimum=config.minimum,
        way=config.way,
        feed=config.feed,
    )
