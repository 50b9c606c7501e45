"""Where an encoder–decoder drops values in training."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Dropouts:
    """The chance that a value is dropped in training, at each place; never along time (see `Regularisation` for that).

    Attributes:
        embedding: of the vectors of symbols, and of what else is read.
        layers: between two recurrent layers.
        memory: of what the encoder gives at each of its steps.
        output: of what the output layer reads.

    Raises:
        ValueError: one is no such chance.
    """

    embedding: float = 0.0
    layers: float = 0.0
    memory: float = 0.0
    output: float = 0.0

    def __post_init__(self) -> None:
        for part in fields(self):
            chance = getattr(self, part.name)
            if not 0.0 <= chance < 1.0:
                raise ValueError(
                    f"dropout of {part.name} is {chance}; expected a probability from 0 up to, not including, 1"
                )
