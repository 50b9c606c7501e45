"""One long text as rows that are read side by side, window after window."""

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from recurra.data.errors import DataError

# Marks a place without a target; the value that torch's cross entropy passes over.
NO_TARGET = -100


@dataclass(frozen=True)
class Batch:
    """One window of every row.

    Attributes:
        inputs: int64 [B, T].
        targets: int64 [B, T], the token after each input; `NO_TARGET` where a row has ended.
        fresh: whether the carried state must start anew: the rows do not go on from the batch before.
        tokens: number of targets, those with `NO_TARGET` not counted.
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    fresh: bool
    tokens: int


class TextStream:
    """The batches of a text, epoch after epoch, for truncated backpropagation through time.

    The text is cut into `batch · world` rows of equal length, up to one token, and each row is read from its start to
    its end in windows of `bptt` tokens, so that the state after one window is the state before the next. In each epoch
    every token but the first is a target exactly once. The last window of an epoch takes what is left, one to
    `bptt + 1` tokens a row.

    Process `rank` of `world` owns rows of its own, a contiguous part of the text: no state crosses processes. All
    processes have the same number of windows.

    Attributes:
        epoch_batches: number of batches in an epoch.
        epoch: epochs completed.
        window: batches already given in the current epoch.
        starts: where each row of this process begins in the text, int64 [B].
    """

    def __init__(self, ids: np.ndarray, *, batch: int, bptt: int, rank: int = 0, world: int = 1) -> None:
        """A stream over `ids` [tokens], of any integer type, at its start.

        Raises:
            DataError: the text is shorter than one window of all rows.
        """
        if not 0 <= rank < world:
            raise ValueError(f"rank {rank} does not exist among {world} processes: expected 0 to {world - 1}")
        rows, targets = batch * world, len(ids) - 1
        needed = rows * bptt + 1
        if len(ids) < needed:
            processes = f" × {world} processes" if world > 1 else ""
            raise DataError(
                f"the training text is too short: {len(ids):,} tokens, but one window needs {needed:,} "
                f"(train.batch={batch} × train.bptt={bptt}{processes} + 1); give more text or lower these two"
            )
        self.ids = ids
        self.batch, self.bptt = batch, bptt
        shortest, longer = divmod(targets, rows)
        numbers = np.arange(rank * batch, (rank + 1) * batch)
        # The first `longer` rows have one target more than the others.
        self.starts = numbers * shortest + np.minimum(numbers, longer)  # [B]
        self._lengths = shortest + (numbers < longer)  # [B]
        self._columns = shortest + (longer > 0)
        # Counted on the shortest row, so that no process meets a window without a single target.
        self.epoch_batches = -(-shortest // bptt)
        self.epoch = 0
        self.window = 0
        self._rows = rows
        self._checksum = zlib.crc32(np.ascontiguousarray(ids).data)

    def next(self) -> Batch | None:
        """The next batch, or None at the end of an epoch; the call after that begins the next epoch."""
        if self.window == self.epoch_batches:
            self.epoch, self.window = self.epoch + 1, 0
            return None
        begin = self.window * self.bptt
        end = self._columns if self.window == self.epoch_batches - 1 else begin + self.bptt
        self.window += 1
        steps = np.arange(begin, end + 1)
        places = self.starts[:, None] + steps  # [B, T + 1]
        block = self.ids[np.minimum(places, len(self.ids) - 1)].astype(np.int64)
        targets = np.where(steps[:-1] < self._lengths[:, None], block[:, 1:], NO_TARGET)
        return Batch(
            inputs=torch.from_numpy(np.ascontiguousarray(block[:, :-1])),
            targets=torch.from_numpy(targets),
            fresh=begin == 0,
            tokens=int(np.minimum(self._lengths, end).sum() - np.minimum(self._lengths, begin).sum()),
        )

    def state_dict(self) -> dict[str, Any]:
        """The exact place in the text: plain integers, the same in every process."""
        return {"epoch": self.epoch, "window": self.window, **self._identity()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to the place that `state_dict` noted.

        Raises:
            DataError: the place was noted in another text, or with another batch, bptt or number of processes.
        """
        identity = self._identity()
        for name, there in ((name, state.get(name)) for name in identity):
            if there != identity[name]:
                raise DataError(
                    f"the checkpoint's place in the text does not fit: {_NAMES[name]} was {there}, "
                    f"now it is {identity[name]}; resume with the text and settings the run began with"
                )
        self.epoch, self.window = int(state["epoch"]), int(state["window"])

    def _identity(self) -> dict[str, int]:
        return {"tokens": len(self.ids), "checksum": self._checksum, "rows": self._rows, "bptt": self.bptt}


_NAMES = {
    "tokens": "the number of tokens of the training text",
    "checksum": "the checksum of the training text",
    "rows": "the number of rows (train.batch × processes)",
    "bptt": "train.bptt",
}
