"""What is common to the measures of all tasks: which way is better, and how right a classification is."""

import numpy as np

# Measures where more is better; every other one is a loss, an error or a perplexity, where less is better.
_MORE_IS_BETTER = ("accuracy", "f1", "precision", "recall", "bleu", "chrf", "score", "exact")


def more_is_better(name: str) -> bool:
    """Whether a larger value of the measure `name` is a better one."""
    return any(word in name.lower() for word in _MORE_IS_BETTER)


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """How often each class was taken for each, int64 [C, C]: rows are the true classes, columns the predicted ones.

    Args:
        truth: class numbers [N]; those below 0, of no class the model knows, are left out.
        predicted: class numbers [N].
        classes: number of classes, C.
    """
    known = truth >= 0
    pairs = truth[known].astype(np.int64) * classes + predicted[known]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def precision_recall_f1(counts: np.ndarray) -> np.ndarray:
    """Precision, recall and F1 of each class from a confusion matrix [C, C], float64 [C, 3].

    A class that was never predicted has the precision 0, one that never occurs the recall 0; the F1 of both is 0.
    """
    right = np.diag(counts).astype(np.float64)
    precision = right / np.maximum(counts.sum(0), 1)
    recall = right / np.maximum(counts.sum(1), 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return np.stack([precision, recall, f1], axis=1)


def macro_f1(counts: np.ndarray) -> float:
    """The mean F1 over the classes that occur or were predicted, each counted alike, from a confusion matrix [C, C]."""
    present = (counts.sum(0) + counts.sum(1)) > 0
    return float(precision_recall_f1(counts)[present, 2].mean()) if present.any() else 0.0
