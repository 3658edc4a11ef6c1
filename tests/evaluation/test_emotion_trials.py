"""Which videos train and which are tested."""

import numpy as np
import pytest
from emotion_stores import interviews, write

from mgjax.errors import InputError
from mgjax.evaluation.emotion_trials import emotion_trials
from mgjax.store import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with Store(write(tmp_path_factory.mktemp("trials") / "store.h5", interviews())) as opened:
        yield opened


def test_a_split_has_one_trial(store):
    videos = emotion_trials(store, "mine")
    ((train, test),) = videos.trials
    assert train.tolist() == list(range(6)) and test.tolist() == list(range(6, 10))
    assert videos.emotion.tolist() == [0, 1] * 5 and videos.left_out == []


def test_folds_test_everybody_once_and_mix_no_subject(store):
    videos = emotion_trials(store, "mine", folds=3)
    tested = np.concatenate([test for _, test in videos.trials])
    assert sorted(tested) == list(range(10))
    for train, test in videos.trials:
        assert not set(videos.subject[train]) & set(videos.subject[test])
        assert set(videos.emotion[train]) == {0, 1}


def test_videos_without_an_emotion_are_left_out_of_folds_alone(tmp_path):
    people = interviews()
    people[4] = ("s2", "", [0])
    with Store(write(tmp_path / "unknown.h5", people)) as opened:
        videos = emotion_trials(opened, "mine", folds=2)
        assert videos.left_out == ["0004"] and len(videos.rows) == 9
        with pytest.raises(InputError, match="video '0004' of split 'mine' has the emotion ''"):
            emotion_trials(opened, "mine")


def test_a_split_of_clips_is_refused(tmp_path):
    with (
        Store(write(tmp_path / "clips.h5", interviews(), of="clips")) as opened,
        pytest.raises(InputError, match="is of clips"),
    ):
        emotion_trials(opened, "mine")
