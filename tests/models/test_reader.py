import pytest
import torch

from recurra.layers import Attention
from recurra.models import Questions, Reader, ReaderSize


def reader(answers: int | None, **size) -> Reader:
    torch.manual_seed(0)
    return Reader(ReaderSize(9, answers, embedding=4, hidden=6, **size), Attention())


def questions(pointed: bool) -> Questions:
    forms = torch.tensor([[0, 1, 0, 3, 1], [0, 1, 2, 0, 0], [0, 0, 0, 0, 0]]) if pointed else None
    return Questions(
        torch.randint(9, (3, 5)), torch.tensor([5, 3, 1]), torch.randint(9, (3, 4)), torch.tensor([2, 4, 1]), forms
    )


@pytest.mark.parametrize("answers", [None, 3])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_question_is_answered_alike_alone_and_in_a_batch(answers, cell):
    model, batch = reader(answers, cell=cell, layers=2, looks=3, words=cell == "gru"), questions(answers is None)
    logs = model(batch)
    assert logs.shape == (3, answers or 5)
    torch.testing.assert_close(logs.exp().sum(1), torch.ones(3))
    for k, (length, asked) in enumerate(zip(batch.passage_lengths, batch.question_lengths, strict=True)):
        alone = Questions(
            batch.passages[k : k + 1, :length],
            batch.passage_lengths[k : k + 1],
            batch.questions[k : k + 1, :asked],
            batch.question_lengths[k : k + 1],
            None if batch.forms is None else batch.forms[k : k + 1, :length],
        )
        torch.testing.assert_close(logs[k, : answers or length], model(alone)[0], rtol=1e-5, atol=1e-6)


def test_the_weights_of_a_look_are_those_of_the_passage():
    model, batch = reader(3, looks=2), questions(False)
    logs, weights = model.looked(batch)
    torch.testing.assert_close(logs, model(batch))
    assert weights.shape == (3, 2, 5)
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 2))
    assert weights[1, :, 3:].eq(0).all() and weights[2, :, 0].eq(1).all()


@pytest.mark.parametrize("score", ["additive", "dot", "general", "concat", "scaled"])
def test_a_look_compares_in_every_way(score):
    size = ReaderSize(9, 3, embedding=4, hidden=6, bidirectional=score not in ("dot", "scaled"))
    model, batch = Reader(size, Attention(score)), questions(False)
    torch.testing.assert_close(model.looked(batch)[0], model(batch))
    if score in ("dot", "scaled"):
        with pytest.raises(ValueError, match="needs a memory as wide as the query"):
            Reader(ReaderSize(9, 3, hidden=6), Attention(score))


def test_a_word_that_stands_twice_has_the_probability_of_both_places():
    logs = reader(None)(questions(True))
    assert logs[0, [2, 4]].exp().max() < 1e-20 and logs[0, [0, 1, 3]].exp().min() > 1e-3


def test_every_part_learns():
    for answers in (None, 3):
        model = reader(answers, words=True)
        model(questions(answers is None))[:, 0].sum().backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
