"""The half that reads: a sequence of symbols to a memory, and to what a decoder starts from."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recurra.equations import Cell
from recurra.layers import Initialisation, Recurrent, Regularisation
from recurra.models.dropouts import Dropouts


@dataclass(frozen=True)
class Encoded:
    """What a decoder is given of B sources.

    Attributes:
        batch: B.
        memory: what it may attend to, [B, S, M].
        lengths: steps of the memory of each row, int64 [B], on the CPU; None: S for all.
        states: what it starts from, [B, W] for each state of each layer; None: its own start.
        context: what it reads at every step, [B, C].
        first: what it reads before its first input, [B, E].
    """

    batch: int
    memory: Tensor | None = None
    lengths: Tensor | None = None
    states: tuple[tuple[Tensor, ...], ...] | None = None
    context: Tensor | None = None
    first: Tensor | None = None

    def select(self, rows: Tensor) -> "Encoded":
        """These rows, int64 [N]; any may be repeated or left out."""

        def of(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor[rows.to(tensor.device)]

        states = None if self.states is None else tuple(tuple(s[rows] for s in layer) for layer in self.states)
        return Encoded(len(rows), of(self.memory), of(self.lengths), states, of(self.context), of(self.first))


class Encoder(nn.Module):
    """Vectors of symbols, read by recurrent layers.

    Args:
        embedding: the vectors of the symbols, of width E.
        cell: the cell.
        hidden: units of each direction, H.
        layers: number of layers.
        widths: what else the cell has a width for.
        bidirectional: whether the source is also read from its end.
        dropouts: what is dropped.
        normalise: layer norm on the vectors of the symbols.
        regularisation: what is dropped inside the loop.
        initialisation: what the recurrent layers start from.
        engine: which engine runs them.

    Attributes:
        output_size: columns of the memory, M: H, or 2H in both directions.
        backwards: how many of them, the last ones, read from the end.
        state_sizes: the states of each layer, those of both directions side by side, and their widths.
    """

    def __init__(  # noqa: PLR0913 - the settings of a stack, all but the first by keyword
        self,
        embedding: nn.Embedding,
        *,
        cell: str | Cell,
        hidden: int,
        layers: int = 1,
        widths: Mapping[str, int] | None = None,
        bidirectional: bool = True,
        dropouts: Dropouts = Dropouts(),  # noqa: B008 - frozen
        normalise: bool = False,
        regularisation: Regularisation | None = None,
        initialisation: Initialisation | None = None,
        engine: str = "auto",
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.recurrent = Recurrent(
            cell,
            embedding.embedding_dim,
            hidden,
            num_layers=layers,
            widths=widths,
            bidirectional=bidirectional,
            dropout=dropouts.layers,
            regularisation=regularisation,
            initialisation=initialisation,
            engine=engine,
        )
        self.output_size = self.recurrent.output_size
        self.backwards = self.output_size // 2 if bidirectional else 0
        self.embedding_norm = nn.LayerNorm(embedding.embedding_dim) if normalise else nn.Identity()
        self.embedding_dropout = nn.Dropout(dropouts.embedding)

    @property
    def state_sizes(self) -> list[dict[str, int]]:
        recurrent, directions = self.recurrent, self.recurrent.directions
        inputs = [recurrent.input_size] + [recurrent.output_size] * (recurrent.num_layers - 1)
        return [{n: directions * w for n, w in recurrent.design.state_sizes(i).items()} for i in inputs]

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, list[dict[str, Tensor]]]:
        """Symbols int64 [B, S] with lengths int64 [B] on the CPU.

        Returns:
            the memory [B, S, M], and what each layer ends with, [B, W] by the states' names.
        """
        vectors = self.embedding_dropout(self.embedding_norm(self.embedding(inputs)))
        memory, state = self.recurrent(vectors, lengths=lengths)
        return memory, last_states(self.recurrent, state)


def last_states(recurrent: Recurrent, state: tuple[Tensor, ...]) -> list[dict[str, Tensor]]:
    """A state of recurrent layers by layer and name, [B, W] each, of both directions side by side."""
    names, count = recurrent.cell.states, recurrent.directions
    layers = range(0, recurrent.num_layers * count, count)
    return [{n: torch.cat(list(s[k : k + count]), -1) for n, s in zip(names, state, strict=True)} for k in layers]
