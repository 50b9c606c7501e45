"""Training a decoder with additive attention, beside the same decoder as a loop of torch operations.

python bench/attention.py [--batch 64 --sources 30 --steps 30 --hidden 256 --seconds 3]
"""

import argparse
from collections.abc import Callable

import torch
from torch import Tensor, nn

from recurra.deploy.bench.timing import take_turns
from recurra.layers import Attention, Decoder


class Loop(nn.Module):
    """Bahdanau's decoder with a GRU, step by step; `hoisted` says what is done before the loop."""

    def __init__(self, hidden: int, hoisted: str) -> None:
        super().__init__()
        self.hoisted, H = hoisted, hidden
        self.key, self.query, self.score = nn.Linear(H, H), nn.Linear(H, H, bias=False), nn.Linear(H, 1, bias=False)
        self.cell, self.readout = nn.GRUCell(2 * H, H), nn.Linear(2 * H, H)

    def forward(self, x: Tensor, memory: Tensor, behind: Tensor) -> Tensor:
        h = x.new_zeros(len(x), x.shape[2])
        keys = None if self.hoisted == "nothing" else self.key(memory)
        if self.hoisted == "everything":
            of_input, of_context = self.cell.weight_ih.chunk(2, 1)
            projected = nn.functional.linear(x, of_input, self.cell.bias_ih)
        states: list[Tensor] = []
        contexts: list[Tensor] = []
        for t in range(x.shape[1]):
            hidden = torch.tanh((self.key(memory) if keys is None else keys) + self.query(h)[:, None])
            weights = self.score(hidden)[..., 0].masked_fill(behind, -1e9).softmax(-1)
            context = torch.bmm(weights[:, None], memory)[:, 0]
            if self.hoisted == "everything":
                r, z, n = (projected[:, t] + nn.functional.linear(context, of_context)).chunk(3, -1)
                ur, uz, un = nn.functional.linear(h, self.cell.weight_hh, self.cell.bias_hh).chunk(3, -1)
                z, n = torch.sigmoid(z + uz), torch.tanh(n + torch.sigmoid(r + ur) * un)
                h = (1 - z) * n + z * h
            else:
                h = self.cell(torch.cat([x[:, t], context], -1), h)
            states.append(h)
            contexts.append(context)
        return torch.tanh(self.readout(torch.cat([torch.stack(states, 1), torch.stack(contexts, 1)], -1)))


def training(module: nn.Module, forward: Callable[[], Tensor]) -> Callable[[], None]:
    def run() -> None:
        forward().sum().backward()
        module.zero_grad()

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("batch", 64), ("sources", 30), ("steps", 30), ("hidden", 256)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--seconds", type=float, default=3.0, help="time for each contestant")
    a = parser.parse_args()
    B, S, T, H = a.batch, a.sources, a.steps, a.hidden
    x, memory = torch.randn(B, T, H, requires_grad=True), torch.randn(B, S, H, requires_grad=True)
    lengths = torch.full((B,), S)
    behind = torch.arange(S) >= lengths[:, None]
    decoder = Decoder("gru_after", H, H, memory_size=H, attention=Attention("additive"))
    runs = {"recurra.layers.Decoder": training(decoder, lambda: decoder(x, memory=memory, memory_lengths=lengths)[0])}
    for hoisted in ("nothing", "keys", "everything"):
        loop = Loop(H, hoisted)
        runs[f"torch loop, {hoisted} before it"] = training(loop, lambda loop=loop: loop(x, memory, behind))
    median = take_turns(runs, a.seconds)
    own = median["recurra.layers.Decoder"]
    print(f"B {B}, S {S}, T {T}, H {H}, {torch.get_num_threads()} threads")
    for name, seconds in median.items():
        print(f"{name:40}{1e3 * seconds:8.1f} ms  {seconds / own:5.2f} x")


if __name__ == "__main__":
    main()
