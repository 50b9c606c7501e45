"""ONNX Runtime's contender: its own recurrent operators, inference alone."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recurra.deploy.bench.problem import Problem, Run

_OPERATORS = {"lstm": "LSTM", "gru_after": "GRU", "elman": "RNN"}
_GATES = {"lstm": "iofg", "gru_after": "zrn", "elman": "h"}


def available() -> bool:
    """Whether ONNX Runtime, and what builds its models, are installed."""
    return find_spec("onnxruntime") is not None and find_spec("onnx") is not None


def onnx_run(problem: Problem) -> Run | None:
    """A run in ONNX Runtime, or None for a cell that it does not have."""
    if problem.cell not in _OPERATORS:
        return None
    session = _session(problem)
    x = {"x": problem.x.detach().numpy()}
    return lambda: session.run(None, x)[0]


def _session(problem: Problem) -> Any:
    onnx: Any = import_module("onnx")
    onnxruntime: Any = import_module("onnxruntime")
    helper: Any = import_module("onnx.helper")
    number = onnx.TensorProto.FLOAT
    cell, hidden = problem.cell, problem.shape.hidden
    gates = _GATES[cell]
    recurrent = ["nh" if (cell, g) == ("gru_after", "n") else g for g in gates]
    arrays = {
        "w": problem.stacked(*[f"W_{g}" for g in gates]),
        "r": problem.stacked(*[f"U_{g}" for g in recurrent]),
        "b": torch.cat([problem.stacked(*[f"b_{g}" for g in gates]), _recurrent_bias(problem, len(gates))]),
    }
    made = [onnx.numpy_helper.from_array(np.ascontiguousarray(a[None].numpy()), name) for name, a in arrays.items()]
    options = {"linear_before_reset": 1} if cell == "gru_after" else {}
    node = helper.make_node(_OPERATORS[cell], ["x", "w", "r", "b"], ["y"], hidden_size=hidden, **options)
    graph = helper.make_graph(
        [node],
        cell,
        [helper.make_tensor_value_info("x", number, list(problem.x.shape))],
        [helper.make_tensor_value_info("y", number, None)],
        made,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])


def _recurrent_bias(problem: Problem, gates: int) -> Tensor:
    hidden = problem.shape.hidden
    if problem.cell == "gru_after":
        return torch.cat([torch.zeros(2 * hidden), problem.stacked("b_nh")])
    return torch.zeros(gates * hidden)
