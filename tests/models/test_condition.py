import pytest
import torch

from recurra.models import Condition, LanguageModel


def condition(**settings) -> Condition:
    torch.manual_seed(0)
    return Condition([3, 5], 1, **{"vocabulary_size": 11, "width": 6, "embedding": 4, **settings})


def given(rows: int = 3) -> tuple[torch.Tensor, list[tuple[torch.Tensor, torch.Tensor]]]:
    tokens = torch.randint(11, (rows, 4))
    return torch.randint(3, (rows, 2)), [(tokens, torch.tensor([4, 0, 2])[:rows])]


def test_each_field_has_columns_of_its_own():
    module = condition()
    categories, texts = given()
    vector = module(categories, texts)
    assert vector.shape == (3, 18) == (3, module.output_size)
    other = categories.clone()
    other[0, 1] = (categories[0, 1] + 1) % 3
    changed = (module(other, texts) != vector).nonzero()
    assert {tuple(place) for place in changed.tolist()} <= {(0, column) for column in range(6, 12)}
    assert len(changed) > 0


def test_a_text_is_read_up_to_its_end_and_one_that_is_not_given_has_a_vector_of_its_own():
    module = condition()
    assert module.absent is not None
    torch.nn.init.constant_(module.absent, 7.0)
    categories, [(tokens, lengths)] = given()
    vector = module(categories, [(tokens, lengths)])
    behind = tokens.clone()
    behind[2, 2:] = 10 - tokens[2, 2:]
    behind[1] = 3
    torch.testing.assert_close(module(categories, [(behind, lengths)]), vector)
    assert (vector[1, 12:] == 7).all() and (vector[2, 12:] != 7).any()
    # Both directions count: the first and the last token alike.
    for place in (0, 3):
        other = tokens.clone()
        other[0, place] = (tokens[0, place] + 1) % 11
        assert not torch.equal(module(categories, [(other, lengths)])[0, 12:], vector[0, 12:])


def test_the_gradient_reaches_every_part():
    module = condition()
    module(*given()).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"width": 5}, "make it even"), ({"width": 0}, "width=0"), ({"embedding": 0}, "embedding=0")],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        condition(**settings)
    with pytest.raises(ValueError, match="without fields"):
        Condition([], 0, vocabulary_size=11)


@pytest.fixture(params=["auto", "eager"])
def model(request) -> LanguageModel:
    module = condition()
    return LanguageModel(11, cell="gru", embedding=5, hidden=7, layers=2, condition=module, engine=request.param)


def test_step_by_step_it_writes_for_what_is_given(model):
    model.eval()
    static = model.condition(*given()).detach()
    tokens = torch.randint(11, (3, 6))
    logits, _ = model(tokens, static=static)
    for step in (model.step, model.decoder(3)):
        state = model.start(static)
        for t in range(6):
            found, state, _ = step(tokens[:, t], state)
            torch.testing.assert_close(found, logits[:, t], rtol=1e-4, atol=1e-5)
        # Begun anew for something else, it goes by that.
        found, _, _ = step(tokens[:, 0], model.start(static.flip(0)))
        torch.testing.assert_close(found, model(tokens[:, :1], static=static.flip(0))[0][:, 0], rtol=1e-4, atol=1e-5)
        with pytest.raises(ValueError, match="start"):
            step(tokens[:, 0], None)


def test_rows_end_where_their_lengths_say(model):
    model.eval()
    static = model.condition(*given())
    tokens, lengths = torch.randint(11, (3, 6)), torch.tensor([6, 2, 4])
    logits, state = model(tokens, lengths=lengths, static=static)
    alone, end = model(tokens[1:2, :2], static=static[1:2])
    torch.testing.assert_close(logits[1:2, :2], alone)
    torch.testing.assert_close(state[0][:, 1:2], end[0])
