"""Logistic regression against scikit-learn, and against a plain Newton's method."""

import numpy as np
import pytest

from mgjax.evaluation import logistic


def data(rows=60, features=5):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(rows, features))
    weights = np.resize([1, -2, 0, 0, 1], features)
    return x, x @ weights + rng.normal(size=rows) > 0


@pytest.mark.parametrize("strength", [1e-3, 1e-1, 10.0])
def test_it_is_scikit_learns_minimum(strength):
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    x, truth = data()
    ours = logistic.fit_logistic(x, truth, strength)
    # Of its solvers this one holds the constant free and goes on to the last digit.
    theirs = linear.LogisticRegression(
        C=1 / (strength * len(x)), tol=1e-12, max_iter=1000, solver="newton-cholesky"
    ).fit(x, truth)
    # Ours holds the constant with a strength of 1e-6, which moves it by about as much.
    np.testing.assert_allclose(ours.coefficients, theirs.coef_[0], atol=1e-5)
    assert ours.constant == pytest.approx(theirs.intercept_[0], abs=1e-4)
    np.testing.assert_allclose(ours.probability(x), theirs.predict_proba(x)[:, 1], atol=1e-5)


def by_newton(x, truth, strength):
    """Coefficients and constant by Newton's method with halved steps."""
    x = np.hstack([x, np.ones((len(x), 1))])
    sign, penalty = np.where(truth, 1, -1), np.full(x.shape[1], strength)
    penalty[-1] = logistic.CONSTANT_STRENGTH

    def objective(w):
        return np.logaddexp(0, -sign * (x @ w)).mean() + (penalty * w * w).sum() / 2

    w = np.zeros(x.shape[1])
    for _ in range(100):
        p = 1 / (1 + np.exp(-(x @ w)))
        gradient = x.T @ (p - truth) / len(x) + penalty * w
        curvature = (x.T * (p * (1 - p))) @ x / len(x) + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        while objective(w - step) > objective(w) and np.abs(step).max() > 1e-9:
            step /= 2
        w = w - step
        if np.abs(step).max() <= 1e-9:
            break
    return w


@pytest.mark.parametrize("rows, features", [(60, 5), (40, 39), (100, 32), (8, 7)])
@pytest.mark.parametrize("strength", logistic.STRENGTHS[::4])
def test_it_is_newtons_minimum(rows, features, strength):
    x, truth = data(rows, features)
    x /= np.sqrt((x**2).sum(1).mean())
    ours = logistic.fit_logistic(x, truth, strength)
    expected = by_newton(x, truth, strength)
    np.testing.assert_allclose([*ours.coefficients, ours.constant], expected, rtol=1e-6, atol=1e-6)


def test_rows_of_one_class_have_a_minimum_too():
    x, _ = data()
    model = logistic.fit_logistic(x, np.ones(60, bool), 1.0)
    assert np.isfinite(model.constant) and (model.probability(x) > 0.99).all()


def test_one_group_alone_leaves_no_folds():
    x, truth = data()
    middle = logistic.STRENGTHS[len(logistic.STRENGTHS) // 2]
    assert logistic.best_strength(x, truth, ["ann"] * 60) == middle
