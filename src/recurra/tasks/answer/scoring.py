"""How right a reader is: its answers, measures beside those of guesses, and what the report shows."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from recurra.data import by_length
from recurra.models import Reader
from recurra.models.evaluation import evaluating
from recurra.tasks.answer.data import Examples
from recurra.tasks.findings import Finding, Marked, Marks, Table
from recurra.tasks.judged import best_and_worst, score_by_length

# Most questions read at once.
ROWS = 256
_EXTREMES = 10  # of the best answers and of the worst each
_SHOWN = 8  # passages in the report
_LONGEST = 120  # words of a passage that is shown


@dataclass(frozen=True)
class Judged:
    """What a reader says to each of N questions.

    Attributes:
        answers: the texts of its answers.
        probabilities: of these, [N].
        nats: −log p of the right answer, [N]; NaN where it is no candidate or not known.
        right: which answers are right, bool [N].
    """

    answers: list[str]
    probabilities: np.ndarray
    nats: np.ndarray
    right: np.ndarray


@torch.no_grad()
def judge(model: Reader, examples: Examples) -> Judged:
    """The answer of the model to each question."""
    count, device = len(examples), next(model.parameters()).device
    chosen, best, nats = np.zeros(count, np.int64), np.zeros(count), np.full(count, np.nan)
    with evaluating(model):
        for numbers in by_length(examples.lengths, ROWS):
            batch = examples.batch(numbers)
            logs = model(batch.questions.to(device)).double().cpu().numpy()
            chosen[numbers], best[numbers] = logs.argmax(1), np.exp(logs.max(1))
            targets = examples.targets[numbers]
            known = targets >= 0
            nats[numbers[known]] = -logs[np.flatnonzero(known), targets[known]]
    answers = [examples.answer(number, int(candidate)) for number, candidate in enumerate(chosen)]
    return Judged(answers, best, nats, chosen == examples.targets)


def figures(judged: Judged, examples: Examples) -> dict[str, float]:
    """`nats`, `accuracy`, that of three guesses without a model, and the number of `examples`.

    The guesses: the answer that is commonest in training (`commonest_accuracy`), that which is commonest to the same
    question (`question_only_accuracy`), and the last word of the passage that is an answer (`last_mentioned_accuracy`).
    An answer that was never met in training counts as a mistake; `nats` are the mean over the others.
    """
    lexicon = examples.lexicon
    known = set(lexicon.answers)
    truth = [lexicon.normal(one.answer) for one in examples.asked]
    last = [next((w for w in reversed(words) if w in known), lexicon.answers[0]) for words in examples.passages]

    def share(guesses: list[str]) -> float:
        return float(np.mean([guess == answer for guess, answer in zip(guesses, truth, strict=True)]))

    met = ~np.isnan(judged.nats)
    return {
        "nats": float(judged.nats[met].mean()) if met.any() else float("nan"),
        "accuracy": float(judged.right.mean()),
        "commonest_accuracy": share([lexicon.answers[0]] * len(truth)),
        "question_only_accuracy": share([lexicon.guess(one.question) for one in examples.asked]),
        "last_mentioned_accuracy": share(last),
        "examples": len(examples),
    }


def pictures(model: Reader, judged: Judged, examples: Examples) -> dict[str, Finding]:
    """What was looked at, how right the answers are by the length of the passage, and the best and the worst."""
    lengths = examples.lengths

    def accuracy(inside: np.ndarray) -> float:
        return float(judged.right[inside].mean())

    found: dict[str, Finding] = {"looks": _marks(model, judged, examples)}
    found |= score_by_length(lengths, accuracy, "accuracy", of="passage", unit="words", counted="questions")
    marks = -np.where(np.isnan(judged.nats), np.inf, judged.nats)
    best, worst = best_and_worst(marks, lengths, judged.right, _EXTREMES)
    for key, title, note, numbers in (
        ("best", "Best answers", "those that the model thought likeliest", best),
        ("mistakes", "Worst mistakes", "those whose true answer the model thought least likely", worst),
    ):
        if numbers:
            rows = [[*examples.asked[k][:3], judged.answers[k], float(judged.probabilities[k])] for k in numbers]
            found[key] = Table(title, note, ["passage", "question", "true", "answered", "probability"], rows)
    return found


@torch.no_grad()
def looked(model: Reader, examples: Examples) -> Iterator[tuple[int, np.ndarray]]:
    """For each question, in any order, its number and the weight of each word of its passage at each look, [K, S]."""
    device = next(model.parameters()).device
    with evaluating(model):
        for numbers in by_length(examples.lengths, ROWS):
            weights = model.looked(examples.batch(numbers).questions.to(device))[1].cpu().numpy()
            for number, row in zip(numbers, weights, strict=True):
                yield int(number), row[:, : examples.lengths[number]]


def _marks(model: Reader, judged: Judged, examples: Examples) -> Marks:
    """Some passages, evenly drawn from right and wrong answers, with what each look looked at."""
    short = examples.lengths <= _LONGEST
    wrong, right = np.flatnonzero(~judged.right & short), np.flatnonzero(judged.right & short)
    numbers = [*_spread(right, _SHOWN * 3 // 4), *_spread(wrong, _SHOWN // 4)]
    texts = []
    some = examples.take(numbers)
    joint = "" if examples.lexicon.cut == "characters" else " "
    for k, weights in sorted(looked(model, some), key=lambda pair: pair[0]):
        one, number = some.asked[k], numbers[k]
        answer = f"{judged.answers[number]}, {judged.probabilities[number]:.0%}"
        truth = "" if judged.right[number] else f" (is {one.answer})"
        for look, row in enumerate(weights, 1):
            caption = f"{one.question} {answer}{truth}, look {look}"
            texts.append(Marked(caption, some.passages[k], [round(float(w), 4) for w in row], joint))
    return Marks("What was looked at", "the darker a word, the more of its state was read", texts)


def _spread(numbers: np.ndarray, count: int) -> list[int]:
    """At most `count` of `numbers`, evenly spaced."""
    if len(numbers) <= count:
        return numbers.tolist()
    return numbers[np.linspace(0, len(numbers) - 1, count).astype(np.int64)].tolist()
