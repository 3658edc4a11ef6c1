"""Running the rows of a table."""

import dataclasses
import signal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from study_runs import a_run, make_store, row

from mgjax import models
from mgjax.blocks import Frames
from mgjax.errors import InputError
from mgjax.evaluation import clip_vectors
from mgjax.evaluation.embedding import prepared_batch
from mgjax.evaluation.metrics import classification
from mgjax.evaluation.paper import TABLES
from mgjax.evaluation.study import Study, run_rows
from mgjax.evaluation.study_results import read_results
from mgjax.training import load_model


@pytest.fixture
def study(tmp_path):
    with make_store(tmp_path / "store.h5") as store:
        yield Study(store, tmp_path / "runs", "mine", "mine")


def test_rows_that_cannot_be_run(study):
    for key, words in (
        ("gpt", "table 4 has no row 'gpt'; it has: shuffle_learn"),
        ("luo", "'luo' .* for reference"),
    ):
        with pytest.raises(InputError, match=words):
            run_rows(TABLES[4], study, lambda model: a_run(study), [key])
    with pytest.raises(InputError, match="'tsm_lstm' of table 3 cannot be run: not imported"):
        run_rows(TABLES[3], study, lambda model: a_run(study), ["tsm_lstm"])


def test_a_stopped_training_is_not_judged(study, monkeypatch):
    monkeypatch.setattr("mgjax.evaluation.study.fit", lambda *arguments: signal.SIGTERM)
    assert run_rows(TABLES[4], study, lambda model: a_run(study), ["usvae"]) == signal.SIGTERM
    assert [path.name for path in (study.workdir / "usvae" / "seed0").iterdir()] == ["run.json"]


class MeanClassifier(nnx.Module):
    """Logits that are linear in a clip's mean frame: the least that is a classifier."""

    @dataclasses.dataclass(frozen=True)
    class Config:
        scale: float = 1.0

    def __init__(self, config, layout, channels, classes, *, rngs):
        self.config, self.linear = config, nnx.Linear(len(layout) * channels, classes, rngs=rngs)

    def logits(self, batch):
        total = batch.inputs.sum(1) / jnp.maximum(batch.length, 1)[:, None, None]
        return self.config.scale * self.linear(total.reshape(len(total), -1))

    def loss(self, batch, rng):
        each = optax.softmax_cross_entropy_with_integer_labels(self.logits(batch), batch.label)
        return (each * batch.weight).sum() / jnp.maximum(batch.weight.sum(), 1), {}


def test_a_classifier_is_judged_by_its_logits(study, monkeypatch):
    monkeypatch.setitem(models.MODELS, "stgcn", MeanClassifier)
    run = a_run(study, model="stgcn", options=MeanClassifier.Config(scale=2.0))
    assert (
        run_rows(TABLES[2], study, lambda model: run, ["stgcn"], seeds=[4], log=lambda line: None)
        == 0
    )
    found = row(read_results(TABLES[2], study), "stgcn")
    assert (
        found["n"] == 7 and found["each"][0]["seed"] == "4" and found["note"] == "seed 4; epochs: 1"
    )
    # The same by hand, clip by clip.
    model, run, _ = load_model(study.workdir / "stgcn" / "seed4")
    logits = []
    for clip in range(7, 14):
        keypoints, score = map(jnp.asarray, study.store.clip(clip))
        frames = Frames(keypoints, score, jnp.array([0]), jnp.array([10]), jnp.array([0]))
        logits.append(
            model.logits(prepared_batch(frames, jnp.array([0]), 10, run.preparation, run.layout))[0]
        )
    by_hand = classification(np.arange(7), np.argsort(-np.array(logits), axis=1), 7)
    assert {name: found["each"][0][name] for name in ("top1", "top5")} == {
        name: by_hand[name] for name in ("top1", "top5")
    }
    # To the emotion judge it gives class probabilities.
    folder = study.workdir / "stgcn" / "seed4"
    probabilities, what = clip_vectors.run_vectors(folder, study.store, np.arange(7, 14))
    np.testing.assert_allclose(probabilities, jax.nn.softmax(jnp.array(logits)), atol=1e-6)
    assert what["feature"] == "class probabilities"
    with pytest.raises(InputError, match="feature 'cell' is asked for"):
        clip_vectors.run_vectors(folder, study.store, np.arange(7, 14), feature="cell")
