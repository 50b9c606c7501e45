"""The half that writes: outputs one after another, each read back, from what an encoder gives."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from recurra.layers import Attended, Decoder, DecoderState
from recurra.models.dropouts import Dropouts
from recurra.models.encoder import Encoded
from recurra.models.outputs import LossSettings, Output, TokenOutput
from recurra.models.scheduled_sampling import ScheduledSampling


@dataclass(frozen=True)
class Decoding:
    """Where the decoding of N rows stands.

    Attributes:
        layers: the state of the decoder.
        source: of which of the sources each row is, int64 [N].
        attended: what was computed once for each row: of its memory, and of what it reads at every step.
        logits: the output layer, prepared for many steps.
    """

    layers: DecoderState
    source: Tensor
    attended: Attended
    logits: Callable[[Tensor], Tensor]


class Autoregressive(nn.Module):
    """A model that writes its outputs one after another, and reads each of them before the next.

    A subclass says by `encode` what is given. In training, with scheduled sampling, some of the outputs that are read
    are the model's own; each call of `nats` then counts as one update.

    Args:
        output: what is written and read back.
        decoder: the recurrent layers.
        dropouts: what is dropped.
        normalise: layer norm on the vectors of tokens that are read, and on what the decoder gives.
        readout: width of a hidden layer before the output layer, tanh(W [decoder's output; what was read] + b) (the
            deep output of Pascanu et al. 2014); 0: none.
        sampling: scheduled sampling; None: teacher forcing.
    """

    def __init__(
        self,
        output: Output,
        decoder: Decoder,
        *,
        dropouts: Dropouts = Dropouts(),  # noqa: B008 - frozen
        normalise: bool = False,
        readout: int = 0,
        sampling: ScheduledSampling | None = None,
    ) -> None:
        super().__init__()
        self.output, self.decoder, self.sampling = output, decoder, sampling
        symbols = isinstance(output, TokenOutput)  # a frame's size is part of what it says
        self.input_norm = nn.LayerNorm(output.width) if normalise and symbols else nn.Identity()
        self.decoder_norm = nn.LayerNorm(decoder.output_size) if normalise else nn.Identity()
        self.input_dropout, self.output_dropout = nn.Dropout(dropouts.embedding), nn.Dropout(dropouts.output)
        self.readout = nn.Linear(decoder.output_size + output.width, readout) if readout else None

    # -- whole sequences ---------------------------------------------------------------------------------------------

    def nats(
        self,
        encoded: Encoded,
        inputs: Tensor,
        targets: Tensor,
        lengths: Tensor | None = None,
        label_smoothing: float = 0.0,
        reduction: Literal["none", "sum"] = "none",
    ) -> Tensor:
        """The negative log-probability of each target, given all before it, without holding all logits.

        Args:
            encoded: what `encode` gave.
            inputs: what is read, the outputs a step before: tokens int64 [B, T] that begin with a start symbol, frames
                or labels [B, T, K] that begin with zeros.
            targets: the outputs, int64 [B, T], -100 where there is none; or [B, T, K].
            lengths: steps of each row, int64 [B], on the CPU; None: T for all. Behind a row's end the loss is 0.
            label_smoothing: share of each target that is spread evenly.
            reduction: "none", or "sum" over all that is written, which is quicker in training than to sum afterwards.

        Returns:
            [B, T] or a scalar, in nats (of frames of the kinds `mse`, `mae`, `huber` and `quantiles` that error).
        """
        if self.training and self.sampling is not None:
            inputs = self._mixed(encoded, inputs, lengths, self.sampling)
        behind = None
        if lengths is not None and int(lengths.min()) < inputs.shape[1]:
            steps = torch.arange(inputs.shape[1], device=inputs.device)
            behind = steps >= lengths.to(inputs.device).unsqueeze(1)
        settings = LossSettings(behind, label_smoothing, reduction)
        return self.output.nats(self.features(encoded, inputs, lengths), targets, settings)

    def features(self, encoded: Encoded, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """What the output layer reads, [B, T, D], after each of `inputs`; arguments as for `nats`."""
        read = self._read(inputs)
        steps, given = read, lengths
        if encoded.first is not None:
            steps = torch.cat([encoded.first.unsqueeze(1), read], 1)
            given = None if lengths is None else lengths + 1
        values, _ = self.decoder(
            steps,
            self._first_state(encoded),
            given,
            memory=encoded.memory,
            memory_lengths=encoded.lengths,
            static=encoded.context,
        )
        return self._read_out(values[:, values.shape[1] - read.shape[1] :], read)

    def _mixed(self, encoded: Encoded, inputs: Tensor, lengths: Tensor | None, sampling: ScheduledSampling) -> Tensor:
        """What is read in an update with scheduled sampling."""

        def one_step(read: Tensor, state: Any, step: int) -> tuple[Tensor, Any]:
            features, state, _ = self._advance(read, self.start(encoded) if state is None else state)
            return self.output.own(features, sampling.feed), state

        def all_steps(read: Tensor, wanted: Tensor) -> Tensor:
            own = torch.zeros_like(read)
            own[wanted] = self.output.own(self.features(encoded, read, lengths)[wanted], sampling.feed)
            return own

        return sampling.mix(self, inputs, one_step, all_steps, lengths)

    # -- step by step ------------------------------------------------------------------------------------------------

    def start(self, encoded: Encoded) -> Decoding:
        """The state before the first step. The steps that want no gradient take the parameters as the first of them
        finds them."""
        attended = self.decoder.attend(encoded.memory, encoded.lengths, static=encoded.context, batch=encoded.batch)
        layers = self._first_state(encoded) or self.decoder.initial_state(encoded.batch)
        if encoded.first is not None:
            _, layers, _ = self.decoder.step(encoded.first, layers, attended)
        return Decoding(layers, torch.arange(encoded.batch), attended, self.output.prepared())

    def step(self, outputs: Tensor, state: Decoding) -> tuple[Tensor, Decoding, dict[str, Tensor]]:
        """One step of `nats`, for decoding.

        Args:
            outputs: what is read, the outputs of the step before: int64 [N] or [N, K].
            state: as `start`, `select` or this gave it.

        Returns:
            logits [N, V] (of frames, the parameters of each value [N, K, P]); the state after the step; with attention,
            its weights as "attention", [N, S].
        """
        features, state, weights = self._advance(outputs, state)
        return state.logits(features), state, {} if weights is None else {"attention": weights}

    def select(self, state: Decoding, rows: Tensor) -> Decoding:
        """The state with these rows, int64 [N]; any may be repeated or left out."""
        layers, source = self.decoder.select(state.layers, rows), state.source[rows.to(state.source.device)]
        # Rows that change places among those of their own source, as in a beam, read the same of it as before.
        attended = state.attended if torch.equal(source, state.source) else state.attended.select(rows)
        return replace(state, layers=layers, source=source, attended=attended)

    def roll_out(
        self,
        encoded: Encoded,
        first: Tensor,
        steps: int,
        *,
        feed: str = "best",
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Outputs that follow from the model's own.

        Args:
            encoded: what `encode` gave.
            first: what is read first, int64 [B] or [B, K].
            steps: number of outputs, T.
            feed: a `sample` of what the model says, or the `best`.
            generator: of the samples; None: torch's global one.

        Returns:
            [B, T] or [B, T, K].
        """
        state, read, found = self.start(encoded), first, []
        for _ in range(steps):
            features, state, _ = self._advance(read, state)
            read = self.output.own(features, feed, generator)
            found.append(read)
        return torch.stack(found, 1)

    def _advance(self, outputs: Tensor, state: Decoding) -> tuple[Tensor, Decoding, Tensor | None]:
        read = self._read(outputs)
        values, layers, weights = self.decoder.step(read, state.layers, state.attended)
        return self._read_out(values, read), replace(state, layers=layers), weights

    # -- what both share ---------------------------------------------------------------------------------------------

    def _first_state(self, encoded: Encoded) -> DecoderState | None:
        return None if encoded.states is None else self.decoder.start(encoded.states)

    def _read(self, outputs: Tensor) -> Tensor:
        return self.input_dropout(self.input_norm(self.output.read(outputs)))

    def _read_out(self, values: Tensor, read: Tensor) -> Tensor:
        """What the output layer reads, [..., D], of what the decoder gives and what it has read."""
        values = self.decoder_norm(values)
        if self.readout is not None:
            values = torch.tanh(self.readout(torch.cat([values, read], -1)))
        return self.output_dropout(values)


def draw(model: nn.Module, bound: float) -> None:
    """Draw all parameters of a model that are no recurrent layer's and no layer norm's from uniform(-bound, bound)."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding | TokenOutput):
            for parameter in module.parameters(recurse=False):
                nn.init.uniform_(parameter, -bound, bound)
