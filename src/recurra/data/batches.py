"""Examples of their own lengths as batches: rows of like length side by side, in an order drawn anew each epoch."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch

from recurra.data.errors import DataError

# Batches whose rows are drawn at once and then sorted by length: more leaves less padding, fewer more chance.
POOL = 32


class Sized(Protocol):
    """What the stream needs of a batch: how many predictions it asks for."""

    @property
    def tokens(self) -> int: ...


B = TypeVar("B", bound=Sized)


@dataclass(frozen=True)
class SequenceBatch:
    """Sequences side by side.

    Attributes:
        inputs: symbols int64 [B, T] or vectors float32 [B, T, I]; zeros behind a row's end.
        lengths: steps of each row, int64 [B], on the CPU.
        targets: what is to be predicted; its shape is the task's.
        tokens: number of predictions.
        fresh: no state is carried from one example to another.
    """

    inputs: torch.Tensor
    lengths: torch.Tensor
    targets: torch.Tensor
    tokens: int
    fresh: bool = True


def pad(sequences: Sequence[np.ndarray], filler: float = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Sequences [T] or [T, I] as one tensor [B, T] (int64) or [B, T, I] (float32), and their lengths, int64 [B].

    Behind a row's end stands the `filler`. Every sequence has at least one step.
    """
    lengths = np.fromiter(map(len, sequences), dtype=np.int64, count=len(sequences))
    kind = np.float32 if sequences[0].ndim > 1 else np.int64
    padded = np.full((len(sequences), lengths.max(), *sequences[0].shape[1:]), filler, dtype=kind)
    padded[np.arange(padded.shape[1]) < lengths[:, None]] = np.concatenate(sequences)
    return torch.from_numpy(padded), torch.from_numpy(lengths)


def by_length(lengths: np.ndarray, rows: int, steps: int = 1 << 16) -> Iterator[np.ndarray]:
    """Numbers of all examples, in batches of at most `rows` and, with their padding, `steps` steps: the longest first.

    Args:
        lengths: steps of each example, [N].
        rows: most examples of a batch.
        steps: most steps of a batch, unless a single example has more.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        count = max(1, min(rows, steps // max(int(lengths[order[start]]), 1)))
        yield order[start : start + count]
        start += count


class ExampleStream(Generic[B]):
    """The batches of a set of examples, epoch after epoch, bucketed by length.

    Each epoch draws a new order. Pools of 32 batches' worth of neighbours in it are sorted by length and cut into
    batches whose sizes differ by one row at most; these come in an order of their own. Every example comes exactly once
    an epoch, in one of the processes; all processes have the same number of batches. An epoch is drawn from the
    seed and its number alone, so its place is two numbers.

    With a budget of `tokens` all examples are sorted by length, those of one length in an order drawn anew, and cut
    where the budget is full. The lengths stand in the same order in every epoch, so the cuts, and their number, stay.

    Attributes:
        epoch_batches: number of batches in an epoch.
        epoch: epochs completed.
        window: batches already given in the current epoch.
    """

    def __init__(  # noqa: PLR0913 - all but the first two by keyword
        self,
        lengths: np.ndarray,
        collate: Callable[[np.ndarray], B],
        *,
        batch: int,
        tokens: int | None = None,
        seed: int,
        checksum: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """A stream at its start.

        Args:
            lengths: steps of each example, [N].
            collate: makes a batch of the examples with these numbers.
            batch: rows of a batch in each process.
            tokens: steps of a batch in each process, padding counted, unless a single example has more; then `batch`
                does not count.
            seed: seed of all orders.
            checksum: a number that other examples would not have, for the place in a checkpoint.
            rank: number of this process.
            world: number of processes.

        Raises:
            DataError: there are fewer examples than processes.
        """
        if not 0 <= rank < world:
            raise ValueError(f"rank {rank} does not exist among {world} processes: expected 0 to {world - 1}")
        if len(lengths) < world:
            raise DataError(f"{len(lengths)} examples to learn from cannot be shared by {world} processes: give more")
        self.lengths, self.collate = lengths, collate
        self.batch, self.tokens, self.seed, self.rank, self.world = batch, tokens, seed, rank, world
        self._cuts = None if tokens is None else _cuts(np.sort(lengths), tokens * world, world)
        if self._cuts is not None:
            self.epoch_batches = len(self._cuts) + 1
        else:
            self.epoch_batches = min(-(-len(lengths) // (batch * world)), len(lengths) // world)
        self.epoch = 0
        self.window = 0
        self._checksum = checksum
        self._drawn: tuple[int, list[np.ndarray]] | None = None  # an epoch's number and its batches

    def next(self) -> B | None:
        """The next batch, or None at the end of an epoch; the call after that begins the next epoch."""
        if self.window == self.epoch_batches:
            self.epoch, self.window = self.epoch + 1, 0
            return None
        if self._drawn is None or self._drawn[0] != self.epoch:
            self._drawn = self.epoch, self._draw()
        numbers = self._drawn[1][self.window]
        self.window += 1
        return self.collate(numbers[self.rank :: self.world])

    def _draw(self) -> list[np.ndarray]:
        """The numbers of the examples of each batch of the current epoch, for all processes together."""
        random = np.random.default_rng((self.seed, self.epoch))
        order = random.permutation(len(self.lengths))
        if self._cuts is not None:
            whole = np.split(order[np.argsort(self.lengths[order], kind="stable")], self._cuts)
            return [whole[k] for k in random.permutation(len(whole))]
        batches: list[np.ndarray] = []
        pools = np.array_split(np.arange(self.epoch_batches), -(-self.epoch_batches // POOL))
        bounds = [len(order) * end // self.epoch_batches for end in range(self.epoch_batches + 1)]
        for pool in pools:
            numbers = order[bounds[pool[0]] : bounds[pool[-1] + 1]]
            numbers = numbers[np.argsort(self.lengths[numbers], kind="stable")]
            start = bounds[pool[0]]
            batches += [numbers[bounds[k] - start : bounds[k + 1] - start] for k in pool]
        return [batches[k] for k in random.permutation(len(batches))]

    def state_dict(self) -> dict[str, Any]:
        """The exact place: plain integers, the same in every process."""
        return {"epoch": self.epoch, "window": self.window, **self._identity()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to the place that `state_dict` noted.

        Raises:
            DataError: the place was noted among other examples, or with another batch or number of processes.
        """
        for name, here in self._identity().items():
            if state.get(name) != here:
                raise DataError(
                    f"the checkpoint's place in the examples does not fit: {_NAMES[name]} was {state.get(name)}, "
                    f"now it is {here}; resume with the data and settings the run began with"
                )
        self.epoch, self.window = int(state["epoch"]), int(state["window"])

    def _identity(self) -> dict[str, int]:
        size = {"rows": self.batch * self.world} if self.tokens is None else {"tokens": self.tokens * self.world}
        return {"examples": len(self.lengths), "checksum": self._checksum, **size, "seed": self.seed}


def _cuts(lengths: np.ndarray, tokens: int, rows: int) -> list[int]:
    """Where to cut examples of these lengths [N], sorted, so that no batch has more than so many steps.

    Padding counts. Each batch has so many `rows` at least.
    """
    cuts, start = [], 0
    for end in range(rows, len(lengths) - rows + 1):
        if end - start >= rows and lengths[end] * (end + 1 - start) > tokens:
            cuts.append(end)
            start = end
    return cuts


_NAMES = {
    "examples": "the number of examples to learn from",
    "checksum": "the checksum of the examples",
    "rows": "the number of rows (train.batch × processes)",
    "tokens": "the number of tokens (train.tokens × processes)",
    "seed": "the seed",
}
