"""Cells against torch.nn and a careful torch loop, side by side in one run.

    python bench/cells.py [--seconds 1.0] [--cells lstm,gru_after,…]

Training is a whole step: forward, backward with the gradient of the input, and a fused SGD update. GFLOP/s count the
cell's own products (2 operations a multiply-add, three times for training). "Of peak" is the fraction of the FMA peak
measured just before on all threads, "peer" the peer's fraction: the ratio cannot exceed one over it.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable

import torch
from loops import PeepholeLoop
from timing import fma_peak, geometric_mean, take_turns
from torch import Tensor, nn

import recurra
from recurra import cells
from recurra.engines import library
from recurra.equations.printing import multiply_adds

SHAPES = [(35, 20, 200, 200), (100, 32, 128, 128), (100, 64, 256, 256), (50, 128, 512, 512), (784, 64, 1, 128)]
PEERS: dict[str, tuple[str, Callable[[int, int], nn.Module]]] = {
    "lstm": ("torch.nn.LSTM", lambda i, h: nn.LSTM(i, h, batch_first=True)),
    "gru_after": ("torch.nn.GRU", lambda i, h: nn.GRU(i, h, batch_first=True)),
    "elman": ("torch.nn.RNN", lambda i, h: nn.RNN(i, h, batch_first=True)),
    "peephole_lstm": ("torch loop", PeepholeLoop),
}


def training_step(module: nn.Module, x: Tensor) -> Callable[[], None]:
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-6, fused=True)
    gradient = torch.randn_like(module(x)[0]) / x.shape[0]

    def run() -> None:
        module(x)[0].backward(gradient)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        x.grad = None

    return run


def inference(module: nn.Module, x: Tensor) -> Callable[[], None]:
    def run() -> None:
        with torch.no_grad():
            module(x)

    return run


def measure(cell: str, seconds: float, peak: float) -> list[tuple[float, float]]:
    """Print a row for each shape; (training ratio, inference ratio) of each."""
    peer_name, peer = PEERS[cell]
    ratios: list[tuple[float, float]] = []
    for steps, batch, inputs, hidden in SHAPES:
        x = torch.randn(batch, steps, inputs, requires_grad=True)
        ours, theirs = recurra.Recurrent(cell, inputs, hidden, engine="native"), peer(inputs, hidden)
        train = take_turns({"a": training_step(ours, x), "b": training_step(theirs, x)}, seconds)
        infer = take_turns({"a": inference(ours, x), "b": inference(theirs, x)}, seconds / 2)
        work = 2.0 * steps * batch * multiply_adds(cells.get(cell), {"I": inputs, "H": hidden})
        ratios.append((train["b"] / train["a"], infer["b"] / infer["a"]))
        rate = 3 * work / train["a"]
        print(
            f"| {cell} / {peer_name} | {steps}, {batch}, {inputs}, {hidden} | {train['a'] * 1e3:.2f} "
            f"| {rate / 1e9:.0f} | {100 * rate / peak:.0f} % | {300 * work / train['b'] / peak:.0f} % "
            f"| **{ratios[-1][0]:.2f}** | {infer['a'] * 1e3:.2f} "
            f"| {work / infer['a'] / 1e9:.0f} | **{ratios[-1][1]:.2f}** |",
            flush=True,
        )
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each measurement")
    parser.add_argument("--cells", default=",".join(PEERS), help="which cells, separated by commas")
    options = parser.parse_args()
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    peak = fma_peak(threads)
    name = library.kernels().name.decode()
    print(f"{platform.machine()}, {threads} threads, instruction set {name}, torch {torch.__version__}, ", end="")
    print(f"measured FMA peak {peak / 1e9:.0f} GFLOP/s\n")
    print(
        "| cell / peer | T, B, I, H | training ms | GFLOP/s | of peak | peer | ratio | inference ms | GFLOP/s | ratio |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for cell in options.cells.split(","):
        ratios = measure(cell, options.seconds, peak)
        train, infer = (geometric_mean([r[k] for r in ratios]) for k in (0, 1))
        print(f"| {cell}: geometric mean | | | | | | **{train:.2f}** | | | **{infer:.2f}** |", flush=True)
    peak = fma_peak(threads)
    print(f"\nFMA peak after the run: {peak / 1e9:.0f} GFLOP/s")


if __name__ == "__main__":
    main()
