import pytest
import torch
from torch import Tensor

from recurra.layers import Attention
from recurra.models import Outlook, ScheduledSampling, VectorToSequence

LOOK = Attention("additive", "before")
MODELS = {
    "class, first": ("class", 4, "tokens", 11, {"fed": "first"}),
    "class, state": ("class", 4, "tokens", 11, {"tied": True, "normalise": True}),
    "vector, every": ("vector", 5, "tokens", 11, {"fed": "every", "mapped": 3, "cell": "gru"}),
    "grid, looked at": ("grid", 5, "tokens", 11, {"attention": LOOK, "mapped": 6}),
    "grid, first": ("grid", 5, "labels", 3, {"fed": "first", "layers": 2}),
    "labels": ("vector", 5, "labels", 3, {"readout": 6}),
    "values": ("vector", 5, "mse", 1, {"fed": "first"}),
    "gaussian": ("vector", 5, "gaussian", 2, {"fed": "every"}),
    "student": ("class", 4, "student", 2, {"cell": "gru"}),
}
every_model = pytest.mark.parametrize("named", MODELS.values(), ids=MODELS)


def tiny(named, **settings) -> VectorToSequence:
    torch.manual_seed(0)
    *first, own = named
    return VectorToSequence(*first, **{"embedding": 6, "hidden": 8, **own, **settings}).eval()


def examples(named, rows: int = 4, steps: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    """Sources, what is read and what is to be written."""
    kind, width, output, size, _ = named
    generator = torch.Generator().manual_seed(1)
    shapes = {"vector": (rows, width), "grid": (rows, 7, width)}
    if kind == "class":
        source = torch.randint(width, (rows,), generator=generator)
    else:
        source = torch.randn(shapes[kind], generator=generator)
    if output == "tokens":
        targets = torch.randint(1, size, (rows, steps), generator=generator)
    elif output == "labels":
        targets = torch.randint(2, (rows, steps, size), generator=generator).float()
    else:
        targets = torch.randn(rows, steps, size, generator=generator)
    return source, torch.cat([torch.zeros_like(targets[:, :1]), targets[:, :-1]], 1), targets


def nats_of_step(model: VectorToSequence, logits: Tensor, targets: Tensor) -> Tensor:
    """The loss of one step, [B], from what `step` gives."""
    if targets.dim() == 1:
        return torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    if logits.dim() == 2:
        return -torch.distributions.Bernoulli(logits=logits).log_prob(targets).sum(-1)
    outlook = next(m for m in model.modules() if isinstance(m, Outlook))
    return outlook.losses(logits, targets).sum(-1)


@every_model
def test_steps_give_what_the_whole_gives(named):
    model = tiny(named)
    source, inputs, targets = examples(named)
    encoded = model.encode(source)
    state, nats = model.start(encoded), []
    for read, wanted in zip(inputs.unbind(1), targets.unbind(1), strict=True):
        logits, state, extras = model.step(read, state)
        assert set(extras) == ({"attention"} if "attention" in named[-1] else set())
        nats.append(nats_of_step(model, logits, wanted))
    torch.testing.assert_close(torch.stack(nats, 1), model.nats(encoded, inputs, targets))


@every_model
def test_gradients_are_those_of_float64(named):
    found = []
    for kind, engine in ((torch.float32, "auto"), (torch.float64, "eager")):
        model = tiny(named, engine=engine).to(kind).train()
        source, inputs, targets = (part.to(kind) if part.is_floating_point() else part for part in examples(named))
        model.nats(model.encode(source), inputs, targets).mean().backward()
        found.append({n: p.grad for n, p in model.named_parameters()})
    for name, expected in found[1].items():
        assert expected is not None, f"{name} gets no gradient"
        torch.testing.assert_close(found[0][name].double(), expected, rtol=1e-4, atol=1e-6)


@every_model
def test_the_source_reaches_every_output(named):
    model = tiny(named)
    source, inputs, targets = examples(named, rows=1)
    other = (source + 1) % named[1] if named[0] == "class" else source + 1
    first, second = (model.nats(model.encode(one), inputs, targets) for one in (source, other))
    assert (first - second).abs().min() > 1e-6


@every_model
def test_rows_can_end_early(named):
    model = tiny(named)
    source, inputs, targets = examples(named)
    lengths = torch.tensor([5, 2, 4, 1])
    whole = model.nats(model.encode(source), inputs, targets)
    ended = model.nats(model.encode(source), inputs, targets, lengths)
    alive = torch.arange(5) < lengths[:, None]
    torch.testing.assert_close(ended, torch.where(alive, whole, 0.0))
    total = model.nats(model.encode(source), inputs, targets, lengths, reduction="sum")
    torch.testing.assert_close(total, ended.sum())


@every_model
def test_own_outputs_are_read_back(named):
    model = tiny(named)
    source, inputs, targets = examples(named)
    encoded = model.encode(source)
    own = model.roll_out(encoded, inputs[:, 0], 5)
    read = torch.cat([inputs[:, :1], own[:, :-1]], 1)
    torch.testing.assert_close(own, model.output.own(model.features(encoded, read).flatten(0, 1), "best").view_as(own))
    generator = torch.Generator().manual_seed(0)
    drawn = model.roll_out(encoded, inputs[:, 0], 5, feed="sample", generator=generator)
    assert drawn.shape == targets.shape


@every_model
def test_a_model_trained_on_its_own_outputs_reads_them(named):
    source, inputs, targets = examples(named)
    model = tiny(named, sampling=ScheduledSampling("linear", k=0.0, way="exact", feed="best")).train()
    loss = model.nats(model.encode(source), inputs, targets)
    model.eval()
    encoded = model.encode(source)
    read = torch.cat([inputs[:, :1], model.roll_out(encoded, inputs[:, 0], 4)], 1)
    torch.testing.assert_close(loss, model.nats(encoded, read, targets))
    loss.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_places_behind_the_end_of_a_grid_are_not_seen():
    named = MODELS["grid, looked at"]
    model = tiny(named)
    source, inputs, targets = examples(named)
    lengths = torch.tensor([7, 2, 4, 1])
    nats = model.nats(model.encode(source, lengths), inputs, targets)
    changed = source.masked_fill((torch.arange(7) >= lengths[:, None]).unsqueeze(2), 9.0)
    torch.testing.assert_close(nats, model.nats(model.encode(changed, lengths), inputs, targets))


def test_features_are_standardised():
    named = MODELS["vector, every"]
    model = tiny(named)
    source, inputs, targets = examples(named)
    expected = model.nats(model.encode(source), inputs, targets)
    model.standardise(torch.full((5,), 3.0), torch.full((5,), 2.0))
    torch.testing.assert_close(model.nats(model.encode(source * 2 + 3), inputs, targets), expected)
    with pytest.raises(ValueError, match="classes have no mean"):
        tiny(MODELS["class, first"]).standardise(torch.zeros(4), torch.ones(4))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"source": "picture"}, "class, vector, grid"),
        ({"output": "words"}, "tokens, labels, mse"),
        ({"fed": "last"}, "first, every, state"),
        ({"attention": LOOK}, "a vector is one vector"),
        ({"output": "mse", "tied": True}, "about the vectors of tokens"),
        ({"output_size": 0}, "at least 1"),
    ],
)
def test_what_does_not_fit_is_refused(settings, says):
    with pytest.raises(ValueError, match=says):
        VectorToSequence(**{"source": "vector", "source_size": 3, "output": "tokens", "output_size": 5, **settings})


def test_frames_have_no_labels_to_smooth():
    named = MODELS["values"]
    model = tiny(named)
    source, inputs, targets = examples(named)
    with pytest.raises(ValueError, match="no labels to smooth"):
        model.nats(model.encode(source), inputs, targets, label_smoothing=0.1)
