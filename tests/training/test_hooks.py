"""What is called after every epoch changes nothing that is trained, and what it may give back."""

import dataclasses
import math

import jax
import numpy as np
import pytest
from flax import nnx
from test_fit import assert_same_run, make_run, quiet, write_store

from mgjax import training
from mgjax.errors import InputError
from mgjax.store import Store
from mgjax.training.folder import RunFolder
from mgjax.training.hooks import checked


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a store and a run that nothing was hung on."""
    folder = tmp_path_factory.mktemp("hooks")
    with Store(write_store(folder / "tiny.h5")) as store:
        assert training.fit(make_run(store), store, folder / "run", log=quiet) == 0
    return folder


def arrays(model):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(nnx.to_pure_dict(nnx.state(model)))]


def test_a_hook_sees_every_epoch_and_changes_nothing_that_is_trained(trained, tmp_path):
    seen = []

    def hook(ended):
        seen.append((ended, [np.array(each) for each in arrays(ended.model)]))
        return {"mine": np.float32(ended.epoch)}

    with Store(trained / "tiny.h5") as store:
        run = make_run(store)
        assert training.fit(run, store, tmp_path / "run", log=quiet, on_epoch=hook) == 0
    assert [(ended.epoch, ended.step) for ended, _ in seen] == [(0, 2), (1, 4), (2, 6)]
    records = RunFolder(tmp_path / "run").metrics()
    assert [record.pop("mine") for record in records] == [0.0, 1.0, 2.0]
    for record, (ended, _) in zip(records, seen):
        assert record == ended.record
    # The last epoch's model is the run's, to the bit, and each was another.
    model, _, _ = training.load_model(tmp_path / "run")
    assert all(map(np.array_equal, arrays(model), seen[-1][1]))
    assert not all(map(np.array_equal, seen[0][1], seen[1][1]))
    without = tmp_path / "run" / "metrics.jsonl"
    without.write_text(without.read_text().replace(', "mine"', ', "old_mine"'))
    for record in RunFolder(tmp_path / "run").metrics():
        assert "old_mine" in record
    RunFolder(tmp_path / "run").path.joinpath("metrics.jsonl").write_bytes(
        (trained / "run" / "metrics.jsonl").read_bytes()
    )
    assert_same_run(tmp_path / "run", trained / "run")


def test_what_a_hook_said_stays_when_a_run_goes_on(trained, tmp_path):
    def hook(ended):
        return {"mine": ended.step}

    with Store(trained / "tiny.h5") as store:
        for epochs in (2, 3):
            run = make_run(store, epochs=epochs)
            training.fit(run, store, tmp_path / "run", log=quiet, on_epoch=hook)
    assert [record["mine"] for record in RunFolder(tmp_path / "run").metrics()] == [2, 4, 6]


def test_a_model_is_to_be_had_during_the_call_only(trained, tmp_path):
    kept = []
    with Store(trained / "tiny.h5") as store:
        run = make_run(store, epochs=1)
        training.fit(run, store, tmp_path / "run", log=quiet, on_epoch=kept.append)
    with pytest.raises(InputError, match="while on_epoch is called"):
        _ = kept[0].model


@pytest.mark.parametrize(
    "said, words",
    [
        (3, "on_epoch gave 3, expected a dict"),
        ({"loss": 1.0}, "gave 'loss', expected a name that is not taken"),
        ({3: 1.0}, "gave 3, expected a name"),
        ({"mine": math.nan}, "mine is nan, expected a finite number"),
        ({"mine": "high"}, "mine is 'high', expected a finite number"),
        ({"mine": None}, "mine is None, expected a finite number"),
    ],
)
def test_what_is_no_number_is_refused(said, words):
    with pytest.raises(InputError, match=words):
        checked(said, {"loss": 0.5})


def test_nothing_is_said_by_none():
    assert checked(None, {}) == {} and checked({}, {}) == {}


def test_a_model_without_a_loss_is_not_trained(trained, tmp_path, monkeypatch):
    class Lossless(nnx.Module):
        """No model that could be trained."""

    from mgjax import models

    monkeypatch.setitem(models.MODELS, "lossless", Lossless)
    with Store(trained / "tiny.h5") as store:
        run = dataclasses.replace(make_run(store), model="lossless", options=models.NoOptions())
        with pytest.raises(InputError, match="^training needs loss.*; Lossless has none"):
            training.fit(run, store, tmp_path / "run", log=quiet)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "given",
    [
        lambda loss: loss,
        lambda loss: (loss[None], {}),
        lambda loss: (loss, {"rows": loss[None]}),
        lambda loss: (loss, [loss]),
    ],
)
def test_a_loss_that_is_none_is_one_sentence(trained, tmp_path, monkeypatch, given):
    class Odd(nnx.Module):
        """A model whose loss is not what training takes."""

        def __init__(self, config, layout, channels, classes, *, rngs):
            self.linear = nnx.Linear(channels, 1, rngs=rngs)

        def loss(self, batch, rng):
            return given(self.linear(batch.inputs).mean())

    from mgjax import models

    monkeypatch.setitem(models.MODELS, "odd", Odd)
    with Store(trained / "tiny.h5") as store:
        run = dataclasses.replace(make_run(store), model="odd", options=models.NoOptions())
        with pytest.raises(InputError, match="^loss.batch, rng. of model 'odd' gives .*expected"):
            training.fit(run, store, tmp_path / "run", log=quiet)
