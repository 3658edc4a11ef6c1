"""Validation during training: its figures by hand, its split, and that training is as without."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from mgjax import models, training
from mgjax.errors import InputError
from mgjax.evaluation.validation import Validation
from mgjax.preparation import Preparation
from mgjax.skeleton import COCO_17
from mgjax.store import Store
from mgjax.store_writer import StoreWriter
from mgjax.training.folder import RunFolder


class Mean(nnx.Module):
    """Encodes a clip by its first joint's mean place; classifies it by the sign of x."""

    def __init__(self, config, layout, channels, classes, *, rngs):
        self.shift = nnx.Param(jnp.zeros(channels))

    def encode(self, batch):
        valid = batch.valid[..., None]
        return (batch.inputs[:, :, 0] * valid).sum(1) / batch.length[:, None] + self.shift[...]

    def logits(self, batch):
        place = self.encode(batch)[:, :1]
        return jnp.concatenate([-place, place], axis=1)

    def loss(self, batch, rng):
        each = (self.encode(batch) ** 2).mean(1)
        return (each * batch.weight).sum() / jnp.maximum(batch.weight.sum(), 1), {}


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(models.MODELS, "mean", Mean)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Clips of two classes, of which the place says the class, but for clip 9."""
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("validation") / "store.h5"
    with StoreWriter(path, COCO_17, unit="pixel", frames=12 * 5, source="a test") as writer:
        for i in range(12):
            label = i % 2
            where = (1 if label else -1) * (-1 if i == 9 else 1)
            keypoints = rng.normal(size=(5, 17, 2)) * 0.1 + where
            writer.add_video(f"v{i}", keypoints, np.ones((5, 17)))
            writer.add_clip(f"v{i}", 0, 3 + i % 3, ("left", "right")[label])
        writer.add_split("main", [0, 1, 2, 3], [4, 5])
        writer.add_split("validation", [6, 7], [8, 9, 10, 11])
        writer.add_split("without gallery", [], [8, 9, 10, 11])
        writer.add_split("trained too", [], [2, 8])
        writer.add_split("tested too", [6], [5, 8])
        writer.add_split("gallery tested too", [4], [8])
        writer.add_split("empty", [6], [])
    return path


def make_run(store, **options):
    options = {"epochs": 4, "batch_size": 4, "length_buckets": 1} | options
    return training.Run(
        model="mean",
        options=models.NoOptions(),
        preparation=Preparation(centre="none", scale="none"),
        training=training.TrainOptions(**options),
        layout=store.layout,
        split="main",
        classes=store.labels,
    )


@pytest.mark.parametrize("split", ["validation", "without gallery"])
def test_figures_are_those_of_a_loop_over_clips(place, split):
    with Store(place) as store:
        run = make_run(store)
        model = training.build_model(run)
        found = Validation(run, store, split).judge(model)
        losses = []
        for row in (8, 9, 10, 11):
            keypoints, _ = store.clip(row)
            losses.append((keypoints[:, 0].mean(0) ** 2).mean())
    assert found["validation_loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert found["validation_top1"] == found["validation_accuracy"] == 0.75


def test_training_is_as_without_it_and_every_so_many_epochs_are_judged(place, tmp_path):
    folders = tmp_path / "with", tmp_path / "without"
    with Store(place) as store:
        run = make_run(store)
        hook = Validation(run, store, "validation", every=2)
        for folder, each in zip(folders, (hook, None)):
            assert training.fit(run, store, folder, lambda line: None, on_epoch=each) == 0
        first, other = (RunFolder(folder).metrics() for folder in folders)
        (one, _, _), (two, _, _) = map(training.load_model, folders)
    assert ["validation_loss" in record for record in first] == [False, True, False, True]
    assert [record["loss"] for record in first] == [record["loss"] for record in other]
    jax.tree.map(np.testing.assert_array_equal, nnx.state(one), nnx.state(two))


@pytest.mark.parametrize(
    "split, words",
    [
        ("tested too", "1 clips of validation split 'tested too' are test clips of the run's"),
        ("gallery tested too", "are test clips of the run's split 'main'"),
        ("main", "are test clips"),
        ("empty", "no test clips to validate on"),
        ("none", "no split 'none'"),
    ],
)
def test_the_test_side_is_never_looked_at(place, split, words):
    with Store(place) as store, pytest.raises(InputError, match=words):
        Validation(make_run(store), store, split)


def test_clips_that_are_trained_on_are_noted(place, capsys):
    with Store(place) as store:
        Validation(make_run(store), store, "trained too")
        assert "1 of 2 validation clips" in capsys.readouterr().err
        Validation(make_run(store), store, "validation")
        assert capsys.readouterr().err == ""
        with pytest.raises(InputError, match="every is 0"):
            Validation(make_run(store), store, "validation", every=0)
        other = dataclasses.replace(store.layout, name="another")
        with pytest.raises(InputError, match="layout"):
            Validation(dataclasses.replace(make_run(store), layout=other), store, "validation")
