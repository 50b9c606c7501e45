"""Layers under torch.compile(fullgraph=True): one operator for each sweep, with the values of the layer itself."""

from typing import Any

import pytest
import torch
from torch import nn

from recurra.layers import Attention, Decoder, Feedback, Normalisation, Recurrent, Regularisation

X = torch.linspace(-1, 1, 3 * 4 * 5).view(3, 4, 5).sin()
MEMORY = torch.linspace(-2, 2, 3 * 6 * 8).view(3, 6, 8).cos()


def layers() -> dict[str, tuple[nn.Module, dict[str, Any]]]:
    torch.manual_seed(0)
    stack = Recurrent("lstm", 5, 8, num_layers=2, bidirectional=True, residual=True)
    noise = Recurrent("gru", 5, 8, num_layers=2, static_size=3, dropout=0.5, regularisation=Regularisation(zoneout=0.1))
    attention = Attention(coverage=True, feeding=True)
    return {
        "lengths": (stack, {"lengths": torch.tensor([4, 0, 2])}),
        "noise": (noise, {"static": MEMORY[:, 0, :3], "resets": X[..., 0] > 0.9}),
        "norm": (Recurrent("ligru", 5, 8, normalisation=Normalisation("batch", place="projection")), {}),
        "feedback": (Recurrent("jordan", 5, 8, widths={"O": 3}, feedback=Feedback(true=0.5)), {"teacher": X[..., :3]}),
        "attention": (
            Decoder("gru", 5, 8, memory_size=8, attention=attention, num_layers=2),
            {"memory": MEMORY, "memory_lengths": torch.tensor([6, 1, 2])},
        ),
    }


@pytest.mark.parametrize("name", layers())
def test_the_graph_is_whole_and_right(name: str):
    layer, given = layers()[name]
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    found: list[list[torch.Tensor]] = []
    for run in (compiled, layer):
        torch.manual_seed(1)
        layer.zero_grad()
        output, _ = run(X, **given)
        output.square().sum().backward()
        found.append([output.detach(), *[p.grad.clone() for p in layer.parameters() if p.grad is not None]])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b)
