"""What feeds back in place of the predicted output: true outputs, all or some, and samples."""

from typing import Any

import pytest
import torch
from torch import Tensor

from recurra.layers import Feedback, Recurrent, Regularisation, State, Stepper

T, B, H, OUTPUTS = 6, 4, 7, 3
NAMES = ["jordan", "back_projection", "elman"]


def made(name: str, **options: Any) -> Recurrent:
    return Recurrent(name, 5, H, widths={"O": OUTPUTS}, **options)


def numbers(layer: Recurrent) -> tuple[Tensor, Tensor]:
    """An input and true outputs."""
    return torch.randn(B, T, 5), torch.randn(B, T, layer.output_size)


def step_by_step(layer: Recurrent, x: Tensor, teacher: Tensor, lengths: list[int]) -> tuple[Tensor, State]:
    """The true output put into the state between one step and the next."""
    outputs, state = [], layer.initial_state(B)
    for t in range(T):
        output, new = layer.step(x[:, t], state)
        fed = new[-1].clone()
        fed[-1] = teacher[:, t]
        alive = torch.tensor([t < n for n in lengths])[:, None]
        outputs.append(torch.where(alive, output, 0.0))
        state = tuple(torch.where(alive, a, b) for a, b in zip((*new[:-1], fed), state, strict=True))
    return torch.stack(outputs, 1), state


@pytest.mark.parametrize("engine", ["eager", "native"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_the_true_outputs_feed_back(name: str, layers: int, engine: str):
    layer = made(name, num_layers=layers, feedback=Feedback(true=1.0), engine=engine)
    x, teacher = numbers(layer)
    lengths = [T, 1, 0, 4]
    output, state = layer(x, lengths=lengths, teacher=teacher)
    expected, last = step_by_step(layer.eval(), x, teacher, lengths)
    torch.testing.assert_close(output, expected)
    for a, b in zip(state, last, strict=True):
        torch.testing.assert_close(a, b)
    again, _ = layer(x, lengths=lengths, teacher=teacher)
    torch.testing.assert_close(again, output, msg="in evaluation as in training, where they are given")


def test_a_sequence_in_two_parts_goes_on():
    layer = made("back_projection", feedback=Feedback(true=1.0))
    x, teacher = numbers(layer)
    whole, last = layer(x, teacher=teacher)
    first, state = layer(x[:, :2], teacher=teacher[:, :2])
    second, end = layer(x[:, 2:], state, teacher=teacher[:, 2:])
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    for a, b in zip(end, last, strict=True):
        torch.testing.assert_close(a, b)


def test_in_evaluation_a_call_without_them_runs_on_what_it_predicts():
    layer = made("jordan", feedback=Feedback(true=1.0)).eval()
    plain = made("jordan").eval()
    plain.load_state_dict(layer.state_dict())
    x, _ = numbers(layer)
    torch.testing.assert_close(layer(x)[0], plain(x)[0])
    torch.testing.assert_close(Stepper(layer, B).step(x[:, 0].contiguous()), plain(x)[0][:, 0])


def results(layer: Recurrent, x: Tensor, teacher: Tensor | None) -> list[Tensor]:
    """Output, final states and gradients, numbers drawn from one seed."""
    torch.manual_seed(3)
    given = x.clone().requires_grad_()
    true = None if teacher is None else teacher.clone().requires_grad_()
    output, final = layer(given, lengths=[T, 2, 0, 5], resets=torch.eye(T).bool()[[2, 0, 1, 4]], teacher=true)
    loss = output.square().sum() + sum(s.sin().sum() for s in final)
    sources = [given, *layer.parameters(), *([] if true is None else [true])]
    return [output, *final, *torch.autograd.grad(loss, sources)]  # type: ignore[arg-type]


@pytest.mark.parametrize("feedback", [Feedback(1.0), Feedback(0.5), Feedback(noise=0.3), Feedback(0.5, 0.3)], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_engines_agree(name: str, feedback: Feedback):
    layer = made(name, num_layers=2, feedback=feedback, regularisation=Regularisation(0.2, 0.1))
    x, teacher = numbers(layer)
    found = {}
    for engine in ("eager", "native"):
        layer.engine = engine
        found[engine] = results(layer, x, teacher if feedback.true else None)
    for a, b in zip(*found.values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_some_of_the_true_outputs_feed_back():
    layer = made("jordan", feedback=Feedback(true=0.5))
    x, teacher = numbers(layer)
    _, (forced,) = made("jordan", feedback=Feedback(true=1.0))(x, teacher=teacher)
    torch.testing.assert_close(forced[0], teacher[:, -1])
    ends = [layer(x, teacher=teacher)[1][0][0] for _ in range(20)]
    taught = torch.stack([(end == teacher[:, -1]).all(-1) for end in ends])
    assert 20 < taught.sum() < 60, "about half of 80 rows end with a true output"


def test_a_sample_feeds_back():
    layer = Recurrent("jordan", 5, 8, widths={"O": 400}, feedback=Feedback(noise=0.3)).eval()
    x = torch.randn(B, 1, 5)
    output, (state,) = layer(x)
    noise = state[0] - output[:, 0]
    assert abs(noise.std().item() - 0.3) < 0.03 and abs(noise.mean().item()) < 0.03
    _, (last,) = layer(x.expand(B, 2, 5))
    second, _ = layer.step(x[:, 0], (state,))
    assert not torch.equal(second, layer.step(x[:, 0], (output.transpose(0, 1),))[0]), "the next step reads the sample"
    assert last.shape == state.shape
    with pytest.raises(ValueError, match="a stepper draws no noise"):
        Stepper(layer)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"feedback": Feedback(true=1.5)}, "true is 1.5; expected a chance from 0 to 1"),
        ({"feedback": Feedback(noise=-1.0)}, "noise is -1.0; expected a standard deviation"),
        ({"feedback": Feedback(1.0), "bidirectional": True}, "feedback with bidirectional=True"),
        ({"feedback": Feedback(1.0), "residual": True, "num_layers": 2}, "feedback with residual=True"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], said: str):
    with pytest.raises(ValueError, match=said):
        made("jordan", **options)


def test_a_cell_whose_output_is_no_state():
    with pytest.raises(ValueError, match="the output of cell sru is none of its states"):
        Recurrent("sru", 5, H, feedback=Feedback(1.0))


def test_true_outputs_that_do_not_fit():
    layer = made("jordan", feedback=Feedback(1.0))
    x, teacher = numbers(layer)
    with pytest.raises(ValueError, match="while training these layers feed back true outputs; give them"):
        layer(x)
    with pytest.raises(ValueError, match=r"have shape \[4, 6, 2\]; expected \[B, T, O\] = \[4, 6, 3\]"):
        layer(x, teacher=teacher[..., :2])
    with pytest.raises(ValueError, match="input true_y is int64 on cpu, and input x is float32"):
        layer(x, teacher=teacher.long())
    with pytest.raises(ValueError, match="to layers that feed back none"):
        made("jordan")(x, teacher=teacher)
