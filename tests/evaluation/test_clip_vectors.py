"""Vectors of clips by a run, by labels and out of files of every form."""

import csv
import hashlib

import h5py
import numpy as np
import pytest
from emotion_stores import interviews, write

from mgjax import training
from mgjax.errors import InputError
from mgjax.evaluation import clip_vectors
from mgjax.models.usvae import USVAE
from mgjax.preparation import Augmentation, Preparation
from mgjax.store import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with Store(write(tmp_path_factory.mktemp("vectors") / "store.h5", interviews())) as opened:
        yield opened


def test_clips_come_in_the_order_of_time(store):
    """They were added last first."""
    clips = clip_vectors.clips_in_time(store)
    assert [store.clips.start[rows].tolist() for rows in clips[:2]] == [[0, 2, 4, 6]] * 2
    np.testing.assert_array_equal(store.clips.label[clips[0]], [1, 2, 1, 2])


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
