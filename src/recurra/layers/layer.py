"""One layer of a stack, in one direction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recurra.engines.eager import Steps
from recurra.engines.sweep import run, run_all, steps
from recurra.engines.widths import Call, Names
from recurra.equations.program import Program
from recurra.equations.rewrite import projections
from recurra.layers.attention import Memory
from recurra.layers.design import Design
from recurra.layers.feedback import Feedback
from recurra.layers.normalisation import Norm
from recurra.layers.parameters import find, stacks
from recurra.layers.recurrent_batch_norm import GAIN, Inputs, RecurrentBatchNorm
from recurra.layers.rows import Rows

_BOTH = (False, True)


class Layer(nn.Module):
    """The parameters of one layer, and the run of its cell over a sequence.

    Args:
        design: what it has in common with the others.
        inputs: I, columns of its input.
        reverse: whether each row runs from its own last step to its first.
        feedback: what feeds back in place of the predicted output; None is that.
    """

    def __init__(self, design: Design, inputs: int, *, reverse: bool, feedback: Feedback | None = None) -> None:
        super().__init__()
        self.design, self.inputs, self.reverse, self.feedback = design, inputs, reverse, feedback
        self.stacks = stacks(design.program)
        self.state_sizes = design.state_sizes(inputs)
        for width in design.program.parted:
            design.width(width, inputs)  # raises where it is not whole
        for array, names in self.stacks.items():
            rows, *others = (design.width(w, inputs) for w in design.program.parameters[names[0]].shape)
            self.register_parameter(array, nn.Parameter(torch.empty(len(names) * rows, *others)))
        learned = self.state_sizes if design.initialisation.learned_state else {}
        finite = {s: w for s, w in learned.items() if abs(design.cell.initial[s]) != float("inf")}
        self.starts = nn.ParameterDict({s: nn.Parameter(torch.empty(w)) for s, w in finite.items()})
        # Whether a sequence starts from anything but zeros.
        self._starts_elsewhere = bool(len(self.starts)) or any(design.cell.initial.values())
        self._projected = self._input_matrices() if design.projects else {}
        self.norms = self._new_norms()
        self._static = next(iter(design.program.cell.statics), "")
        self._programs = self._new_programs()

    def _new_programs(self) -> dict[tuple[bool, bool, tuple[str, ...]], Program]:
        """The programs that calls run, by whether they train, whether rows start anew, and what feeds back.

        They are made ahead, for torch.compile can see which of them runs, but not how a cell is rewritten.
        """
        design, feedback = self.design, self.feedback
        kinds = {()} if feedback is None else {feedback.kinds(training=t, taught=h) for t in _BOTH for h in _BOTH}
        anew = _BOTH if not design.cell.source_states else (False,)
        ways = [(t, r, fed) for t in _BOTH for r in anew for fed in kinds]
        return {(t, r, fed): design.running(training=t, resets=r, fed=fed) for t, r, fed in ways}

    def __getstate__(self) -> dict[str, object]:
        """Without the programs, which follow from the rest: a cell made from a cell has no name to be found by."""
        return {name: value for name, value in self.__dict__.items() if name != "_programs"}

    def __setstate__(self, state: dict[str, object]) -> None:
        super().__setstate__(state)
        self._programs = self._new_programs()

    def _new_norms(self) -> nn.Module | None:
        design, norm = self.design, self.design.normalisation
        if norm is None or norm.place == "between":
            return None
        if norm.place == "recurrent":
            return RecurrentBatchNorm(design.program, norm, design.sizes(self.inputs))
        rows = {n: p.shape[0] for n, p in design.program.parameters.items()}
        widths = {a: sum(design.width(rows[n], self.inputs) for n in names) for a, names in self._projected.items()}
        return nn.ModuleDict({a: Norm(norm, width) for a, width in widths.items()})

    def _input_matrices(self) -> dict[str, list[str]]:
        """The matrices that meet the input, by the arrays that hold them."""
        matrices = projections(self.design.program.cell)
        found = {array: [n for n in names if n in matrices] for array, names in self.stacks.items()}
        return {array: names for array, names in found.items() if names}

    @property
    def arrays(self) -> dict[str, Tensor]:
        """The arrays that hold the cell's parameters, by name."""
        return {array: getattr(self, array) for array in self.stacks}

    def parameter(self, name: str) -> Tensor:
        """A parameter by its name in the equations: a view of its rows in the array that holds it."""
        return find(self.arrays, self.stacks, name)

    def reset_parameters(self) -> None:
        """Draw every parameter anew, and forget all running means."""
        design = self.design
        parameters = {name: self.parameter(name) for name in design.program.parameters}
        design.initialisation.draw(design.program, parameters, design.sizes(self.inputs))
        with torch.no_grad():
            for state, start in self.starts.items():
                start.fill_(design.cell.initial[state])
            for norm in [] if self.norms is None else self.norms.modules():
                if isinstance(norm, Norm | RecurrentBatchNorm):
                    norm.reset_parameters()
            if isinstance(self.norms, RecurrentBatchNorm):
                for name, p in design.program.parameters.items():
                    if p.role == "gain":
                        parameters[name].fill_(GAIN)

    def initial_state(self, batch: int, like: Tensor) -> tuple[Tensor, ...]:
        """What the states start from, ``[B, W]`` each, in the dtype and on the device of `like`."""
        constants, learned = self.design.cell.initial, dict(self.starts.items())
        return tuple(
            learned[s].to(like).expand(batch, w) if s in learned else like.new_full((batch, w), constants[s])
            for s, w in self.state_sizes.items()
        )

    def forward(
        self, x: Tensor, state: tuple[Tensor, ...] | None, rows: Rows, engine: str
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run over a sequence.

        Args:
            x: input ``[T, B, I]``.
            state: where to start, ``[B, W]`` each; None is the layer's own start.
            rows: what the call says of its rows.
            engine: which engine runs it.

        Returns:
            Output ``[T, B, H]`` and the state behind each row's end.
        """
        if isinstance(self.norms, RecurrentBatchNorm):
            return self._normalised_steps(self.norms, x, state, rows)
        return run(self.call(x, state, rows), engine)

    def call(self, x: Tensor, state: tuple[Tensor, ...] | None, rows: Rows) -> Call:
        """What an engine runs for such a :meth:`forward`, but where batch normalisation stands inside the loop."""
        arrays = self._arrays_of_call()
        program, given = self._given(x, rows, arrays)
        if state is None and self._starts_elsewhere:
            state = self.initial_state(x.shape[1], x)
        return self._call(program, given, state, arrays, rows.memory, rows.lengths)

    def _normalised_steps(
        self, norms: RecurrentBatchNorm, x: Tensor, state: tuple[Tensor, ...] | None, rows: Rows
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        arrays = self._arrays_of_call()
        program, given = self._given(x, rows, arrays)
        state = self.initial_state(x.shape[1], x) if state is None else state
        inputs, statics = ({n: given[n] for n in names} for names in (program.cell.inputs, program.cell.statics))
        named = {name: find(arrays, self.stacks, name) for name in program.parameters}
        start = dict(zip(self.design.cell.states, state, strict=True))
        return norms(program, Inputs(inputs, statics, start, rows.alive), named, reverse=self.reverse)

    def _given(self, x: Tensor, rows: Rows, arrays: Mapping[str, Tensor]) -> tuple[Program, dict[str, Tensor]]:
        """The program that runs, and its inputs, of every step and of the sequence, by name."""
        design = self.design
        if self.norms is not None and rows.alive is not None:
            x = torch.where(rows.alive, x, 0.0)  # what is multiplied by a gradient of zero must be a number
        marks = rows.marks(reverse=self.reverse)
        feedback, fed = self.feedback, ()
        if feedback is not None:
            fed = feedback.kinds(training=self.training, taught=rows.teacher is not None)
        program = self._programs[self.training, marks is not None, fed]
        given = {next(iter(design.cell.inputs)): x, **self.masks(x)}
        if feedback is not None:
            width = design.width(program.traced.output.width, self.inputs)
            given |= feedback.inputs(fed, design.cell, x, width, rows.teacher)
        if rows.static is not None:
            given[self._static] = rows.static
        if design.projects:
            given |= self._projections(x, arrays, rows.alive)
        if marks is not None:
            starts = zip(design.cell.states, self.initial_state(x.shape[1], x), strict=True)
            given |= {"reset": marks, **{f"start_{s}": start for s, start in starts}}
        return program, given

    def _call(
        self,
        program: Program,
        given: Mapping[str, Tensor],
        state: tuple[Tensor, ...] | None,
        arrays: Mapping[str, Tensor],
        memory: Memory | None,
        lengths: Tensor | None = None,
    ) -> Call:
        cell = program.cell
        return Call(
            program,
            tuple(given[n] for n in cell.inputs),
            tuple(given[n] for n in cell.statics),
            (None,) * len(self.state_sizes) if state is None else state,
            self._parameters_of(program, arrays),
            lengths=lengths,
            reverse=self.reverse,
            memories=() if memory is None else tuple(memory.given.get(n, memory.values) for n in cell.memories),
            sources=memory.lengths if memory is not None and cell.memories else None,
        )

    def steps(self, batch: int, engine: str, static: Tensor | None = None, memory: Memory | None = None) -> LayerSteps:
        """The layer step by step; what is computed once a sequence is computed here, and masks are drawn.

        Args:
            batch: B.
            engine: which engine runs it.
            static: what is fed at every step, ``[B, S]``, or None.
            memory: what is attended to, or None.
        """
        arrays = self._arrays_of_call()
        x = next(iter(arrays.values())).new_empty(1, batch, self.inputs)
        given = {next(iter(self.design.cell.inputs)): x, **self.masks(x)}
        if static is not None:
            given[self._static] = static
        call = self._call(self._programs[self.training, False, ()], given, None, arrays, memory)
        return LayerSteps(self, steps(call, engine))

    def _arrays_of_call(self) -> Mapping[str, Tensor]:
        """The arrays, elements of them dropped."""
        options = self.design.regularisation
        if options is None or not (self.training and options.weight_drop):
            return self.arrays
        return options.drop_weights(self.arrays)

    def masks(self, x: Tensor) -> dict[str, Tensor]:
        """New masks of what is dropped in the loop, for an input ``[T, B, I]``, by their names in the equations."""
        options = self.design.regularisation
        if options is None or not self.training:
            return {}
        return options.masks(self.design.cell, x, self.state_sizes)

    def _projections(self, x: Tensor, arrays: Mapping[str, Tensor], alive: Tensor | None) -> dict[str, Tensor]:
        """The normalised products W x, ``[T, B, W]``, by the names of their matrices."""
        norms, found = cast(nn.ModuleDict, self.norms), {}
        for array, names in self._projected.items():
            whole = len(names) == len(self.stacks[array])
            matrix = arrays[array] if whole else torch.cat([find(arrays, self.stacks, n) for n in names])
            products = norms[array](F.linear(x, matrix), alive)
            found.update(zip(names, products.chunk(len(names), -1), strict=True))
        return found

    def _parameters_of(self, program: Program, arrays: Mapping[str, Tensor]) -> dict[Names, Tensor]:
        """The arrays as a program wants them: in part, where the layer itself has used the rest."""
        found: dict[Names, Tensor] = {}
        for array, names in self.stacks.items():
            wanted = [n for n in names if n in program.parameters]
            if len(wanted) == len(names):
                found[names] = arrays[array]
            else:
                found.update({(n,): find(arrays, self.stacks, n) for n in wanted})
        return found


class LayerSteps:
    """A layer run step by step; see :meth:`Layer.steps`."""

    def __init__(self, layer: Layer, steps: Steps) -> None:
        self._layer, self._steps = layer, steps

    def select(self, rows: Tensor) -> LayerSteps:
        """The same for these rows, int64 ``[N]``, of which any may come more than once."""
        return LayerSteps(self._layer, self._steps.select(rows))

    def next(self, x: Tensor, state: Sequence[Tensor | None]) -> tuple[Tensor, tuple[Tensor, ...], dict[str, Tensor]]:
        """A step: input ``[B, I]`` and state to output ``[B, H]``, new state, and what the cell lets be observed."""
        _, *others = self._steps.call.program.cell.inputs
        masks = self._layer.masks(x.unsqueeze(0)) if others else {}
        return self._steps.next([x, *[masks[n][0] for n in others]], state)


def run_layers(
    layers: Sequence[Layer], x: Tensor, states: Sequence[tuple[Tensor, ...] | None], rows: Rows, engine: str
) -> list[tuple[Tensor, tuple[Tensor, ...]]]:
    """Run layers that read the same input, the directions of a stack's layer; see :meth:`Layer.forward`."""
    if len(layers) == 1 or any(isinstance(layer.norms, RecurrentBatchNorm) for layer in layers):
        return [layer(x, state, rows, engine) for layer, state in zip(layers, states, strict=True)]
    return run_all([layer.call(x, state, rows) for layer, state in zip(layers, states, strict=True)], engine)
