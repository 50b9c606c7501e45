import itertools

import pytest
import torch

from recurra.decoding import BeamSettings, Constraints, beam_search

from .plain_beam import most_met
from .toys import Table, Toy


def search(model, required, **options):
    settings = BeamSettings(**{"end": 0, "maximum": 6, "required": required, **options})
    return beam_search(model.step, model.select, model.state, model.start, settings)


def test_tokens_occur_that_the_model_would_not_say():
    for seed in range(10):
        model = Toy(seed, tokens=8, batch=3)
        model.output[:, 5:] -= 4  # tokens 5 to 7 are unlikely everywhere
        required = [[5, 6], [7, 7], []]
        found = search(model, required, nbest=5)
        for hypotheses, tokens in zip(found, required, strict=True):
            assert hypotheses
            for hypothesis in hypotheses:
                assert all(hypothesis.tokens.count(token) >= tokens.count(token) for token in tokens)
        free = beam_search(model.step, model.select, model.state, model.start, BeamSettings(end=0, maximum=6, nbest=5))
        assert [h.tokens for h in found[2]] == [h.tokens for h in free[2]]


def test_a_wide_grid_finds_the_best_of_all_that_hold_the_tokens():
    for seed in range(5):
        model = Toy(seed, tokens=4)
        found = search(model, [[3, 1], [2]], maximum=4, size=130, nbest=100)
        for sentence, needed in enumerate([(3, 1), (2,)]):
            wanted = [one for one in model.all(sentence, 0, 4) if set(needed) <= set(one.tokens)]
            assert [h.tokens for h in found[sentence]] == [one.tokens for one in wanted[:100]]


def test_a_token_just_fits_in():
    model = Table(0, 6, batch=2)
    found = search(model, [[1, 2, 3], [4, 4]], maximum=[3, 2], size=6, nbest=6)
    assert {h.tokens for h in found[0]} == set(itertools.permutations((1, 2, 3)))
    assert [h.tokens for h in found[1]] == [(4, 4)]
    found = search(model, [[1, 2, 3], [4, 4]], maximum=[3, 2], end=None, size=6, nbest=6)
    assert {h.tokens for h in found[0]} == set(itertools.permutations((1, 2, 3)))


def test_a_prefix_can_hold_what_is_required():
    model = Table(3, 6, batch=1)
    constraints = Constraints(prefixes=[[2, 5]])
    found = search(model, [[5]], constraints=constraints, nbest=5)[0]
    assert all(h.tokens[:2] == (2, 5) for h in found)
    free = beam_search(
        model.step, model.select, model.state, model.start,
        BeamSettings(end=0, maximum=6, constraints=constraints, nbest=5),
    )[0]  # fmt: skip
    assert [h.tokens for h in found] == [h.tokens for h in free]


def test_a_token_of_another_sentence_is_not_required():
    model = Table(1, 9, batch=2)
    alone = search(model, None)
    assert search(model, [[], [8]])[0][0].tokens == alone[0][0].tokens
    assert torch.tensor(model.calls).max() <= 2 * 2 * 5


@pytest.mark.parametrize(
    "phrases",
    [
        [(1, 2), (1, 3)],  # which one a 1 begins is seen later
        [(1, 2, 1, 3), (1, 2)],  # what is met first need not count first
        [(1, 1, 2)],  # after 1 1 the next 1 may go on from the second
        [(2, 1), (1, 2)],  # they cannot share a token
        [(3, 2), (3, 2)],
        [3, (3, 1)],
        [(2, 3, 2), 2, 1],
    ],
    ids=str,
)
def test_a_wide_grid_finds_all_that_hold_the_phrases_and_each_once(phrases):
    whole = [(one,) if isinstance(one, int) else one for one in phrases]
    needed = sum(map(len, whole))
    maximum = max(5, needed)
    model = Toy(needed, tokens=4, batch=1)
    wanted = [one for one in model.all(0, 0, maximum) if most_met(one.tokens, whole) == needed]
    found = search(model, [phrases], size=1100, nbest=1100, maximum=maximum)[0]
    assert [h.tokens for h in found] == [one.tokens for one in wanted]


def test_a_phrase_that_breaks_off_does_not_count():
    # After 1 the model says 3: the end waits until 2 is said in its place.
    logits = torch.tensor([[0.0, 9, 0, 0], [5, 0, -5, 9], [9, 0, 0, 0], [9, 0, 0, 0]])

    def search_for(required, size):
        settings = BeamSettings(end=0, maximum=4, size=size, required=required)
        step, select = (lambda tokens, state: (logits[tokens], state, {})), (lambda state, rows: state)
        return beam_search(step, select, None, torch.tensor([0]), settings)[0][0].tokens

    assert search_for(None, 5) == (1, 3)
    for size in (1, 2, 5):
        assert search_for([[(1, 2)]], size) == (1, 2)


def test_phrases_just_fit_in():
    model = Table(0, 6, batch=2)
    found = search(model, [[(1, 2), 3], [(4, 4, 5)]], maximum=[3, 3], size=6, nbest=6)
    assert {h.tokens for h in found[0]} == {(1, 2, 3), (3, 1, 2)}
    assert [h.tokens for h in found[1]] == [(4, 4, 5)]


def test_a_prefix_can_begin_a_phrase():
    model = Table(4, 6, batch=1)
    options = {"constraints": Constraints(prefixes=[[2, 5]], minimum=4), "maximum": 4, "size": 40, "nbest": 40}
    found = [h.tokens for h in search(model, [[(5, 3)]], **options)[0]]
    assert all(tokens[:2] == (2, 5) and len(tokens) == 4 for tokens in found)
    assert {tokens[2:] for tokens in found} == {*((3, k) for k in range(1, 6)), (5, 3)}
