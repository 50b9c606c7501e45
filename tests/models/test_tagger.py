import pytest
import torch

from recurra.layers import LinearChainCRF, Recurrent
from recurra.models import Bag, RecurrentBody, Spelling, SymbolInput, Tagger, TokenInput, Tokens, VectorInput

LENGTHS = torch.tensor([4, 2, 3])
# Every token of the batch is one of three forms, the second of which has one letter.
FORMS, FORM_LENGTHS = torch.tensor([[1, 2, 3], [4, 0, 0], [5, 1, 0]]), torch.tensor([3, 1, 2])


def tokens() -> Tokens:
    torch.manual_seed(3)
    return Tokens(
        torch.randint(7, (3, 4)), LENGTHS, torch.randint(5, (3, 4, 2)), FORMS, FORM_LENGTHS, torch.randint(3, (3, 4))
    )


def tagger(**options) -> Tagger:
    torch.manual_seed(0)
    inputs = TokenInput(SymbolInput(7, 6), torch.nn.Embedding(5, 3), Spelling("gru", 6, 4, 5))
    assert inputs.width == 6 + 2 * 3 + 2 * 5
    body = RecurrentBody(Recurrent("lstm", inputs.width, 8, bidirectional=True))
    return Tagger(inputs, body, 3, **options)


def part(read: Tokens, row: int) -> Tokens:
    """One row by itself, without its padding."""
    own = slice(row, row + 1), slice(0, int(LENGTHS[row]))
    return Tokens(read.inputs[own], LENGTHS[row : row + 1], read.pairs[own], FORMS, FORM_LENGTHS, read.form_of[own])


@pytest.mark.parametrize("field", [False, True])
def test_a_row_is_tagged_alike_in_every_batch(field):
    model, read = tagger(field=LinearChainCRF(3) if field else None).eval(), tokens()
    scores, best = model(read), model.best(read)
    targets = torch.randint(3, (3, 4)).masked_fill(torch.arange(4) >= LENGTHS[:, None], -100)
    nats = model.nats(scores, targets, LENGTHS)
    for row, length in enumerate(LENGTHS):
        alone = part(read, row)
        torch.testing.assert_close(model(alone)[0], scores[row, :length])
        assert model.best(alone)[0].tolist() == best[row, :length].tolist()
        own = model.nats(model(alone), targets[row : row + 1, :length], LENGTHS[row : row + 1])
        torch.testing.assert_close(own[0], nats[row])


def test_the_spelling_of_a_token_is_read_whole_and_from_both_ends():
    model = tagger().eval()
    spelling = model.inputs.spelling
    vectors = spelling(FORMS, FORM_LENGTHS)
    assert vectors.shape == (3, 10)
    behind = FORMS.clone()
    behind[1, 1:], behind[2, 2:] = 3, 4  # behind the end
    torch.testing.assert_close(spelling(behind, FORM_LENGTHS), vectors)
    for place in range(3):
        other = FORMS.clone()
        other[0, place] = 0
        changed = (spelling(other, FORM_LENGTHS)[0] - vectors[0]).abs()
        assert changed[:5].max() > 0 and changed[5:].max() > 0


def test_steps_without_a_tag_cost_nothing():
    model, read = tagger().eval(), tokens()
    scores = model(read)
    tags = torch.full((3, 4), -100)
    tags[0, 1] = 2
    expected = -scores.log_softmax(-1)[0, 1, 2]
    torch.testing.assert_close(model.nats(scores, tags, LENGTHS), torch.stack([expected, *torch.zeros(2)]))


def test_tags_are_fed_back():
    torch.manual_seed(0)
    inputs = TokenInput(SymbolInput(7, 6))
    model = Tagger(inputs, Bag(6 + 3, 8), 3, feedback=True).eval()
    read = Tokens(tokens().inputs, LENGTHS)
    with pytest.raises(ValueError, match="give the true ones"):
        model(read)
    chosen = model.best(read)
    # What was chosen step by step is what the model says of a sequence with just these tags.
    assert model(read, chosen).argmax(-1).tolist() == chosen.tolist()
    other = chosen.clone()
    other[:, 0] = (other[:, 0] + 1) % 3
    changed = (model(read, other) - model(read, chosen)).abs().amax((0, 2))
    assert changed[1] > 0 and changed[[0, 2, 3]].max() == 0
    with pytest.raises(ValueError, match="take no random field"):
        Tagger(inputs, Bag(9, 8), 3, feedback=True, field=LinearChainCRF(3))


def test_vectors_are_standardised():
    inputs = TokenInput(VectorInput(3))
    inputs.standardise(torch.ones(3), torch.full((3,), 2.0))
    read = Tokens(torch.full((1, 2, 3), 5.0), torch.tensor([2]))
    assert inputs(read).tolist() == [[[2.0] * 3] * 2]
    with pytest.raises(ValueError, match="symbols have no mean"):
        TokenInput(SymbolInput(3, 2)).standardise(torch.ones(2), torch.ones(2))


def test_what_is_missing_is_said():
    model = tagger()
    with pytest.raises(ValueError, match="reads pairs"):
        model(Tokens(tokens().inputs, LENGTHS))
    with pytest.raises(ValueError, match="reads spellings"):
        model(Tokens(tokens().inputs, LENGTHS, tokens().pairs))
