"""Emotion of videos: hand-made sequences, what is judged, and what is refused."""

import numpy as np
import pytest
from emotion_stores import interviews, write

from mgjax.errors import InputError
from mgjax.evaluation import clip_vectors, video_emotion
from mgjax.models.emotion_lstm import EmotionLSTM
from mgjax.protocols import IMIGUE_EMOTIONS
from mgjax.store import Store

SMALL = EmotionLSTM.Config(units=4, layers=1, dropout=0.0, clip_dropout=0.0)
FAST = video_emotion.EmotionOptions(seeds=2, epochs=40, learning_rate=3e-2, weight_decay=0.0)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with Store(write(tmp_path_factory.mktemp("emotion") / "store.h5", interviews())) as opened:
        yield opened


def labels_of(store):
    return lambda clips: clip_vectors.label_vectors(store, clips)


def test_the_whole_way_on_true_labels(store):
    result = video_emotion.judge(store, "mine", labels_of(store), SMALL, FAST)
    rows = {row["name"]: row for row in result["rows"]}
    assert [row["name"] for row in result["rows"]] == [
        "LSTM",
        "LSTM",
        "LSTM, mean",
        "LSTM, together",
        "bag of gestures",
        "majority",
    ]
    for name in ("LSTM", "LSTM, together", "bag of gestures"):
        assert (
            rows[name]["accuracy"] == 1
            and rows[name]["auc"] == 1
            and rows[name]["confusion"] == [[2, 0], [0, 2]]
        )
        # Wilson, 4 of 4
        assert rows[name]["n"] == 4 and rows[name]["low"] == pytest.approx(0.5101, abs=1e-4)
    assert rows["majority"]["accuracy"] == 0.5 and rows["majority"]["auc"] == 0.5
    assert result["source"] == "a test" and result["split"] == "mine" and result["training"] == 6
    assert [video["emotion"] for video in result["videos"]] == ["positive", "negative"] * 2
    assert "100.0 (51.0 – 100.0)" in video_emotion.result_table(result).text()
    assert "n = 4 videos judged" in video_emotion.how_judged(result)
    again = video_emotion.judge(store, "mine", labels_of(store), SMALL, FAST)
    assert again == result


def test_an_lstm_learns_an_order_that_a_bag_cannot(tmp_path):
    """Winners rub and then wave, losers wave and then rub: as often each."""
    videos = [
        (f"s{i}", IMIGUE_EMOTIONS[i % 2], [0, 1, 2] if i % 2 == 0 else [2, 1, 0]) for i in range(24)
    ]
    path = write(tmp_path / "order.h5", videos, (range(12), range(12, 24)))
    with Store(path) as opened:
        rows = video_emotion.judge(opened, "mine", labels_of(opened), SMALL, FAST)["rows"]
    accuracy = {row["name"]: row["accuracy"] for row in rows}
    assert accuracy["LSTM"] == 1 and accuracy["bag of gestures"] == 0.5


def test_cross_validation_judges_everybody_once(store):
    result = video_emotion.judge(
        store,
        "all",
        labels_of(store),
        SMALL,
        video_emotion.EmotionOptions(
            seeds=1, folds=3, epochs=40, learning_rate=3e-2, weight_decay=0.0
        ),
    )
    assert {row["n"] for row in result["rows"]} == {10} and result["rows"][0]["accuracy"] == 1
    assert "3-fold cross-validation" in video_emotion.how_judged(result)


def test_the_test_videos_change_nothing_that_is_learnt():
    """Neither the mean and scale of vectors nor the regression see them."""
    rng = np.random.default_rng(3)
    train, test = rng.normal(size=(30, 4)), rng.normal(size=(5, 4))
    truth, subject = np.arange(30) % 2 == 0, np.array([f"s{i}" for i in range(30)])
    together = video_emotion.bag_of_gestures(train, truth, subject, test)
    alone = np.concatenate(
        [
            video_emotion.bag_of_gestures(train, truth, subject, 1e6 * test[:0]),
            *(video_emotion.bag_of_gestures(train, truth, subject, row[None]) for row in test),
        ]
    )
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_an_lstm_that_diverges_is_said(store):
    wild = video_emotion.EmotionOptions(seeds=1, epochs=40, learning_rate=1e3, weight_decay=1e6)
    with pytest.raises(
        InputError, match="the LSTM of seed 0 gives probabilities that are not finite"
    ):
        video_emotion.judge(store, "mine", labels_of(store), SMALL, wild)


@pytest.mark.parametrize(
    "field, wrong",
    [
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("learning_rate", 0.0),
        ("weight_decay", -1.0),
        ("weight_decay", float("nan")),
        ("epochs", 0),
        ("epochs", 10**9),
        ("seeds", 0),
        ("folds", 1),
        ("folds", -1),
    ],
)
def test_options_that_make_no_sense(field, wrong):
    with pytest.raises(InputError, match=f"^emotion: {field} is {wrong}, expected "):
        video_emotion.EmotionOptions(**{field: wrong})


def test_videos_without_clips_get_the_majority_and_are_named(tmp_path):
    videos = interviews()
    videos[6] = ("s3", "positive", [])
    with Store(write(tmp_path / "empty.h5", videos)) as opened:
        result = video_emotion.judge(opened, "mine", labels_of(opened), SMALL, FAST)
    assert result["without_clips"] == ["0006"] and result["videos"][0]["LSTM"] == 0.5
    said = video_emotion.how_judged(result)
    assert "1 videos have no clips and are given the majority emotion: 0006" in said


@pytest.mark.parametrize(
    "change, options, message",
    [
        (
            {3: ("s1", "", [0])},
            {},
            "video '0003' of split 'mine' has the emotion '', expected positive or negative",
        ),
        ({7: ("s3", "bored", [0])}, {}, "the emotion 'bored'"),
        ({i: (f"s{i}", "positive", [0]) for i in range(6)}, {}, "not of both emotions"),
    ],
)
def test_videos_that_cannot_be_judged(change, options, message, tmp_path):
    videos = [change.get(i, video) for i, video in enumerate(interviews())]
    with (
        Store(write(tmp_path / "wrong.h5", videos)) as opened,
        pytest.raises(InputError, match=message),
    ):
        video_emotion.judge(opened, "mine", labels_of(opened), SMALL, FAST)
