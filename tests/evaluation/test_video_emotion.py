"""Emotion of videos: hand-made sequences, scikit-learn as reference, files of every form, and
what is refused.
"""

import csv
import hashlib

import h5py
import numpy as np
import pytest

from mgjax import skeleton, training
from mgjax.errors import InputError
from mgjax.evaluation import clip_vectors, video_emotion
from mgjax.evaluation.emotion_trials import emotion_trials
from mgjax.models.emotion_lstm import EmotionLSTM
from mgjax.models.usvae import USVAE
from mgjax.store import Store, StoreWriter
from mgjax.transforms import Augmentation, Preparation

LABELS = ("rubbing", "shrugging", "waving")
SMALL = EmotionLSTM.Config(units=4, layers=1, dropout=0.0, clip_dropout=0.0)
FAST = video_emotion.EmotionOptions(seeds=2, epochs=40, learning_rate=3e-2, weight_decay=0.0)


def write(path, videos, split=((0, 1, 2, 3, 4, 5), (6, 7, 8, 9)), of="videos"):
    """A store of videos (subject, emotion, labels); clips of two frames are added last first."""
    layout = skeleton.get("imigue22")
    rng = np.random.default_rng(0)
    frames = sum(2 * len(labels) + 1 for _, _, labels in videos)
    with StoreWriter(
        path, layout, unit="pixel", frames=frames, source="a test", labels=LABELS
    ) as writer:
        for i, (subject, mood, labels) in enumerate(videos):
            length = 2 * len(labels) + 1
            writer.add_video(
                f"{i:04}",
                rng.uniform(1, 9, (length, 22, 2)),
                np.ones((length, 22)),
                subject=subject,
                emotion=mood,
            )
            for place in reversed(range(len(labels))):
                writer.add_clip(f"{i:04}", 2 * place, 2, labels[place])
        writer.add_split("mine", *split, of=of)
    return path


def interviews(count=10):
    """Winners wave, losers rub; everybody shrugs."""
    return [
        (f"s{i // 2}", video_emotion.IMIGUE_EMOTIONS[i % 2], [1, 2 * (1 - i % 2)] * 2)
        for i in range(count)
    ]


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
    assert "100.0 (51.0 – 100.0)" in video_emotion.result_table(
        result
    ) and "n = 4 videos judged" in video_emotion.result_table(result)
    again = video_emotion.judge(store, "mine", labels_of(store), SMALL, FAST)
    assert again == result


def test_order_is_that_of_time(store):
    """Clips were added last first."""
    clips = clip_vectors.clips_in_time(store)
    assert [store.clips.start[rows].tolist() for rows in clips[:2]] == [[0, 2, 4, 6]] * 2
    np.testing.assert_array_equal(store.clips.label[clips[0]], [1, 2, 1, 2])


def test_an_lstm_learns_an_order_that_a_bag_cannot(tmp_path):
    """Winners rub and then wave, losers wave and then rub: as often each."""
    videos = [
        (f"s{i}", video_emotion.IMIGUE_EMOTIONS[i % 2], [0, 1, 2] if i % 2 == 0 else [2, 1, 0])
        for i in range(24)
    ]
    path = write(tmp_path / "order.h5", videos, (range(12), range(12, 24)))
    with Store(path) as opened:
        rows = video_emotion.judge(opened, "mine", labels_of(opened), SMALL, FAST)["rows"]
    accuracy = {row["name"]: row["accuracy"] for row in rows}
    assert accuracy["LSTM"] == 1 and accuracy["bag of gestures"] == 0.5


def test_cross_validation_judges_everybody_once_and_mixes_no_subject(store):
    videos = emotion_trials(store, "mine", folds=3)
    tested = np.concatenate([test for _, test in videos.trials])
    assert sorted(tested) == list(range(10))
    for train, test in videos.trials:
        assert not set(videos.subject[train]) & set(videos.subject[test])
        assert set(videos.emotion[train]) == {0, 1}
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
    assert "3-fold cross-validation" in video_emotion.result_table(result)


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
    said = video_emotion.result_table(result)
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


def test_a_split_of_clips_is_refused(tmp_path):
    with (
        Store(write(tmp_path / "clips.h5", interviews(), of="clips")) as opened,
        pytest.raises(InputError, match="is of clips"),
    ):
        emotion_trials(opened, "mine")


# --- vectors made elsewhere


def columns(store):
    video = [str(store.videos.id[row]) for row in range(len(store.videos)) for _ in range(4)]
    clip = [number for _ in range(len(store.videos)) for number in range(4)]
    vector = np.random.default_rng(4).random((len(clip), 3)).astype(np.float32)
    return video, clip, vector


def put(path, video, clip, vector):
    if path.suffix == ".csv":
        with open(path, "w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["video", "clip", "a", "b", "c"])
            rows.writerows(
                [id, number, *map(float, numbers)]
                for id, number, numbers in zip(video, clip, vector)
            )
    elif path.suffix == ".npz":
        np.savez(path, video=np.array(video), clip=np.array(clip), vector=vector)
    else:
        with h5py.File(path, "w") as file:
            file["video"], file["clip"], file["vector"] = video, clip, vector
    return path


@pytest.mark.parametrize("ending", [".csv", ".npz", ".h5", ".hdf5"])
def test_vectors_from_a_file_come_to_their_clips(ending, store, tmp_path):
    video, clip, vector = columns(store)
    order = np.random.default_rng(5).permutation(len(clip))
    path = put(
        tmp_path / f"other{ending}",
        [video[i] for i in order],
        [clip[i] for i in order],
        vector[order],
    )
    clips = np.concatenate(clip_vectors.clips_in_time(store)[2:4])
    found, what = clip_vectors.file_vectors(path, store, clips)
    np.testing.assert_array_equal(found, vector[8:16])
    # What identifies them and does not say where they lie: the same however the file is called
    # and made.
    assert what == {
        "probabilities": hashlib.blake2b(vector[8:16].tobytes(), digest_size=16).hexdigest()
    }


@pytest.mark.parametrize(
    "spoil, message",
    [
        (
            lambda v, c, x: (v[:-1], c[:-1], x[:-1]),
            "clip 3 of video '0009' is missing; 40 clips are needed, 1 of them",
        ),
        (
            lambda v, c, x: ([*v, v[0]], [*c, 0], np.vstack([x, x[:1]])),
            "clip 0 of video '0000' is there twice",
        ),
        (lambda v, c, x: (["7", *v[1:]], c, x), "names video '7', which .* does not have"),
        (
            lambda v, c, x: (v, [4, *c[1:]], x),
            "names clip 4 of video '0000', which has 4, counted from 0",
        ),
        (
            lambda v, c, x: (v, c, np.where(np.arange(3) == 1, np.nan, x)),
            "clip 0 of video '0000' is not finite",
        ),
        (lambda v, c, x: (v, c, x[:, :0]), "expected|first line"),
    ],
)
@pytest.mark.parametrize("ending", [".csv", ".npz"])
def test_a_wrong_file_is_said(spoil, message, ending, store, tmp_path):
    path = put(tmp_path / f"wrong{ending}", *spoil(*columns(store)))
    if ending == ".csv" and "expected" in message:
        path.write_text("video,clip\n")
    with pytest.raises(InputError, match=message):
        clip_vectors.file_vectors(path, store, np.arange(40))


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.txt", b"x", "is not called"),
        ("a.npz", b"x", "cannot be read as .npz"),
        ("a.h5", b"x", "a.h5: not a readable HDF5 file"),
        ("a.csv", b"clip,video,a\n", "its first line is not"),
        ("a.csv", b"video,clip,a\n1,0\n", "line 2 has 2 columns"),
        ("a.csv", b"video,clip,a\n1,0,no\n", "line 2 holds something that is not a number"),
        ("a.csv", b"video,clip,a\n\xff,0,1\n", "a.csv: not UTF-8 text; expected a CSV table"),
    ],
)
def test_a_file_that_cannot_be_read(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        clip_vectors.read_vectors(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        clip_vectors.read_vectors(tmp_path / "absent.csv")


def test_clips_without_a_label_have_no_true_vector(tmp_path):
    path = write(tmp_path / "labels.h5", [("s0", "positive", [0, None])], ((0,), ()))
    with (
        Store(path) as opened,
        pytest.raises(InputError, match="a clip of video '0000' has no label"),
    ):
        clip_vectors.label_vectors(opened, np.arange(2))


def test_vectors_of_a_run(store, tmp_path):
    run = training.Run(
        model="usvae",
        options=USVAE.Config(units=4, decoder_units=4),
        preparation=Preparation(),
        augmentation=Augmentation(),
        training=training.TrainOptions(epochs=1, batch_size=8),
        layout=store.layout,
        split="mine",
        classes=store.labels,
    )
    training.fit(run, store, tmp_path / "run", log=lambda line: None)
    vectors, what = clip_vectors.run_vectors(tmp_path / "run", store, np.arange(5))
    assert vectors.shape == (5, 8) and what["model"] == "usvae" and what["feature"] == "hidden"
    cell, _ = clip_vectors.run_vectors(tmp_path / "run", store, np.arange(5), feature="cell")
    assert cell.shape == (5, 8) and not np.allclose(cell, vectors)
