"""Torch modules around the engines."""

from recurra.layers.recurrent import Recurrent, State

__all__ = ["Recurrent", "State"]
