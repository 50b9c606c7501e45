"""The loop and what it stands on: schedules, clipping, checkpoints, run folders, several processes."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recurra.training.clipping import clip_gradients as clip_gradients
    from recurra.training.loop import DivergenceError as DivergenceError
    from recurra.training.loop import Outcome as Outcome
    from recurra.training.loop import train as train
    from recurra.training.run_folder import RunFolder as RunFolder
    from recurra.training.session import begin as begin
    from recurra.training.session import resume as resume

_PUBLIC = {
    "DivergenceError": "loop",
    "Outcome": "loop",
    "RunFolder": "run_folder",
    "begin": "session",
    "clip_gradients": "clipping",
    "resume": "session",
    "train": "loop",
}
__all__ = ["DivergenceError", "Outcome", "RunFolder", "begin", "clip_gradients", "resume", "train"]


def __getattr__(name: str) -> Any:
    """Load what is asked for when it is asked for: settings can be read without torch."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"recurra.training.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module 'recurra.training' has no attribute {name!r}")
