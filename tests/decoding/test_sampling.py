import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recurra.decoding import Sampler, sample

# Log-probabilities of the token after each of three tokens.
CHAIN = torch.tensor([[0.1, 0.6, 0.3], [0.7, 0.1, 0.2], [0.25, 0.25, 0.5]]).log()


def chain(tokens, state):
    """A step whose state is the list of the tokens read."""
    return CHAIN[tokens], [*state, tokens.tolist()], {}


def count(tokens, state):
    """A step that is sure the next token is one more, modulo 5."""
    return torch.nn.functional.one_hot((tokens + 1) % 5, 5).float() * 1e4, state, {}


def rows(tokens) -> list[list[int]]:
    return torch.stack(list(tokens), 1).tolist()


def test_the_likeliest_token_follows_at_temperature_zero():
    drawn = sample(count, None, torch.tensor([[0, 3]]), length=4, sampler=Sampler(temperature=0))
    assert rows(drawn) == [[4, 0, 1, 2]]


def test_rows_are_drawn_side_by_side():
    assert rows(sample(count, None, torch.tensor([[0], [3]]), length=3)) == [[1, 2, 3], [4, 0, 1]]


def test_the_prompt_is_read_in_order_and_each_drawn_token_once():
    seen = []

    def step(tokens, state):
        seen.append((tokens.tolist(), state))
        return count(tokens, state + 1)[0], state + 1, {}

    tokens = sample(step, 0, torch.tensor([[7, 1, 2]]), length=2)
    assert seen == []  # nothing is computed before it is asked for
    assert rows(tokens) == [[3, 4]]
    assert seen == [([7], 0), ([1], 1), ([2], 2), ([3], 3)]


def test_tokens_come_with_their_probabilities():
    generator = torch.Generator().manual_seed(1)
    prompt = torch.zeros(20_000, 1, dtype=torch.int64)
    (tokens,) = sample(chain, [], prompt, length=1, generator=generator)
    frequencies = torch.bincount(tokens, minlength=3) / len(tokens)
    torch.testing.assert_close(frequencies, CHAIN[0].exp(), atol=0.015, rtol=0)


def test_one_seed_gives_one_text():
    def draw(seed):
        generator = torch.Generator().manual_seed(seed)
        return rows(sample(chain, [], torch.tensor([[0]]), length=40, generator=generator))

    assert draw(3) == draw(3) != draw(4)


def test_temperature_sharpens_and_flattens():
    logits = torch.tensor([[0.5, 0.3, 0.2]]).log()
    torch.testing.assert_close(Sampler(temperature=0.5).probabilities(logits), torch.tensor([[25.0, 9.0, 4.0]]) / 38)
    torch.testing.assert_close(Sampler(temperature=1e8).probabilities(logits), torch.full((1, 3), 1 / 3))
    # A temperature near 0 is the limit 0, not an overflow.
    torch.testing.assert_close(Sampler(temperature=1e-40).probabilities(logits), torch.tensor([[1.0, 0.0, 0.0]]))


def test_top_k_and_top_p_keep_the_likeliest():
    logits = torch.tensor([[0.1, 0.4, 0.2, 0.3], [0.7, 0.1, 0.1, 0.1]]).log()

    def kept(**settings):
        return Sampler(**settings).probabilities(logits).gt(0).int().tolist()

    assert kept() == [[1, 1, 1, 1], [1, 1, 1, 1]]
    assert kept(top_k=2)[0] == [0, 1, 0, 1]
    assert kept(top_k=9) == kept()
    assert kept(top_p=0.65) == [[0, 1, 0, 1], [1, 0, 0, 0]]
    assert kept(top_p=1e-9) == [[0, 1, 0, 0], [1, 0, 0, 0]]
    assert kept(top_k=3, top_p=0.7)[0] == [0, 1, 0, 1]
    torch.testing.assert_close(Sampler(top_k=2).probabilities(logits)[0], torch.tensor([0, 4 / 7, 0, 3 / 7]))


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=8), st.integers(1, 9), st.floats(0.01, 1))
def test_what_is_kept_is_a_distribution_over_the_likeliest(logits, top_k, top_p):
    values = torch.tensor([logits])
    probabilities = Sampler(top_k=top_k, top_p=top_p).probabilities(values)
    torch.testing.assert_close(probabilities.sum(), torch.tensor(1.0))
    assert probabilities[0, values[0].argmax()] > 0


def test_without_a_length_it_goes_on():
    tokens = sample(count, None, torch.tensor([[0]]), length=None)
    assert [int(t) for t in itertools.islice(tokens, 7)] == [1, 2, 3, 4, 0, 1, 2]


def test_gradients_are_off_only_while_it_computes():
    for _ in sample(count, None, torch.tensor([[0]]), length=2):
        assert torch.is_grad_enabled()


def test_settings_out_of_range_are_refused_at_once():
    for settings in ({"temperature": -1}, {"temperature": float("nan")}, {"top_k": 0}, {"top_p": 0.0}, {"top_p": 1.5}):
        with pytest.raises(ValueError, match=next(iter(settings))):
            Sampler(**settings)
    with pytest.raises(ValueError, match="length=-1"):
        sample(count, None, torch.tensor([[0]]), length=-1)
    with pytest.raises(ValueError, match="at least one token"):
        sample(count, None, torch.zeros(1, 0, dtype=torch.int64), length=1)


def test_a_diverged_model_is_reported():
    def broken(tokens, state):
        return torch.full((len(tokens), 3), float("nan")), state, {}

    for temperature in (0, 1):
        with pytest.raises(ValueError, match="not finite"):
            next(iter(sample(broken, None, torch.tensor([[0]]), length=1, sampler=Sampler(temperature))))
