import math

import pytest
import torch

from recurra.models import LanguageModel, ScheduledSampling

ALWAYS = {"schedule": "linear", "k": 1.0, "slope": 0.0}
NEVER = {"schedule": "linear", "k": 0.0}


def language_model(**settings) -> LanguageModel:
    """The same parameters whatever the sampling."""
    torch.manual_seed(0)
    sampling = ScheduledSampling(**settings) if settings else None
    return LanguageModel(11, embedding=5, hidden=7, layers=2, sampling=sampling).train()


def after(updates: int, schedule: str, **settings) -> float:
    sampling = ScheduledSampling(schedule, **settings)
    sampling.updates.fill_(updates)
    return sampling.chance


def test_the_chance_follows_the_schedules():
    assert after(0, "linear") == 1.0
    assert after(300, "linear", k=0.9, slope=0.001) == pytest.approx(0.6)
    assert after(300, "linear", slope=0.01, minimum=0.25) == 0.25
    assert after(3, "exponential", k=0.9) == pytest.approx(0.729)
    assert after(20, "inverse_sigmoid", k=10) == pytest.approx(10 / (10 + math.e**2))
    assert after(10**9, "inverse_sigmoid", k=10) < 1e-100


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"schedule": "cosine"}, "linear, exponential, inverse_sigmoid"),
        ({"schedule": "exponential", "k": 1.5}, "from 0 to 1"),
        ({"schedule": "inverse_sigmoid", "k": 0.5}, "from 1"),
        ({"schedule": "linear", "way": "both"}, "exact, parallel"),
        ({"schedule": "linear", "minimum": 2.0}, "a chance from 0 to 1"),
    ],
)
def test_what_makes_no_sense_is_refused(settings, says):
    with pytest.raises(ValueError, match=says):
        ScheduledSampling(**settings)


@pytest.mark.parametrize("way", ["exact", "parallel"])
def test_true_outputs_alone_are_teacher_forcing(way):
    tokens, targets = torch.randint(11, (2, 3, 8))
    losses, gradients = [], []
    for settings in ({}, {**ALWAYS, "way": way}):
        model = language_model(**settings)
        loss, _ = model(tokens, None, targets)
        loss.backward()
        losses.append(loss)
        gradients.append([p.grad for p in model.parameters()])
    assert losses[0] == losses[1]
    torch.testing.assert_close(*gradients, rtol=0, atol=0)


def test_own_outputs_alone_are_a_free_run():
    model = language_model(**NEVER, way="exact", feed="best")
    tokens, targets = torch.randint(11, (2, 3, 8))
    loss, after_all = model(tokens, None, targets)
    model.eval()
    read, state, nats = tokens[:, 0], None, []
    for step in range(8):
        logits, state, _ = model.step(read, state)
        nats.append(torch.nn.functional.cross_entropy(logits, targets[:, step]))
        read = logits.argmax(-1)
    torch.testing.assert_close(torch.stack(nats).mean(), loss)
    torch.testing.assert_close(state, after_all)
    assert (loss - model(tokens, None, targets)[0]).abs() > 1e-4  # which is another than that of the true ones


def test_in_parallel_own_outputs_follow_from_the_true_ones():
    model = language_model(**NEVER, way="parallel", feed="best")
    tokens, targets = torch.randint(11, (2, 3, 8))
    loss, _ = model(tokens, None, targets)
    model.eval()
    with torch.no_grad():
        own = model(tokens)[0].argmax(-1)
        expected, _ = model(torch.cat([tokens[:, :1], own[:, :-1]], 1), None, targets)
    torch.testing.assert_close(loss.detach(), expected)


@pytest.mark.parametrize("way", ["exact", "parallel"])
def test_coins_fall_as_often_as_the_chance_says(way):
    sampling = ScheduledSampling("linear", k=0.3, slope=0.0, way=way)
    given, own = torch.zeros(200, 50), torch.ones(200, 50)
    mixed = sampling.mix(sampling, given, lambda read, state, step: (torch.ones_like(read), state), lambda *_: own)
    assert (mixed[:, 0] == 0).all()
    assert abs(mixed[:, 1:].mean() - 0.7) < 0.02
    assert (given == 0).all()


@pytest.mark.parametrize("way", ["exact", "parallel"])
def test_behind_a_rows_end_nothing_changes(way):
    sampling, lengths = ScheduledSampling(**NEVER, way=way), torch.tensor([4, 1, 2])
    given = torch.zeros(3, 4)
    ones = torch.ones_like(given)
    mixed = sampling.mix(
        sampling, given, lambda read, state, _: (torch.ones_like(read), state), lambda *_: ones, lengths
    )
    assert mixed.tolist() == [[0, 1, 1, 1], [0, 0, 0, 0], [0, 1, 0, 0]]


def test_samples_are_drawn_as_the_model_says():
    model = language_model(**NEVER, way="parallel", feed="sample")
    with torch.no_grad():
        model.output_bias.copy_(torch.tensor([50.0] + [0.0] * 10))
    tokens = torch.randint(1, 11, (3, 8))
    read = []
    hook = model.embedding.register_forward_hook(lambda _, inputs, __: read.append(inputs[0]))
    model(tokens, None, tokens)
    hook.remove()
    torch.testing.assert_close(read[0], tokens)
    torch.testing.assert_close(read[1], torch.cat([tokens[:, :1], torch.zeros(3, 7, dtype=torch.int64)], 1))


def test_updates_are_counted_in_training_alone_and_saved():
    sampling, other = ScheduledSampling("exponential", k=0.5), ScheduledSampling("exponential", k=0.5)
    model = LanguageModel(11, embedding=5, hidden=7, sampling=sampling)
    tokens = torch.randint(11, (3, 8))
    for _ in range(3):
        model(tokens, None, tokens)
    model(tokens)
    model.eval()(tokens, None, tokens)
    assert sampling.chance == 0.125
    LanguageModel(11, embedding=5, hidden=7, sampling=other).load_state_dict(model.state_dict())
    assert other.chance == 0.125


def test_the_model_says_its_own_outputs_without_dropout_and_trains_with_it():
    torch.manual_seed(0)
    sampling = ScheduledSampling(**NEVER, feed="best")
    model = LanguageModel(11, embedding=5, hidden=7, dropout=0.5, sampling=sampling)
    modes = []
    model.embedding.register_forward_hook(lambda *_: modes.append(model.dropout.training))
    model(torch.randint(11, (3, 8)), None, torch.randint(11, (3, 8)))
    assert modes == [False, True] and model.training
