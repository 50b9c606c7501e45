import numpy as np
import pytest

from recurra.tasks.measures import confusion, macro_f1, more_is_better, precision_recall_f1

TRUTH = np.array([0, 0, 0, 1, 1, 2, -1])
PREDICTED = np.array([0, 0, 1, 1, 0, 0, 2])


def test_a_confusion_matrix_counts_pairs_that_are_known():
    assert confusion(TRUTH, PREDICTED, 3).tolist() == [[2, 1, 0], [1, 1, 0], [1, 0, 0]]


def test_precision_recall_and_f1_of_each_class():
    found = precision_recall_f1(confusion(TRUTH, PREDICTED, 3))
    np.testing.assert_allclose(found, [[2 / 4, 2 / 3, 4 / 7], [1 / 2, 1 / 2, 1 / 2], [0, 0, 0]])


def test_macro_f1_counts_each_class_alike_and_no_absent_one():
    counts = confusion(TRUTH, PREDICTED, 5)
    assert macro_f1(counts) == pytest.approx((4 / 7 + 1 / 2 + 0) / 3)
    assert macro_f1(np.zeros((2, 2), int)) == 0.0


@pytest.mark.parametrize(
    ("name", "better"), [("valid_accuracy", True), ("macro_f1", True), ("valid_nats", False), ("perplexity", False)]
)
def test_which_way_is_better(name, better):
    assert more_is_better(name) == better
