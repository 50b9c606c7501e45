"""N→1: a whole sequence to one class."""

from torch import Tensor, nn

from recurra.layers import Recurrent
from recurra.models.inputs import SymbolInput, VectorInput
from recurra.models.summary import Summary


class RecurrentBody(nn.Module):
    """Recurrent layers as a body among others: they take lengths, and give their outputs alone."""

    def __init__(self, recurrent: Recurrent) -> None:
        super().__init__()
        self.recurrent = recurrent
        self.output_size = recurrent.output_size

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """[B, T, I] to [B, T, H], or [B, T, 2H] in both directions."""
        return self.recurrent(x, lengths=lengths)[0]


class Classifier(nn.Module):
    """Input, a body that maps the sequence, a summary of what it gives, and a head over the classes.

    Args:
        inputs: the input layer.
        body: maps [B, T, E] and lengths [B] to [B, T', D]; has `output_size`, D. A body whose T' is 1 has summed up
            by itself, and its summary is taken over this one step.
        summary: what stands for the whole sequence.
        classes: number of classes, C.
        head: width of a hidden layer of the head; 0: the head is linear.
        dropout: chance that a value is dropped in training, on the input and on the summary.
    """

    def __init__(
        self,
        inputs: SymbolInput | VectorInput,
        body: nn.Module,
        summary: Summary,
        classes: int,
        *,
        head: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.inputs, self.body, self.summary = inputs, body, summary
        self.dropout = nn.Dropout(dropout)
        width: int = body.output_size  # type: ignore[assignment]  # of every body
        self.head = (
            nn.Sequential(nn.Linear(width, head), nn.ReLU(), nn.Dropout(dropout), nn.Linear(head, classes))
            if head
            else nn.Linear(width, classes)
        )

    def prepare(self, vectors: Tensor | None, statistics: tuple[Tensor, Tensor] | None, *, fixed: bool = False) -> None:
        """Start from what the training data know: vectors of the symbols [V, E], or mean and deviation of the columns.

        `fixed` vectors are not trained.
        """
        if isinstance(self.inputs, SymbolInput) and vectors is not None:
            self.inputs.start(vectors, fixed=fixed)
        if isinstance(self.inputs, VectorInput) and statistics is not None:
            self.inputs.standardise(*statistics)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Logits [B, C] of symbols int64 [B, T] or vectors [B, T, I], with lengths int64 [B] on the CPU."""
        return self.classify(self.inputs(inputs), lengths)

    def classify(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Logits [B, C] of what the input layer gives, [B, T, E]."""
        values = self.body(self.dropout(x), lengths)
        if values.shape[1] == 1:
            lengths = lengths.clamp(max=1)
        return self.head(self.dropout(self.summary(values, lengths)))
