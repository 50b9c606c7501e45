import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.models import LanguageModel


def tiny(**settings) -> LanguageModel:
    torch.manual_seed(0)
    return LanguageModel(11, **{"embedding": 5, "hidden": 7, **settings})


def parameters(model: LanguageModel) -> dict[str, list[int]]:
    return {name: list(p.shape) for name, p in model.named_parameters() if not name.startswith("recurrent.")}


@pytest.mark.parametrize("cell", ["lstm", "gru", "elman"])
@pytest.mark.parametrize("tied", [False, True])
def test_steps_give_what_the_whole_gives(cell, tied):
    model = tiny(cell=cell, layers=2, tied=tied).eval()
    tokens = torch.randint(11, (3, 6))
    whole, final = model(tokens)
    state, logits = None, []
    for column in tokens.unbind(1):
        step, state, extras = model.step(column, state)
        logits.append(step)
        assert extras == {}
    torch.testing.assert_close(torch.stack(logits, 1), whole)
    for a, b in zip(state, final, strict=True):
        assert a.shape == (2, 3, 7)
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_decoder_gives_what_the_steps_give(dtype):
    model = tiny(layers=2, dropout=0.5).eval().to(dtype)
    decode = model.decoder(3)
    tokens = torch.randint(11, (4, 3))
    with torch.no_grad():
        expected, state = [], None
        for row in tokens:
            logits, state, _ = model.step(row, state)
            expected.append(logits)
        found, states = [], [None]
        for row in tokens:
            logits, after, extras = decode(row, states[-1])
            assert extras == {}
            found.append(logits)
            states.append(after)
        torch.testing.assert_close(torch.stack(found), torch.stack(expected))
        # An older state is as good as the last one.
        torch.testing.assert_close(decode(tokens[1], states[1])[0], expected[1])
        torch.testing.assert_close(decode(tokens[0], None)[0], expected[0])


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 5))
def test_the_state_carries_everything_across_a_cut(cut):
    model = tiny().eval()
    tokens = torch.arange(12).reshape(2, 6) % 11
    whole, _ = model(tokens)
    first, state = model(tokens[:, :cut])
    second, _ = model(tokens[:, cut:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)


def test_a_token_is_not_seen_by_predictions_before_it():
    model = tiny().eval()
    tokens = torch.zeros(1, 6, dtype=torch.int64)
    changed = tokens.clone()
    changed[0, 3] = 5
    a, b = model(tokens)[0], model(changed)[0]
    torch.testing.assert_close(a[:, :3], b[:, :3])
    assert (a[:, 3:] - b[:, 3:]).abs().amax(-1).min() > 1e-6


def test_the_output_layer_has_a_weight_of_its_own_unless_tied():
    own = {"embedding.weight": [11, 5], "output_weight": [11, 7], "output_bias": [11]}
    assert parameters(tiny()) == own
    assert parameters(tiny(tied=True, hidden=5)) == {"embedding.weight": [11, 5], "output_bias": [11]}
    projected = {"embedding.weight": [11, 5], "projection.weight": [5, 7], "output_bias": [11]}
    assert parameters(tiny(tied=True)) == projected


def test_tied_weights_learn_from_both_ends():
    model = tiny(tied=True, hidden=5)
    # Token 1 is never read, so only the output layer gives its row a gradient; token 0 has both.
    logits, _ = model(torch.zeros(1, 2, dtype=torch.int64))
    logits[0, :, 1].sum().backward()
    gradient = model.embedding.weight.grad
    assert gradient is not None and gradient[1].abs().sum() > 0 and gradient[0].abs().sum() > 0
    assert gradient[2:].abs().sum() == 0


def test_no_two_saved_parameters_share_memory():
    for tied in (False, True):
        values = list(tiny(tied=tied).state_dict().values())
        assert len({value.data_ptr() for value in values}) == len(values)


def test_parameters_start_within_init():
    model = tiny(init=0.05, layers=2)
    sizes = torch.cat([p.flatten() for p in model.parameters()]).abs()
    assert 0.045 < sizes.max() <= 0.05
    assert abs(sizes.mean() - 0.025) < 0.002
    # A gain that starts from 1 stays there.
    normalised = dict(tiny(cell="layer_norm_lstm", init=0.05).named_parameters())
    assert [name for name, p in normalised.items() if p.eq(1).all()]


def test_an_untrained_model_is_near_uniform():
    for tied in (False, True):
        logits, _ = tiny(tied=tied)(torch.randint(11, (4, 9)))
        nats = torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.randint(11, (36,)))
        assert abs(nats.item() - math.log(11)) < 0.4


@pytest.mark.parametrize("tied", [False, True])
def test_the_loss_is_that_of_the_logits(tied):
    model = tiny(tied=tied)
    tokens, targets = torch.randint(11, (3, 6)), torch.randint(11, (3, 6))
    targets[1, 2:] = -100
    logits, final = model(tokens)
    for reduction in ("mean", "sum", "none"):
        plain = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction=reduction)
        found = model.loss(model.features(tokens)[0], targets, reduction)
        assert found.shape == (targets.shape if reduction == "none" else ())
        torch.testing.assert_close(found.flatten(), plain.flatten())
    loss, state = model(tokens, None, targets)
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten()))
    for a, b in zip(state, final, strict=True):
        torch.testing.assert_close(a, b)


def test_dropout_acts_in_training_only():
    model = tiny(dropout=0.5)
    tokens = torch.randint(11, (2, 4))
    assert not torch.equal(model(tokens)[0], model(tokens)[0])
    model.eval()
    assert torch.equal(model(tokens)[0], model(tokens)[0])


def test_dropout_is_on_the_embedding_between_layers_and_on_the_top():
    """A unit dropped at a place changes the logits through that place alone."""
    model = tiny(dropout=0.5, layers=2)
    assert model.recurrent.dropout == 0.5
    calls = []
    model.dropout.register_forward_hook(lambda module, args, output: calls.append(list(args[0].shape)))
    model(torch.randint(11, (2, 4)))
    assert calls == [[2, 4, 5], [2, 4, 7]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": 0}, "hidden=0"),
        ({"embedding": -1}, "embedding=-1"),
        ({"layers": 0}, "layers=0"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"init": 0.0}, "init=0.0"),
        ({"cell": "lsmt"}, "lstm"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        tiny(**settings)
    with pytest.raises(ValueError, match="vocabulary_size=0"):
        LanguageModel(0)
