"""N→M: a sequence of symbols to another, of any length."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from recurra import cells
from recurra.equations import Cell
from recurra.layers import Attention, Decoder, Initialisation, Regularisation
from recurra.models.autoregressive import Autoregressive, draw
from recurra.models.bridge import Bridge
from recurra.models.dropouts import Dropouts
from recurra.models.encoder import Encoded, Encoder
from recurra.models.inputs import unit_vectors
from recurra.models.outputs import TokenOutput
from recurra.models.scheduled_sampling import ScheduledSampling
from recurra.models.summary import Summary

BRIDGES = ("state", "input", "both")
CONTEXTS = ("last", "mapped", "all")


class EncoderDecoder(Autoregressive):
    """Recurrent layers that read a source, and others that write a target (Cho et al. 2014; Sutskever et al. 2014).

    How the source reaches the decoder, beside attention:

    | bridge  |                                                       |
    |---------|-------------------------------------------------------|
    | `state` | as the state that the decoder starts from             |
    | `input` | as an input at every step, the context c              |
    | `both`  | as both                                               |

    What of the source that is:

    | context  | the state                                        | the input at every step                       |
    |----------|--------------------------------------------------|-----------------------------------------------|
    | `last`   | the encoder's last states, as they are           | its last output                               |
    | `mapped` | its last states, each through a map of its own   | tanh(W c + b) of that                         |
    | `all`    | maps of a weighted mean over all outputs, the    | tanh(W c + b) of that mean                    |
    |          | weights learned                                  |                                               |

    In both directions the last output is the last one of the layer that reads forwards beside the first one of the
    other, and states stand side by side. `Bridge` says which of them goes where.

    `encode`, then `nats` for training; `start`, `step` and `select` for decoding.
    """

    def __init__(  # noqa: PLR0913 - the settings of a model, all but the first two by keyword
        self,
        source_size: int,
        target_size: int,
        *,
        cell: str | Cell = "gru",
        embedding: int = 128,
        hidden: int = 256,
        layers: int = 1,
        widths: Mapping[str, int] | None = None,
        bidirectional: bool = True,
        decoder_cell: str | Cell | None = None,
        decoder_hidden: int | None = None,
        decoder_layers: int | None = None,
        attention: Attention | None = None,
        bridge: str = "state",
        context: str = "mapped",
        source_embedding: int | None = None,
        shared: bool = False,
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
            source_size: number of source symbols.
            target_size: number of target symbols, V.
            cell: the encoder's cell, or its name.
            embedding: width of the vectors of target symbols, and of source symbols where nothing else is said.
            hidden: units of each of the encoder's layers, in each direction.
            layers: number of the encoder's layers.
            widths: what else the cells have a width for.
            bidirectional: whether the source is also read from its end.
            decoder_cell, decoder_hidden, decoder_layers: those of the decoder; None: as the encoder's. The cell may be
                one that attends to a memory by itself.
            attention: how the decoder looks back at the encoder's outputs; None: it does not.
            bridge: how the source reaches the decoder beside that.
            context: what of it does.
            source_embedding: width of the vectors of source symbols.
            shared: whether source and target have one vocabulary and one matrix of vectors.
            tied: whether the output layer's weight is the matrix of the target's vectors (Press & Wolf 2016).
            readout: width of a hidden layer before the output layer (see `Autoregressive`); 0: none.
            dropouts: what is dropped.
            regularisation: what is dropped inside the loops of both halves.
            normalise: layer norm on the vectors of symbols, on the memory and on what the decoder gives. Inside the
                loop it is a matter of the cell: `layer_norm_gru`.
            sampling: scheduled sampling; None: teacher forcing.
            init: every parameter is drawn from uniform(-init, init), but those whose equations, or layer norm, give
                them a value to start from; None: each layer's own default.
            engine: which engine runs the recurrent layers.

        Raises:
            ValueError: a size below 1, an unknown word, or states, vocabularies or widths that do not fit together.
        """
        _check(bridge, context, source_size, target_size, embedding)
        width = source_embedding or embedding
        if shared and (source_size != target_size or width != embedding):
            raise ValueError(
                f"shared=True needs one vocabulary and one width: here are {source_size} source symbols of width "
                f"{width} and {target_size} target symbols of width {embedding}"
            )
        start = Initialisation(bound=init)
        vectors = unit_vectors(target_size, embedding)
        encoder = Encoder(
            vectors if shared else unit_vectors(source_size, width),
            cell=cell,
            hidden=hidden,
            layers=layers,
            widths=widths,
            bidirectional=bidirectional,
            dropouts=dropouts,
            normalise=normalise,
            regularisation=regularisation,
            initialisation=start,
            engine=engine,
        )
        memory = encoder.output_size
        reads = bridge in ("input", "both")
        units = decoder_hidden or hidden
        size = (memory if context == "last" else units) if reads else 0
        writing = decoder_cell or cell
        writing = cells.get(writing) if isinstance(writing, str) else writing
        attends = attention is not None or bool(writing.memories)
        decoder = Decoder(
            writing,
            embedding,
            units,
            memory_size=memory if attends else 0,
            attention=attention,
            num_layers=decoder_layers or layers,
            widths=widths,
            static_size=size,
            dropout=dropouts.layers,
            regularisation=regularisation,
            initialisation=start,
            engine=engine,
        )
        output = TokenOutput(target_size, vectors, readout or decoder.output_size, tied=tied)
        super().__init__(output, decoder, dropouts=dropouts, normalise=normalise, readout=readout, sampling=sampling)
        self.encoder = encoder
        self.summary = Summary("attention" if context == "all" else "last", memory, backwards=encoder.backwards)
        self.context = nn.Linear(memory, size) if reads and context != "last" else None
        self.reads, self.of_all = reads, context == "all"
        seen = reads or self.of_all or attends
        self.memory_norm = nn.LayerNorm(memory) if normalise and seen else nn.Identity()
        self.memory_dropout = nn.Dropout(dropouts.memory)
        self.bridge: Bridge | None = None
        if bridge in ("state", "both"):
            given = [{"summary": memory}] if self.of_all else encoder.state_sizes
            self.bridge = Bridge(given, decoder.cell, decoder.state_sizes, copied=context == "last")
        if init is not None:
            draw(self, init)

    def encode(self, inputs: Tensor, lengths: Tensor) -> Encoded:
        """Read sources.

        Args:
            inputs: symbols int64 [B, S].
            lengths: of each row, int64 [B], each at least 1, on the CPU. What lies behind a row's end is never read.
        """
        memory, last = self.encoder(inputs, lengths)
        memory = self.memory_dropout(self.memory_norm(memory))
        states, context = None, None
        if self.reads or self.of_all:
            summary = self.summary(memory, lengths)
            if self.of_all:
                last = [{"summary": summary}]
            if self.reads:
                context = summary if self.context is None else torch.tanh(self.context(summary))
        if self.bridge is not None:
            states = self.bridge(last)
        if not self.decoder.memory_size:
            return Encoded(len(inputs), states=states, context=context)
        return Encoded(len(inputs), memory, lengths, states, context)


def _check(bridge: str, context: str, *sizes: int) -> None:
    for name, value, known in (("bridge", bridge, BRIDGES), ("context", context, CONTEXTS)):
        if value not in known:
            raise ValueError(f"{name}={value!r} is none of {', '.join(known)}")
    if min(sizes) < 1:
        raise ValueError(f"vocabularies and vectors of sizes {sizes}: each needs at least 1")
