import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.decoding import Constraints, Sampler, greedy, sample_sequences

from .toys import Table, Toy


def roll(model, function=greedy, select=True, **options):
    chosen = model.select if select else None
    return function(model.step, model.state, model.start, select=chosen, **{"end": 0, "maximum": 8, **options})


def test_the_likeliest_token_is_taken_until_the_end():
    model = Toy(1, tokens=4, batch=9)
    found = roll(model, maximum=12)
    for sentence, hypothesis in enumerate(found):
        state, token, tokens, total = model.state[sentence][None], model.start[sentence], [], 0.0
        while True:
            logits, state, _ = model.step(token[None], state)
            scores = logits[0].log_softmax(-1)
            token = scores.argmax() if len(tokens) < 12 else torch.tensor(0)
            total += scores[token].item()
            if token == 0:
                break
            tokens.append(int(token))
        assert hypothesis.tokens == tuple(tokens)
        assert hypothesis.log_probability == hypothesis.score == pytest.approx(total)
        assert hypothesis.attention.shape == (len(tokens), 3)
    assert len({len(hypothesis.tokens) for hypothesis in found}) > 2


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from([0, None]), st.lists(st.integers(1, 9), min_size=5, max_size=5))
def test_leaving_out_what_has_ended_changes_nothing(seed, end, maximum):
    model = Table(seed, 5, batch=5)
    compact = roll(model, end=end, maximum=maximum)
    lengths = [len(h.tokens) for h in compact]
    steps = [n + (end is not None) for n in lengths]
    assert model.calls == [sum(n > t for n in steps) for t in range(max(steps))]
    model.calls.clear()
    plain = roll(model, end=end, maximum=maximum, select=False)
    assert model.calls == [5] * max(steps)
    for a, b in zip(compact, plain, strict=True):
        assert (a.tokens, a.score) == (b.tokens, b.score) and torch.equal(a.attention, b.attention)
    for sentence, n in enumerate(lengths):
        assert n <= maximum[sentence] and (end == 0 or n == maximum[sentence])


def test_what_has_ended_may_break_without_harm():
    """A row that is computed on after its end, for want of `select`, is not looked at: here its logits become NaN."""

    def step(tokens, state):
        logits = torch.tensor([[5.0, 0.0, 0.0], [0.0, 5.0, 0.0]]).repeat(1, 1)
        if state:
            logits[0] = float("nan")
        return logits, state + 1, {}

    first, second = greedy(step, 0, torch.tensor([1, 1]), end=0, maximum=3)
    assert (first.tokens, second.tokens) == ((), (1, 1, 1))
    assert first.attention is None


def test_whole_sequences_are_drawn_with_the_probabilities_of_the_model():
    # After the start 1: the end with 1/2, else token 1 or 2 with 1/4 each; whatever comes, the same again.
    logits = torch.tensor([0.5, 0.25, 0.25]).log()

    def step(tokens, state):
        return logits.expand(len(tokens), 3), state, {}

    start = torch.ones(8000, dtype=torch.int64)
    draw = torch.Generator().manual_seed(4)
    found = sample_sequences(step, None, start, end=0, maximum=3, generator=draw, select=lambda state, rows: state)
    lengths = torch.bincount(torch.tensor([len(h.tokens) for h in found])) / 8000
    torch.testing.assert_close(lengths, torch.tensor([0.5, 0.25, 0.125, 0.125]), atol=0.02, rtol=0)
    for h in found:
        factors = [0.25] * len(h.tokens) + [0.5]
        assert h.log_probability == pytest.approx(sum(torch.tensor(factors).log().tolist()), abs=1e-5)


def test_a_sampler_at_temperature_zero_is_greedy():
    model = Table(2, 6, batch=7)
    one, other = roll(model), roll(model, sample_sequences, sampler=Sampler(temperature=0))
    assert [(h.tokens, h.score) for h in one] == [(h.tokens, h.score) for h in other]


@pytest.mark.parametrize("function", [greedy, sample_sequences])
def test_constraints_hold(function):
    torch.manual_seed(0)
    for seed in range(15):
        model = Table(seed, 5, batch=3)
        constraints = Constraints(minimum=[0, 2, 4], forbidden=[2, 3], prefixes=[[], [4, 4, 1], [1]])
        for hypothesis, least, prefix in zip(
            roll(model, function, constraints=constraints), [0, 2, 4], [(), (4, 4, 1), (1,)], strict=True
        ):
            assert hypothesis.tokens[: len(prefix)] == prefix and least <= len(hypothesis.tokens) <= 8
            assert not {2, 3} & set(hypothesis.tokens)


def test_a_forced_token_counts_with_its_own_probability():
    model = Toy(0)
    hypothesis = roll(model, maximum=2, constraints=Constraints(prefixes=[[2, 1], [1, 1]]))[0]
    assert hypothesis.log_probability == pytest.approx(model.follow(0, (2, 1), 0)[0])


def test_a_maximum_of_none_is_ended_at_once():
    assert [h.tokens for h in roll(Toy(0), maximum=[0, 0])] == [(), ()]


@pytest.mark.parametrize("function", [greedy, sample_sequences])
def test_what_cannot_go_on_is_named(function):
    def step(tokens, state):
        return torch.tensor([[0.0, float("-inf"), 0.0], [0.0, float("-inf"), float("-inf")]]), state, {}

    with pytest.raises(ValueError, match="sentence 1: no token that the constraints allow after 0 tokens"):
        function(step, 0, torch.tensor([1, 1]), end=0, maximum=3, constraints=Constraints(minimum=1))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("function", [greedy, sample_sequences])
@pytest.mark.parametrize("width", [1, 3, 16, 17, 500])
def test_logits_that_are_no_numbers_are_refused(function, bad, width):
    for place in {0, width // 2, width - 1}:
        logits = torch.randn(3, width)
        logits[1, place] = bad
        with pytest.raises(ValueError, match="not finite"):
            function(lambda tokens, state, found=logits: (found, 0, {}), 0, torch.zeros(3).long(), end=0, maximum=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"constraints": Constraints(minimum=9)}, "sentence 0: minimum=9 is above maximum=8"),
        ({"constraints": Constraints(minimum=[0, 9])}, "sentence 1: minimum=9 is above maximum=8"),
        ({"constraints": Constraints(minimum=[1, 2, 3])}, r"minimum is torch.int64 \[3\]"),
        ({"constraints": Constraints(forbidden=[0])}, "the end symbol 0 is forbidden"),
        ({"constraints": Constraints(forbidden=[3])}, "0 to 2"),
        ({"constraints": Constraints(prefixes=[[1]])}, "1 prefixes for 2 sentences"),
        ({"constraints": Constraints(prefixes=[[], [3]])}, "0 to 2"),
        ({"constraints": Constraints(prefixes=[[], [-1]])}, "0 to 2"),
        ({"constraints": Constraints(prefixes=[[], [1] * 9])}, "sentence 1: its prefix has 9 tokens, but maximum=8"),
        ({"constraints": Constraints(prefixes=[[1, 0], []])}, "sentence 0: its prefix holds 0"),
        ({"constraints": Constraints(prefixes=[[], [1, 2]], forbidden=[2])}, "sentence 1: its prefix holds 2"),
    ],
)
def test_constraints_that_contradict_one_another_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        roll(Toy(0), **options)


def test_a_start_that_is_no_list_of_tokens_is_refused():
    model = Toy(0)
    for start in (torch.zeros(2), torch.zeros(2, 1, dtype=torch.int64)):
        with pytest.raises(ValueError, match=r"int64 \[B\]"):
            greedy(model.step, model.state, start, end=0, maximum=3)
