"""Ctrl-C as a wish to stop soon, with everything saved."""

import signal
import threading
from types import FrameType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """While entered, the first Ctrl-C (or SIGTERM, which batch systems and torchrun send) only sets `wanted`; a second
    one acts as if nobody listened."""

    def __init__(self) -> None:
        self.wanted = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        # Python lets only the main thread listen; elsewhere, as in a server, the caller decides when to stop.
        for number in _SIGNALS if threading.current_thread() is threading.main_thread() else ():
            self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_listening()

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self.wanted = True
        self._stop_listening()

    def _stop_listening(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
