"""What moved a decision: the gradient of a class's log-odds with respect to each input, times the input."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F

from recurra.data import by_length
from recurra.models import Classifier
from recurra.models.evaluation import evaluating
from recurra.tasks.classify.data import Examples
from recurra.tasks.classify.scoring import ROWS, Judged
from recurra.tasks.findings import Marked, Marks

_SHOWN = 12  # texts in the report
_LONGEST = 80  # symbols of a text that is shown


def weights(model: Classifier, examples: Examples, classes: np.ndarray) -> list[np.ndarray]:
    """Input × gradient of the log-odds of `classes` [N], summed over the columns of each step: [T] each.

    To first order it is what the log-odds, log p − log (1 − p), would lose if the step's vector were zero; above 0 it
    speaks for the class. Unlike a probability they do not saturate where the model is sure, and unlike a single logit
    they know the other classes.
    """
    found: list[np.ndarray] = [np.zeros(0)] * len(examples)
    device = next(model.parameters()).device
    with evaluating(model):
        for numbers in by_length(examples.lengths, ROWS):
            batch = examples.batch(numbers)
            x = model.inputs(batch.inputs.to(device)).detach().requires_grad_()
            with torch.enable_grad():
                logits = model.classify(x, batch.lengths)
                own = F.one_hot(torch.from_numpy(classes[numbers]).to(device), logits.shape[1]).bool()
                log_odds = logits[own] - logits.masked_fill(own, -torch.inf).logsumexp(1)
                (gradient,) = torch.autograd.grad(log_odds.sum(), x)
            products = (x * gradient).sum(-1).detach().cpu().numpy()
            for row, number in zip(products, numbers, strict=True):
                found[number] = row[: len(examples.sequences[number])]
    return found


def marks(
    model: Classifier,
    examples: Examples,
    judged: Judged,
    classes: Sequence[str],
    symbols: Callable[[Examples, int], list[str]],
) -> Marks:
    """Some texts, evenly drawn from right and wrong answers, with what moved each decision.

    Args:
        model: the model.
        examples: texts.
        judged: what the model says of them.
        classes: the labels.
        symbols: gives the symbols of an example by its number.
    """
    short = examples.lengths <= _LONGEST
    wrong = np.flatnonzero((judged.truth != judged.predicted) & short)
    right = np.flatnonzero((judged.truth == judged.predicted) & short)
    chosen = np.concatenate([_spread(right, _SHOWN * 2 // 3), _spread(wrong, _SHOWN // 3)])
    part = Examples(
        [examples.sequences[k] for k in chosen], examples.classes[chosen], [examples.shown[k] for k in chosen]
    )
    texts = []
    for place, values in enumerate(weights(model, part, judged.predicted[chosen])):
        k = chosen[place]
        label, truth = classes[int(judged.predicted[k])], classes[int(judged.truth[k])]
        caption = f"{label}, {judged.probabilities[k]:.0%}" + ("" if label == truth else f" (is {truth})")
        shown = symbols(part, place)
        joint = " " if any(len(symbol) > 1 for symbol in shown) else ""
        texts.append(Marked(caption, shown, [round(float(value), 4) for value in values], joint))
    note = "input × gradient: blue speaks for the class that was chosen, orange against it"
    return Marks("What moved the decisions", note, texts)


def _spread(numbers: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of `numbers`, evenly spaced."""
    if len(numbers) <= count:
        return numbers
    return numbers[np.linspace(0, len(numbers) - 1, count).astype(np.int64)]
