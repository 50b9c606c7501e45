"""A stack of recurrent layers of any cell."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from recurra import cells
from recurra.engines.sweep import check_engine, sweep
from recurra.engines.widths import Names
from recurra.equations import Cell
from recurra.equations.graph import columns
from recurra.equations.program import Program
from recurra.layers.parameters import find, stacks

State = tuple[Tensor, ...]
"""One tensor for each state of the cell, ``[L, B, W]`` each."""


class Recurrent(nn.Module):
    """Layers of one cell, each reading the outputs of the one below.

    The state goes in and comes out; nothing is hidden. The parameters of a layer are stacked by kind, as in torch.nn:
    ``layers.0.W`` ``[4H, I]`` holds an LSTM's ``W_i``, ``W_f``, ``W_g`` and ``W_o`` one below the other, in the order
    of the equations; :meth:`parameter` finds each by its own name. All start uniform in ±1/√H unless the equations give
    a start of their own (a layer norm's gain).

    Args:
        cell: a cell, or the name of one in the zoo.
        input_size: I, columns of the input.
        hidden_size: H, units of each layer.
        num_layers: L.
        widths: columns of what else the cell has a width for, such as ``{"P": 64}`` of a projection.
        dropout: chance with which an element between two layers is set to zero while training.
        engine: "auto" takes the fastest engine that serves the call; or the name of one.

    Raises:
        ValueError: a size below 1, a dropout outside [0, 1), an unknown cell or engine, or a cell that cannot be
            stacked so.
    """

    def __init__(
        self,
        cell: str | Cell,
        input_size: int,
        hidden_size: int,
        *,
        num_layers: int = 1,
        widths: Mapping[str, int] | None = None,
        dropout: float = 0.0,
        engine: str = "auto",
    ) -> None:
        super().__init__()
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
            if size < 1:
                raise ValueError(f"{name} is {size}; expected at least 1")
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"dropout is {dropout}; expected a probability from 0 up to, not including, 1")
        self.cell = cells.get(cell) if isinstance(cell, str) else cell
        self.program = Program(self.cell)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        check_engine(engine)
        self.dropout, self.engine, self.widths = dropout, engine, dict(widths or {})
        self.output_size = self._width(self.program.traced.output.width)
        if len(self.cell.inputs) != 1 or self.cell.statics:
            raise ValueError(
                f"cell {self.cell.name} takes {', '.join((*self.cell.inputs, *self.cell.statics))}; "
                "a stack feeds one input"
            )
        if "I" in self.cell.states.values() and num_layers > 1 and self.output_size != input_size:
            raise ValueError(
                f"cell {self.cell.name} has a state as wide as its input, so all layers of a stack need inputs of one "
                f"width; here they have {input_size} and {self.output_size}: make them equal, or take one layer"
            )
        for width in self.cell.states.values():
            self._state_width(width)
        self._stacks = stacks(self.program)
        self.layers = nn.ModuleList(
            nn.ParameterDict(self._new_parameters(input_size if k == 0 else self.output_size))
            for k in range(num_layers)
        )
        self.reset_parameters()

    def _width(self, width: str | int, inputs: int | None = None) -> int:
        sizes = {**self.widths, "H": self.hidden_size}
        if inputs is not None:
            sizes["I"] = inputs
        try:
            return columns(width, sizes)
        except KeyError:
            raise ValueError(
                f"cell {self.cell.name} has a width {width}, which this layer cannot know; give it: "
                f"widths={{{str(width)!r}: …}}"
            ) from None

    def _state_width(self, width: str | int) -> int:
        """Columns of a state, the same in all layers."""
        return self._width(width, self.input_size)

    def _new_parameters(self, inputs: int) -> dict[str, nn.Parameter]:
        new: dict[str, nn.Parameter] = {}
        for array, names in self._stacks.items():
            rows, *columns = (self._width(w, inputs) for w in self.program.parameters[names[0]].shape)
            new[array] = nn.Parameter(torch.empty(len(names) * rows, *columns))
        return new

    def parameter(self, layer: int, name: str) -> Tensor:
        """A parameter by its name in the equations: a view of its rows in the array that holds it.

        Args:
            layer: which layer, from 0.
            name: the name in the equations: ``"W_i"``.

        Raises:
            ValueError: the cell has no such parameter.
        """
        return find(self._arrays(layer), self._stacks, name)

    def _arrays(self, layer: int) -> dict[str, nn.Parameter]:
        return dict(self.layers[layer].items())  # type: ignore[operator]  # a ParameterDict

    def reset_parameters(self, bound: float | None = None) -> None:
        """Draw every parameter anew.

        Args:
            bound: uniform from −bound to bound; None is 1/√H.
        """
        bound = 1.0 / math.sqrt(self.hidden_size) if bound is None else bound
        with torch.no_grad():
            for k in range(self.num_layers):
                for name, array in self._arrays(k).items():
                    initial = self.program.parameters[self._stacks[name][0]].initial
                    if initial is None:
                        array.uniform_(-bound, bound)
                    else:
                        array.fill_(initial)

    def extra_repr(self) -> str:
        return (
            f"{self.cell.name}, {self.input_size}, {self.hidden_size}, num_layers={self.num_layers}, "
            f"dropout={self.dropout}, engine={self.engine!r}"
        )

    def initial_state(self, batch: int, like: Tensor | None = None) -> State:
        """What the states start from, zeros unless the cell says otherwise, ``[L, B, W]`` each.

        In the dtype and on the device of `like` (else of the parameters).
        """
        kind = next(self.parameters()) if like is None else like
        shapes = {name: (self.num_layers, batch, self._state_width(w)) for name, w in self.cell.states.items()}
        return tuple(kind.new_full(shape, self.cell.initial[name]) for name, shape in shapes.items())

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Run over a sequence.

        Args:
            x: input ``[B, T, I]``.
            state: where to start, one ``[L, B, W]`` for each state of the cell; None is :meth:`initial_state`.

        Returns:
            Output of the top layer ``[B, T, H]``, and the state after the last step.

        Raises:
            ValueError: a shape that does not fit; the message says which and what was expected.
        """
        if x.dim() != 3 or x.shape[-1] != self.input_size:
            raise ValueError(f"input has shape {list(x.shape)}; expected [B, T, {self.input_size}]")
        if 0 in x.shape[:2]:
            raise ValueError(f"input has shape {list(x.shape)}; expected at least one row and one step")
        starts = self._layer_states(x, state)
        values = x.transpose(0, 1)
        finals: list[tuple[Tensor, ...]] = []
        for k, start in enumerate(starts):
            if k > 0:
                values = nn.functional.dropout(values, self.dropout, self.training)
            arrays = self._arrays(k)
            parameters: dict[str | Names, Tensor] = {names: arrays[array] for array, names in self._stacks.items()}
            values, final = sweep(self.program, (values,), start, parameters, engine=self.engine)
            finals.append(final)
        return values.transpose(0, 1), tuple(torch.stack(parts) for parts in zip(*finals, strict=True))

    def _layer_states(self, x: Tensor, state: State | None) -> list[tuple[Tensor | None, ...]]:
        names = self.cell.states
        if state is None and any(self.cell.initial.values()):
            state = self.initial_state(x.shape[0], x)
        if state is None:
            return [(None,) * len(names)] * self.num_layers
        if len(state) != len(names):
            raise ValueError(f"{len(state)} states given; cell {self.cell.name} has {len(names)}: {', '.join(names)}")
        for (name, width), s in zip(names.items(), state, strict=True):
            expected = [self.num_layers, x.shape[0], self._state_width(width)]
            if list(s.shape) != expected:
                raise ValueError(f"state {name} has shape {list(s.shape)}; expected [L, B, W] = {expected}")
        return [tuple(s[k] for s in state) for k in range(self.num_layers)]

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One step: input ``[B, I]`` and state to output ``[B, H]`` and new state."""
        output, state = self(x.unsqueeze(1), state)
        return output[:, 0], state
