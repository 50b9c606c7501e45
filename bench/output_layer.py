"""The output layer against torch's, side by side in one run.

    python bench/output_layer.py [--seconds 1.0] [--shapes 700x200x10000,…]

A shape is rows x width x classes. Training is the cross-entropy of a linear layer, forward and backward, with the
gradients of features, weight and bias; inference is the loss alone. GFLOP/s count the three products (inference: one).
The last table times a linear layer on its own, forward and backward.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from recurra.deploy.bench.timing import multiply_add_peak, take_turns
from recurra.engines.linear import linear
from recurra.layers import linear_cross_entropy

SHAPES = "700x200x10000,640x650x10000,3200x256x100"


def torch_loss(x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(x, weight, bias), targets)


def training(function: Callable[..., Tensor], leaves: list[Tensor], *rest: Tensor) -> Callable[[], None]:
    def run() -> None:
        function(*leaves, *rest).backward()
        for leaf in leaves:
            leaf.grad = None

    return run


def inference(function: Callable[..., Tensor], *arguments: Tensor) -> Callable[[], None]:
    def run() -> None:
        with torch.no_grad():
            function(*arguments)

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each measurement")
    parser.add_argument("--shapes", default=SHAPES)
    options = parser.parse_args()
    shapes = [tuple(map(int, shape.split("x"))) for shape in options.shapes.split(",")]
    peak = multiply_add_peak(torch.get_num_threads())
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, FMA peak {peak / 1e9:.0f} GFLOP/s\n")
    head = (
        "| rows, width, classes | training, ms | of peak | torch | ratio | inference, ms | ratio |\n" + "|---" * 7 + "|"
    )
    for title, ours, theirs in (
        ("linear + cross-entropy", linear_cross_entropy, torch_loss),
        ("linear", lambda x, w, b, _: linear(x, w, b).sum(), lambda x, w, b, _: F.linear(x, w, b).sum()),
    ):
        print(f"{title}\n\n{head}")
        for rows, width, classes in shapes:
            torch.manual_seed(0)
            leaves = [torch.randn(rows, width), torch.randn(classes, width) / width**0.5, torch.zeros(classes)]
            leaves = [leaf.requires_grad_() for leaf in leaves]
            targets = torch.randint(classes, (rows,))
            train = take_turns(
                {"a": training(ours, leaves, targets), "b": training(theirs, leaves, targets)}, options.seconds
            )
            infer = take_turns(
                {"a": inference(ours, *leaves, targets), "b": inference(theirs, *leaves, targets)}, options.seconds / 2
            )
            work = 6.0 * rows * width * classes / peak
            print(
                f"| {rows}, {width}, {classes} | {train['a'] * 1e3:.2f} | {100 * work / train['a']:.0f} % "
                f"| {100 * work / train['b']:.0f} % | **{train['b'] / train['a']:.2f}** "
                f"| {infer['a'] * 1e3:.2f} | **{infer['b'] / infer['a']:.2f}** |",
                flush=True,
            )
        print()


if __name__ == "__main__":
    main()
