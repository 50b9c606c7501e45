"""A body that reads a window segment by segment instead of step by step."""

from typing import Any

import torch
from torch import Tensor, nn

from recurra.layers import Recurrent
from recurra.models.memory import RecurrentMemory


class SegmentMemory(RecurrentMemory):
    """Recurrent layers over the segments of a window (SegRNN, Lin et al. 2023, arXiv 2308.11200).

    Each segment of S steps goes through a linear map and a ReLU and is one step of the network, which so remembers a
    week of hours over seven steps. One more step, whose input is learnt and stands for the place of the forecast, gives
    the output.

    Args:
        recurrent: reads what the linear map makes of a segment.
        inputs: columns of a step, I.
        segment: steps of a segment, S.
        targets: series whose rows take turns in a batch, each with a last input of its own, which tells it from the
            others; 1: all rows are of one kind.

    Attributes:
        output_size: columns of the output, D.
        span: None: an output can depend on all steps before it.
    """

    def __init__(self, recurrent: Recurrent, inputs: int, segment: int, targets: int = 1) -> None:
        super().__init__(recurrent)
        self.segment = segment
        self.embed = nn.Linear(segment * inputs, recurrent.input_size)
        self.place = nn.Parameter(0.1 * torch.randn(targets, recurrent.input_size))

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """The output after a window, at one step.

        Args:
            x: [B, T, I]; T is a multiple of S, B one of the number of targets.
            state: that of the network before the window; None: the start.

        Returns:
            [B, 1, D], and the state that the network ends in.

        Raises:
            ValueError: the steps cannot be parted into segments, or the rows are not as many for each target.
        """
        if x.shape[1] % self.segment or len(x) % len(self.place):
            raise ValueError(
                f"{len(x)} rows of {x.shape[1]} steps cannot be read in segments of {self.segment} steps for "
                f"{len(self.place)} targets: give a multiple of both"
            )
        segments = torch.relu(self.embed(x.unflatten(1, (-1, self.segment)).flatten(2)))
        place = self.place.repeat(len(x) // len(self.place), 1).unsqueeze(1)
        values, state = self.recurrent(torch.cat([segments, place], 1), state)
        return values[:, -1:], state
