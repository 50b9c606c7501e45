"""Torch modules around the engines."""

from recurra.engines.native import Prepacked
from recurra.layers.recurrent import Recurrent, State

__all__ = ["Prepacked", "Recurrent", "State"]
