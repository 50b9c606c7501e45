import pytest
import torch

from recurra.decoding import BeamSettings, Constraints, beam_search, greedy

PENALTIES = [(0.0, 0.0), (0.6, 0.0), (-0.8, 0.0), (0.0, 0.3), (1.0, 0.2), (-0.5, 0.5)]


def search(toy, **settings):
    return beam_search(toy.step, toy.select, toy.state, toy.start, BeamSettings(**settings))


def listed(hypotheses) -> list[list[tuple]]:
    """Everything of the hypotheses that can be compared with ==."""
    return [[(h.tokens, h.log_probability, h.score, h.attention.tolist()) for h in sentence] for sentence in hypotheses]


@pytest.mark.parametrize("penalties", PENALTIES)
@pytest.mark.parametrize("end", [0, None])
def test_a_beam_as_wide_as_the_tree_finds_what_looking_at_all_finds(toy, penalties, end):
    for seed in range(4):
        model = toy(seed)
        settings = {"end": end, "maximum": 4, "length_penalty": penalties[0], "coverage_penalty": penalties[1]}
        found = search(model, size=81, nbest=81, **settings)
        for sentence, hypotheses in enumerate(found):
            wanted = model.all(sentence, end, 4, penalties)
            assert len(hypotheses) == len(wanted) == (31 if end == 0 else 81)
            assert [h.tokens for h in hypotheses] == [one.tokens for one in wanted]
            assert [h.score for h in hypotheses] == pytest.approx([one.score for one in wanted])
            assert [h.log_probability for h in hypotheses] == pytest.approx([one.log_probability for one in wanted])
            for hypothesis in hypotheses[:5]:
                _, weights = model.follow(sentence, hypothesis.tokens, 0)
                torch.testing.assert_close(hypothesis.attention, weights[: len(hypothesis.tokens)])
        # One hypothesis is enough of so wide a beam: the early stop loses nothing.
        best = search(model, size=81, **settings)
        assert listed(best) == [one[:1] for one in listed(found)]


@pytest.mark.parametrize("penalties", PENALTIES)
@pytest.mark.parametrize("end", [0, None])
def test_a_beam_of_one_is_greedy(toy, penalties, end):
    for seed in range(10):
        model = toy(seed, tokens=7, batch=6)
        limits = {"end": end, "maximum": 8, "constraints": Constraints(minimum=1, forbidden=[4])}
        one = greedy(model.step, model.state, model.start, **limits)
        beam = search(model, size=1, length_penalty=penalties[0], coverage_penalty=penalties[1], **limits)
        assert [len(sentence) for sentence in beam] == [1] * 6
        for a, (b,) in zip(one, beam, strict=True):
            assert a.tokens == b.tokens and a.log_probability == b.log_probability == a.score
            assert penalties != (0.0, 0.0) or b.score == a.score
            assert torch.equal(a.attention, b.attention)
