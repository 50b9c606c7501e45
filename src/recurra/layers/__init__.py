"""Torch modules around the engines."""

from recurra.engines.native import Prepacked
from recurra.layers.cross_entropy import linear_cross_entropy
from recurra.layers.initialisation import Initialisation
from recurra.layers.linear import Linear
from recurra.layers.normalisation import Normalisation
from recurra.layers.recurrent import Recurrent, State
from recurra.layers.regularisation import Regularisation
from recurra.layers.stepper import Stepper

__all__ = [
    "Initialisation",
    "Linear",
    "Normalisation",
    "Prepacked",
    "Recurrent",
    "Regularisation",
    "State",
    "Stepper",
    "linear_cross_entropy",
]
