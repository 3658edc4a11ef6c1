"""Metrics against scikit-learn and hand-computed values."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score, roc_auc_score

from mgjax.evaluation import metrics


def test_against_scikit_learn():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 7, 200)
    ranking = np.array([rng.permutation(7) for _ in truth])
    result = metrics.classification(truth, ranking, 7)
    predicted = ranking[:, 0]
    np.testing.assert_array_equal(result["confusion"], confusion_matrix(truth, predicted))
    assert result["top1"] == pytest.approx((truth == predicted).mean())
    assert result["mean_class_accuracy"] == pytest.approx(balanced_accuracy_score(truth, predicted))
    assert result["macro_f1"] == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert result["top5"] == pytest.approx(np.mean([t in r[:5] for t, r in zip(truth, ranking)]))


def test_classes_that_do_not_occur_count_for_nothing():
    result = metrics.classification(np.array([0, 0, 1, 1]), np.array([[0], [1], [1], [1]]), 3)
    assert result["top1"] == 0.75 and result["mean_class_accuracy"] == 0.75
    assert result["macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert result["top5"] is None  # of three classes, the best five say nothing


def test_auc_is_scikit_learns_ties_included():
    rng = np.random.default_rng(2)
    truth = rng.random(60) < 0.4
    score = rng.integers(0, 8, 60).astype(float)  # many ties
    assert metrics.auc(truth, score) == pytest.approx(roc_auc_score(truth, score), abs=1e-12)
    assert metrics.auc(np.ones(3, bool), np.arange(3)) is None
    assert metrics.auc(np.zeros(3, bool), np.arange(3)) is None
