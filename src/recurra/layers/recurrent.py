"""A stack of recurrent layers of any cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from recurra.engines.sweep import check_engine
from recurra.equations import Cell
from recurra.equations.program import Program
from recurra.layers.design import Design, cell_of, check_kind, check_stack
from recurra.layers.feedback import Feedback
from recurra.layers.initialisation import Initialisation
from recurra.layers.layer import Layer, run_layers
from recurra.layers.normalisation import Norm, Normalisation
from recurra.layers.regularisation import Regularisation
from recurra.layers.rows import Rows, rows
from recurra.layers.torch_cells import torch_cell, torch_layers

State = tuple[Tensor, ...]
"""One tensor for each state of the cell, ``[L, B, W]`` each; ``[2L, B, W]`` in both directions."""


class Recurrent(nn.Module):
    """Layers of one cell, each reading the outputs of the one below.

    The state goes in and comes out; nothing is hidden. The parameters of a layer are stacked by kind, as in torch.nn:
    ``layers.0.W`` ``[4H, I]`` holds an LSTM's ``W_i``, ``W_f``, ``W_g`` and ``W_o`` one below the other, in the order
    of the equations; :meth:`parameter` finds each by its own name. Layers that run backwards are in ``reverse_layers``.

    Args:
        cell: a cell, or the name of one in the zoo.
        input_size: I, columns of the input.
        hidden_size: H, units of each layer.
        num_layers: L.
        widths: columns of what else the cell has a width for, such as ``{"P": 64}`` of a projection.
        static_size: S, columns of a vector given once a sequence, which every layer reads at every step beside its
            input; 0 is none.
        bidirectional: a second set of layers reads each row from its end; the outputs of the two lie side by side, and
            every layer but the first reads both.
        residual: each layer adds what it reads to what it gives. The first one does so if its input is as wide as its
            output, and else goes without.
        causal: a promise that no output depends on a later input, kept by refusing options that would break it.
        dropout: chance with which an element between two layers is set to zero while training.
        feedback: what feeds back in place of the predicted output, in the top layer.
        regularisation: what is dropped inside the loop.
        normalisation: what is normalised, and over what.
        initialisation: what parameters start from: uniform in ±1/√H, as in torch.nn, where it says nothing else. A
            value that the equations give (a layer norm's gain) goes first.
        engine: "auto" takes the fastest engine that serves the call; or the name of one.

    Raises:
        ValueError: a size below 1, a dropout outside [0, 1), an unknown cell or engine, a cell that cannot be stacked
            so, or options that the cell or another option has no place for.
    """

    def __init__(  # noqa: PLR0913  # the settings of a stack, all but the first three by keyword
        self,
        cell: str | Cell,
        input_size: int,
        hidden_size: int,
        *,
        num_layers: int = 1,
        widths: Mapping[str, int] | None = None,
        static_size: int = 0,
        bidirectional: bool = False,
        residual: bool = False,
        causal: bool = False,
        dropout: float = 0.0,
        feedback: Feedback | None = None,
        regularisation: Regularisation | None = None,
        normalisation: Normalisation | None = None,
        initialisation: Initialisation | None = None,
        engine: str = "auto",
    ) -> None:
        super().__init__()
        sizes = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers}
        check_stack(sizes, static_size, dropout)
        check_engine(engine)
        self.cell = cell_of(cell)
        if self.cell.memories:
            raise ValueError(f"cell {self.cell.name} attends to {next(iter(self.cell.memories))}; make a Decoder of it")
        sizes = {**(widths or {}), "H": hidden_size, **({"S": static_size} if static_size else {})}
        check_kind("feedback", feedback, Feedback)
        self.design = Design(self.cell, sizes, regularisation, normalisation, initialisation or Initialisation())
        self.input_size, self.hidden_size, self.num_layers, self.static_size = (
            input_size, hidden_size, num_layers, static_size,
        )  # fmt: skip
        self.bidirectional, self.residual, self.causal = bidirectional, residual, causal
        self.feedback, self.dropout, self.engine = feedback, dropout, engine
        self.directions = 2 if bidirectional else 1
        self.output_size = self.directions * self.design.width(self.program.traced.output.width, input_size)
        self._check_stack()
        inputs = [input_size] + [self.output_size] * (num_layers - 1)
        fed = [None] * (num_layers - 1) + [feedback]
        self.layers = nn.ModuleList(
            Layer(self.design, i, reverse=False, feedback=f) for i, f in zip(inputs, fed, strict=True)
        )
        self.reverse_layers = nn.ModuleList(Layer(self.design, i, reverse=True) for i in inputs if bidirectional)
        between = normalisation is not None and normalisation.place == "between"
        self.norms = nn.ModuleList(Norm(normalisation, i) for i in inputs[1:] if between)  # type: ignore[arg-type]
        self.reset_parameters()

    @classmethod
    def from_torch(cls, module: nn.RNNBase) -> Recurrent:
        """A stack with the parameters of torch.nn's RNN, LSTM or GRU, or of a twin: copies, in their dtype and place.

        It computes the same; inputs and outputs are ``[B, T, …]`` whatever the module's `batch_first`. Where torch has
        two biases that are added, it has their sum.

        Raises:
            TypeError: the module is none of them.
        """
        if not isinstance(module, nn.RNNBase):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"from_torch takes torch.nn's RNN, LSTM or GRU, or recurra's; got {type(module).__name__}")
        made = cls(
            torch_cell(module.mode, module.bias, module.proj_size > 0).program.cell,
            module.input_size,
            module.hidden_size,
            num_layers=module.num_layers,
            widths={"P": module.proj_size} if module.proj_size else None,
            bidirectional=module.bidirectional,
            dropout=float(module.dropout) if module.num_layers > 1 else 0.0,
        ).to(next(module.parameters()))
        with torch.no_grad():
            for layer, parameters in zip(made._in_order(), torch_layers(module), strict=True):
                for name, value in parameters.items():
                    layer.parameter(name).copy_(value)
        return made.train(module.training)

    def _check_stack(self) -> None:
        """Raise ValueError where layers and options do not fit together."""
        name, norm = self.cell.name, self.design.normalisation
        single = self.num_layers == 1
        if "I" in self.cell.states.values() and not single and self.output_size != self.input_size:
            raise ValueError(
                f"cell {name} has a state as wide as its input, so all layers of a stack need inputs of one width; "
                f"here they have {self.input_size} and {self.output_size}: make them equal, or take one layer"
            )
        if self.residual and single and self.input_size != self.output_size:
            raise ValueError(
                f"residual=True with one layer from {self.input_size} to {self.output_size} columns adds nothing; make "
                "them equal, or stack layers"
            )
        if norm is not None and norm.place == "between" and single:
            raise ValueError("normalisation between layers needs two of them; take place='projection', or stack layers")
        if norm is not None and norm.place == "recurrent" and self.engine == "native":
            raise ValueError("batch normalisation inside the loop runs step by step; take engine='auto' or 'eager'")
        if self.feedback is not None:
            self.feedback.check(self.cell)
            if self.bidirectional or self.residual:
                option = "bidirectional" if self.bidirectional else "residual"
                raise ValueError(
                    f"feedback with {option}=True: the output of these layers is not what feeds back; leave one of the "
                    "two out"
                )
        obstacle = self._looks_ahead()
        if self.causal and obstacle is not None:
            raise ValueError(f"causal=True promises that no output depends on a later input, but {obstacle}")

    def _looks_ahead(self) -> str | None:
        """Why an output depends on later inputs, or None."""
        norm = self.design.normalisation
        if self.bidirectional:
            return "a bidirectional layer reads them all: take bidirectional=False"
        if norm is not None and norm.over_time:
            return f"{norm.kind} statistics over time read them all: take over_time=False"
        return None

    def _in_order(self) -> Iterator[Layer]:
        """The layers in the order of the state: from the lowest up, in both directions first forwards."""
        for k in range(self.num_layers):
            yield cast(Layer, self.layers[k])
            if self.bidirectional:
                yield cast(Layer, self.reverse_layers[k])

    @property
    def program(self) -> Program:
        """The program whose parameters a layer has."""
        return self.design.program

    def parameter(self, layer: int, name: str, *, reverse: bool = False) -> Tensor:
        """A parameter by its name in the equations: a view of its rows in the array that holds it.

        Args:
            layer: which layer, from 0.
            name: the name in the equations: ``"W_i"``.
            reverse: whether the layer is the one that runs backwards.

        Raises:
            ValueError: the cell has no such parameter.
        """
        return cast(Layer, (self.reverse_layers if reverse else self.layers)[layer]).parameter(name)

    def reset_parameters(self) -> None:
        """Draw every parameter anew, and forget all running means."""
        for layer in self._in_order():
            layer.reset_parameters()
        for norm in self.norms:
            cast(Norm, norm).reset_parameters()

    def extra_repr(self) -> str:
        plain = {"num_layers": 1, "static_size": 0, "bidirectional": False, "residual": False, "causal": False}
        changed = [f", {n}={getattr(self, n)}" for n, default in plain.items() if getattr(self, n) != default]
        if self.feedback is not None:
            changed.append(f", feedback={self.feedback}")
        return (
            f"{self.cell.name}, {self.input_size}, {self.hidden_size}{''.join(changed)}, "
            f"dropout={self.dropout}, engine={self.engine!r}"
        )

    def initial_state(self, batch: int, like: Tensor | None = None) -> State:
        """What the states start from: zeros, unless the cell says otherwise, or they are learned.

        Args:
            batch: B.
            like: gives dtype and device; None is the parameters'.

        Returns:
            ``[L, B, W]`` for each state, ``[2L, B, W]`` in both directions.
        """
        kind = next(self.parameters()) if like is None else like
        return _stacked([layer.initial_state(batch, kind) for layer in self._in_order()])

    def forward(
        self,
        x: Tensor,
        state: State | None = None,
        lengths: Tensor | Sequence[int] | None = None,
        *,
        resets: Tensor | None = None,
        static: Tensor | None = None,
        teacher: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """Run over a sequence.

        Args:
            x: input ``[B, T, I]``.
            state: where to start, as :meth:`initial_state` gives it, which None is.
            lengths: steps of each row, int64 ``[B]`` on the CPU, each from 0 to T; None is T for all. What lies behind
                a row's end is never read.
            resets: where a row starts anew, bool ``[B, T]``: before this step its state returns to the initial state.
            static: what every layer reads at every step beside its input, ``[B, S]``.
            teacher: the true output of each step, ``[B, T, O]``, which the step after it reads (see :class:`Feedback`).

        Returns:
            Output of the top layer ``[B, T, H]`` (``[B, T, 2H]`` in both directions), zeros behind a row's end, and the
            state after each row's own last step.

        Raises:
            ValueError: a shape, dtype or device that does not fit; the message says which and what was expected.
            TypeError: the input is no tensor, or the state no tuple of tensors.
        """
        if not isinstance(x, Tensor):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers are not all checked
            raise TypeError(
                f"the input is a {type(x).__name__}; expected a tensor [B, T, {self.input_size}], and of rows that end "
                "early their lengths beside it: pad_packed_sequence gives both"
            )
        if x.dim() != 3 or x.shape[-1] != self.input_size:
            raise ValueError(f"input has shape {list(x.shape)}; expected [B, T, {self.input_size}]")
        if 0 in x.shape[:2]:
            raise ValueError(f"input has shape {list(x.shape)}; expected at least one row and one step")
        self._check_static(x, static)
        self._check_teacher(x, teacher)
        given = rows(x, lengths, resets, static, teacher)
        starts = self._starts(x, state)
        values, finals = x.transpose(0, 1), []
        for k in range(self.num_layers):
            read = values if k == 0 else self._between(k, values, given)
            layers = [cast(Layer, of_way[k]) for of_way in (self.layers, self.reverse_layers)[: self.directions]]
            begin = len(finals)
            results = run_layers(layers, read, starts[begin : begin + self.directions], given, self.engine)
            outputs, states = zip(*results, strict=True)
            finals += states
            above = outputs[0] if self.directions == 1 else torch.cat(outputs, -1)
            if self.residual and above.shape == values.shape:
                # Behind a row's end the input may be anything; the outputs of layers are zeros there.
                above = above + (values if k or given.alive is None else torch.where(given.alive, values, 0.0))
            values = above
        return values.transpose(0, 1), _stacked(finals)

    def _between(self, layer: int, values: Tensor, given: Rows) -> Tensor:
        """What a layer but the first reads of the one below."""
        if len(self.norms):
            values = self.norms[layer - 1](values, given.alive)
        if not (self.training and self.dropout):
            return values
        # Drawn in one order, whichever way an engine lays its outputs: a seed gives the same mask to all.
        steps, batch, width = values.shape
        keep = 1.0 - self.dropout
        return values * values.new_empty(batch, steps, width).bernoulli_(keep).div_(keep).transpose(0, 1)

    def _check_static(self, x: Tensor, static: Tensor | None) -> None:
        if static is None and self.static_size == 0:
            return
        if self.static_size == 0:
            raise ValueError("a static input is given to a layer made without one; make it with static_size=…")
        if not isinstance(static, Tensor) or static.shape != (x.shape[0], self.static_size):
            shape = f"of shape {list(static.shape)}" if isinstance(static, Tensor) else f"a {type(static).__name__}"
            shape = "missing" if static is None else shape
            raise ValueError(f"the static input is {shape}; expected [B, S] = {[x.shape[0], self.static_size]}")

    def _check_teacher(self, x: Tensor, teacher: Tensor | None) -> None:
        wanted = self.feedback is not None and self.feedback.true > 0.0
        if teacher is None:
            if wanted and self.training:
                raise ValueError("while training these layers feed back true outputs; give them: teacher=[B, T, O]")
            return
        if not wanted:
            raise ValueError("true outputs are given to layers that feed back none; make them with Feedback(true=1.0)")
        expected = [*x.shape[:2], self.output_size]
        if list(teacher.shape) != expected:
            raise ValueError(f"the true outputs have shape {list(teacher.shape)}; expected [B, T, O] = {expected}")

    def _starts(self, x: Tensor, state: State | None) -> list[State | None]:
        """The state of each layer in the order of :meth:`_in_order`."""
        names, count = self.cell.states, self.num_layers * self.directions
        if state is None:
            return [None] * count
        if isinstance(state, Tensor) or not all(isinstance(s, Tensor) for s in state):  # pyright: ignore
            raise TypeError(f"the state is no tuple of tensors; expected one for each of {', '.join(names)}, or None")
        if len(state) != len(names):
            raise ValueError(f"{len(state)} states given; cell {self.cell.name} has {len(names)}: {', '.join(names)}")
        letters = "[2L, B, W]" if self.bidirectional else "[L, B, W]"
        for (name, width), s in zip(self.design.state_sizes(self.input_size).items(), state, strict=True):
            expected = [count, x.shape[0], width]
            if list(s.shape) != expected:
                raise ValueError(f"state {name} has shape {list(s.shape)}; expected {letters} = {expected}")
        return [tuple(s[k] for s in state) for k in range(count)]

    def step(
        self, x: Tensor, state: State | None = None, static: Tensor | None = None, teacher: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """One step: input ``[B, I]``, state, static input ``[B, S]`` and true output ``[B, O]`` to output, new state.

        Raises:
            ValueError: an output of these layers depends on later inputs, or a step on its place in the sequence.
        """
        obstacle = self._looks_ahead()
        norm = self.design.normalisation
        if norm is not None and norm.over_time and norm.kind == "batch" and not self.training:
            obstacle = None  # running means stand in for the statistics over time
        if norm is not None and norm.place == "recurrent":
            obstacle = "batch normalisation inside the loop needs to know which step it is: run whole sequences"
        if obstacle is not None:
            raise ValueError(f"these layers cannot run step by step: {obstacle}")
        teacher = None if teacher is None else teacher.unsqueeze(1)
        output, after = self(x.unsqueeze(1), state, static=static, teacher=teacher)
        return output[:, 0], after


def _stacked(states: Sequence[tuple[Tensor, ...]]) -> State:
    """One tensor ``[L, B, W]`` for each state."""
    return tuple(torch.stack(parts) for parts in zip(*states, strict=True))
