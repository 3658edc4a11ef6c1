"""Folds: of like size and classes, no group in two."""

import numpy as np
import pytest

from mgjax.errors import InputError
from mgjax.evaluation.folds import group_count, grouped_folds


def test_folds_are_of_like_size_and_emotion():
    rng = np.random.default_rng(1)
    subject = np.array([f"s{i}" for i in rng.integers(0, 40, 200)])
    mood = rng.integers(0, 2, 200)
    fold = grouped_folds(subject, mood, 5)
    counts = np.array([np.bincount(mood[fold == i], minlength=2) for i in range(5)])
    assert counts.sum() == 200 and np.ptp(counts, axis=0).max() <= 6
    assert all(len(set(fold[subject == name])) == 1 for name in set(subject))
    assert sorted(grouped_folds(np.array([""] * 4), np.array([0, 0, 1, 1]), 2).tolist()) == [
        0,
        0,
        1,
        1,
    ]
    with pytest.raises(InputError, match="3 folds need as many subjects"):
        grouped_folds(np.array(["a", "b", "a"]), np.array([0, 1, 0]), 3)


def test_rows_of_unknown_group_are_groups_of_their_own():
    assert group_count(["a", "", "b", "a", ""]) == 4
    fold = grouped_folds(["", "", "a", "a"], [0, 0, 0, 0], 2)
    assert sorted(np.bincount(fold)) == [2, 2] and fold[2] == fold[3]
