"""Who trains and who tests: the splits that published figures rest on, as plain data and pure functions.

Every function takes one value a clip (or a video) and returns rows, so that a packer can hand them straight to
`store.StoreWriter.add_split`. This module needs NumPy only and never imports JAX.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from mgjax.errors import InputError

Rows = tuple[np.ndarray, np.ndarray]


def rows(values: Sequence, train: Iterable, test: Iterable) -> Rows:
    """Rows whose value trains, and rows whose value tests; a row whose value is in neither takes no part.

    Args:
        values: one value a row.
        train, test: the values that train and that test; none may be in both.

    Returns:
        Two ascending int64 arrays of rows.

    Raises:
        InputError: a value is to train and to test.
    """
    train, test = set(train), set(test)
    if train & test:
        raise InputError(f"{sorted(train & test)[0]!r} is named both to train and to test")
    return tuple(
        np.array([row for row, value in enumerate(values) if value in side], dtype=np.int64) for side in (train, test)
    )


def cross_subject(subjects: Sequence, train_subjects: Iterable) -> Rows:
    """Rows of the subjects named to train, and rows of all the other subjects.

    Args:
        subjects: one subject a row, as in `store.Videos.subject`.
        train_subjects: the subjects that train, spelt the same way.

    Returns:
        Two ascending int64 arrays of rows: train and test.

    Raises:
        InputError: a row has no subject (""), or a subject named to train is in no row.
    """
    train = set(train_subjects)
    present = set(subjects)
    if "" in present:
        raise InputError(f"row {list(subjects).index('')} has no subject, so it can neither train nor test")
    if train - present:
        raise InputError(f"subject {sorted(train - present)[0]!r} is to train, but no row is of that subject")
    return rows(subjects, train, present - train)


# Northwestern-UCLA: ten subjects, three camera views, ten actions in label order.
NUCLA_ACTIONS = {
    1: "pick up with one hand", 2: "pick up with two hands", 3: "drop trash", 4: "walk around", 5: "sit down",
    6: "stand up", 8: "donning", 9: "doffing", 11: "throw", 12: "carry",
}
NUCLA_SUBJECTS = tuple(range(1, 11))
NUCLA_VIEWS = (1, 2, 3)
NUCLA_CLIPS = 1484


def nucla(subjects: Sequence[int], views: Sequence[int]) -> dict[str, Rows]:
    """The splits of Northwestern-UCLA.

    - `cross_view`: views 1 and 2 train, view 3 tests.
    - `cross_subject`: subjects of odd number train, those of even number test.
    - `cross_view_dev`: view 1 trains, view 2 tests. It lies inside the training views of `cross_view`, so that
      settings can be chosen on it without looking at a label of view 3. `cross_view_dev_back` swaps the two.

    Args:
        subjects, views: one subject (1 to 10) and one view (1 to 3) a clip.

    Returns:
        Split name to rows that train and rows that test.
    """
    return {
        "cross_view": rows(views, train=(1, 2), test=(3,)),
        "cross_subject": rows(subjects, train=NUCLA_SUBJECTS[::2], test=NUCLA_SUBJECTS[1::2]),
        "cross_view_dev": rows(views, train=(1,), test=(2,)),
        "cross_view_dev_back": rows(views, train=(2,), test=(1,)),
    }
