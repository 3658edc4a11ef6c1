import itertools

import numpy as np
import pytest

from data_prep import gesture_order

# Two classes: the first comes again with 0.2.
ORDER = gesture_order.Order(
    np.array([0.2, 0]), {"positive": np.array([0.75, 0.25]), "negative": np.array([0.25, 0.75])}
)


def test_shares_are_those_that_stay_the_same():
    for emotion in gesture_order.EMOTIONS:
        step = np.diag(ORDER.repeat) + (1 - ORDER.repeat)[:, None] * ORDER.draws[emotion]
        np.testing.assert_allclose(ORDER.shares(emotion) @ step, ORDER.shares(emotion))
    np.testing.assert_allclose(ORDER.shares("positive"), [0.9375 / 1.1875, 0.25 / 1.1875])


def test_evidence_by_hand():
    # First label 0; then 0 again (0.2 + 0.8 p) and 1 (0.8 (1 - p)), then 0 after 1 (p).
    first = np.log((0.9375 / 1.1875) / (0.3125 / 1.0625))
    steps = np.log(
        [(0.2 + 0.8 * 0.75) / (0.2 + 0.8 * 0.25), (0.8 * 0.25) / (0.8 * 0.75), 0.75 / 0.25]
    )
    np.testing.assert_allclose(ORDER.evidence(np.array([0, 0, 1, 0])), np.cumsum([first, *steps]))


def test_labels_follow_the_order():
    labels = ORDER.labels("negative", 2000, 10, np.random.default_rng(0))
    assert labels.shape == (2000, 10)
    np.testing.assert_allclose(
        [(labels == k).mean() for k in (0, 1)], ORDER.shares("negative"), atol=0.015
    )
    after = labels[:, 1:][labels[:, :-1] == 0]
    assert (after == 0).mean() == pytest.approx(0.2 + 0.8 * 0.25, abs=0.02)


def test_best_accuracy_is_that_of_the_likelier_emotion():
    def probability(labels, emotion):
        found = ORDER.shares(emotion)[labels[0]]
        for before, after in itertools.pairwise(labels):
            repeat = ORDER.repeat[before]
            found *= (1 - repeat) * ORDER.draws[emotion][after] + repeat * (before == after)
        return found

    def exact(count):
        every = itertools.product((0, 1), repeat=count)
        return (
            sum(max(probability(labels, e) for e in gesture_order.EMOTIONS) for labels in every) / 2
        )

    found = ORDER.best_accuracy([1, 5], np.random.default_rng(1), videos=20000)
    assert found == pytest.approx((exact(1) + exact(5)) / 2, abs=0.006)


def test_tilted_keeps_the_shares_of_all_clips_and_tilts_by_the_effect():
    shares, repeat, tilt = [1, 2, 3, 4], [0, 0.3, 0, 0.5], [1, 0, -1, 0]
    order = gesture_order.tilted(shares, repeat, tilt, effect=3.0, positive=0.7)
    mixed = 0.7 * order.shares("positive") + 0.3 * order.shares("negative")
    np.testing.assert_allclose(mixed, np.array(shares) / 10, atol=1e-6)
    ratio = order.draws["negative"] / order.draws["positive"]
    np.testing.assert_allclose(ratio[[0, 2, 3]] / ratio[1], [3, 1 / 3, 1])
    none = gesture_order.tilted(shares, repeat, tilt, effect=1.0)
    np.testing.assert_allclose(none.draws["positive"], none.draws["negative"])
    assert none.best_accuracy([20], np.random.default_rng(2), videos=100) == 0.5
