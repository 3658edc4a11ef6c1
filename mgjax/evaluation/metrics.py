"""Numbers that say how good predictions are. NumPy only; pure functions of arrays."""

from __future__ import annotations

from typing import TypedDict

import numpy as np

from mgjax.report.accuracy import Accuracy

# Among fewer classes than this, being one of the best five says nothing.
LEAST_FOR_TOP5 = 6


class Classification(TypedDict):
    """What `classification` finds; accuracies are shares in [0, 1].

    Attributes:
        top1: share of clips whose first class is right.
        top5: share of clips whose right class is among the first five; None with fewer than six
            classes, where it would say nothing.
        mean_class_accuracy: mean recall over the classes that occur.
        macro_f1: mean F1 over the same.
        n_test: clips judged.
        ci95: 95 % interval of top1, its two ends.
        confusion: int64 `[K, K]`, rows true, columns predicted.
    """

    top1: float
    top5: float | None
    mean_class_accuracy: float
    macro_f1: float
    n_test: int
    ci95: list[float]
    confusion: np.ndarray


def top1_accuracy(metrics: Classification) -> Accuracy:
    """The accuracy, with n and interval, that `classification` found."""
    return Accuracy(int(np.trace(metrics["confusion"])), metrics["n_test"])


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """How often class i was taken for class j, int64 `[classes, classes]`, rows true.

    >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), classes=2)
    array([[1, 1],
           [0, 1]])
    """
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (truth, predicted), 1)
    return matrix


def per_class(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall, F1 and support of every class from a confusion matrix `[K, K]`, each
    `[K]`.

    A class never predicted has precision 0, one never seen recall 0; F1 is 0 where both are.
    """
    right = np.diag(matrix)
    support, predicted = matrix.sum(1), matrix.sum(0)
    precision = right / np.maximum(predicted, 1)
    recall = right / np.maximum(support, 1)
    # 2 p r / (p + r), without its 0 / 0
    f1 = 2 * right / np.maximum(support + predicted, 1)
    return {"precision": precision, "recall": recall, "f1": f1, "support": support}


def classification(truth: np.ndarray, ranking: np.ndarray, classes: int) -> Classification:
    """Metrics of ranked predictions.

        >>> found = classification(np.array([0, 1, 1]), np.array([[0], [1], [0]]), classes=2)
        >>> round(found["top1"], 3), found["mean_class_accuracy"], found["n_test"]
        (0.667, 0.75, 3)
        >>> print(top1_accuracy(found))
        66.7 % (20.8 – 93.9), n = 3

    Args:
        truth: int `[N]`.
        ranking: classes from most to least likely, int `[N, R]`.
        classes: how many classes there are.
    """
    truth, ranking = np.asarray(truth), np.asarray(ranking)
    matrix = confusion(truth, ranking[:, 0], classes)
    table = per_class(matrix)
    there = table["support"] > 0
    accuracy = Accuracy(int(np.trace(matrix)), len(truth))
    top5 = None
    if classes >= LEAST_FOR_TOP5:
        top5 = float((ranking[:, :5] == truth[:, None]).any(1).mean())
    return {
        "top1": accuracy.share,
        "top5": top5,
        "mean_class_accuracy": float(table["recall"][there].mean()),
        "macro_f1": float(table["f1"][there].mean()),
        "n_test": accuracy.n,
        "ci95": list(accuracy.interval),
        "confusion": matrix,
    }


def auc(truth: np.ndarray, score: np.ndarray) -> float | None:
    """Area under the ROC curve: the share of pairs of a true and a false row of which the true
    one has the higher score; equal scores count half.

    >>> auc(np.array([True, False, True]), np.array([0.9, 0.8, 0.8]))
    0.75

    Args:
        truth: bool `[N]`.
        score: `[N]`.

    Returns:
        a share in [0, 1]; None where all rows are true or all are false.
    """
    truth, score = np.asarray(truth, bool), np.asarray(score)
    true, false = truth.sum(), (~truth).sum()
    if not true or not false:
        return None
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    # Rank of every row from 1; equal scores share the mean of theirs.
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    # Mann and Whitney's U: pairs that the true rows win.
    won = rank[truth].sum() - true * (true + 1) / 2
    return float(won / (true * false))
