"""The ways of using a recurrent network, as torch modules."""

from recurra.models.classifier import Classifier, RecurrentBody
from recurra.models.inputs import SymbolInput, VectorInput
from recurra.models.language_model import LanguageModel
from recurra.models.memoryless import Bag, Positions, TimeDelay, Window
from recurra.models.summary import Summary
from recurra.models.tagger import Spelling, Tagger, TokenInput, Tokens

__all__ = [
    "Bag",
    "Classifier",
    "LanguageModel",
    "Positions",
    "RecurrentBody",
    "Spelling",
    "Summary",
    "SymbolInput",
    "Tagger",
    "TimeDelay",
    "TokenInput",
    "Tokens",
    "VectorInput",
    "Window",
]
