"""Streaming: a recurrent layer run one step at a time, prepared once."""

from __future__ import annotations

from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.engines.memory import NUMBERS
from recurra.engines.stepper import Layer, NativeStepper
from recurra.engines.sweep import choose
from recurra.engines.widths import Call
from recurra.layers.recurrent import Recurrent, State


class Stepper:
    """Runs the layers of a `Recurrent` one step at a time, for one sequence or many side by side.

    Everything that stays the same from step to step is worked out once: matrices are packed, addresses found, memory
    taken. A step is then one call into the native engine for the whole stack, past torch, and allocates nothing. Its
    results are the bits of the native engine's run over the whole sequence, in evaluation. It gives no gradients.

    The state lives here and goes on from step to step; :attr:`state` reads and writes it. The values of the parameters
    are those they had when the stepper was made: after they changed, call :meth:`refresh`.

    A stepper is for one thread at a time; several may share one `Recurrent`.

    Args:
        recurrent: the layers; on the CPU, in float32.
        batch: B, rows that step together.
        threads: at most so many share a step; None: as many as torch uses. Only layers whose matrices are larger than a
            core's cache take more than one.

    Raises:
        ValueError: batch or threads is below 1, the layers need more than the step before (both directions,
            normalisation outside the cell), they feed back noise, or the native engine does not run them.
        TypeError: the layers are no `Recurrent`; :meth:`Recurrent.from_torch` makes one of torch.nn's.
    """

    def __init__(self, recurrent: Recurrent, batch: int = 1, *, threads: int | None = None) -> None:
        if not isinstance(recurrent, Recurrent):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(
                f"a stepper runs a Recurrent, and this is {type(recurrent).__module__}.{type(recurrent).__name__}; of "
                "torch.nn's layers and recurra's in their place make one: Stepper(Recurrent.from_torch(layer))"
            )
        for name, number in (("batch", batch), ("threads", threads)):
            if number is not None and number < 1:
                raise ValueError(f"{name}={number}: a stepper needs at least 1")
        if recurrent.bidirectional:
            raise ValueError("layers in both directions need the whole sequence; a stepper runs bidirectional=False")
        if recurrent.design.normalisation is not None:
            raise ValueError("a stepper does not run normalisation outside the cell; use Recurrent.step")
        if recurrent.feedback is not None and recurrent.feedback.noise:
            raise ValueError("a stepper draws no noise, which these layers feed back; use Recurrent.step")
        self.recurrent, self.batch = recurrent, batch
        self._threads = torch.get_num_threads() if threads is None else threads
        count, width = recurrent.num_layers, recurrent.output_size
        adds = [recurrent.residual and (k > 0 or recurrent.input_size == width) for k in range(count)]
        with torch.inference_mode(False):  # what is made under it may not be written once it is over
            self._state = tuple(s.detach().clone() for s in recurrent.initial_state(batch))
            self._static = torch.zeros(batch, recurrent.static_size, **NUMBERS) if recurrent.static_size else None
            self._input = torch.zeros(batch, recurrent.input_size, **NUMBERS)
            self._outputs = [torch.zeros(batch, width, **NUMBERS) for _ in range(count)]
            self._sums = [torch.zeros(batch, width, **NUMBERS) if add else None for add in adds]
        top = self._sums[-1]
        self._output = self._outputs[-1] if top is None else top
        self._array = self._output.numpy()
        self._shape = self._input.shape
        self.refresh()

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy has a state of its own, and takes the values that the parameters have when it is made."""
        return _restored, (self.recurrent, self.batch, self._threads, self.state, self.static)

    def refresh(self) -> None:
        """Take the values that the parameters have now. The state stays.

        Raises:
            ValueError: the native engine does not run the layers any more: they moved to another device or dtype.
        """
        self._start = tuple(s.detach().clone() for s in self.recurrent.initial_state(self.batch))
        program = self.recurrent.design.running(training=False, resets=False)
        statics = () if self._static is None else (self._static,)
        layers: list[Layer] = []
        below = self._input
        for k, (output, total) in enumerate(zip(self._outputs, self._sums, strict=True)):
            parameters = {(n,): self.recurrent.parameter(k, n).detach() for n in program.parameters}
            call = Call(program, (below[None],), statics, tuple(s[k] for s in self._state), parameters)
            engine, reason = choose(call, self.recurrent.engine)
            if engine != "native":
                raise ValueError(f"a stepper runs on the native engine, and these layers do not: {reason}")
            layers.append(Layer(call, output, total))
            below = output if total is None else total
        self._native = NativeStepper(layers, self._threads)

    @property
    def static(self) -> Tensor | None:
        """What every layer reads at every step beside its input: ``[B, S]``, None of layers without. Zeros until set.

        Raises:
            ValueError: (when set) another shape, or the layers take none.
        """
        return None if self._static is None else self._static.clone()

    @static.setter
    def static(self, static: Tensor) -> None:
        if self._static is None:
            raise ValueError("these layers take no static input; make them with static_size=…")
        if static.shape != self._static.shape:
            raise ValueError(
                f"the static input has shape {list(static.shape)}; expected [B, S] = {list(self._static.shape)}"
            )
        with torch.no_grad():
            self._static.copy_(static)

    @property
    def state(self) -> State:
        """The state after the last step: a copy, ``[L, B, W]`` for each state of the cell. Set it to go on elsewhere.

        Raises:
            ValueError: (when set) another number of states, or another shape.
        """
        return tuple(s.clone() for s in self._state)

    @state.setter
    def state(self, state: State) -> None:
        names = list(self.recurrent.cell.states)
        if len(state) != len(names):
            raise ValueError(f"{len(state)} states given; expected {len(names)}: {', '.join(names)}")
        for name, own, given in zip(names, self._state, state, strict=True):
            if own.shape != given.shape:
                raise ValueError(f"state {name} has shape {list(given.shape)}; expected [L, B, W] = {list(own.shape)}")
        with torch.no_grad():
            for own, given in zip(self._state, state, strict=True):
                own.copy_(given)

    def reset(self, row: int | None = None) -> None:
        """Go back to the initial state.

        Args:
            row: the row that begins anew; None: all of them.
        """
        for own, start in zip(self._state, self._start, strict=True):
            if row is None:
                own.copy_(start)
            else:
                own[:, row] = start[:, row]

    @overload
    def step(self, x: Tensor) -> Tensor: ...
    @overload
    def step(self, x: NDArray[np.float32]) -> NDArray[np.float32]: ...

    def step(self, x: Tensor | NDArray[np.float32]) -> Tensor | NDArray[np.float32]:
        """One step.

        Args:
            x: input ``[B, I]``, a float32 tensor on the CPU or numpy array, contiguous.

        Returns:
            Output of the top layer ``[B, H]``, a tensor for a tensor and an array for an array. It is the stepper's own
            memory, overwritten by the next step: copy it to keep it.

        Raises:
            ValueError: x has another shape, dtype or device, is not contiguous, or wants a gradient.
            TypeError: x is neither a tensor nor an array.
        """
        if isinstance(x, Tensor):
            if (
                x.shape != self._shape
                or x.dtype is not torch.float32
                or not x.is_contiguous()
                or not x.is_cpu
                or x.requires_grad
                or x.is_neg()
            ):
                raise ValueError(self._misfit(x))
            self._native.step(x.data_ptr())
            return self._output
        if not isinstance(x, np.ndarray):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers are not all checked
            raise TypeError(f"the input of a step is a {type(x).__name__}; expected a torch tensor or a numpy array")
        if x.shape != self._shape or x.dtype != np.float32 or not x.flags.c_contiguous:
            raise ValueError(self._misfit(x))
        self._native.step(x.ctypes.data)
        return self._array

    def _misfit(self, x: Any) -> str:
        """What is wrong with an input, said for the first thing found."""
        if tuple(x.shape) != tuple(self._shape):
            return f"the input of a step has shape {list(x.shape)}; expected [B, I] = {list(self._shape)}"
        if str(x.dtype).removeprefix("torch.") != "float32":
            return f"the input of a step is {x.dtype}; expected float32: convert it with x.float() or astype"
        if isinstance(x, Tensor) and not x.is_cpu:
            return f"the input of a step is on {x.device}; expected it on the CPU"
        if isinstance(x, Tensor) and x.requires_grad:
            return (
                "the input of a step wants a gradient, which a stepper does not give; use Recurrent.step, or x.detach()"
            )
        if isinstance(x, Tensor) and x.is_neg():
            return "the input of a step is the negative of what lies in memory; call x.resolve_neg()"
        return "the input of a step is not contiguous; expected it so: call x.contiguous() or numpy.ascontiguousarray"


def _restored(recurrent: Recurrent, batch: int, threads: int, state: State, static: Tensor | None) -> Stepper:
    stepper = Stepper(recurrent, batch, threads=threads)
    stepper.state = state
    if static is not None:
        stepper.static = static
    return stepper
