"""How right a tagger is: the tags of every sequence, measures over tags and spans, and what the report shows."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from recurra.data import FrameSet, Scheme, Span, by_length
from recurra.models import Tagger
from recurra.models.evaluation import evaluating
from recurra.tasks.findings import Finding, Matrix, Table
from recurra.tasks.measures import confusion, precision_recall_f1
from recurra.tasks.tag.data import Examples

# Most sequences read at once.
ROWS = 64
_WORST = 20  # sentences that are shown
_AROUND = 6  # tokens that are shown on each side of the first mistake


@dataclass(frozen=True)
class Judged:
    """What a model makes of N sequences.

    Attributes:
        predicted: the numbers of the tags, int64 [T] each.
        nats: −log p of all true tags of each, [N].
    """

    predicted: list[np.ndarray]
    nats: np.ndarray


@torch.no_grad()
def judge(model: Tagger, examples: Examples) -> Judged:
    """The tags that the model gives each sequence."""
    device = next(model.parameters()).device
    predicted: list[np.ndarray] = [np.zeros(0, np.int64)] * len(examples)
    nats = np.zeros(len(examples))
    with evaluating(model):
        for numbers in by_length(examples.lengths, ROWS):
            batch = examples.batch(numbers)
            tokens, targets = batch.read.to(device), batch.targets.to(device)
            scores = model(tokens, targets)
            nats[numbers] = model.nats(scores, targets, tokens.lengths).double().cpu().numpy()
            for k, row in zip(numbers, model.best(tokens, scores).cpu().numpy(), strict=True):
                predicted[k] = row[: len(examples.numbers[k])]
    return Judged(predicted, nats)


def figures(judged: Judged, examples: Examples, commonest: np.ndarray) -> dict[str, float]:
    """The measures of a model on examples.

    Args:
        judged: what it makes of them.
        examples: the examples.
        commonest: the number of the commonest tag of each known token, [V], a guess without a model.

    Returns:
        `nats` a tag and `accuracy` over tags; `baseline_accuracy` of the guess; where tags write spans `precision`,
        `recall` and `f1` over these, and `exact_records`, the part of the sentences all of whose spans are right; the
        number of `tags` and of `sequences`.
    """
    truth, predicted = np.concatenate(examples.numbers), np.concatenate(judged.predicted)
    known = truth >= 0
    count = int(known.sum())
    measures = {
        "nats": float(judged.nats.sum() / count),
        "accuracy": float((truth == predicted)[known].mean()),
        "baseline_accuracy": float((truth == _guess(examples, commonest))[known].mean()),
    }
    if examples.alphabet.scheme is not None:
        pairs = list(_spans(judged, examples, examples.alphabet.scheme))
        counts = sum((_counted(true, found) for true, found in pairs), Counter())
        measures |= dict(zip(("precision", "recall", "f1"), _ratios(counts), strict=True))
        measures["exact_records"] = float(np.mean([true == found for true, found in pairs]))
    return {**measures, "tags": count, "sequences": len(examples)}


def _guess(examples: Examples, commonest: np.ndarray) -> np.ndarray:
    """The commonest tag of each token of all examples, one after another."""
    if isinstance(examples.raw, FrameSet):
        return np.full(int(examples.lengths.sum()), commonest[0])
    return np.concatenate([commonest[examples.alphabet.symbols(one.tokens)] for one in examples.raw])


def _spans(judged: Judged, examples: Examples, scheme: Scheme) -> list[tuple[set[Span], set[Span]]]:
    """The true and the predicted spans of each sequence."""
    tags = examples.alphabet.tags
    return [
        (set(scheme.spans([tags[k] for k in true])), set(scheme.spans([tags[k] for k in found])))
        for true, found in zip(examples.numbers, judged.predicted, strict=True)
    ]


def _counted(true: set[Span], found: set[Span]) -> Counter:
    return Counter(right=len(true & found), wanted=len(true), given=len(found))


def _ratios(counts: Counter) -> tuple[float, float, float]:
    """Precision, recall and F1 of spans; of none at all, 0."""
    precision, recall = counts["right"] / max(counts["given"], 1), counts["right"] / max(counts["wanted"], 1)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-12)


def pictures(judged: Judged, examples: Examples) -> dict[str, Finding]:
    """What was taken for what, the measures of each tag or kind of span, and the worst mistakes."""
    alphabet = examples.alphabet
    counts = confusion(np.concatenate(examples.numbers), np.concatenate(judged.predicted), len(alphabet.tags))
    found: dict[str, Finding] = {
        "confusion": Matrix("Confusion matrix", "rows: true tag, columns: predicted", alphabet.tags, counts.tolist())
    }
    if alphabet.scheme is None or not alphabet.kinds:
        rows = [
            [tag, *map(float, values), int(total)]
            for tag, values, total in zip(alphabet.tags, precision_recall_f1(counts), counts.sum(1), strict=True)
        ]
        found["by_tag"] = Table("Tags", "", ["tag", "precision", "recall", "F1", "number"], rows)
    else:
        rows = _by_kind(_spans(judged, examples, alphabet.scheme))
        found["by_kind"] = Table("Kinds of spans", "", ["kind", "precision", "recall", "F1", "number"], rows)
    rows = _mistakes(judged, examples)
    if rows:
        note = "the sequences whose true tags the model thought least likely, around their first mistake"
        found["mistakes"] = Table("Worst mistakes", note, ["at", "true", "predicted", "wrong tags"], rows)
    return found


def _by_kind(pairs: Sequence[tuple[set[Span], set[Span]]]) -> list[list[str | float]]:
    counts: dict[str, Counter] = {}
    for true, found in pairs:
        for kind in {span.kind for span in true | found}:
            own = [{span for span in part if span.kind == kind} for part in (true, found)]
            counts[kind] = counts.get(kind, Counter()) + _counted(*own)
    return [[kind, *_ratios(counts[kind]), counts[kind]["wanted"]] for kind in sorted(counts)]


def _mistakes(judged: Judged, examples: Examples) -> list[list[str | float]]:
    """The context of the first wrong tag, the true and the predicted one, and how many of the sequence are wrong."""
    wrong = [
        np.flatnonzero((true >= 0) & (true != found))
        for true, found in zip(examples.numbers, judged.predicted, strict=True)
    ]
    worst = [k for k in np.argsort(-judged.nats, kind="stable") if len(wrong[k])][:_WORST]
    tags, rows = examples.alphabet.tags, []
    for k in worst:
        at = int(wrong[k][0])
        true, found = tags[examples.numbers[k][at]], tags[judged.predicted[k][at]]
        rows.append([_context(examples, int(k), at), true, found, f"{len(wrong[k])} of {len(examples.numbers[k])}"])
    return rows


def _context(examples: Examples, number: int, at: int) -> str:
    """What stands around a step, with the step between brackets."""
    if isinstance(examples.raw, FrameSet):
        return f"{examples.raw.names[number]}, step {at + 1}"
    tokens, joint = examples.raw[number].tokens, "" if examples.alphabet.cut == "characters" else " "
    low, high = max(at - _AROUND, 0), at + _AROUND + 1
    shown = [*tokens[low:at], f"[{tokens[at]}]", *tokens[at + 1 : high]]
    return f"{'…' * (low > 0)}{joint.join(shown)}{'…' * (high < len(tokens))}"
