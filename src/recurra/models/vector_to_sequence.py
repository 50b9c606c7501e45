"""1→N: one thing, a class, a vector or a grid of vectors, to a sequence."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from recurra.layers import Attention, Decoder, Initialisation, Regularisation
from recurra.models.autoregressive import Autoregressive, draw
from recurra.models.bridge import Bridge
from recurra.models.dropouts import Dropouts
from recurra.models.encoder import Encoded
from recurra.models.inputs import VectorInput, unit_vectors
from recurra.models.outlook import KINDS
from recurra.models.outputs import FrameOutput, LabelOutput, Output, TokenOutput
from recurra.models.scheduled_sampling import ScheduledSampling
from recurra.models.summary import Summary

SOURCES = ("class", "vector", "grid")
OUTPUTS = ("tokens", "labels", *KINDS)
FED = ("first", "every", "state")


class VectorToSequence(Autoregressive):
    """Recurrent layers that write a sequence from one thing: a name from a language, a curve from its parameters, a
    sentence from a picture.

    | source   | what is given                                | the vector of it                                     |
    |----------|----------------------------------------------|------------------------------------------------------|
    | `class`  | a class, int64 [B]                           | learned, of width `embedding`                        |
    | `vector` | features, [B, F]                             | these, standardised                                  |
    | `grid`   | features of R places, [B, R, F]              | their mean; with attention each place is looked at   |

    | fed      | how the vector reaches the decoder                                                                  |
    |----------|-----------------------------------------------------------------------------------------------------|
    | `first`  | as an input before the first one (Vinyals et al. 2015)                                              |
    | `every`  | as an input at every step                                                                           |
    | `state`  | as the state it starts from, through a map for each of the cell's states (Karpathy & Fei-Fei 2015)  |

    The outputs are `tokens` of a vocabulary, sets of `labels` (such as notes), or frames of values, of which an
    `Outlook` says what is known of each (`mse`, `gaussian`, …). Each is read back as the next input.

    `encode`, then `nats` for training; `start`, `step` and `select` for decoding, or `roll_out`.
    """

    def __init__(  # noqa: PLR0913 - the settings of a model, all but the first four by keyword
        self,
        source: str,
        source_size: int,
        output: str,
        output_size: int,
        *,
        fed: str = "state",
        attention: Attention | None = None,
        mapped: int = 0,
        cell: str = "lstm",
        embedding: int = 128,
        hidden: int = 256,
        layers: int = 1,
        widths: Mapping[str, int] | None = None,
        tied: bool = False,
        readout: int = 0,
        dropouts: Dropouts = Dropouts(),  # noqa: B008 - frozen
        regularisation: Regularisation | None = None,
        normalise: bool = False,
        sampling: ScheduledSampling | None = None,
        init: float | None = None,
        engine: str = "auto",
    ) -> None:
        """
        Args:
            source: what is given: `class`, `vector` or `grid`.
            source_size: number of classes, or columns F of the features.
            output: what is written: `tokens`, `labels`, or what a forecast of a frame's values is, a kind of `Outlook`.
            output_size: number of tokens, V, or columns K.
            fed: how the vector reaches the decoder.
            attention: how the decoder looks at a grid; None: it does not.
            mapped: width to which features are brought first, tanh(W f + b); 0: they stay as they are.
            cell: name of the cell.
            embedding: width of the vectors of classes and tokens.
            hidden: units of each layer.
            layers: number of layers.
            widths: what else the cell has a width for.
            tied: whether the output layer's weight is the matrix of the tokens' vectors.
            readout: width of a hidden layer before the output layer (see `Autoregressive`); 0: none.
            dropouts: what is dropped.
            regularisation: what is dropped inside the loop.
            normalise: layer norm on the vectors of tokens and on what the decoder gives.
            sampling: scheduled sampling; None: teacher forcing.
            init: every parameter is drawn from uniform(-init, init), but those whose equations, or layer norm, give
                them a value to start from; None: each layer's own default.
            engine: which engine runs the recurrent layers.

        Raises:
            ValueError: a size below 1, an unknown word, attention to anything but a grid, or tied frames.
        """
        _check(source, output, fed, source_size, output_size)
        if attention is not None and source != "grid":
            raise ValueError(f"attention needs a grid to look at; a {source} is one vector: take attention=None")
        if tied and output != "tokens":
            raise ValueError(f"tied=True is about the vectors of tokens; leave it out for {output}")
        width = embedding if source == "class" else mapped or source_size
        written = embedding if output == "tokens" else output_size
        decoder = Decoder(
            cell,
            written,
            hidden,
            memory_size=width if attention is not None else 0,
            attention=attention,
            num_layers=layers,
            widths=widths,
            static_size=width if fed == "every" else 0,
            dropout=dropouts.layers,
            regularisation=regularisation,
            initialisation=Initialisation(bound=init),
            engine=engine,
        )
        features = readout or decoder.output_size
        super().__init__(
            _output(output, output_size, embedding, features, tied=tied),
            decoder,
            dropouts=dropouts,
            normalise=normalise,
            readout=readout,
            sampling=sampling,
        )
        self.source = unit_vectors(source_size, embedding) if source == "class" else VectorInput(source_size)
        self.map = nn.Linear(source_size, mapped) if mapped and source != "class" else None
        self.mean = Summary("mean", width) if source == "grid" else None
        self.before = nn.Linear(width, written) if fed == "first" else None
        self.bridge = Bridge([{"vector": width}], decoder.cell, decoder.state_sizes) if fed == "state" else None
        self.at_every_step = fed == "every"
        self.memory_dropout = nn.Dropout(dropouts.memory)
        if init is not None:
            draw(self, init)

    def standardise(self, mean: Tensor, deviation: Tensor) -> None:
        """Take the mean and the deviation, [F] each, of the features in the training data.

        Raises:
            ValueError: classes are given.
        """
        if not isinstance(self.source, VectorInput):
            raise ValueError("classes have no mean; only features are standardised")
        self.source.standardise(mean, deviation)

    def encode(self, source: Tensor, lengths: Tensor | None = None) -> Encoded:
        """What the decoder is given.

        Args:
            source: classes int64 [B], features [B, F], or grids [B, R, F].
            lengths: places of each grid, int64 [B], on the CPU; None: R for all.
        """
        values = self.source(source)
        values = self.memory_dropout(values if self.map is None else torch.tanh(self.map(values)))
        vector, memory = values, None
        if self.mean is not None:
            if lengths is None:
                lengths = torch.full((len(source),), source.shape[1])
            vector, memory = self.mean(values, lengths), values
        attends = self.decoder.memory_size > 0
        return Encoded(
            len(source),
            memory if attends else None,
            lengths if attends else None,
            None if self.bridge is None else self.bridge([{"vector": vector}]),
            vector if self.at_every_step else None,
            None if self.before is None else self.before(vector),
        )


def _output(kind: str, size: int, embedding: int, features: int, *, tied: bool) -> Output:
    if kind == "tokens":
        return TokenOutput(size, unit_vectors(size, embedding), features, tied=tied)
    return LabelOutput(size, features) if kind == "labels" else FrameOutput(kind, size, features)


def _check(source: str, output: str, fed: str, *sizes: int) -> None:
    for name, value, known in (("source", source, SOURCES), ("output", output, OUTPUTS), ("fed", fed, FED)):
        if value not in known:
            raise ValueError(f"{name}={value!r} is none of {', '.join(known)}")
    if min(sizes) < 1:
        raise ValueError(f"sources and outputs of sizes {sizes}: each needs at least 1")
