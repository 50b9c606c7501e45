"""A passage and a question to an answer: two inputs, each encoded, and attention of the one over the other."""

from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from recurra.layers import Attention, Decoder, Recurrent
from recurra.layers.decoder import DecoderState
from recurra.models.inputs import SymbolInput
from recurra.models.summary import Summary

# The logarithm of a probability that float32 has rounded to 0 is this at least.
_LEAST = 1e-30


@dataclass(frozen=True)
class Questions:
    """Passages and questions side by side.

    Attributes:
        passages: symbols int64 [B, S]; zeros behind a row's end.
        passage_lengths: symbols of each passage, int64 [B] on the CPU, each at least 1.
        questions: symbols int64 [B, Q]; zeros behind a row's end.
        question_lengths: symbols of each question, int64 [B] on the CPU, each at least 1.
        forms: where each word of the passage stands there for the first time, int64 [B, S]; None where the answer is
            not pointed at.
    """

    passages: Tensor
    passage_lengths: Tensor
    questions: Tensor
    question_lengths: Tensor
    forms: Tensor | None = None

    def to(self, device: torch.device) -> "Questions":
        """The same with its symbols on a device."""
        forms = None if self.forms is None else self.forms.to(device)
        return replace(self, passages=self.passages.to(device), questions=self.questions.to(device), forms=forms)


@dataclass(frozen=True)
class ReaderSize:
    """What a reader is made of.

    Attributes:
        symbols: number of symbols, V.
        answers: number of answers to choose from; None: the answer is pointed at in the passage.
        cell: of all recurrent layers.
        embedding: width of the learned vectors of the symbols, E.
        hidden: width of each layer, H.
        layers: layers that read the passage, and that read the question.
        bidirectional: whether these read from both ends.
        looks: looks at the passage, K.
        words: whether each word's own vector is remembered beside the state of the layers that read it.
    """

    symbols: int
    answers: int | None
    cell: str = "gru"
    embedding: int = 32
    hidden: int = 64
    layers: int = 1
    bidirectional: bool = True
    looks: int = 2
    words: bool = False


class Reader(nn.Module):
    """Reads passage and question, looks at the passage several times, and answers.

    What is remembered of the passage is the states of the layers that read it, perhaps with each word's own vector
    beside its state. The looks are a recurrent network of their own, K steps long, which starts from the question,
    reads the question at every step and attends to this memory: what one look has found says what the next one asks for
    (Sukhbaatar et al. 2015; Kumar et al. 2016; the attention is that of Bahdanau et al. 2015). The last output chooses
    among known answers, or points at a word of the passage, whose probability is the sum over its places (Kadlec et
    al. 2016).

    Args:
        size: what it is made of.
        attention: how a look compares what it asks with the states of the passage.
        dropout: chance that a value is dropped in training: of the symbols' vectors, between layers, of the output.
        engine: what runs the recurrent layers.

    Raises:
        ValueError: a size, the cell, the attention or the engine does not exist or does not fit the others.
    """

    def __init__(self, size: ReaderSize, attention: Attention, *, dropout: float = 0.0, engine: str = "auto") -> None:
        super().__init__()
        self.size = size
        self.inputs = SymbolInput(size.symbols, size.embedding)
        self.passage, self.question = (
            Recurrent(
                size.cell,
                size.embedding,
                size.hidden,
                num_layers=size.layers,
                bidirectional=size.bidirectional,
                dropout=dropout,
                engine=engine,
            )
            for _ in range(2)
        )
        width = self.passage.output_size
        memory = width + (size.embedding if size.words else 0)
        self.summary = Summary("last", width, backwards=width // 2 if size.bidirectional else 0)
        self.looks = Decoder(size.cell, width, size.hidden, memory_size=memory, attention=attention, engine=engine)
        self.start = nn.Linear(width, sum(self.looks.state_sizes[0].values()))
        self.head = nn.Linear(self.looks.output_size, memory if size.answers is None else size.answers)
        self.dropout = nn.Dropout(dropout)

    def forward(self, read: Questions) -> Tensor:
        """The log-probability of each candidate: of the known answers [B, C]; or of the words of the passage [B, S],
        where that of a word stands at its first place."""
        memory, question = self._encoded(read)
        asked = question.unsqueeze(1).expand(-1, self.size.looks, -1)
        found, _ = self.looks(asked, self._start(question), memory=memory, memory_lengths=read.passage_lengths)
        return self._answer(found[:, -1], memory, read)

    def looked(self, read: Questions) -> tuple[Tensor, Tensor]:
        """What `forward` gives, and the weight of each word of the passage at each look, [B, K, S]."""
        memory, question = self._encoded(read)
        attended = self.looks.attend(memory, read.passage_lengths)
        state, found, weights = self._start(question), question, []
        for _ in range(self.size.looks):
            found, state, weight = self.looks.step(question, state, attended=attended)
            weights.append(cast(Tensor, weight))
        return self._answer(found, memory, read), torch.stack(weights, 1)

    def _encoded(self, read: Questions) -> tuple[Tensor, Tensor]:
        """What is remembered of the passage [B, S, M], and what stands for the question [B, D]."""
        words = self.inputs(read.passages)
        states, _ = self.passage(self.dropout(words), lengths=read.passage_lengths)
        question, _ = self.question(self.dropout(self.inputs(read.questions)), lengths=read.question_lengths)
        memory = torch.cat([states, words], -1) if self.size.words else states
        return memory, self.summary(question, read.question_lengths)

    def _start(self, question: Tensor) -> DecoderState:
        """Where the looks start: the question, mapped to the states of their cell."""
        sizes = list(self.looks.state_sizes[0].values())
        return self.looks.start([torch.tanh(self.start(question)).split(sizes, dim=-1)])

    def _answer(self, found: Tensor, memory: Tensor, read: Questions) -> Tensor:
        scores = self.head(self.dropout(found))
        if read.forms is None:
            return scores.log_softmax(-1)
        lengths = read.passage_lengths[:, None].to(memory.device)
        behind = torch.arange(memory.shape[1], device=memory.device) >= lengths
        places = torch.einsum("bsm,bm->bs", memory, scores).masked_fill(behind, -torch.inf).softmax(-1)
        return torch.zeros_like(places).scatter_add(1, read.forms, places).clamp(min=_LEAST).log()
