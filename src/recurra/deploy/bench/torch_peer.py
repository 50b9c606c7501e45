"""torch.nn's contenders, and ours in their place."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from recurra import layers
from recurra.deploy.bench.problem import Problem, Run, torch_run
from recurra.layers import Stepper, linear_cross_entropy

TWINS = {"lstm": "LSTM", "gru_after": "GRU", "elman": "RNN"}
"""By cell, the name of its layer in torch.nn and in recurra."""


def twin(problem: Problem, library: Any) -> nn.Module | None:
    """The layer of torch.nn, or of recurra, with the problem's parameters; None if they have none for its cell."""
    if problem.cell not in TWINS:
        return None
    module = getattr(library, TWINS[problem.cell])(problem.shape.inputs, problem.shape.hidden)
    _load(module, problem, "_l0")
    return module


def _load(module: nn.Module, problem: Problem, suffix: str) -> None:
    of, hidden = problem.stacked, problem.shape.hidden
    gates = {"lstm": "ifgo", "gru_after": "rzn", "elman": "h"}[problem.cell]
    recurrent = [f"U_{g}" for g in gates]
    bias = torch.zeros(len(gates) * hidden)
    if problem.cell == "gru_after":
        recurrent[2] = "U_nh"
        bias[2 * hidden :] = of("b_nh")
    arrays = {"weight_ih": of(*[f"W_{g}" for g in gates]), "weight_hh": of(*recurrent)}
    arrays |= {"bias_ih": of(*[f"b_{g}" for g in gates]), "bias_hh": bias}
    module.load_state_dict({f"{name}{suffix}": a for name, a in arrays.items()})


def our_run(problem: Problem, *, training: bool) -> Run:
    """Ours: the layer that takes the place of torch.nn's where there is one, else `Recurrent`."""
    module = twin(problem, layers)
    if module is not None and problem.lengths is None:
        return torch_run(module, lambda x: module(x)[0], problem, training=training)
    layer, lengths = problem.layer, problem.lengths
    return torch_run(
        layer, lambda x: layer(x.transpose(0, 1), lengths=lengths)[0].transpose(0, 1), problem, training=training
    )


def twin_run(problem: Problem, library: Any, *, training: bool) -> Run | None:
    """A run of `twin`; of ragged rows with a PackedSequence."""
    module, lengths = twin(problem, library), problem.lengths
    if module is None:
        return None
    if lengths is None:
        return torch_run(module, lambda x: module(x)[0], problem, training=training)

    def packed(x: Tensor) -> Tensor:
        output = module(pack_padded_sequence(x, lengths, enforce_sorted=False))[0]
        return pad_packed_sequence(output, total_length=problem.shape.steps)[0]

    return torch_run(module, packed, problem, training=training)


def packed_run(problem: Problem) -> Run | None:
    """Training with our layer that takes the place of torch.nn's, called as that is."""
    return twin_run(problem, layers, training=True)


def our_step(problem: Problem) -> Run:
    """A step of one row in a stream."""
    stepper, x = Stepper(problem.layer), problem.x.detach()[0]
    return lambda: stepper.step(x)


def twin_step(problem: Problem) -> Run | None:
    """A step as torch.nn's layer runs it, its state carried along."""
    module = twin(problem, nn)
    if module is None:
        return None
    held: dict[str, Any] = {"state": None}
    x = problem.x.detach()

    def run() -> Tensor:
        with torch.inference_mode():
            output, held["state"] = module(x, held["state"])
        return output

    return run


def cell_step(problem: Problem) -> Run | None:
    """A step as the cell class of torch.nn runs it, its state carried along."""
    if problem.cell not in TWINS:
        return None
    module = getattr(nn, f"{TWINS[problem.cell]}Cell")(problem.shape.inputs, problem.shape.hidden)
    _load(module, problem, "")
    held: dict[str, Any] = {"state": None}
    x = problem.x.detach()[0]

    def run() -> Tensor:
        with torch.inference_mode():
            held["state"] = state = module(x, held["state"])
        return state[0] if isinstance(state, tuple) else state

    return run


class OutputLayer(nn.Module):
    """A linear layer from H to V columns with the cross-entropy of its outputs."""

    def __init__(self, rows: int, width: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, width) / width**0.5)
        self.bias = nn.Parameter(torch.zeros(classes))
        self.targets = torch.randint(classes, (rows,))
        self.features = torch.randn(rows, width, requires_grad=True)

    def run(self, *, ours: bool) -> Run:
        """A training step; it returns the gradient of the features."""
        optimizer = torch.optim.SGD(self.parameters(), lr=1e-7, fused=True)

        def step() -> Tensor | None:
            self.features.grad = None
            if ours:
                loss = linear_cross_entropy(self.features, self.weight, self.bias, self.targets)
            else:
                loss = F.cross_entropy(F.linear(self.features, self.weight, self.bias), self.targets)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            return self.features.grad

        return step
