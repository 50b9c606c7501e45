"""Torch modules around the engines."""

from recurra.engines.native import Prepacked
from recurra.layers.recurrent import Recurrent, State
from recurra.layers.stepper import Stepper

__all__ = ["Prepacked", "Recurrent", "State", "Stepper"]
