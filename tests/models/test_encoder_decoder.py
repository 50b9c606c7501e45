import pytest
import torch
from torch import Tensor

from recurra.equations import Value, affine, cell, dot, observe, softmax, tanh, weighted_sum
from recurra.layers import Attention, Regularisation
from recurra.models import Dropouts, Encoded, EncoderDecoder, ScheduledSampling


@cell(state=("h",), memory=("m",))
def glancing(x: Value, h: Value, m: Value):
    """A simple network that looks at a memory of its own accord."""
    weights = softmax(dot(affine("query", h, width="M"), m))
    observe("attention", weights)
    h = tanh(affine("h", x, h, weighted_sum(weights, m)))
    return h, (h,)


SOURCE, TARGET = 9, 11
ADDITIVE = Attention("additive", "before")
FED = Attention("dot", "after", feeding=True)
MODELS = {
    "plain": {},
    "additive": {"attention": ADDITIVE},
    "input feeding": {"attention": FED, "decoder_hidden": 16},
    "a window": {"attention": Attention("general", "after", window=2)},
    "coverage": {"attention": Attention("additive", "before", coverage=True), "layers": 2},
    "both": {"bridge": "both", "cell": "lstm", "context": "all"},
    "last output": {"bridge": "input", "context": "last"},
    "copied": {"context": "last", "bidirectional": False, "cell": "lstm"},
    "deep": {"layers": 2, "decoder_layers": 3, "tied": True, "readout": 10, "normalise": True},
    "other cells": {"cell": "gru", "decoder_cell": "lstm", "layers": 2, "decoder_layers": 1, "attention": ADDITIVE},
    "a cell that looks back by itself": {"decoder_cell": glancing},
    "a state that starts from infinity": {"cell": "slstm", "bridge": "both"},
}
every_model = pytest.mark.parametrize("settings", MODELS.values(), ids=MODELS)


def tiny(**settings) -> EncoderDecoder:
    torch.manual_seed(0)
    return EncoderDecoder(SOURCE, TARGET, **{"embedding": 6, "hidden": 8, **settings}).eval()


def pairs(rows: int = 4, steps: int = 5) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sources, their lengths, what is read and what is to be written."""
    generator = torch.Generator().manual_seed(1)
    sources = torch.randint(SOURCE, (rows, 7), generator=generator)
    targets = torch.randint(1, TARGET, (rows, steps), generator=generator)
    inputs = torch.cat([torch.zeros(rows, 1, dtype=torch.int64), targets[:, :-1]], 1)
    return sources, torch.tensor([7, 3, 5, 1][:rows]), inputs, targets


def stepwise(model: EncoderDecoder, encoded: Encoded, inputs: Tensor, targets: Tensor) -> Tensor:
    """−log p of the targets, one step after another."""
    state, nats = model.start(encoded), []
    for read, wanted in zip(inputs.unbind(1), targets.unbind(1), strict=True):
        logits, state, extras = model.step(read, state)
        assert set(extras) == ({"attention"} if model.decoder.memory_size else set())
        nats.append(torch.nn.functional.cross_entropy(logits, wanted, reduction="none"))
    return torch.stack(nats, 1)


@every_model
def test_steps_give_what_the_whole_gives(settings):
    model = tiny(**settings)
    sources, lengths, inputs, targets = pairs()
    encoded = model.encode(sources, lengths)
    torch.testing.assert_close(stepwise(model, encoded, inputs, targets), model.nats(encoded, inputs, targets))


@every_model
def test_gradients_are_those_of_float64(settings):
    found = []
    for kind, engine in ((torch.float32, "auto"), (torch.float64, "eager")):
        model = tiny(engine=engine, **settings).to(kind).train()
        sources, lengths, inputs, targets = pairs()
        model.nats(model.encode(sources, lengths), inputs, targets).mean().backward()
        found.append({n: p.grad for n, p in model.named_parameters()})
    for name, expected in found[1].items():
        assert expected is not None, f"{name} gets no gradient"
        torch.testing.assert_close(found[0][name].double(), expected, rtol=1e-4, atol=1e-6)


@every_model
def test_a_row_is_alone_in_its_batch(settings):
    model = tiny(**settings)
    sources, lengths, inputs, targets = pairs()
    steps = torch.tensor([5, 2, 4, 3])
    behind = torch.arange(5) >= steps[:, None]
    whole = model.nats(model.encode(sources, lengths), inputs, targets.masked_fill(behind, -100), steps)
    assert (whole[behind] == 0).all()
    unmasked = model.nats(model.encode(sources, lengths), inputs, targets, steps, reduction="sum")
    torch.testing.assert_close(unmasked, whole.sum())
    for row, (source, length) in enumerate(zip(lengths.tolist(), steps.tolist(), strict=True)):
        one = slice(row, row + 1)
        encoded = model.encode(sources[one, :source], lengths[one])
        alone = model.nats(encoded, inputs[one, :length], targets[one, :length])
        torch.testing.assert_close(whole[one, :length], alone)


@every_model
def test_selected_rows_go_on_as_themselves(settings):
    model = tiny(**settings)
    sources, lengths, inputs, targets = pairs()
    encoded = model.encode(sources, lengths)
    expected = stepwise(model, encoded, inputs, targets)
    state = model.start(encoded)
    for column in inputs[:, :2].unbind(1):
        _, state, _ = model.step(column, state)
    for rows in (torch.tensor([2, 0, 0, 3]), torch.tensor([1, 0, 3]), torch.tensor([1, 0, 2])):
        # Of four rows, then of those the second, first and fourth, then the first two change places.
        state = model.select(state, rows)
        inputs, targets, expected = inputs[rows], targets[rows], expected[rows]
        logits, _, _ = model.step(inputs[:, 2], state)
        nats = torch.nn.functional.cross_entropy(logits, targets[:, 2], reduction="none")
        torch.testing.assert_close(nats, expected[:, 2])


def test_rows_change_places_in_a_beam_without_a_copy_of_the_memory():
    model = tiny(attention=ADDITIVE)
    sources, lengths, _, _ = pairs(2)
    state = model.start(model.encode(sources, lengths))
    wide = model.select(state, torch.tensor([0, 0, 1, 1]))
    assert wide.attended is not state.attended
    assert model.select(wide, torch.tensor([1, 0, 3, 3])).attended is wide.attended
    assert model.select(wide, torch.tensor([0, 1])).attended is not wide.attended


@every_model
def test_encoded_sources_can_be_selected(settings):
    model = tiny(**settings)
    sources, lengths, inputs, targets = pairs()
    encoded, rows = model.encode(sources, lengths), torch.tensor([2, 2, 0])
    chosen = model.nats(encoded.select(rows), inputs[rows], targets[rows])
    torch.testing.assert_close(chosen, model.nats(encoded, inputs, targets)[rows])


@pytest.mark.parametrize(("bridge", "context"), [(b, c) for b in ("state", "input", "both") for c in ("mapped", "all")])
def test_the_source_reaches_every_output(bridge, context):
    model = tiny(bridge=bridge, context=context)
    sources, lengths, inputs, targets = pairs(1)
    other = sources.clone()
    other[0, 3] = (other[0, 3] + 1) % SOURCE
    first, second = (model.nats(model.encode(s, lengths[:1]), inputs, targets) for s in (sources, other))
    assert (first - second).abs().min() > 1e-6


def test_smoothing_spreads_a_share_of_each_target():
    model = tiny()
    sources, lengths, inputs, targets = pairs()
    encoded = model.encode(sources, lengths)
    state, every = model.start(encoded), []
    for read in inputs.unbind(1):
        logits, state, _ = model.step(read, state)
        every.append(-logits.log_softmax(-1))
    expected = 0.9 * torch.stack(every, 1).gather(2, targets.unsqueeze(2))[..., 0] + 0.1 * torch.stack(every, 1).mean(2)
    torch.testing.assert_close(model.nats(encoded, inputs, targets, label_smoothing=0.1), expected)


def test_one_matrix_serves_source_target_and_output():
    model = EncoderDecoder(TARGET, TARGET, embedding=6, hidden=8, shared=True, tied=True)
    matrices = [name for name, p in model.named_parameters() if list(p.shape) == [TARGET, 6]]
    assert len(matrices) == 1
    assert model.encoder.embedding is model.output.embedding
    assert model.output.projection is not None  # from 8 units to a width of 6


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"bridge": "none"}, "state, input, both"),
        ({"context": "first"}, "last, mapped, all"),
        ({"context": "last"}, "16 columns where the decoder's state h has 8"),
        ({"context": "last", "bidirectional": False, "decoder_cell": "lstm"}, "no state c"),
        ({"shared": True}, "9 source symbols of width 6 and 11 target symbols"),
        ({"embedding": 0}, "at least 1"),
        ({"dropouts": {"output": 1.0}}, "dropout of output is 1.0"),
    ],
)
def test_what_does_not_fit_is_refused(settings, says):
    with pytest.raises(ValueError, match=says):
        if "dropouts" in settings:
            settings = {"dropouts": Dropouts(**settings["dropouts"])}
        tiny(**settings)


def test_dropout_and_zoneout_act_in_training_alone():
    dropouts, inside = Dropouts(0.2, 0.3, 0.2, 0.3), Regularisation(recurrent_dropout=0.2, zoneout=0.1)
    model = tiny(layers=2, attention=ADDITIVE, dropouts=dropouts, regularisation=inside)
    sources, lengths, inputs, targets = pairs()

    def nats() -> Tensor:
        return model.nats(model.encode(sources, lengths), inputs, targets)

    torch.testing.assert_close(nats(), nats(), rtol=0, atol=0)
    model.train()
    assert (nats() - nats()).abs().max() > 1e-3


@pytest.mark.parametrize("way", ["exact", "parallel"])
@pytest.mark.parametrize("settings", [{}, {"attention": ADDITIVE}], ids=["plain", "attention"])
def test_scheduled_sampling_between_teacher_forcing_and_a_free_run(settings, way):
    sources, lengths, inputs, targets = pairs()
    losses = {}
    for k in (1.0, 0.0):
        sampling = ScheduledSampling("linear", k=k, slope=0.0, way=way, feed="best")
        model = tiny(sampling=sampling, **settings).train()
        losses[k] = model.nats(model.encode(sources, lengths), inputs, targets)
    model = tiny(**settings)
    encoded = model.encode(sources, lengths)
    torch.testing.assert_close(losses[1.0], model.nats(encoded, inputs, targets), rtol=0, atol=0)
    if way == "exact":
        read = torch.cat([inputs[:, :1], model.roll_out(encoded, inputs[:, 0], 4)], 1)
    else:
        state, own = model.start(encoded), [inputs[:, 0]]
        for column in inputs[:, :-1].unbind(1):
            logits, state, _ = model.step(column, state)
            own.append(logits.argmax(-1))
        read = torch.stack(own, 1)
    torch.testing.assert_close(losses[0.0], model.nats(encoded, read, targets))
    assert (losses[0.0] - losses[1.0]).abs().max() > 1e-4
