"""A stack of recurrent layers of any cell, one of which may attend to a memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from recurra.engines.sweep import check_engine
from recurra.equations import Cell
from recurra.layers.attention import Attention, Memory
from recurra.layers.design import Design, cell_of, check_kind, check_stack
from recurra.layers.initialisation import Initialisation
from recurra.layers.layer import Layer, LayerSteps
from recurra.layers.regularisation import Regularisation
from recurra.layers.rows import rows

DecoderState = tuple[tuple[Tensor | None, ...], ...]
"""For each layer from the lowest up, its states ``[B, W]``; None is where a state starts that nobody gave."""


class Decoder(nn.Module):
    """Recurrent layers, each reading the outputs of the one below, of which one attends to a memory.

    The lowest layer attends where the state as it was asks (:class:`Attention`'s place ``before``), the top layer where
    the new output does (``after``). What feeds back comes to the layer that attends. State goes in and comes out.

    Args:
        cell: a cell, or the name of one in the zoo; or one that attends by itself to a memory of width M.
        input_size: I, columns of the input.
        hidden_size: H, units of each layer.
        memory_size: M, columns of what is attended to; 0 without attention.
        attention: how the memory is attended to; None: there is none.
        num_layers: L.
        widths: columns of what else the cell has a width for.
        static_size: columns of a vector given once a sequence, which every layer reads at every step; 0: none.
        dropout: chance with which an element between two layers is set to zero while training.
        regularisation: what is dropped inside the loop.
        initialisation: what parameters start from.
        engine: "auto" takes the fastest engine that serves the call; or the name of one.

    Attributes:
        output_size: columns of the output.
        state_sizes: for each layer, the cell's own states and their columns: what an encoder may give.

    Raises:
        ValueError: a size below 1, a dropout outside [0, 1), an unknown cell or engine, a memory without attention or
            the other way round, or a memory that is not as wide as its score needs.
    """

    def __init__(  # noqa: PLR0913  # the settings of a stack, all but the first three by keyword
        self,
        cell: str | Cell,
        input_size: int,
        hidden_size: int,
        *,
        memory_size: int = 0,
        attention: Attention | None = None,
        num_layers: int = 1,
        widths: Mapping[str, int] | None = None,
        static_size: int = 0,
        dropout: float = 0.0,
        regularisation: Regularisation | None = None,
        initialisation: Initialisation | None = None,
        engine: str = "auto",
    ) -> None:
        super().__init__()
        sizes = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers}
        check_stack(sizes, static_size, dropout)
        check_engine(engine)
        self.cell = cell_of(cell)
        check_kind("attention", attention, Attention)
        if (memory_size > 0) != (attention is not None or bool(self.cell.memories)):
            raise ValueError(
                f"memory_size is {memory_size} and attention is {attention}; give both, or neither: memory_size=0, "
                "attention=None"
            )
        self.input_size, self.memory_size, self.static_size = input_size, memory_size, static_size
        self.attention, self.dropout, self.engine = attention, dropout, engine
        given = {
            "H": hidden_size,
            **({"S": static_size} if static_size else {}),
            **({"M": memory_size} if memory_size else {}),
        }
        sizes = {**(widths or {}), **given}
        start = initialisation or Initialisation()
        if regularisation is not None:  # what attention adds to the states is not zoned out
            regularisation = replace(regularisation, zoneout=regularisation.zoneouts(self.cell))
        plain = Design(self.cell, sizes, regularisation, None, start)
        designs = [plain] * num_layers
        if attention is not None:
            sizes["A"] = attention.width or hidden_size
            made = attention.attentive(self.cell)
            attending = Design(made, sizes, regularisation, None, start)
            width = attending.width(made.memories["memory"], input_size)
            if width != memory_size:
                raise ValueError(
                    f"memory_size is {memory_size}; the score {attention.score!r} needs a memory as wide as the query, "
                    f"{width}: choose another score, or sizes that are equal"
                )
            designs[0 if attention.place == "before" else -1] = attending
        self.output_size = plain.width(plain.program.traced.output.width, input_size)
        inputs = [input_size] + [self.output_size] * (num_layers - 1)
        self.layers = nn.ModuleList(Layer(d, i, reverse=False) for d, i in zip(designs, inputs, strict=True))
        self.state_sizes = tuple(plain.state_sizes(i) for i in inputs)
        for layer in self._layers:
            layer.reset_parameters()

    @property
    def _layers(self) -> list[Layer]:
        return [cast(Layer, layer) for layer in self.layers]

    def initial_state(self, batch: int, like: Tensor | None = None) -> DecoderState:
        """What the states start from: zeros, unless the cell says otherwise, or they are learned.

        Args:
            batch: B.
            like: gives dtype and device; None is the parameters'.
        """
        kind = next(self.parameters()) if like is None else like
        own = [layer.initial_state(batch, kind) for layer in self._layers]
        return self.start([s[: len(sizes)] for s, sizes in zip(own, self.state_sizes, strict=True)])

    def start(self, given: Sequence[Sequence[Tensor]]) -> DecoderState:
        """The state with the cell's own states given, ``[B, W]`` by layer, and nothing yet fed back or covered.

        Raises:
            ValueError: another number of layers or states.
        """
        names = list(self.cell.states)
        if len(given) != len(self.layers) or any(len(states) != len(names) for states in given):
            raise ValueError(
                f"states are given for {len(given)} layers, {[len(states) for states in given]} each; expected "
                f"{len(self.layers)} layers with {len(names)}: {', '.join(names)}"
            )
        added = [len(layer.state_sizes) - len(names) for layer in self._layers]
        return tuple((*states, *[None] * more) for states, more in zip(given, added, strict=True))

    def forward(
        self,
        x: Tensor,
        state: DecoderState | None = None,
        lengths: Tensor | Sequence[int] | None = None,
        *,
        memory: Tensor | None = None,
        memory_lengths: Tensor | None = None,
        static: Tensor | None = None,
    ) -> tuple[Tensor, DecoderState]:
        """Run over a sequence whose inputs are all known (teacher forcing).

        Args:
            x: input ``[B, T, I]``.
            state: where to start; None is :meth:`initial_state`.
            lengths: steps of each row, int64 ``[B]`` on the CPU, each from 0 to T; None is T for all.
            memory: what is attended to, ``[B, S, M]``.
            memory_lengths: how many of its sources each row has, int64 ``[B]`` on the CPU, 1 to S; None: S for all.
            static: what every layer reads at every step, ``[B, static_size]``.

        Returns:
            Output of the top layer ``[B, T, H]``, zeros behind a row's end, and the state after each row's last step.

        Raises:
            ValueError: a shape, dtype or device that does not fit; the message says which and what was expected.
        """
        if x.dim() != 3 or x.shape[-1] != self.input_size or 0 in x.shape[:2]:
            raise ValueError(
                f"input has shape {list(x.shape)}; expected [B, T, {self.input_size}], at least one row and one step"
            )
        self._check_given(len(x), memory, static)
        given = rows(x, lengths, None, static)
        if memory is not None:
            given = replace(given, memory=Memory(memory, memory_lengths))
        state = self.initial_state(len(x), x) if state is None else state
        values, finals = x.transpose(0, 1), []
        for k, layer in enumerate(self._layers):
            values, final = layer(self._between(k, values), state[k], given, self.engine)
            finals.append(final)
        return values.transpose(0, 1), tuple(finals)

    def attend(
        self,
        memory: Tensor | None = None,
        memory_lengths: Tensor | None = None,
        *,
        static: Tensor | None = None,
        batch: int | None = None,
    ) -> Attended:
        """What is computed once a sequence, ahead of :meth:`step`. While training, masks are drawn here.

        The native engine takes the parameters as they are at the first step that wants no gradient.

        Args:
            memory: what is attended to, ``[B, S, M]``.
            memory_lengths: how many of its sources each row has, int64 ``[B]`` on the CPU; None is S for all.
            static: what every layer reads at every step, ``[B, static_size]``.
            batch: B, where neither of them tells.

        Raises:
            ValueError: a shape that does not fit, or nothing tells the number of rows.
        """
        told = next((len(t) for t in (memory, static) if t is not None), batch)
        if told is None:
            raise ValueError("nothing tells how many rows there are; give batch=…")
        self._check_given(told, memory, static)
        what = None if memory is None else Memory(memory, memory_lengths)
        return Attended(tuple(layer.steps(told, self.engine, static, what) for layer in self._layers))

    def step(self, x: Tensor, state: DecoderState, attended: Attended) -> tuple[Tensor, DecoderState, Tensor | None]:
        """One step, with the parameters that :meth:`attend` has met.

        Args:
            x: input ``[B, I]``.
            state: the state after the steps before.
            attended: what :meth:`attend` gave for these rows.

        Returns:
            Output ``[B, H]``, the state after the step, and how much each source was attended to, ``[B, S]``; None
            without attention.
        """
        values, after, weights = x, [], None
        for k, steps in enumerate(attended.layers):
            values, new, seen = steps.next(self._between(k, values), state[k])
            after.append(new)
            weights = seen["attention"][..., 0] if "attention" in seen else weights
        return values, tuple(after), weights

    @staticmethod
    def select(state: DecoderState, rows: Tensor) -> DecoderState:
        """The state of these rows, int64 ``[N]``, of which any may come more than once or not at all."""
        return tuple(tuple(None if s is None else s[rows] for s in states) for states in state)

    def _between(self, layer: int, values: Tensor) -> Tensor:
        """What a layer reads of the one below."""
        return F.dropout(values, self.dropout, self.training) if layer else values

    def _check_given(self, batch: int, memory: Tensor | None, static: Tensor | None) -> None:
        """Raise ValueError unless a memory and a static input are given as this decoder was made for them."""
        for name, given, size, letters in (
            ("memory", memory, self.memory_size, "[B, S, M]"),
            ("static input", static, self.static_size, "[B, static_size]"),
        ):
            if given is None and size:
                raise ValueError(f"this decoder was made with a {name} of {size} columns; give it: {letters}")
            if given is None:
                continue
            if not size:
                raise ValueError(f"a {name} is given to a decoder made without one")
            if given.dim() != letters.count(",") + 1 or len(given) != batch or given.shape[-1] != size:
                raise ValueError(
                    f"the {name} has shape {list(given.shape)}; expected {letters} with B = {batch} and {size} columns"
                )


class Attended:
    """What a decoder computes once a sequence; made by :meth:`Decoder.attend`."""

    def __init__(self, layers: tuple[LayerSteps, ...]) -> None:
        self.layers = layers

    def select(self, rows: Tensor) -> Attended:
        """The same for these rows, int64 ``[N]``, of which any may come more than once or not at all."""
        return Attended(tuple(layer.select(rows) for layer in self.layers))
