"""The ways of using a recurrent network, as torch modules."""

from recurra.models.language_model import LanguageModel

__all__ = ["LanguageModel"]
