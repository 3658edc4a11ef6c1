"""Folds for cross-validation that keep what belongs together on one side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mgjax.errors import InputError

# Added to every class's share, so that a fold's size counts too where its classes are even.
_SIZE_MATTERS = 1e-3


def group_count(groups: Sequence[str] | np.ndarray) -> int:
    """How many groups there are; each "" is one of its own."""
    unknown = sum(group == "" for group in groups)
    return len({*groups} - {""}) + unknown


def grouped_folds(
    groups: Sequence[str] | np.ndarray,
    classes: Sequence[int] | np.ndarray,
    folds: int,
    seed: int = 0,
) -> np.ndarray:
    """A fold for every row: a group is in one fold as a whole, and every fold has its share of
    each class as nearly as that allows.

        >>> fold = grouped_folds(["ann", "bob", "ann", "cem", "", ""], [0, 0, 1, 1, 0, 1], folds=2)
        >>> bool(fold[0] == fold[2])  # both are ann's
        True
        >>> np.bincount(fold).tolist()
        [3, 3]

    Args:
        groups: the group of every row, str `[N]`, such as who is seen in a video; a row of
            unknown group ("") is a group of its own.
        classes: int `[N]`, from 0.
        folds: how many.
        seed: of the order in which groups of like size are dealt out.

    Returns:
        fold of every row, int `[N]` in 0 ... folds - 1.

    Raises:
        InputError: there are fewer groups than folds.
    """
    # No name of a group begins with a space and its row's number.
    names = np.array([name or f" {row}" for row, name in enumerate(groups)])
    found, group = np.unique(names, return_inverse=True)
    if len(found) < folds:
        raise InputError(f"{folds} folds need as many subjects, but the videos are of {len(found)}")
    counts = np.zeros((len(found), int(np.max(classes)) + 1))
    np.add.at(counts, (group, np.asarray(classes)), 1)
    # Of every class, which share of its rows a group brings.
    shares = counts / np.maximum(counts.sum(0), 1)
    order = np.random.default_rng(seed).permutation(len(found))
    # The largest come first, while there is room to choose.
    order = order[np.argsort(-counts[order].sum(1), kind="stable")]
    filled = np.zeros((folds, counts.shape[1]))
    fold_of_group = np.empty(len(found), int)
    for each in order:
        # The fold that has least of the classes that this group brings.
        fold = np.argmin(filled @ (shares[each] + _SIZE_MATTERS))
        fold_of_group[each] = fold
        filled[fold] += shares[each]
    return fold_of_group[group]
