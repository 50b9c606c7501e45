"""Recurrent sequence models: any cell written as equations, run at fused speed."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recurra.engines.check import check_cell as check_cell
    from recurra.equations import CellError as CellError
    from recurra.equations import cell as cell
    from recurra.layers import GRU as GRU
    from recurra.layers import LSTM as LSTM
    from recurra.layers import RNN as RNN
    from recurra.layers import GRUCell as GRUCell
    from recurra.layers import LSTMCell as LSTMCell
    from recurra.layers import Recurrent as Recurrent
    from recurra.layers import RNNCell as RNNCell
    from recurra.layers import Stepper as Stepper

__version__ = "0.1.0"

_PUBLIC = {
    **dict.fromkeys(("GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell", "Recurrent", "Stepper"), "recurra.layers"),
    "cell": "recurra.equations",
    "CellError": "recurra.equations",
    "check_cell": "recurra.engines.check",
}
__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "CellError",
    "GRUCell",
    "LSTMCell",
    "RNNCell",
    "Recurrent",
    "Stepper",
    "cell",
    "check_cell",
]


def __getattr__(name: str) -> Any:
    """Load what is asked for when it is asked for, so that `import recurra` stays cheap."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'recurra' has no attribute {name!r}")
