"""Who watches a run: the loop tells, the observer shows."""

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor

from recurra.training.progress import Position


class Observer(Protocol):
    """What the loop tells while it trains. It is called in every process's writer only, never in the others."""

    def started(self, facts: Mapping[str, Any]) -> None:
        """The run begins or goes on; `facts` are those of `describe.json`."""
        ...

    def stepped(self, at: Position, fraction: float, loss: Tensor, norm: Tensor) -> None:
        """An update was made: `fraction` of the run is done.

        `loss` (nats a token) and the gradient's `norm` are scalars on the device. Reading them waits for it, so read
        them a few times a second at most.
        """
        ...

    def measured(self, record: Mapping[str, Any]) -> None:
        """A line was added to metrics.jsonl."""
        ...

    def notice(self, text: str) -> None:
        """Something a user should know, in one line."""
        ...


class Silent:
    """An observer that shows nothing."""

    def started(self, facts: Mapping[str, Any]) -> None: ...

    def stepped(self, at: Position, fraction: float, loss: Tensor, norm: Tensor) -> None: ...

    def measured(self, record: Mapping[str, Any]) -> None: ...

    def notice(self, text: str) -> None: ...
