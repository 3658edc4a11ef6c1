"""Numbers that say how good predictions are. NumPy only; pure functions of arrays."""

from __future__ import annotations

import numpy as np

from mgjax.report.accuracy import wilson_interval


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """How often class i was taken for class j, int64 `[classes, classes]`, rows true."""
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (truth, predicted), 1)
    return matrix


def per_class(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall, F1 and support of every class from a confusion matrix `[K, K]`, each
    `[K]`.

    A class never predicted has precision 0, one never seen recall 0; F1 is 0 where both are.
    """
    right, support, predicted = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    precision = right / np.maximum(predicted, 1)
    recall = right / np.maximum(support, 1)
    f1 = 2 * right / np.maximum(support + predicted, 1)
    return {"precision": precision, "recall": recall, "f1": f1, "support": support}


def classification(truth: np.ndarray, ranking: np.ndarray, classes: int) -> dict:
    """Metrics of ranked predictions.

    Args:
        truth: int `[N]`.
        ranking: classes from most to least likely, int `[N, R]`.
        classes: how many classes there are.

    Returns:
        top1, top5 (None with fewer than six classes: it would say nothing), mean_class_accuracy
        and macro_f1 (over classes that occur in `truth`), n_test, ci95 (of top1), confusion `[K,
        K]`. Accuracies are shares in [0, 1].
    """
    truth, ranking = np.asarray(truth), np.asarray(ranking)
    matrix = confusion(truth, ranking[:, 0], classes)
    table = per_class(matrix)
    there = table["support"] > 0
    correct = int(np.diag(matrix).sum())
    top5 = float((ranking[:, :5] == truth[:, None]).any(1).mean()) if classes > 5 else None
    return {
        "top1": correct / len(truth),
        "top5": top5,
        "mean_class_accuracy": float(table["recall"][there].mean()),
        "macro_f1": float(table["f1"][there].mean()),
        "n_test": len(truth),
        "ci95": list(wilson_interval(correct, len(truth))),
        "confusion": matrix,
    }
