"""Accuracies: by hand, against SciPy, and as they are printed."""

import json

import pytest
from scipy.stats import binomtest

from mgjax.errors import InputError
from mgjax.report.accuracy import Accuracy, percent, wilson_interval


def test_wilson_interval_by_hand():
    # 8 of 10 at z = 1.96: (0.8 + 0.19207) / 1.38415 ± 1.96 / 1.38415 * sqrt(0.016 + 0.0096036)
    assert wilson_interval(8, 10) == pytest.approx((0.49016, 0.94331), abs=1e-4)
    assert wilson_interval(0, 10)[0] == 0
    assert wilson_interval(10, 10)[1] == pytest.approx(1)
    assert wilson_interval(0, 0) == (0, 1)


@pytest.mark.parametrize("correct, n", [(0, 7), (1, 7), (7, 7), (399, 464), (3, 4563)])
def test_the_interval_is_scipys(correct, n):
    expected = binomtest(correct, n).proportion_ci(method="wilson")
    assert Accuracy(correct, n).interval == pytest.approx((expected.low, expected.high), abs=1e-7)


def test_how_it_is_printed():
    assert str(Accuracy(399, 464)) == "86.0 % (82.5 – 88.9), n = 464"
    assert Accuracy(0, 0).cell == Accuracy(0, 0).percent == "–"
    assert str(Accuracy(0, 0)) == "– % (0.0 – 100.0), n = 0"
    assert percent(1) == "100.0" and percent(0.5, 0) == "50"


def test_a_mean_over_seeds_has_the_interval_of_one_seed():
    mean = Accuracy.mean([Accuracy(40, 100), Accuracy(61, 100)])
    assert mean.share == pytest.approx(0.505) and mean.n == 100
    assert mean.interval == wilson_interval(50.5, 100)
    for wrong in ([], [Accuracy(1, 2), Accuracy(1, 3)]):
        with pytest.raises(InputError, match="expected one n"):
            Accuracy.mean(wrong)


@pytest.mark.parametrize("n", [80, 100, 464, 4563])
def test_a_share_is_kept_to_the_bit(n):
    for correct in range(n + 1):
        share = (correct / n + 0.9) / 2
        accuracy = Accuracy.from_share(share, n)
        assert accuracy.share == share and accuracy == Accuracy(share * n, n)
    # Where a half is rounded, the last bit of a mean is seen.
    assert percent(0.8374999999999999) == "83.7" and percent(0.8375) == "83.8"
    assert Accuracy.from_share(0.8374999999999999, 80).percent == "83.7"


def test_to_json_and_back():
    accuracy = Accuracy(399, 464)
    values = json.loads(json.dumps(accuracy.to_json()))
    assert list(values) == ["accuracy", "n", "low", "high"]
    back = Accuracy.from_json(values)
    assert back.share == accuracy.share and back.n == 464
    for wrong in ({}, {"accuracy": 0.5}, {"accuracy": "0.5", "n": 4}, {"accuracy": 0.5, "n": True}):
        with pytest.raises(InputError, match="is no accuracy"):
            Accuracy.from_json(wrong)


@pytest.mark.parametrize("correct, n", [(-1, 3), (4, 3), (float("nan"), 3), (0, -1)])
def test_what_is_no_accuracy(correct, n):
    with pytest.raises(InputError, match=f"an accuracy of {correct:g} in {n}"):
        Accuracy(correct, n)
