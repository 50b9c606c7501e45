"""What all tasks need to score with a model."""

from recurra.models.evaluation import evaluating

__all__ = ["evaluating"]
