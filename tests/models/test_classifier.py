import pytest
import torch

from recurra.layers import Recurrent
from recurra.models import Bag, Classifier, RecurrentBody, Summary, SymbolInput, VectorInput, Window


def recurrent(bidirectional: bool, kind: str) -> Classifier:
    torch.manual_seed(0)
    body = RecurrentBody(Recurrent("gru", 4, 6, bidirectional=bidirectional))
    summary = Summary(kind, body.output_size, backwards=6 if bidirectional else 0)
    return Classifier(SymbolInput(9, 4), body, summary, 3, head=5)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", ["last", "mean", "max", "attention"])
def test_a_text_is_the_same_alone_and_in_a_batch(bidirectional, kind):
    model = recurrent(bidirectional, kind)
    ids = torch.randint(9, (3, 7))
    lengths = torch.tensor([7, 2, 5])
    logits = model(ids, lengths)
    assert logits.shape == (3, 3)
    for k, length in enumerate(lengths):
        torch.testing.assert_close(logits[k], model(ids[k : k + 1, :length], lengths[k : k + 1])[0])


def test_the_last_state_of_both_directions_is_the_summary():
    model = recurrent(True, "last")
    ids = torch.randint(9, (1, 5))
    _, (state,) = model.body.recurrent(model.inputs(ids))
    expected = model.head(torch.cat([state[0], state[1]], dim=1))
    torch.testing.assert_close(model(ids, torch.tensor([5])), expected)


def test_a_window_has_one_step_to_sum_up():
    model = Classifier(VectorInput(2), Window(2, 6, 3), Summary("mean", 6), 4)
    x, lengths = torch.randn(2, 5, 2), torch.tensor([5, 2])
    torch.testing.assert_close(model(x, lengths), model.head(model.body(x, lengths)[:, 0]))


def test_preparing_reaches_the_input():
    symbols = recurrent(False, "last")
    symbols.prepare(torch.ones(9, 4), None, fixed=True)
    assert symbols.inputs.embedding.weight.eq(1).all()
    vectors = Classifier(VectorInput(2), Bag(2, 3), Summary("mean", 3), 2)
    vectors.prepare(None, (torch.tensor([1.0, 2.0]), torch.ones(2)))
    assert vectors.inputs.mean.tolist() == [1, 2]
