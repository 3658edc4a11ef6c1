"""A run that is probed, drawn and embedded: what is said of it, what is left out, and that no
path gets into a file.
"""

import dataclasses
import errno
import json
import os
import pathlib

import h5py
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from mgjax import evaluation, hdf5, skeleton, training
from mgjax.blocks import Frames
from mgjax.errors import InputError
from mgjax.evaluation import clip_vectors, embedding, knn_probe, probe_pictures, video_emotion
from mgjax.models.emotion_lstm import EmotionLSTM
from mgjax.models.usvae import USVAE
from mgjax.preparation import Augmentation, Preparation
from mgjax.store import Store, StoreWriter

PREPARATION = Preparation(centre="frame")


def make_store(path, tests=2, y_points=None):
    """Four training clips of ten frames and some test clips, two videos of two emotions each,
    after 30 frames.
    """
    layout, rng = skeleton.COCO_17, np.random.default_rng(0)
    how = {"y_points": y_points} if y_points else {}
    clips = 4 + tests
    with StoreWriter(
        path, layout, unit="pixel", frames=4 * 100, source="a test", labels=("one", "two"), **how
    ) as writer:
        for i in range(4):
            writer.add_video(
                f"v{i}",
                rng.uniform(1, 99, (100, 17, 2)),
                np.ones((100, 17)),
                subject=f"s{i}",
                emotion=("positive", "negative")[i % 2],
                fps=25,
            )
        for i in range(clips):
            writer.add_clip(f"v{i % 4}", 30 + 10 * (i // 4), 10, i % 2)
        writer.add_split("mine", range(4), range(4, clips))
        writer.add_split("videos", [0, 1], [2, 3], of="videos")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("secret-place")
    make_store(folder / "store.h5")
    with Store(folder / "store.h5") as store:
        run = training.Run(
            model="usvae",
            options=USVAE.Config(units=2, decoder_units=2),
            preparation=PREPARATION,
            augmentation=Augmentation(),
            training=training.TrainOptions(epochs=2, batch_size=4),
            layout=store.layout,
            split="mine",
            classes=store.labels,
        )
        training.fit(run, store, folder / "run", log=lambda line: None)
    return folder


@pytest.fixture(scope="module")
def result(folder):
    with Store(folder / "store.h5") as store:
        return knn_probe.probe_run(folder / "run", store, "mine")


def test_no_path_is_in_what_is_written(folder, result, tmp_path):
    with Store(folder / "store.h5") as store:
        embedding.write_embeddings(folder / "run", store, tmp_path / "embeddings.h5")
        fingerprint = store.fingerprint
        options = video_emotion.EmotionOptions(seeds=1, epochs=1)
        judged = video_emotion.judge(
            store,
            "videos",
            lambda clips: clip_vectors.run_vectors(folder / "run", store, clips),
            EmotionLSTM.Config(units=2, layers=1),
            options,
        )
    with h5py.File(tmp_path / "embeddings.h5") as file:
        attributes = dict(file.attrs)
        assert file["embedding"].shape == (6, 4)
        assert file["video"].asstr()[:].tolist() == "v0 v1 v2 v3 v0 v1".split()
    assert set(attributes) == {"model", "step", "feature", "store", "labels"}
    assert attributes["store"] == judged["store"] == result.summary["store"] == fingerprint
    assert judged["vectors"]["model"] == result.summary["model"] == "usvae"
    assert judged["vectors"]["step"] == result.summary["step"] == attributes["step"] == 2
    written = (tmp_path / "embeddings.h5").read_bytes() + json.dumps(
        [judged, result.summary]
    ).encode()
    for word in ("secret-place", str(folder), "store.h5", str(pathlib.Path.home())):
        assert word.encode() not in written
    assert [path.name for path in tmp_path.iterdir()] == ["embeddings.h5"]


def test_a_run_embeds_a_store_in_one_call(folder, result):
    with Store(folder / "store.h5") as store:
        vectors = evaluation.embed(folder / "run", store)
        assert vectors.shape == (6, 4) and vectors.dtype == np.float32
        np.testing.assert_allclose(vectors[4:], result.test_embeddings, atol=1e-5)
        some = evaluation.embed(folder / "run", store, [5, 0], feature="cell")
        assert some.shape == (2, 4) and not np.allclose(some, vectors[[5, 0]])
        for clips, words in (([0, 6], "has no clip 6; its 6 are"), ([], "no clips to embed")):
            with pytest.raises(InputError, match=words):
                evaluation.embed(folder / "run", store, clips)


def test_tables_say_n_and_intervals(result):
    head, *rows = knn_probe.result_table(result).text().splitlines()
    assert head.split("  ")[-1] == "macro-F1, %" and rows[0].startswith("trained ")
    assert [line.split("  ")[0] for line in rows] == list(result.rows)
    said = knn_probe.how_judged(result)
    assert said.endswith("gallery 4 clips, n = 2 test clips, 2 classes")
    interval = {0.0: "0.0 (0.0 – 65.8)", 0.5: "50.0 (9.5 – 90.5)", 1.0: "100.0 (34.2 – 100.0)"}
    assert interval[result.summary["top1"]] in rows[0]
    head, one, _ = knn_probe.class_table(result).text().splitlines()
    assert head.startswith("class  n") and one.startswith("one    1")


def test_a_full_disk_leaves_no_embeddings(folder, tmp_path, monkeypatch):
    def full(self, data):
        self.error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return len(data)

    monkeypatch.setattr(hdf5.Disk, "write", full)
    (tmp_path / "embeddings.h5").write_text("old")
    with (
        Store(folder / "store.h5") as store,
        pytest.raises(InputError, match="embeddings.h5: cannot be written .No sp"),
    ):
        embedding.write_embeddings(folder / "run", store, tmp_path / "embeddings.h5")
    assert (tmp_path / "embeddings.h5").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_a_picture_that_cannot_be_drawn_is_left_out(folder, result, tmp_path):
    pytest.importorskip("matplotlib", reason="pictures need the extra `plots`")
    pytest.importorskip("sklearn", reason="pictures need the extra `plots`")
    said = []
    with Store(folder / "store.h5") as store:
        drawn = probe_pictures.draw_probe(
            result, folder / "run", store, "mine", tmp_path / "pictures", said.append
        )
    assert [path.name for path in drawn] == ["loss.png", "confusion.png", "reconstruction.gif"]
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == sorted(
        path.name for path in drawn
    )
    (line,) = said
    assert line.startswith("no embeddings.png: ") and "at least 5" in line
    same = dataclasses.replace(
        result, test_embeddings=np.ones((6, 4), np.float32), test_labels=np.zeros(6, int)
    )
    with Store(folder / "store.h5") as store:
        assert (
            len(
                probe_pictures.draw_probe(
                    same, folder / "run", store, "mine", tmp_path / "pictures", said.append
                )
            )
            == 3
        )
    assert "all 6 embeddings are the same" in said[-1]


def test_frames_are_numbered_as_in_the_video_and_y_is_the_stores(
    folder, result, tmp_path, monkeypatch
):
    seen = {}
    monkeypatch.setattr(
        probe_pictures.animations,
        "reconstruction_gif",
        lambda path, *a, **how: seen.update(how) or path,
    )
    for room, name in (
        (probe_pictures.figures, "loss_curves"),
        (probe_pictures.figures, "confusion_matrix"),
        (probe_pictures.embedding_map, "embedding_map"),
    ):
        monkeypatch.setattr(room, name, lambda path, *a: path)
    with Store(folder / "store.h5") as store:
        assert len(probe_pictures.draw_probe(result, folder / "run", store, "mine", tmp_path)) == 4
        assert seen["y_points"] == "down" and list(seen["frame_numbers"]) == list(range(40, 50))
        monkeypatch.setattr(store, "y", "up", raising=False)
        probe_pictures.draw_probe(result, folder / "run", store, "mine", tmp_path)
    assert seen["y_points"] == "up"


# Models that give nothing to judge.


def frames(count=3):
    rng = np.random.default_rng(0)
    return Frames(
        jnp.asarray(rng.normal(size=(4 * count, 17, 2)), jnp.float32),
        jnp.ones((4 * count, 17)),
        jnp.arange(count) * 4,
        jnp.full(count, 4),
        jnp.zeros(count, jnp.int32),
    )


class Classifier(nnx.Module):
    """Has logits and no encode."""

    def __init__(self, value):
        self.value = nnx.Param(jnp.array([value, 1.0]))

    def logits(self, batch):
        return batch.inputs.mean((1, 2)) * self.value[...]


def test_a_model_without_what_is_asked_for_is_said():
    words = r"^embedding clips needs encode\(batch\) -> \[B, D\], .*; Classifier has none$"
    with pytest.raises(InputError, match=words):
        embedding.embed_clips(Classifier(1.0), frames(), [0, 1], PREPARATION, skeleton.COCO_17)
    usvae = USVAE(USVAE.Config(units=2, decoder_units=2), skeleton.COCO_17, 2, 0, rngs=nnx.Rngs(0))
    with pytest.raises(InputError, match=r"^classifying clips needs logits.*; USVAE has none$"):
        embedding.logits_of_clips(usvae, frames(), [0, 1], PREPARATION, skeleton.COCO_17)


class OneFeature(Classifier):
    """Encodes in one way only."""

    def encode(self, batch):
        return self.logits(batch)


def test_a_feature_is_asked_of_a_model_that_has_one_alone():
    embedding.embed_clips(OneFeature(1.0), frames(), [0, 1], PREPARATION, skeleton.COCO_17)
    with pytest.raises(InputError, match="feature 'cell' .* OneFeature has one feature alone"):
        embedding.embed_clips(
            OneFeature(1.0), frames(), [0, 1], PREPARATION, skeleton.COCO_17, "cell"
        )


def test_weights_that_are_no_numbers_give_a_sentence():
    usvae = USVAE(USVAE.Config(units=2, decoder_units=2), skeleton.COCO_17, 2, 0, rngs=nnx.Rngs(0))
    graph, state = nnx.split(usvae)
    broken = nnx.merge(graph, jax.tree.map(lambda leaf: leaf * jnp.nan, state))
    with pytest.raises(
        InputError, match="^model USVAE gives 3 of 3 clips values that are not finite: its weights"
    ):
        embedding.embed_clips(broken, frames(), [0, 1, 2], PREPARATION, skeleton.COCO_17)
    with pytest.raises(
        InputError, match="^model Classifier gives 2 of 2 clips values that are not finite"
    ):
        embedding.logits_of_clips(
            Classifier(jnp.inf), frames(), [0, 2], PREPARATION, skeleton.COCO_17
        )
