"""What a text is written for, its form or its title, as one vector."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from recurra.layers import Recurrent


class Condition(nn.Module):
    """Fields of a document side by side as one vector: categories embedded, short texts encoded.

    A category is looked up in a table of its own; of a text, the last states of a GRU that reads it in both directions
    stand for the whole. A field that is not given has a learned vector too, so that a model can write without it.

    Attributes:
        output_size: columns of the vector, S.
    """

    def __init__(
        self,
        categories: Sequence[int],
        texts: int,
        *,
        vocabulary_size: int,
        width: int = 32,
        embedding: int = 64,
        engine: str = "auto",
    ) -> None:
        """
        Args:
            categories: for each field that is a category the number of its values, the one "not given", 0, included.
            texts: number of fields that are texts.
            vocabulary_size: number of tokens a text is made of, V.
            width: columns that each field takes; even where there are texts.
            embedding: width of the embedding of a text's tokens.
            engine: which engine reads the texts.

        Raises:
            ValueError: there is no field, a size is below 1, or the width is odd where a text is encoded.
        """
        super().__init__()
        if not categories and texts < 1:
            raise ValueError("a condition without fields: give it a category or a text")
        for name, size in (("vocabulary_size", vocabulary_size), ("width", width), ("embedding", embedding)):
            if size < 1:
                raise ValueError(f"{name}={size}: a condition needs at least 1")
        if texts and width % 2:
            raise ValueError(f"width={width}: a text is read in both directions, each of half the width; make it even")
        self.tables = nn.ModuleList(nn.Embedding(size, width) for size in categories)
        self.embedding = nn.Embedding(vocabulary_size, embedding) if texts else None
        self.readers = nn.ModuleList(
            Recurrent("gru", embedding, width // 2, bidirectional=True, engine=engine) for _ in range(texts)
        )
        self.absent = nn.Parameter(torch.zeros(texts, width)) if texts else None
        self.output_size = width * (len(categories) + texts)

    def forward(self, categories: Tensor, texts: Sequence[tuple[Tensor, Tensor]] = ()) -> Tensor:
        """The vector of each row, [B, S].

        Args:
            categories: number of the value of each field that is a category, int64 [B, F]; 0: not given.
            texts: for each field that is a text its tokens int64 [B, T] and lengths int64 [B] on the CPU; a row of
                length 0 is not given.
        """
        columns = [table(numbers) for table, numbers in zip(self.tables, categories.unbind(1), strict=True)]
        for k, (reader, (tokens, lengths)) in enumerate(zip(self.readers, texts, strict=True)):
            columns.append(self._read(k, reader, tokens, lengths))
        return torch.cat(columns, 1)

    def _read(self, field: int, reader: nn.Module, tokens: Tensor, lengths: Tensor) -> Tensor:
        embedding, absent = self.embedding, self.absent
        if embedding is None or absent is None:
            raise ValueError("this condition has no texts")
        _, (state,) = reader(embedding(tokens), lengths=lengths)
        read = state.transpose(0, 1).flatten(1)  # [2, B, width / 2] to [B, width]
        return torch.where((lengths == 0).to(read.device)[:, None], absent[field], read)
