import itertools

import torch

from recurra.decoding import BeamSettings, Constraints, beam_search

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
