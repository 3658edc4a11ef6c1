import subprocess
import sys

import numpy as np
import pytest

from mgjax import protocols
from mgjax.errors import InputError


def listed(split):
    return [side.tolist() for side in split]


def test_rows_gives_ascending_rows_and_leaves_others_out():
    assert listed(protocols.rows([3, 1, 9, 2, 3], train=(1, 2), test=(3,))) == [[1, 3], [0, 4]]
    train, _ = protocols.rows([], (1,), (2,))
    assert train.shape == (0,) and train.dtype == np.int64


def test_rows_refuses_a_value_on_both_sides():
    with pytest.raises(InputError, match="2 is named both to train and to test"):
        protocols.rows([1, 2], (1, 2), (2,))


def test_cross_subject_tests_on_everyone_else():
    assert listed(protocols.cross_subject(["b", "a", "c", "a"], ["a"])) == [[1, 3], [0, 2]]


def test_cross_subject_refuses_unknown_and_absent_subjects():
    with pytest.raises(InputError, match="row 1 has no subject"):
        protocols.cross_subject(["a", ""], ["a"])
    with pytest.raises(InputError, match="subject 'z' is to train, but no row is of that subject"):
        protocols.cross_subject(["a", "b"], ["a", "z"])


def test_nucla_by_hand():
    # rows:             0  1  2  3  4   5
    subjects, views = [1, 2, 3, 4, 10, 9], [1, 2, 3, 1, 3, 2]
    splits = protocols.nucla(subjects, views)
    assert {name: listed(split) for name, split in splits.items()} == {
        "cross_view": [[0, 1, 3, 5], [2, 4]],
        "cross_subject": [[0, 2, 5], [1, 3, 4]],
        "cross_view_dev": [[0, 3], [1, 5]],
        "cross_view_dev_back": [[1, 5], [0, 3]],
    }


def test_nucla_development_split_lies_inside_the_training_views():
    subjects, views = np.divmod(np.arange(30), 3) + np.array([[1], [1]])
    splits = protocols.nucla(subjects.tolist(), views.tolist())
    assert set(np.concatenate(splits["cross_view_dev"])) == set(splits["cross_view"][0])


def test_ntu_by_hand():
    # rows:     0  1  2  3
    subjects = [1, 3, 38, 40]
    cameras, setups = [1, 2, 3, 1], [1, 17, 2, 9]
    assert {
        name: listed(split) for name, split in protocols.ntu(subjects, cameras, setups).items()
    } == {
        "cross_subject": [[0, 2], [1, 3]],
        "cross_view": [[1, 2], [0, 3]],
    }
    # Two clips of NTU RGB+D 120 take no part in the splits of NTU RGB+D.
    subjects, cameras, setups = [*subjects, 45, 44], [*cameras, 2, 1], [*setups, 18, 31]
    assert {
        name: listed(split) for name, split in protocols.ntu(subjects, cameras, setups).items()
    } == {
        "cross_subject": [[0, 2], [1, 3]],
        "cross_view": [[1, 2], [0, 3]],
        "cross_subject_120": [[0, 2, 4], [1, 3, 5]],
        "cross_setup": [[2, 4], [0, 1, 3, 5]],
    }


def test_ntu_has_the_published_numbers_of_subjects_setups_and_actions():
    assert [len(s) for s in protocols.ntu(range(1, 41), [1] * 40, [1] * 40)["cross_subject"]] == [
        20,
        20,
    ]
    large = protocols.ntu(range(1, 107), [1] * 106, [18] * 106)
    assert [len(side) for side in large["cross_subject_120"]] == [53, 53]
    assert [
        len(side) for side in protocols.ntu([1] * 32, [1] * 32, range(1, 33))["cross_setup"]
    ] == [16, 16]
    assert len(set(protocols.NTU_ACTIONS)) == len(protocols.NTU_ACTIONS) == 120
    names = {
        1: "drink water",
        50: "punching/slapping other person",
        60: "walking apart from each other",
        61: "put on headphone",
        106: "hit other person with something",
        120: "finger-guessing game",
    }
    assert {action: protocols.NTU_ACTIONS[action - 1] for action in names} == names
    assert len(protocols.NTU_TWO_PEOPLE) == 11 + 15


def test_importing_protocols_does_not_import_jax():
    code = "import sys, mgjax.protocols; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
