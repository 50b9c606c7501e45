"""N→N in step: a tag for each token or vector of a sequence."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recurra.layers import LinearChainCRF, Recurrent
from recurra.models.inputs import SymbolInput, VectorInput


@dataclass(frozen=True)
class Tokens:
    """What a tagger reads: sequences side by side.

    Attributes:
        inputs: symbols of the tokens, int64 [B, T], or vectors, float32 [B, T, I].
        lengths: steps of each row, int64 [B], on the CPU.
        pairs: symbols of each token with the one before and with the one behind it, int64 [B, T, 2].
        forms: the characters of each different token of the batch, int64 [W, C].
        form_lengths: characters of each, int64 [W], on the CPU.
        form_of: which of the forms each token has, int64 [B, T].
    """

    inputs: Tensor
    lengths: Tensor
    pairs: Tensor | None = None
    forms: Tensor | None = None
    form_lengths: Tensor | None = None
    form_of: Tensor | None = None

    def to(self, device: torch.device) -> "Tokens":
        """The same on another device, but for the lengths."""

        def moved(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(device)

        inputs = self.inputs.to(device)
        return Tokens(
            inputs, self.lengths, moved(self.pairs), moved(self.forms), self.form_lengths, moved(self.form_of)
        )


class Spelling(nn.Module):
    """A vector for each token from its characters: the last outputs of a recurrent layer in both directions
    (Ling et al. 2015).

    Args:
        cell: the cell.
        characters: number of characters.
        width: width of a character's vector.
        hidden: units of each direction, H.
        widths: columns of what else the cell has a width for; None: of nothing.
        engine: which engine runs it.
    """

    def __init__(
        self,
        cell: str,
        characters: int,
        width: int,
        hidden: int,
        widths: Mapping[str, int] | None = None,
        engine: str = "auto",
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(characters, width)
        self.recurrent = Recurrent(cell, width, hidden, widths=widths, bidirectional=True, engine=engine)
        self.width = self.recurrent.output_size

    def forward(self, forms: Tensor, lengths: Tensor) -> Tensor:
        """Characters int64 [W, C] with lengths int64 [W] to [W, 2H]."""
        output, _ = self.recurrent(self.embedding(forms), lengths=lengths)
        half = self.width // 2
        last = output[torch.arange(len(forms), device=output.device), lengths.to(output.device) - 1, :half]
        return torch.cat([last, output[:, 0, half:]], dim=1)


class TokenInput(nn.Module):
    """All that is read of a token, side by side: the vector of its symbol, of its two pairs, of its spelling.

    Args:
        symbol: the vector of the symbol, or the vector that is read in its place.
        pairs: the vectors of pairs of neighbouring symbols, if they are read.
        spelling: the vectors of spellings, if they are read.

    Attributes:
        width: columns of the output, E.
    """

    def __init__(
        self,
        symbol: SymbolInput | VectorInput,
        pairs: nn.Embedding | None = None,
        spelling: Spelling | None = None,
    ) -> None:
        super().__init__()
        self.symbol, self.pairs, self.spelling = symbol, pairs, spelling
        self.width = symbol.width + (2 * pairs.embedding_dim if pairs else 0) + (spelling.width if spelling else 0)
        for one in (symbol.embedding if isinstance(symbol, SymbolInput) else None, pairs):
            if one is not None:
                # Vectors of length 1 on average: those of rare symbols stay near it, and must not outweigh the others.
                bound = (3.0 / one.embedding_dim) ** 0.5
                nn.init.uniform_(one.weight, -bound, bound)

    def standardise(self, mean: Tensor, deviation: Tensor) -> None:
        """Take the mean and the deviation, [I] each, of the vectors that are read.

        Raises:
            ValueError: symbols are read.
        """
        if not isinstance(self.symbol, VectorInput):
            raise ValueError("symbols have no mean; only an input of vectors is standardised")
        self.symbol.standardise(mean, deviation)

    def start(self, vectors: Tensor, *, fixed: bool = False) -> None:
        """Give the symbols vectors to start from, as `SymbolInput.start` does.

        Raises:
            ValueError: vectors are read and no symbols, or the shape is another.
        """
        if not isinstance(self.symbol, SymbolInput):
            raise ValueError("an input of vectors has no symbols that could start from word vectors")
        self.symbol.start(vectors, fixed=fixed)

    def forward(self, tokens: Tokens) -> Tensor:
        """Tokens, on the device of this layer, to [B, T, E].

        Raises:
            ValueError: the tokens come without what is to be read of them.
        """
        parts = [self.symbol(tokens.inputs)]
        if self.pairs is not None:
            if tokens.pairs is None:
                raise ValueError("the tagger reads pairs of symbols; give Tokens with pairs")
            parts.append(self.pairs(tokens.pairs).flatten(2))
        if self.spelling is not None:
            if tokens.forms is None or tokens.form_lengths is None or tokens.form_of is None:
                raise ValueError("the tagger reads spellings; give Tokens with forms, form_lengths and form_of")
            spelt = self.spelling(tokens.forms, tokens.form_lengths)
            parts.append(F.embedding(tokens.form_of, spelt))
        return torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]


class Tagger(nn.Module):
    """Input, a body that maps the sequence, and scores of tags at every step.

    Args:
        inputs: the input layer.
        body: maps [B, T, E] and lengths [B] to [B, T, D]; has `output_size`, D. With `feedback` it has no memory of its
            own, and reads C columns more.
        tags: number of tags, C.
        field: scores the tags of a sequence together; None: each is chosen by itself.
        feedback: the tag of the step before is an input too (one-hot): the true one where it is known, as in training,
            else the one that was chosen.
        dropout: chance that a value is dropped in training, on the input and on what the body gives.
    """

    def __init__(
        self,
        inputs: TokenInput,
        body: nn.Module,
        tags: int,
        *,
        field: LinearChainCRF | None = None,
        feedback: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if feedback and field is not None:
            raise ValueError("tags that are fed back are chosen one by one: take no random field with feedback")
        self.inputs, self.body, self.field, self.feedback, self.tags = inputs, body, field, feedback, tags
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(body.output_size, tags)  # type: ignore[arg-type]  # of every body

    def forward(self, tokens: Tokens, tags: Tensor | None = None) -> Tensor:
        """The score of each tag at each step, [B, T, C].

        Args:
            tokens: what is read.
            tags: with feedback, the true tags int64 [B, T], below 0 where there is none.

        Raises:
            ValueError: tags are fed back, and none are given.
        """
        x = self.dropout(self.inputs(tokens))
        if self.feedback:
            if tags is None:
                raise ValueError("the tags are fed back: give the true ones, or take `best`")
            before = F.pad(tags[:, :-1], (1, 0), value=-1).to(x.device)
            x = torch.cat([x, self._one_hot(before)], dim=-1)
        return self.output(self.dropout(self.body(x, tokens.lengths)))

    def nats(self, scores: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """−log p of the tags of each row, [B].

        Args:
            scores: what a call gave, [B, T, C].
            tags: int64 [B, T]; below 0 behind a row's end and, without a random field, where there is none.
            lengths: steps of each row, int64 [B].
        """
        if self.field is not None:
            return self.field(scores, tags, lengths)
        known = tags >= 0
        picked = scores.log_softmax(-1).gather(2, tags.clamp(min=0).unsqueeze(2)).squeeze(2)
        return -picked.masked_fill(~known, 0.0).sum(1)

    @torch.no_grad()
    def best(self, tokens: Tokens, scores: Tensor | None = None) -> Tensor:
        """The tags that are chosen, int64 [B, T]: the likeliest path of a random field, else the likeliest tags.

        Args:
            tokens: what is read.
            scores: what a call gave for them, if it is at hand.
        """
        if self.feedback:
            return self._fed_back(tokens)
        scored: Tensor = self(tokens) if scores is None else scores
        return scored.argmax(-1) if self.field is None else self.field.decode(scored, tokens.lengths)

    def _fed_back(self, tokens: Tokens) -> Tensor:
        """The likeliest tag of each step, given the one that was chosen before it."""
        x = self.dropout(self.inputs(tokens))
        one = torch.ones(len(x), dtype=torch.int64)
        tag, chosen = torch.full((len(x),), -1, device=x.device), []
        for t in range(x.shape[1]):
            step = torch.cat([x[:, t : t + 1], self._one_hot(tag.unsqueeze(1))], dim=-1)
            tag = self.output(self.dropout(self.body(step, one))).squeeze(1).argmax(-1)
            chosen.append(tag)
        return torch.stack(chosen, dim=1)

    def _one_hot(self, tags: Tensor) -> Tensor:
        """[B, T] to [B, T, C]; zeros where there is no tag."""
        return F.one_hot(tags.clamp(min=0), self.tags) * (tags >= 0).unsqueeze(-1).float()
