"""A recurrent language model: the next token from all tokens before it."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recurra.engines.linear import PackedLinear
from recurra.layers import (
    Initialisation,
    Normalisation,
    Recurrent,
    Regularisation,
    State,
    Stepper,
    linear_cross_entropy,
)
from recurra.models.condition import Condition
from recurra.models.outputs import TIED_DEVIATION, own_tokens
from recurra.models.scheduled_sampling import ScheduledSampling

Step = Callable[[Tensor, State | None], tuple[Tensor, State, dict[str, Tensor]]]
"""What `LanguageModel.step` is."""


class LanguageModel(nn.Module):
    """Embedding, a stack of recurrent layers, and an output layer over the vocabulary.

    Dropout acts on the embedding, between the layers and on the top output, never along time (Zaremba et al. 2014).

    With `tied`, the output layer's weight is the embedding matrix itself (Press & Wolf 2016; Inan et al. 2016), and
    only its bias is a parameter of its own. Where the recurrent output and the embedding differ in width, a learned
    projection without bias brings the output to the embedding's width first.

    With a `condition`, every recurrent layer reads a vector for the whole text beside its input, at every step. It is
    given as `static` [B, S], which `condition` computes; for decoding it travels in the state, see `start`.

    With `sampling`, some of the tokens that are read in training are the model's own (see `ScheduledSampling`). Each
    call with targets then counts as one update.
    """

    def __init__(  # noqa: PLR0913 - the settings of a model, all but the first by keyword
        self,
        vocabulary_size: int,
        *,
        cell: str = "lstm",
        embedding: int = 128,
        hidden: int = 256,
        widths: Mapping[str, int] | None = None,
        layers: int = 1,
        dropout: float = 0.0,
        tied: bool = False,
        engine: str = "auto",
        init: float | None = None,
        condition: Condition | None = None,
        sampling: ScheduledSampling | None = None,
        regularisation: Regularisation | None = None,
        normalisation: Normalisation | None = None,
    ) -> None:
        """
        Args:
            vocabulary_size: number of tokens, V.
            cell: name of the recurrent cell.
            embedding: width of the embedding.
            hidden: width of each recurrent layer, H.
            widths: columns of what else the cell has a width for, such as ``{"P": 64}`` of a projection.
            layers: number of recurrent layers, L.
            dropout: chance that a value is set to zero in training, from 0 up to, not including, 1.
            tied: whether the output layer shares the embedding's weight.
            engine: which engine runs the recurrent layers.
            init: every parameter is drawn from uniform(-init, init), as Zaremba does, but those whose equations give
                them a value to start from (a layer norm's gain); None: each layer's own default.
            condition: what makes the vector that a text is written for; None: there is none.
            sampling: scheduled sampling; None: teacher forcing.
            regularisation: noise inside the recurrence, in training; None: there is none.
            normalisation: of what the recurrent layers read; None: there is none.

        Raises:
            ValueError: a size is below 1, dropout is no such chance, init is not positive, the cell is unknown, or the
                normalisation looks ahead.
        """
        super().__init__()
        sizes = {"vocabulary_size": vocabulary_size, "embedding": embedding, "hidden": hidden, "layers": layers}
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name}={size}: a language model needs at least 1")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout={dropout}: expected a probability from 0 up to, not including, 1")
        if init is not None and init <= 0:
            raise ValueError(f"init={init}: expected the largest size of a parameter, above 0, or None")
        self.vocabulary_size = vocabulary_size
        self.tied = tied
        self.embedding = nn.Embedding(vocabulary_size, embedding)
        self.condition, self.sampling = condition, sampling
        self.recurrent = Recurrent(
            cell,
            embedding,
            hidden,
            num_layers=layers,
            widths=widths,
            static_size=0 if condition is None else condition.output_size,
            causal=True,
            dropout=dropout,
            regularisation=regularisation,
            normalisation=normalisation,
            initialisation=Initialisation(bound=init),
            engine=engine,
        )
        self.dropout = nn.Dropout(dropout)
        self.projection: nn.Linear | None = None
        width = self.recurrent.output_size
        if tied and width != embedding:
            self.projection = nn.Linear(width, embedding, bias=False)
            width = embedding
        bound = width**-0.5
        # With tied weights nothing is registered twice, so the parameters can be saved by name as they are.
        self.output_weight: nn.Parameter | None = None
        if not tied:
            self.output_weight = nn.Parameter(torch.empty(vocabulary_size, width).uniform_(-bound, bound))
        self.output_bias = nn.Parameter(torch.empty(vocabulary_size).uniform_(-bound, bound))
        if tied:
            nn.init.normal_(self.embedding.weight, std=TIED_DEVIATION)
        if init is not None:
            for name, parameter in self.named_parameters():
                if not name.startswith("recurrent."):
                    nn.init.uniform_(parameter, -init, init)

    def initial_state(self, batch: int) -> State:
        """The state before the first token, each tensor [L, B, width]."""
        return self.recurrent.initial_state(batch, self.embedding.weight)

    def start(self, static: Tensor) -> State:
        """The state that `step` begins with in a model with a condition: the initial state and, last, the vector.

        Args:
            static: what the texts are written for, [B, S].
        """
        return (*self.initial_state(len(static)), static[None])

    def forward(
        self,
        tokens: Tensor,
        state: State | None = None,
        targets: Tensor | None = None,
        *,
        lengths: Tensor | None = None,
        static: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """Predict the token after each token.

        Args:
            tokens: int64 [B, T].
            state: the state after the tokens before; None: the initial state.
            targets: int64 [B, T], the tokens that follow, -100 where there is none.
            lengths: tokens of each row, int64 [B] on the CPU; None: T for all.
            static: what the texts are written for, [B, S], in a model with a condition.

        Returns:
            logits [B, T, V], or with targets the mean of their negative log-probabilities in nats, which needs far less
            memory; and the state after the last token.
        """
        if targets is not None and self.training and self.sampling is not None:
            tokens = self._mixed(tokens, state, lengths, static, self.sampling)
        features, state = self.features(tokens, state, lengths=lengths, static=static)
        return self.logits(features) if targets is None else self.loss(features, targets), state

    def _mixed(
        self,
        tokens: Tensor,
        start: State | None,
        lengths: Tensor | None,
        static: Tensor | None,
        sampling: ScheduledSampling,
    ) -> Tensor:
        """The tokens that are read in an update with scheduled sampling."""

        def own(features: Tensor) -> Tensor:
            return own_tokens(features, self.logits, self.vocabulary_size, sampling.feed)

        def one_step(read: Tensor, state: Any, _: int) -> tuple[Tensor, Any]:
            features, state = self.features(read.unsqueeze(1), start if state is None else state, static=static)
            return own(features[:, 0]), state

        def all_steps(read: Tensor, wanted: Tensor) -> Tensor:
            features, found = self.features(read, start, lengths=lengths, static=static)[0], torch.zeros_like(read)
            found[wanted] = own(features[wanted])
            return found

        return sampling.mix(self, tokens, one_step, all_steps, lengths)

    def features(
        self,
        tokens: Tensor,
        state: State | None = None,
        *,
        lengths: Tensor | None = None,
        static: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """`forward` without the output layer, whose result may be far larger than everything before it.

        Args:
            tokens: int64 [B, T].
            state: the state after the tokens before; None: the initial state.
            lengths: tokens of each row, int64 [B] on the CPU; None: T for all.
            static: what the texts are written for, [B, S], in a model with a condition.

        Returns:
            the recurrent layers' output [B, T, H] and the state after each row's last token.
        """
        return self.recurrent(self.dropout(self.embedding(tokens)), state, lengths, static=static)

    def logits(self, features: Tensor) -> Tensor:
        """The output layer: logits [..., V] from features [..., H]."""
        return F.linear(self._output_features(features), self._output_weight(), self.output_bias)

    def loss(self, features: Tensor, targets: Tensor, reduction: Literal["mean", "sum", "none"] = "mean") -> Tensor:
        """The negative log-probability of each target in nats, without holding all logits at once.

        Args:
            features: [..., H].
            targets: int64 [...], -100 where there is none.
            reduction: "mean" over the targets, "sum", or "none".

        Returns:
            a scalar, or for "none" [...], 0 where there is no target.
        """
        features = self._output_features(features).flatten(0, -2)
        losses = linear_cross_entropy(
            features, self._output_weight(), self.output_bias, targets.flatten(), reduction=reduction
        )
        return losses.view(targets.shape) if reduction == "none" else losses

    def _output_features(self, features: Tensor) -> Tensor:
        features = self.dropout(features)
        return features if self.projection is None else self.projection(features)

    def _output_weight(self) -> Tensor:
        return self.embedding.weight if self.output_weight is None else self.output_weight

    def step(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State, dict[str, Tensor]]:
        """One step of `forward`, for decoding.

        Args:
            tokens: int64 [B].
            state: the state after the tokens before; None: the initial state, of a model without a condition.

        Returns:
            logits [B, V], the state after the tokens, and further results by name (none here).

        Raises:
            ValueError: no state is given to a model with a condition.
        """
        if state is None:
            self._require_start()
            state = self.initial_state(len(tokens))
        state, given = self._parted(state)
        static = given[0][0] if given else None
        features, after = self.recurrent.step(self.dropout(self.embedding(tokens)), state, static)
        return self.logits(features), (*after, *given), {}

    def _parted(self, state: State) -> tuple[State, State]:
        """The recurrent state, and apart from it what the texts are written for, [1, B, S], if anything."""
        return (state, ()) if self.condition is None else (state[:-1], state[-1:])

    def _require_start(self) -> None:
        if self.condition is not None:
            raise ValueError("a model with a condition starts from what the text is for: step(tokens, start(static))")

    def select(self, state: State, rows: Tensor) -> State:
        """The state of these rows, int64 [N], in that order; a row may be repeated or left out."""
        return tuple(part.index_select(1, rows) for part in state)

    def decoder(self, batch: int = 1) -> Step:
        """A faster `step` for a model in evaluation, with the parameters as they are now. It gives no gradients.

        Args:
            batch: B, rows that are decoded together.

        Returns:
            `step` over a `Stepper` where that can run the recurrent layers (on the CPU in float32), else `step` itself.
        """
        try:
            stepper = Stepper(self.recurrent, batch)
        except ValueError:
            return self.step
        last: State | None = None if self.condition is not None else stepper.state
        # Of one row the product is bound by the weight's way from memory, packed or not.
        packed = PackedLinear(self._output_weight(), self.output_bias) if batch > 1 else None
        if packed is not None:
            packed.prepare()

        def step(tokens: Tensor, state: State | None = None) -> tuple[Tensor, State, dict[str, Tensor]]:
            nonlocal last
            if state is None:
                self._require_start()
                stepper.reset()
                given: State = ()
            else:
                own, given = self._parted(state)
                if state is not last:
                    stepper.state = own
                    if given:
                        stepper.static = given[0][0]
            with torch.no_grad():
                features = stepper.step(self.embedding(tokens))
                last = (*stepper.state, *given)
                logits = self.logits(features) if packed is None else packed(self._output_features(features))
                return logits, last, {}

        return step
