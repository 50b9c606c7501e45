"""How right a classifier is: probabilities of every example, measures, and what the report shows of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from recurra.data import by_length
from recurra.models.evaluation import evaluating
from recurra.tasks.classify.data import Examples
from recurra.tasks.findings import Finding, Matrix, Table
from recurra.tasks.measures import confusion, macro_f1, precision_recall_f1

# Most rows read at once.
ROWS = 256
_WORST = 20  # mistakes that are shown


@dataclass(frozen=True)
class Judged:
    """What a model says of each of N examples.

    Attributes:
        predicted: class numbers [N].
        probabilities: of the predicted classes, [N].
        nats: −log p of the true class, [N]; NaN where it is not known.
        truth: class numbers [N], -1 where not known.
    """

    predicted: np.ndarray
    probabilities: np.ndarray
    nats: np.ndarray
    truth: np.ndarray


@torch.no_grad()
def judge(model: nn.Module, examples: Examples) -> Judged:
    """The class that the model gives each example."""
    count, device = len(examples), next(model.parameters()).device
    predicted, best, nats = np.zeros(count, np.int64), np.zeros(count), np.full(count, np.nan)
    with evaluating(model):
        for numbers in by_length(examples.lengths, ROWS):
            batch = examples.batch(numbers)
            logs = model(batch.inputs.to(device), batch.lengths).log_softmax(-1).double().cpu().numpy()
            predicted[numbers] = logs.argmax(1)
            best[numbers] = np.exp(logs.max(1))
            known = examples.classes[numbers] >= 0
            rows = numbers[known]
            nats[rows] = -logs[np.flatnonzero(known), examples.classes[rows]]
    return Judged(predicted, best, nats, examples.classes)


def figures(judged: Judged, classes: Sequence[str]) -> dict[str, float]:
    """`nats`, `accuracy`, `macro_f1` and the number of `examples`."""
    counts = confusion(judged.truth, judged.predicted, len(classes))
    return {
        "nats": float(np.nanmean(judged.nats)),
        "accuracy": float(np.diag(counts).sum() / counts.sum()),
        "macro_f1": macro_f1(counts),
        "examples": int(counts.sum()),
    }


def pictures(judged: Judged, examples: Examples, classes: Sequence[str]) -> dict[str, Finding]:
    """The confusion matrix, the measures of each class, and the mistakes that the model least expected."""
    counts = confusion(judged.truth, judged.predicted, len(classes))
    measures = precision_recall_f1(counts)
    by_class = [
        [label, *map(float, values), int(total)]
        for label, values, total in zip(classes, measures, counts.sum(1), strict=True)
    ]
    wrong = np.flatnonzero(judged.truth != judged.predicted)
    worst = wrong[np.argsort(-judged.nats[wrong], kind="stable")][:_WORST]
    mistakes = [
        [
            examples.shown[k],
            classes[int(judged.truth[k])],
            classes[int(judged.predicted[k])],
            float(judged.probabilities[k]),
        ]
        for k in worst
    ]
    found: dict[str, Finding] = {
        "confusion": Matrix("Confusion matrix", "rows: true class, columns: predicted", list(classes), counts.tolist()),
        "by_class": Table("Classes", "", ["class", "precision", "recall", "F1", "examples"], by_class),
    }
    if mistakes:
        note = "those whose true class the model thought least likely"
        found["mistakes"] = Table("Worst mistakes", note, ["example", "true", "predicted", "probability"], mistakes)
    return found
