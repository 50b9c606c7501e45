import pytest
import torch

from recurra.decoding import greedy


def test_the_likeliest_token_is_taken_until_the_end(toy):
    model = toy(1, tokens=4, batch=9)
    found = greedy(model.step, model.state, model.start, end=0, maximum=12)
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
