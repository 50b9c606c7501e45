"""RNN, LSTM and GRU with the constructor, the call and the state_dict of torch.nn's."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from recurra.engines.sweep import run_all
from recurra.engines.widths import Call
from recurra.layers.packing import Packing
from recurra.layers.torch_cells import torch_cell

States = tuple[Tensor, ...]
_log = logging.getLogger("recurra.engines")


class _Twin(nn.RNNBase):
    """A stack of layers in one direction or both, as torch.nn has it, run by the engines.

    Attributes:
        engine: "auto", or the name of the engine that is to run it: "native", "eager", or for tensors on a GPU
            "cudnn", which is torch's own kernels. May be set at any time.
    """

    engine: str = "auto"

    def __init__(self, mode: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(mode, *args, **kwargs)
        self._cell = torch_cell(mode, self.bias, self.proj_size > 0)
        suffixes = ("", "_reverse") if self.bidirectional else ("",)
        kinds = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if self.bias else [])]
        kinds += ["weight_hr"] if self.proj_size else []
        self._array_names = [
            [[f"{kind}_l{k}{suffix}" for kind in kinds] for suffix in suffixes] for k in range(self.num_layers)
        ]

    def _is_torchs(self, input: Tensor | PackedSequence) -> bool:
        """Whether torch's own kernels are to run a call.

        Raises:
            ValueError: they are asked for, and cannot serve it.
        """
        if self.engine == "cudnn":
            if not _data(input).is_cuda:
                raise ValueError(
                    f"the cudnn engine cannot serve this call: it runs on CUDA, and a tensor is on "
                    f"{_data(input).device}. Use engine = 'auto'"
                )
            return True
        # Traced, torch's kernels would be taken apart step by step; under torch.func they have no rules.
        return (
            self.engine == "auto"
            and _data(input).is_cuda
            and not torch.compiler.is_compiling()
            and not torch._C._are_functorch_transforms_active()  # pyright: ignore[reportPrivateUsage]  # torch has no public question
        )

    def _run(self, input: Any, states: States | None) -> tuple[Any, States]:
        """The call, with a tuple of states: one for each state of the cell."""
        device = _data(input).device.type
        if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
            return self._run_without_autocast(input, states)
        if isinstance(input, PackedSequence):
            return self._run_packed(input, states)
        batched = input.dim() == 3
        if not batched:
            if input.dim() != 2:
                raise ValueError(
                    f"{type(self).__name__}: Expected input to be 2D or 3D, got {input.dim()}D tensor instead"
                )
            input = input.unsqueeze(0 if self.batch_first else 1)
        if states is not None:
            self._check_dimensions(states, batched)
            states = states if batched else tuple(s.unsqueeze(1) for s in states)
        self.check_input(input, None)
        values, finals = self._sweep(input.transpose(0, 1) if self.batch_first else input, states, None)
        # As torch's, whatever the input's layout is: an engine lays its outputs as its inputs.
        values = values.transpose(0, 1) if self.batch_first else values.contiguous()
        if not batched:
            return values.squeeze(0 if self.batch_first else 1), tuple(s.squeeze(1) for s in finals)
        return values, finals

    def _run_packed(self, input: PackedSequence, states: States | None) -> tuple[PackedSequence, States]:
        """The rows stay in the order of the packing, longest first; the states are the caller's."""
        data, batch_sizes, order, back = input
        self.check_input(data, batch_sizes)
        # Traced, the rows read off the packing would be another symbol than those of the states.
        rows = states[0].shape[1] if torch.compiler.is_compiling() and states is not None else None
        packing = Packing(batch_sizes, data, rows)
        if states is not None and order is not None:
            states = tuple(s.index_select(1, order) for s in states)
        values, finals = self._sweep(packing.pad(data), states, packing)
        if back is not None:
            finals = tuple(s.index_select(1, back) for s in finals)
        return PackedSequence(packing.pack(values), batch_sizes, order, back), finals

    def _run_without_autocast(self, input: Any, states: States | None) -> tuple[Any, States]:
        """In the dtype of the parameters: the engines compute in one dtype throughout."""
        dtype, device = self._arrays(0, 0)[0].dtype, _data(input).device.type
        if not torch.compiler.is_compiling():
            _tell_autocast(type(self).__name__, str(dtype).removeprefix("torch."))
        with torch.autocast(device, enabled=False):
            return self._run(input.to(dtype), None if states is None else tuple(s.to(dtype) for s in states))

    def _check_dimensions(self, states: States, batched: bool) -> None:
        wanted = 3 if batched else 2
        if any(s.dim() != wanted for s in states):
            raise RuntimeError(
                f"For {'' if batched else 'un'}batched {wanted}-D input, hx should also be {wanted}-D but got "
                f"{', '.join(f'{s.dim()}-D' for s in states)} tensor{'s' if len(states) > 1 else ''}"
            )

    def _check_devices(self, states: States | None, values: Tensor) -> None:
        found = {"parameter": self._arrays(0, 0)[0].device} | ({} if states is None else {"hidden": states[0].device})
        for what, device in found.items():
            if device != values.device:
                raise RuntimeError(
                    f"Input and {what} tensors are not at the same device, found input tensor at {values.device} and "
                    f"{what} tensor at {device}"
                )

    def _check_states(self, states: States, values: Tensor) -> None:
        layers = self.num_layers * (2 if self.bidirectional else 1)
        for k, s in enumerate(states):
            width = self.proj_size if k == 0 and self.proj_size else self.hidden_size
            what = "hidden" if len(states) == 1 else f"hidden[{k}]"
            self.check_hidden_size(s, (layers, values.shape[1], width), f"Expected {what} size {{}}, got {{}}")
            if s.dtype is not values.dtype:
                raise RuntimeError(f"Expected {what} of the input's dtype {values.dtype}, got {s.dtype}")

    def _arrays(self, layer: int, direction: int) -> list[Tensor]:
        """The parameters of one layer and direction in torch's order."""
        own = self._parameters
        # What a parametrisation or a user has put in a parameter's place is an attribute.
        return [own[n] if n in own else getattr(self, n) for n in self._array_names[layer][direction]]  # type: ignore[misc]

    def _sweep(self, values: Tensor, states: States | None, packing: Packing | None) -> tuple[Tensor, States]:
        """From the input ``[T, B, I]`` to the top layer's outputs ``[T, B, W]`` and the final states."""
        steps, rows = values.shape[:2]
        if steps == 0:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        self._check_devices(states, values)
        if states is not None:
            self._check_states(states, values)
        if rows == 0:
            # No rows is one row of zeros that nobody sees: the gradients are there, and zero.
            filled = None if states is None else tuple(nn.functional.pad(s, (0, 0, 0, 1)) for s in states)
            values, states = self._sweep(nn.functional.pad(values, (0, 0, 0, 1)), filled, packing)
            return values[:, :0], tuple(s[:, :0] for s in states)
        cell = self._cell
        starts = None if states is None else list(zip(*(s.unbind(0) for s in states), strict=True))
        none = (None,) * len(cell.program.cell.states)
        finals: list[States] = []
        for k, directions in enumerate(self._array_names):
            if k > 0 and self.dropout > 0 and self.training:
                values = self._dropped(values, packing)
            calls = [
                Call(
                    cell.program,
                    (values,),
                    (),
                    none if starts is None else starts[len(finals) + d],
                    cell.parameters(self._arrays(k, d)),
                    lengths=None if packing is None else packing.lengths,
                    reverse=d == 1,
                )
                for d in range(len(directions))
            ]
            outputs, states_after = zip(*run_all(calls, self.engine), strict=True)
            finals += states_after
            values = outputs[0] if len(outputs) == 1 else torch.cat(outputs, -1)
        if len(finals) == 1:
            return values, tuple(s.unsqueeze(0) for s in finals[0])
        return values, tuple(torch.stack(parts) for parts in zip(*finals, strict=True))

    def _dropped(self, values: Tensor, packing: Packing | None) -> Tensor:
        """Dropout between layers, drawn in torch's order: the same seed drops the same elements."""
        if packing is None:
            return nn.functional.dropout(values.contiguous(), self.dropout)
        return packing.pad(nn.functional.dropout(packing.pack(values), self.dropout))


@cache
def _tell_autocast(layer: str, dtype: str) -> None:
    _log.info("%s runs in %s under autocast", layer, dtype)


def _data(input: Tensor | PackedSequence) -> Tensor:
    return input.data if isinstance(input, PackedSequence) else input


def _refuse_projection(arguments: dict[str, Any]) -> None:
    if "proj_size" in arguments:
        raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")


class RNN(_Twin):
    """torch.nn.RNN, run by the engines: same arguments, call, parameters and results.

    Args:
        input_size: I, columns of the input.
        hidden_size: H, units of each layer.
        num_layers: L. Default 1.
        nonlinearity: "tanh" (default) or "relu".
        bias: whether there are biases. Default True.
        batch_first: whether arrays are ``[B, T, …]`` and not ``[T, B, …]``. Default False.
        dropout: chance with which an element between two layers is set to zero while training. Default 0.
        bidirectional: whether each layer runs in both directions. Default False.
        device, dtype: of the parameters.

    Raises:
        ValueError, TypeError: as torch.nn.RNN does.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse_projection(kwargs)
        if len(args) > 3:
            self.nonlinearity, args = args[3], args[:3] + args[4:]
        else:
            self.nonlinearity = kwargs.pop("nonlinearity", "tanh")
        if self.nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity '{self.nonlinearity}'. Select from 'tanh' or 'relu'.")
        super().__init__(f"RNN_{self.nonlinearity.upper()}", *args, **kwargs)

    def forward(self, input: Any, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        """Input ``[T, B, I]``, ``[T, I]`` or packed, and the initial state ``[L·D, B, H]`` or zeros, to the outputs
        ``[T, B, D·H]`` in the form of the input, and the final state ``[L·D, B, H]``. D is 2 in both directions.
        """
        if self._is_torchs(input):
            return nn.RNN.forward(self, input, hx)  # type: ignore[arg-type]  # it needs no more than RNNBase has
        output, (hidden,) = self._run(input, None if hx is None else (hx,))
        return output, hidden


class LSTM(_Twin):
    """torch.nn.LSTM, run by the engines: same arguments, call, parameters and results.

    Args:
        input_size: I, columns of the input.
        hidden_size: H, units of each layer.
        num_layers: L. Default 1.
        bias: whether there are biases. Default True.
        batch_first: whether arrays are ``[B, T, …]`` and not ``[T, B, …]``. Default False.
        dropout: chance with which an element between two layers is set to zero while training. Default 0.
        bidirectional: whether each layer runs in both directions. Default False.
        proj_size: P, columns to which the output is projected, fed back so; 0 (default) is no projection, P = H.
        device, dtype: of the parameters.

    Raises:
        ValueError, TypeError: as torch.nn.LSTM does.
    """

    # What torch's own call asks of the module it belongs to.
    check_forward_args = nn.LSTM.check_forward_args  # type: ignore[assignment]
    get_expected_cell_size = nn.LSTM.get_expected_cell_size
    permute_hidden = nn.LSTM.permute_hidden  # type: ignore[assignment]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)

    def forward(self, input: Any, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Any, tuple[Tensor, Tensor]]:
        """Input ``[T, B, I]``, ``[T, I]`` or packed, and the initial states h ``[L·D, B, P]`` and c ``[L·D, B, H]`` or
        zeros, to the outputs ``[T, B, D·P]`` in the form of the input, and the final states. D is 2 in both directions.
        """
        if self._is_torchs(input):
            return nn.LSTM.forward(self, input, hx)  # type: ignore[arg-type]  # it needs no more than RNNBase has
        if hx is not None and (not isinstance(hx, (tuple, list)) or len(hx) != 2):
            raise TypeError(f"LSTM: Expected hx to be a tuple (h_0, c_0), got {type(hx).__name__}")
        output, (hidden, cell) = self._run(input, None if hx is None else tuple(hx))
        return output, (hidden, cell)


class GRU(_Twin):
    """torch.nn.GRU, run by the engines: same arguments, call, parameters and results.

    Args:
        input_size: I, columns of the input.
        hidden_size: H, units of each layer.
        num_layers: L. Default 1.
        bias: whether there are biases. Default True.
        batch_first: whether arrays are ``[B, T, …]`` and not ``[T, B, …]``. Default False.
        dropout: chance with which an element between two layers is set to zero while training. Default 0.
        bidirectional: whether each layer runs in both directions. Default False.
        device, dtype: of the parameters.

    Raises:
        ValueError, TypeError: as torch.nn.GRU does.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse_projection(kwargs)
        super().__init__("GRU", *args, **kwargs)

    def forward(self, input: Any, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        """Input ``[T, B, I]``, ``[T, I]`` or packed, and the initial state ``[L·D, B, H]`` or zeros, to the outputs
        ``[T, B, D·H]`` in the form of the input, and the final state ``[L·D, B, H]``. D is 2 in both directions.
        """
        if self._is_torchs(input):
            return nn.GRU.forward(self, input, hx)  # type: ignore[arg-type]  # it needs no more than RNNBase has
        output, (hidden,) = self._run(input, None if hx is None else (hx,))
        return output, hidden
