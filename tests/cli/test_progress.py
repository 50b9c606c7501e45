import io

import pytest
import torch
from rich.console import Console

from recurra.cli.progress import Bar, Lines, duration
from recurra.training.progress import Position

FACTS = {
    "parameters": 1234, "loss": "nats", "criterion": "valid_nats", "unit": "token", "engine": "eager",
    "device": "cpu, 2 threads", "processes": 1,
}  # fmt: skip
RECORD = {
    "step": 20, "epoch": 0.5, "time": 3.0, "train_nats": 2.5, "gradient_norm": 1.0, "tokens_per_second": 51234.0,
    "lr": 0.1, "valid_nats": 2.25, "valid_bits": 3.246, "sample": "abc\ndef",
}  # fmt: skip


def console(terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=160, highlight=False, soft_wrap=True)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_validation_is_shown(terminal: bool):
    shown = console(terminal)
    observer = (Bar if terminal else Lines)(shown, samples=True)
    observer.started(FACTS)
    observer.measured(RECORD)
    observer.close()
    text = shown.file.getvalue()
    for words in ("1,234 parameters", "step 20", "train 2.500", "valid 2.250 (bits 3.246)", "51.2k tokens/s", "│ def"):
        assert words in text


def test_the_bar_looks_at_numbers_four_times_a_second_at_most():
    shown = console(True)
    bar = Bar(shown, samples=False)
    bar.started(FACTS)
    bar.measured(RECORD)
    looked = 0

    class Number(torch.Tensor):
        def item(self):
            nonlocal looked
            looked += 1
            return 1.5

    loss = torch.zeros(()).as_subclass(Number)
    for step in range(1, 1000):
        bar.stepped(Position(step=step, seconds=step / 10), step / 1000, loss, torch.tensor(0.25))
    bar.close()
    assert looked <= 2
    text = shown.file.getvalue()
    for words in ("step 1 ", "loss 1.500", "bits 3.246", "∇ 0.25", "51.2k/s", "left"):
        assert words in text


@pytest.mark.parametrize(("seconds", "said"), [(0.4, "0 s"), (41.2, "41 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")])
def test_durations(seconds: float, said: str):
    assert duration(seconds) == said
