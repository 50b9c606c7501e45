"""Both directions of an LSTM in turns with one direction after the other and with torch.nn.LSTM, for one row and more.

    python bench/directions.py [--hidden 128 256 512] [--rows 1 2 4] [--steps 100] [--seconds 1]

Of one row the two directions run side by side, a thread each; of more, one after the other, each with its rows shared
out over the threads.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor, nn

from recurra.deploy.bench.timing import take_turns
from recurra.layers import Recurrent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden", type=int, nargs="+", default=[128, 256, 512])
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each measurement")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads; T {options.steps}\n")
    print("| pass | H | rows | both, ms | one after the other | torch.nn.LSTM |\n|---|---|---|---|---|---|")
    for training in (False, True):
        for hidden in options.hidden:
            for rows in options.rows:
                seconds = measure(hidden, torch.randn(rows, options.steps, hidden), options.seconds, training=training)
                both = seconds["both"]
                print(
                    f"| {'training' if training else 'inference'} | {hidden} | {rows} | {1e3 * both:.2f} "
                    f"| {seconds['apart'] / both:.2f} × | {seconds['torch'] / both:.2f} × |",
                    flush=True,
                )


def measure(hidden: int, x: Tensor, seconds: float, *, training: bool) -> dict[str, float]:
    """Seconds of a run of each contender."""
    both = Recurrent("lstm", hidden, hidden, bidirectional=True)
    onwards, backwards = (Recurrent("lstm", hidden, hidden) for _ in range(2))
    peer = nn.LSTM(hidden, hidden, bidirectional=True, batch_first=True)
    turned = x.flip(1)

    def apart() -> Tensor:
        return torch.cat([onwards(x)[0], backwards(turned)[0].flip(1)], -1)

    runs = {"both": lambda: both(x)[0], "apart": apart, "torch": lambda: peer(x)[0]}
    layers = {"both": [both], "apart": [onwards, backwards], "torch": [peer]}

    def run(name: str) -> None:
        with torch.set_grad_enabled(training):
            output = runs[name]()
        if training:
            output.sum().backward()
            for layer in layers[name]:
                layer.zero_grad(set_to_none=True)

    return take_turns({name: lambda name=name: run(name) for name in runs}, seconds)


if __name__ == "__main__":
    main()
