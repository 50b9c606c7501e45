"""From what an encoder ends with to what a decoder starts from."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from recurra.equations import Cell, nearest

Sizes = Sequence[Mapping[str, int]]
"""For each layer, its states and their widths."""


class Bridge(nn.Module):
    """The first state of each layer of a decoder, from what is given of each layer of an encoder.

    A decoder's layer reads the encoder's layer that is as far below the top; where there is none, the lowest. Each of
    its states reads the state of the same name, and where the encoder's cell has none the first one: the c of an LSTM
    above a GRU is made from h. A state that starts from infinity (the stabiliser of the sLSTM) keeps that start.

    `copied` hands the states over as they are (Sutskever et al. 2014). Otherwise each goes through a linear map of its
    own, and a tanh where it is the cell's output (h), which cells keep small (Cho et al. 2014); what a cell sums up, as
    the c of an LSTM, is not bounded.

    Args:
        given: what the encoder ends with. A single vector is a state of any name of a single layer.
        cell: the decoder's cell.
        wanted: its states.
        copied: whether the states go over as they are.

    Raises:
        ValueError: states that are to be copied do not fit.
    """

    def __init__(self, given: Sizes, cell: Cell, wanted: Sizes, *, copied: bool = False) -> None:
        super().__init__()
        self.cell, self.wanted, self.copied = cell, [dict(w) for w in wanted], copied
        self.sources: list[dict[str, tuple[int, str]]] = []
        maps: list[nn.Module] = []
        for layer, sizes in enumerate(self.wanted):
            below = max(0, len(given) - len(self.wanted) + layer)
            sources = {}
            for state, width in sizes.items():
                if abs(cell.initial[state]) == float("inf"):
                    continue
                name = state if state in given[below] else next(iter(given[below]))
                if copied:
                    _require_fit(state, width, name, given[below][name])
                else:
                    maps.append(nn.Linear(given[below][name], width))
                sources[state] = (below, name)
            self.sources.append(sources)
        self.maps = nn.ModuleList(maps)
        traced = cell.traced
        self._outputs = {s for s, new in zip(cell.states, traced.new_states, strict=True) if new is traced.output}

    def forward(self, given: Sequence[Mapping[str, Tensor]]) -> tuple[tuple[Tensor, ...], ...]:
        """What the encoder ends with, [B, W] by layer and name, to the decoder's states, [B, W] by layer."""
        maps, found = iter(self.maps), []
        like = next(iter(given[0].values()))
        for sizes, sources in zip(self.wanted, self.sources, strict=True):
            states = []
            for state, width in sizes.items():
                if state not in sources:
                    states.append(like.new_full((len(like), width), self.cell.initial[state]))
                    continue
                layer, name = sources[state]
                value = given[layer][name]
                if not self.copied:
                    value = next(maps)(value)
                    value = torch.tanh(value) if state in self._outputs else value
                states.append(value)
            found.append(tuple(states))
        return tuple(found)


def _require_fit(state: str, width: int, name: str, given: int) -> None:
    if name == state and width == given:
        return
    what = f"{given} columns" if name == state else f"no state {state}{nearest(state, [name])}"
    raise ValueError(
        f"the encoder ends with {what} where the decoder's state {state} has {width}: take context='mapped', or the "
        "same cell and width, read in one direction"
    )
