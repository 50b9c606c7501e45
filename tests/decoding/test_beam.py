import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.decoding import BeamSettings, Constraints, beam_search, greedy

from .plain_beam import plain_beam
from .toys import Table, Toy

PENALTIES = [(0.0, 0.0), (0.6, 0.0), (-0.8, 0.0), (0.0, 0.3), (1.0, 0.2), (-0.5, 0.5)]
ALPHAS = st.sampled_from([0.0, 0.2, 1.0, 3.0, -0.2, -1.0, -3.0])
BETAS = st.sampled_from([0.0, 0.2, 2.0])
SEEDS = st.integers(0, 10**6)


def search(model, rows=slice(None), **options):
    """The hypotheses of some sentences of a model."""
    return beam_search(model.step, model.select, model.state[rows], model.start[rows], BeamSettings(**options))


def listed(hypotheses) -> list[list[tuple]]:
    """Everything of the hypotheses that can be compared with ==."""
    return [[(h.tokens, h.log_probability, h.score, h.attention.tolist()) for h in sentence] for sentence in hypotheses]


@pytest.mark.parametrize("penalties", PENALTIES)
@pytest.mark.parametrize("end", [0, None])
def test_a_beam_as_wide_as_the_tree_finds_what_looking_at_all_finds(penalties, end):
    for seed in range(4):
        model = Toy(seed)
        options = {"end": end, "maximum": 4, "length_penalty": penalties[0], "coverage_penalty": penalties[1]}
        found = search(model, size=81, nbest=81, **options)
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
        best = search(model, size=81, **options)
        assert listed(best) == [one[:1] for one in listed(found)]


@pytest.mark.parametrize("penalties", PENALTIES)
@pytest.mark.parametrize("end", [0, None])
def test_a_beam_of_one_is_greedy(penalties, end):
    for seed in range(10):
        model = Toy(seed, tokens=7, batch=6)
        limits = {"end": end, "maximum": 8, "constraints": Constraints(minimum=1, forbidden=[4])}
        one = greedy(model.step, model.state, model.start, **limits)
        beam = search(model, size=1, length_penalty=penalties[0], coverage_penalty=penalties[1], **limits)
        assert [len(sentence) for sentence in beam] == [1] * 6
        for a, (b,) in zip(one, beam, strict=True):
            assert a.tokens == b.tokens and a.log_probability == b.log_probability == a.score
            assert penalties != (0.0, 0.0) or b.score == a.score
            assert torch.equal(a.attention, b.attention)


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.integers(2, 30), st.integers(0, 3), st.sampled_from([0.0, 0.4]), st.sampled_from([0, 1, None]))
def test_a_beam_of_one_is_greedy_where_tokens_tie_or_cannot_be(seed, tokens, levels, impossible, end):
    model = Table(seed, tokens, levels=levels, impossible=impossible, batch=5)
    try:
        one = greedy(model.step, model.state, model.start, end=end, maximum=6, select=model.select)
    except ValueError:
        with pytest.raises(ValueError, match="no token that the constraints allow"):
            search(model, size=1, end=end, maximum=6)
    else:
        assert listed(search(model, size=1, end=end, maximum=6)) == listed([[h] for h in one])


@settings(deadline=None, max_examples=150)
@given(
    SEEDS,
    st.integers(2, 6),
    st.integers(1, 7),
    st.integers(1, 7),
    ALPHAS,
    BETAS,
    st.integers(0, 3),
    st.sampled_from([0.0, 0.4]),
)
def test_the_early_stop_changes_nothing(seed, tokens, size, nbest, alpha, beta, levels, impossible):
    model = Table(seed, tokens, levels=levels, impossible=impossible)
    options = {
        "end": 0, "maximum": 8, "size": size, "nbest": min(size, nbest), "length_penalty": alpha,
        "coverage_penalty": beta, "constraints": Constraints(minimum=seed % 3 if not impossible else 0),
    }  # fmt: skip
    stopped = listed(search(model, **options))
    rows = sum(model.calls)
    model.calls.clear()
    assert stopped == listed(search(model, early_stop=False, **options))
    assert rows <= sum(model.calls)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -1.0])
def test_the_early_stop_saves_steps(alpha):
    saved = 0
    for seed in range(20):
        model = Table(seed, 6, batch=8)
        search(model, end=0, maximum=40, size=6, length_penalty=alpha)
        rows = sum(model.calls)
        model.calls.clear()
        search(model, end=0, maximum=40, size=6, length_penalty=alpha, early_stop=False)
        saved += 1 - rows / sum(model.calls)
    # An exponent above 0 lets a long hypothesis hope for long.
    assert saved / 20 > (0.01 if alpha > 0 else 0.2)


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.integers(2, 40), st.integers(1, 6), ALPHAS, BETAS, st.integers(0, 3), st.sampled_from([0, None]))
def test_sentences_side_by_side_are_searched_as_one_by_one(seed, tokens, size, alpha, beta, levels, end):
    model = Table(seed, tokens, batch=4, levels=levels)
    maximum, minimum = [3, 7, 1, 5], [0, 2, 1, 5]
    options = {"size": size, "nbest": size, "length_penalty": alpha, "coverage_penalty": beta, "end": end}
    together = search(model, maximum=maximum, constraints=Constraints(minimum=minimum), **options)
    for i, hypotheses in enumerate(together):
        limits = {"maximum": maximum[i], "constraints": Constraints(minimum=minimum[i])}
        alone = search(model, slice(i, i + 1), **limits, **options)
        assert listed(alone) == listed([hypotheses])
        assert all(minimum[i] <= len(h.tokens) <= maximum[i] for h in hypotheses)


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.integers(2, 9), st.integers(1, 6), ALPHAS, BETAS, st.sampled_from([0, None]), st.data())
def test_it_is_the_plain_search(seed, tokens, size, alpha, beta, end, data):
    """With everything at once: limits, a prefix, forbidden tokens, required tokens and phrases."""
    model = Table(seed, tokens, batch=3)
    free = [token for token in range(1, tokens) if token != 3]
    some = st.lists(st.sampled_from(free), max_size=2)
    prefixes = data.draw(st.lists(some, min_size=3, max_size=3))
    phrases = st.lists(
        st.one_of(st.sampled_from(free), st.lists(st.sampled_from(free[:2]), min_size=1, max_size=3)), max_size=2
    )
    required = data.draw(st.lists(phrases, min_size=3, max_size=3))
    needed = [sum(1 if isinstance(one, int) else len(one) for one in each) for each in required]
    maximum = [len(p) + n + data.draw(st.integers(1, 3)) for p, n in zip(prefixes, needed, strict=True)]
    minimum = [data.draw(st.integers(0, most)) for most in maximum]
    forbidden = [3] if tokens > 3 else []
    options = BeamSettings(
        end=end, maximum=maximum, size=size, nbest=size, length_penalty=alpha, coverage_penalty=beta, required=required,
        constraints=Constraints(minimum=minimum, forbidden=forbidden, prefixes=prefixes),
    )  # fmt: skip
    found = beam_search(model.step, model.select, model.state, model.start, options)
    for i, hypotheses in enumerate(found):
        wanted = plain_beam(model, i, options, prefixes[i], required[i], maximum[i], minimum[i])
        assert [h.tokens for h in hypotheses] == [one[1] for one in wanted]
        assert [h.score for h in hypotheses] == pytest.approx([one[0] for one in wanted], abs=1e-5)


def test_only_live_hypotheses_are_computed():
    logits = torch.tensor([[0.0, 9.0, 8.0, 7.0], [9.0, 0.0, 0.0, 0.0]])
    calls = []

    def step(tokens, state):
        calls.append(state.tolist())
        return logits[state], state, {}

    # Sentence 1 ends at once; of sentence 0 no hypothesis is likely to end before it must.
    settings = BeamSettings(end=0, maximum=3, size=2, nbest=2, length_penalty=0.0)
    found = beam_search(step, lambda state, rows: state[rows], torch.tensor([0, 1]), torch.tensor([1, 1]), settings)
    assert calls[0] == [0, 1] and calls[1][:2] == [0, 0] and calls[2] == [0, 0]
    assert calls[1][2:] == [1]  # its second hypothesis lives for one more step, and then ends
    assert [len(h.tokens) for h in found[0]] == [3, 3] and found[1][0].tokens == ()


def test_padding_counts_for_nothing_in_the_coverage():
    model = Toy(5, batch=2)

    def padded(tokens, state):
        logits, state, extras = model.step(tokens, state)
        return logits, state, {"attention": torch.nn.functional.pad(extras["attention"], (0, 4))}

    options = BeamSettings(end=0, maximum=5, coverage_penalty=0.4, nbest=5)
    lengths = torch.tensor([3, 3])
    wide = beam_search(padded, model.select, model.state, model.start, options, source_lengths=lengths)
    narrow = beam_search(model.step, model.select, model.state, model.start, options)
    for a, b in zip(wide, narrow, strict=True):
        assert [(h.tokens, h.score) for h in a] == [(h.tokens, h.score) for h in b]


def test_a_coverage_penalty_needs_attention():
    model = Table(0)

    def step(tokens, state):
        return *model.step(tokens, state)[:2], {}

    with pytest.raises(ValueError, match="coverage_penalty=0"):
        beam_search(step, model.select, model.state, model.start, BeamSettings(end=0, maximum=3, coverage_penalty=0.1))
    found = beam_search(step, model.select, model.state, model.start, BeamSettings(end=0, maximum=3))
    assert found[0][0].attention is None


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_logits_that_are_no_numbers_are_refused(bad):
    model = Table(0, 50)

    def step(tokens, state):
        logits, state, extras = model.step(tokens, state)
        if len(model.calls) > 2:
            logits = logits.clone()
            logits[-1, 31] = bad
        return logits, state, extras

    settings = BeamSettings(end=0, maximum=9, constraints=Constraints(minimum=5))
    with pytest.raises(ValueError, match="not finite"):
        beam_search(step, model.select, model.state, model.start, settings)


def test_half_precision_logits_are_summed_in_full():
    model = Table(1, 9)

    def step(tokens, state):
        logits, state, extras = model.step(tokens, state)
        return logits.bfloat16(), state, extras

    found = beam_search(step, model.select, model.state, model.start, BeamSettings(end=None, maximum=20))
    model.logits = model.logits.bfloat16().float()
    assert listed(found) == listed(search(model, end=None, maximum=20))


def test_no_sentences_give_no_hypotheses():
    model = Table(0, batch=0)
    assert search(model, end=0, maximum=4) == [] == search(model, end=None, maximum=4)
    assert greedy(model.step, model.state, model.start, end=0, maximum=4) == []


def test_nothing_is_left_for_the_gradient():
    model = Toy(0)
    model.state.requires_grad_()
    found = search(model, end=0, maximum=4)
    assert not found[0][0].attention.requires_grad and torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size=0"),
        ({"nbest": 6}, "nbest=6: expected .* size=5"),
        ({"nbest": 0}, "nbest=0"),
        ({"length_penalty": float("nan")}, "length_penalty=nan"),
        ({"length_penalty": 5000.0}, "length_penalty=5000.0 is beyond all numbers"),
        ({"coverage_penalty": -0.1}, "coverage_penalty=-0.1"),
        ({"end": 9}, "0 to 3"),
        ({"end": -1}, "0 to 3"),
        ({"maximum": -1}, "maximum=-1"),
        ({"maximum": [3, 4]}, r"maximum is torch.int64 \[2\]: .* 3 sentences"),
        ({"maximum": 2.5}, "maximum is torch.float32"),
        ({"maximum": 0, "end": None}, "maximum=0 without an end symbol"),
        ({"required": [[1], [2]]}, "2 lists of phrases for 3 sentences"),
        ({"required": [[1] * 7, [], []]}, "sentence 0: 7 tokens are required, but maximum=6"),
        ({"required": [[], [0], []]}, "sentence 1: 0 is required"),
        ({"required": [[], [], [(1, 2), (3, 0)]]}, "sentence 2: 0 is required"),
        ({"required": [[], [(1, 2), (1, 2, 3, 1, 2)], []]}, "sentence 1: 7 tokens are required, but maximum=6"),
        ({"required": [[1], [()], []]}, "sentence 1: an empty phrase"),
        ({"required": [[], [4], []]}, "0 to 3"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        search(Table(0), **{"end": 0, "maximum": 6, **options})
