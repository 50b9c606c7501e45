"""Models that write sequences must learn to write them, not only run."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from recurra.layers import Attention
from recurra.models import EncoderDecoder, ScheduledSampling, VectorToSequence

LONGEST, STEPS = 10, 30


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def train(model: nn.Module, updates: int, loss: Callable[[], Tensor]) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    for _ in range(updates):
        optimizer.zero_grad()
        loss().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.eval()


def words(rows: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Words of 4 to 10 letters, their lengths, what is read and the words backwards."""
    lengths = torch.randint(4, LONGEST + 1, (rows,), generator=generator)
    places = torch.arange(LONGEST)
    behind = places >= lengths[:, None]
    sources = torch.randint(1, 9, (rows, LONGEST), generator=generator)
    targets = sources.gather(1, (lengths[:, None] - 1 - places).clamp(min=0)).masked_fill(behind, -100)
    inputs = torch.cat([torch.zeros(rows, 1, dtype=torch.int64), targets[:, :-1].clamp(min=0)], 1)
    return sources, lengths, inputs, targets


def share_of_reversed_words(attention: Attention | None) -> float:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    model = EncoderDecoder(9, 9, embedding=16, hidden=32, decoder_hidden=64, attention=attention)

    def loss() -> Tensor:
        sources, lengths, inputs, targets = words(48, generator)
        return model.nats(model.encode(sources, lengths), inputs, targets, lengths).sum() / lengths.sum()

    train(model, 300, loss)
    sources, lengths, inputs, targets = words(500, generator)
    with torch.no_grad():
        own = model.roll_out(model.encode(sources, lengths), inputs[:, 0], LONGEST)
    return float(((own == targets) | (targets < 0)).all(1).float().mean())


def test_words_are_reversed_with_attention_and_without_it_far_fewer():
    assert share_of_reversed_words(Attention("dot", "after")) >= 0.99
    assert share_of_reversed_words(None) <= 0.85


def waves(rows: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Frequency and phase of sines, what is read and the curves."""
    frequency = 0.2 + 0.4 * torch.rand(rows, 1, generator=generator)
    phase = 2 * torch.pi * torch.rand(rows, 1, generator=generator)
    curves = torch.sin(frequency * torch.arange(STEPS) + phase).unsqueeze(-1)
    inputs = torch.cat([torch.zeros(rows, 1, 1), curves[:, :-1]], 1)
    return torch.cat([(frequency - 0.4) * 8, phase - torch.pi], 1), inputs, curves


def error_of_waves(sampling: ScheduledSampling | None) -> float:
    """Mean squared error of whole curves, each from the model's own outputs; always 0 would be 0.5."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    model = VectorToSequence("vector", 2, "mse", 1, fed="every", cell="gru", hidden=32, sampling=sampling)

    def loss() -> Tensor:
        vectors, inputs, curves = waves(64, generator)
        return model.nats(model.encode(vectors), inputs, curves).mean()

    train(model, 400, loss)
    vectors, inputs, curves = waves(500, generator)
    with torch.no_grad():
        return float((model.roll_out(model.encode(vectors), inputs[:, 0], STEPS) - curves).square().mean())


def test_curves_are_drawn_from_two_numbers_and_better_by_a_model_used_to_its_own():
    taught = error_of_waves(None)
    assert taught < 0.1
    for way in ("parallel", "exact"):
        assert error_of_waves(ScheduledSampling("linear", slope=0.003, way=way, feed="best")) < taught / 2
