"""Thousands of random calls of every kind, with no growth in memory: ``python tests/soak.py --calls 10000``.

Cells, sizes, options and inputs are drawn; now and then the native engine is held against the eager one. The process
must take no more memory at the end than after the first half of the calls, in which its caches fill.
"""

from __future__ import annotations

import argparse
import copy
import gc
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

import recurra
from recurra import cells
from recurra.equations.attention import PLACES, SCORES
from recurra.layers import Attention, Decoder, Regularisation, linear_cross_entropy

WIDTHS = (1, 2, 7, 16, 24, 33, 48, 64)
GROWTH = 24
"""Megabytes that memory may grow by: what fragments, and what the allocator keeps."""
# Programs are kept for each of these by identity.
REGULARISATIONS = (
    None,
    None,
    Regularisation(recurrent_dropout=0.3),
    Regularisation(zoneout=0.2),
    Regularisation(weight_drop=0.4),
)
TOLERANCE = 2e-3
"""Largest difference of the engines relative to 1 + the largest value; gradients of random cells are large."""


def resident() -> float:
    """Megabytes of this process in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20


def random_lengths(rows: int, steps: int) -> Tensor:
    return torch.tensor([random.choice((0, 1, steps, random.randint(0, steps))) for _ in range(rows)])


def assert_near(found: list[Tensor], expected: list[Tensor], what: object) -> None:
    for a, b in zip(found, expected, strict=True):
        gap = torch.where(a == b, 0.0, a - b).abs().max().item() if a.numel() else 0.0
        largest = b.nan_to_num(0.0, 0.0, 0.0).abs().max().item() if b.numel() else 0.0
        if not gap <= TOLERANCE * (1 + largest):
            raise AssertionError(f"the engines differ by {gap} in {what}")


def make_layer() -> recurra.Recurrent:
    """A layer of any cell with options that fit it."""
    while True:
        name, inputs, hidden = random.choice(cells.names()), random.choice(WIDTHS), random.choice(WIDTHS)
        try:
            return recurra.Recurrent(
                name, inputs, hidden, num_layers=random.choice((1, 1, 2)), widths={"P": 5, "O": 3},
                static_size=random.choice((0, 0, 0, 4)), bidirectional=random.random() < 0.2,
                residual=random.random() < 0.2, dropout=random.choice((0.0, 0.2)),
                regularisation=random.choice(REGULARISATIONS),
            )  # fmt: skip
        except ValueError:  # these options do not fit this cell
            continue


def run_layer(layer: recurra.Recurrent, given: dict[str, Any], weights: list[Tensor] | None) -> list[Tensor]:
    """The results of a call and, in training, all gradients of their weighed sum."""
    torch.manual_seed(given["seed"])  # for what is dropped
    x = given["x"].clone().requires_grad_(weights is not None)
    output, state = layer(x, lengths=given["lengths"], resets=given["resets"], static=given["static"])
    found = [output, *state]
    if weights is None:
        return found
    reached = [(y, w) for y, w in zip(found, weights, strict=True) if y.requires_grad]
    sources = [x, *layer.parameters()]
    gradients = torch.autograd.grad(
        [y for y, _ in reached], sources, [w for _, w in reached], allow_unused=True, materialize_grads=True
    )
    return [*(y.detach() for y in found), *gradients]


def call_layer(check: bool) -> None:
    layer = make_layer()
    rows, steps = random.randint(1, 9), random.randint(1, 12)
    x = torch.randn(rows, steps, layer.input_size)
    marks = torch.rand(rows, steps) < 0.2
    marks[:, random.choice((0, -1))] = True
    given = {
        "x": x if random.random() < 0.7 else x.transpose(0, 1).contiguous().transpose(0, 1),
        "lengths": random_lengths(rows, steps) if random.random() < 0.4 else None,
        "resets": marks if random.random() < 0.3 else None,
        "static": torch.randn(rows, layer.static_size) if layer.static_size else None,
        "seed": random.randrange(1 << 30),
    }
    layer.train(random.random() < 0.7)
    weights: list[Tensor] | None = None
    if random.random() < 0.6:
        with torch.no_grad():
            weights = [torch.randn_like(y).contiguous() for y in run_layer(layer, given, None)]
    with torch.set_grad_enabled(weights is not None):
        found = run_layer(layer, given, weights)
        if check:
            other = copy.deepcopy(layer)
            other.engine = "eager"
            assert_near(found, run_layer(other, given, weights), (layer, given["lengths"], given["resets"] is not None))


def make_decoder() -> Decoder:
    """A decoder of any cell that attends in any way."""
    while True:
        score, hidden = random.choice(SCORES), random.choice(WIDTHS)
        try:
            attention = Attention(
                score, place=random.choice(PLACES), feeding=random.random() < 0.3, width=random.choice((None, 5)),
                window=random.choice((None, None, 2)), coverage=score == "additive" and random.random() < 0.4,
            )  # fmt: skip
            return Decoder(
                random.choice(cells.names()), random.choice(WIDTHS), hidden, attention=attention,
                widths={"P": 5, "O": 3},
                memory_size=hidden if score in ("dot", "scaled") else random.choice(WIDTHS),
                num_layers=random.choice((1, 1, 2)), static_size=random.choice((0, 0, 4)),
            )  # fmt: skip
        except ValueError:  # this cell cannot attend so
            continue


def call_decoder(check: bool) -> None:
    decoder = make_decoder()
    rows, steps, sources = random.randint(1, 9), random.randint(1, 8), random.randint(1, 20)
    x, memory = torch.randn(rows, steps, decoder.input_size), torch.randn(rows, sources, decoder.memory_size)
    given: dict[str, Any] = {
        "lengths": random_lengths(rows, steps) if random.random() < 0.4 else None,
        "memory_lengths": torch.randint(1, sources + 1, (rows,)) if random.random() < 0.7 else None,
        "static": torch.randn(rows, decoder.static_size) if decoder.static_size else None,
    }

    def run(layer: Decoder) -> list[Tensor]:
        sources = [x.clone().requires_grad_(), memory.clone().requires_grad_(), *layer.parameters()]
        output, _ = layer(sources[0], memory=sources[1], **given)
        gradients = torch.autograd.grad(output.square().sum(), sources, allow_unused=True, materialize_grads=True)
        return [output.detach(), *gradients]

    found, stepped = run(decoder), run_steps(decoder, x, memory, given)
    if check:
        other = copy.deepcopy(decoder)
        other.engine = "eager"
        assert_near(found, run(other), (decoder, decoder.attention, given))
        whole, _ = other(x, memory=memory, **{**given, "lengths": None})
        assert_near([stepped], [whole.detach()], (decoder, decoder.attention, given))


@torch.no_grad()
def run_steps(decoder: Decoder, x: Tensor, memory: Tensor, given: dict[str, Any]) -> Tensor:
    """The outputs ``[B, T, W]`` one step at a time, in an order of the rows that changes on the way."""
    attended = decoder.attend(memory, given["memory_lengths"], static=given["static"])
    order, state, found = torch.randperm(len(x)), decoder.initial_state(len(x)), []
    for t in range(x.shape[1]):
        if t == 1:
            x, state, attended = x[order], decoder.select(state, order), attended.select(order)
        output, state, _ = decoder.step(x[:, t], state, attended)
        found.append(output if t else output[order])
    return torch.stack(found, 1)[order.argsort()]


def call_twin(check: bool) -> None:
    kind = random.choice(("RNN", "LSTM", "GRU"))
    inputs, hidden = random.choice(WIDTHS), random.choice(WIDTHS)
    options: dict[str, Any] = {
        "num_layers": random.choice((1, 2)), "bidirectional": random.random() < 0.3, "bias": random.random() < 0.8,
        "batch_first": random.random() < 0.5,
    }  # fmt: skip
    if kind == "LSTM" and hidden > 1 and random.random() < 0.2:
        options["proj_size"] = hidden // 2
    ours = getattr(recurra, kind)(inputs, hidden, **options)
    rows, steps = random.randint(1, 9), random.randint(1, 12)
    x = torch.randn(rows, steps, inputs) if options["batch_first"] else torch.randn(steps, rows, inputs)
    packed: Any = x
    if random.random() < 0.6:
        lengths = random_lengths(rows, steps).clamp(min=1)
        packed = pack_padded_sequence(x, lengths, options["batch_first"], enforce_sorted=False)

    def run(layer: nn.Module) -> list[Tensor]:
        output = layer(packed)[0]
        output = output if isinstance(output, Tensor) else output.data
        return [output.detach(), *torch.autograd.grad(output.square().sum(), [*layer.parameters()])]

    found = run(ours)
    if check:
        torchs = getattr(nn, kind)(inputs, hidden, **options)
        torchs.load_state_dict(ours.state_dict())
        assert_near(found, run(torchs), ours)


def call_stepper(check: bool) -> None:
    layer = make_layer().eval()
    if layer.bidirectional:
        return
    rows = random.randint(1, 4)
    try:
        stepper = recurra.Stepper(layer, rows)
    except ValueError:  # a cell that the native engine does not run in these widths
        return
    x = torch.randn(rows, 5, layer.input_size)
    static = torch.randn(rows, layer.static_size) if layer.static_size else None
    if static is not None:
        stepper.static = static
    found = torch.stack([stepper.step(x[:, t].contiguous()).clone() for t in range(5)], 1)
    if check:
        with torch.no_grad():
            assert_near([found], [layer(x, static=static)[0]], layer)


def call_loss(check: bool) -> None:
    rows, inputs, classes = random.randint(1, 300), random.choice(WIDTHS), random.choice((2, 63, 127, 500))
    arrays = [torch.randn(s, requires_grad=True) for s in ((rows, inputs), (classes, inputs), (classes,))]
    targets = torch.randint(classes, (rows,))
    targets[torch.rand(rows) < 0.2] = -100
    targets[0] = 0
    smoothing = random.choice((0.0, 0.1))
    loss = linear_cross_entropy(arrays[0], arrays[1], arrays[2], targets, label_smoothing=smoothing)
    found = [loss.detach(), *torch.autograd.grad(loss, arrays)]
    if check:
        logits = nn.functional.linear(*arrays)
        loss = nn.functional.cross_entropy(logits, targets, label_smoothing=smoothing)
        assert_near(found, [loss.detach(), *torch.autograd.grad(loss, arrays)], (rows, inputs, classes))


KINDS: dict[Callable[[bool], None], int] = {call_layer: 6, call_decoder: 2, call_twin: 2, call_stepper: 1, call_loss: 1}


def soak(calls: int, *, seed: int = 0, checked: float = 0.05, tell: Callable[[str], None] | None = None) -> float:
    """Make the calls.

    Args:
        calls: how many.
        seed: of what is drawn.
        checked: share of the calls that are held against another way of computing them.
        tell: takes a line now and then.

    Returns:
        Megabytes by which memory grew in the second half.
    """
    random.seed(seed)
    torch.manual_seed(seed)
    half = 0.0
    for k in range(calls):
        kind = random.choices(list(KINDS), list(KINDS.values()))[0]
        kind(random.random() < checked)
        if k + 1 == calls // 2:
            half = resident()
        if tell is not None and (k + 1) % max(1, calls // 10) == 0:
            tell(f"{k + 1} calls, {resident():.0f} MB")
    return resident() - half


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    grown = soak(arguments.calls, seed=arguments.seed, tell=lambda line: print(line, flush=True))
    print(f"memory grew by {grown:.1f} MB in the second half of the calls; allowed are {GROWTH}")
    sys.exit(grown > GROWTH)
