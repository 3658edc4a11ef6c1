"""Logistic regression of two classes, its strength chosen by cross-validation. No JAX."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import optimize, special

from mgjax.evaluation.folds import group_count, grouped_folds

# Weights of the coefficients' squared size, for inputs of mean square length 1.
STRENGTHS = 10.0 ** np.arange(-5, 1.01, 0.5)
INNER_FOLDS = 5
# Of the constant, which should be free: just enough that there is one minimum where all rows are
# of one class.
CONSTANT_STRENGTH = 1e-6
# Largest gradient at the minimum. The second derivatives take the last step far beyond it.
_TOLERANCE = 1e-11


@dataclasses.dataclass(frozen=True)
class Logistic:
    """A logistic regression.

    Attributes:
        coefficients: float64 `[D]`.
        constant: of the log odds.
    """

    coefficients: np.ndarray
    constant: float

    def log_odds(self, x: np.ndarray) -> np.ndarray:
        """Log odds of the true class, `[N]`, of rows `[N, D]`."""
        return x @ self.coefficients + self.constant

    def probability(self, x: np.ndarray) -> np.ndarray:
        """Probability of the true class, `[N]`, of rows `[N, D]`."""
        return special.expit(self.log_odds(x))


def fit_logistic(x: np.ndarray, truth: np.ndarray, strength: float) -> Logistic:
    """Logistic regression: the least mean log loss + strength/2 · |coefficients|².

        >>> x = np.array([[-2.0], [-1.0], [1.0], [2.0]])
        >>> model = fit_logistic(x, np.array([False, False, True, True]), strength=0.1)
        >>> model.probability(np.array([[-3.0], [0.0], [3.0]])).round(2).tolist()
        [0.01, 0.5, 0.99]

    Args:
        x: float `[N, D]`.
        truth: whether a row is of the true class, bool `[N]`.
        strength: how strongly coefficients are held small.
    """
    # The constant is the coefficient of a column of ones.
    x = np.hstack([x, np.ones((len(x), 1))]).astype(np.float64)
    sign = np.where(truth, 1.0, -1.0)
    penalty = np.full(x.shape[1], strength)
    penalty[-1] = CONSTANT_STRENGTH

    def objective(w):
        margin = sign * (x @ w)
        # log(1 + exp(-margin)), which does not overflow
        loss = np.logaddexp(0, -margin).mean()
        slope = -sign * special.expit(-margin)
        gradient = x.T @ slope / len(x) + penalty * w
        return loss + (penalty * w * w).sum() / 2, gradient

    def second_derivatives(w):
        p = special.expit(x @ w)
        weight = p * (1 - p) / len(x)
        return (x.T * weight) @ x + np.diag(penalty)

    found = optimize.minimize(
        objective,
        np.zeros(x.shape[1]),
        jac=True,
        hess=second_derivatives,
        method="trust-exact",
        options={"gtol": _TOLERANCE},
    )
    return Logistic(found.x[:-1], float(found.x[-1]))


def best_strength(x: np.ndarray, truth: np.ndarray, groups: Sequence[str] | np.ndarray) -> float:
    """The one of `STRENGTHS` whose log loss is least in a cross-validation among the rows.

    Args:
        x: `[N, D]`.
        truth: bool `[N]`.
        groups: the group of every row, str `[N]`; none is in two folds. Of one group alone there
            are no folds, and the middle of `STRENGTHS` is taken.
    """
    folds = min(INNER_FOLDS, group_count(groups))
    if folds < 2:
        return float(STRENGTHS[len(STRENGTHS) // 2])
    fold = grouped_folds(groups, np.where(truth, 0, 1), folds)
    sign = np.where(truth, 1, -1)

    def held_out_loss(strength: float) -> float:
        total = 0.0
        for i in range(folds):
            train, test = fold != i, fold == i
            model = fit_logistic(x[train], truth[train], strength)
            margin = sign[test] * model.log_odds(x[test])
            total += np.logaddexp(0, -margin).sum()
        return total

    losses = [held_out_loss(each) for each in STRENGTHS]
    return float(STRENGTHS[np.argmin(losses)])


def logistic_probabilities(
    train: np.ndarray, truth: np.ndarray, groups: Sequence[str] | np.ndarray, test: np.ndarray
) -> np.ndarray:
    """Probability that test rows are of the true class, by a regression of `best_strength`.

    Args:
        train, test: centred rows, `[N, D]` and `[M, D]`.
        truth: whether a training row is of the true class, bool `[N]`.
        groups: the training rows' groups, str `[N]`.

    Returns:
        `[M]`.
    """
    # Coefficients lie in the space that the training rows span: a turn onto it changes nothing
    # and saves much where D is larger than N.
    _, _, span = np.linalg.svd(train.astype(np.float64), full_matrices=False)
    train, test = train @ span.T, test @ span.T
    strength = best_strength(train, truth, groups)
    return fit_logistic(train, truth, strength).probability(test)
