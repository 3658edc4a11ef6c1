"""The training loop end to end: it learns, resumes to the bit, stops when told, and says what is
wrong.
"""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time

import jax
import numpy as np
import optax
import pytest
from flax import nnx

from mgjax import batching, blocks, training
from mgjax.errors import InputError
from mgjax.models.usvae import USVAE
from mgjax.preparation import Augmentation, Preparation
from mgjax.skeleton import COCO_17
from mgjax.store import Store, StoreWriter
from mgjax.training.devices import Trainer
from mgjax.training.folder import RunFolder
from mgjax.training.optimiser import learning_rate
from mgjax.training.order import between


def write_store(path, clips=16, poison=None):
    """Random sways of a body, one clip a video, every one training in the split "all"."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(4, 13, clips)
    with StoreWriter(
        path, COCO_17, unit="pixel", frames=int(lengths.sum()), source="test"
    ) as writer:
        body = rng.uniform(100, 500, (17, 2))
        for i, length in enumerate(lengths):
            sway = (
                50
                * np.sin(np.arange(length) * rng.uniform(0.2, 1))[:, None, None]
                * rng.normal(size=(17, 2))
            )
            keypoints = (body + sway) * (1e25 if i == poison else 1)
            writer.add_video(f"v{i}", keypoints, np.ones((length, 17)))
            writer.add_clip(f"v{i}", 0, int(length), f"class {i % 2}")
        writer.add_split("none", [], [0])
    return path


@pytest.fixture(scope="module")
def store_path(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("store") / "tiny.h5")


def make_run(store, split="all", **options):
    options = {"epochs": 3, "batch_size": 8, "learning_rate": 1e-2, "length_buckets": 1} | options
    return training.Run(
        model="usvae",
        options=USVAE.Config(units=8, decoder_units=8, latent_size=8),
        preparation=Preparation(velocity=2.0),
        augmentation=Augmentation(rotation=0.2),
        training=training.TrainOptions(**options),
        layout=store.layout,
        split=split,
        classes=store.labels,
    )


def quiet(_):
    pass


def test_it_learns_and_leaves_a_run_that_loads(store_path, tmp_path):
    with Store(store_path) as store:
        run = make_run(store, epochs=12)
        assert training.fit(run, store, tmp_path / "run", log=quiet) == 0
    records = RunFolder(tmp_path / "run").metrics()
    assert [record["epoch"] for record in records] == list(range(12)) and records[-1]["step"] == 24
    assert records[-1]["loss"] < 0.8 * records[0]["loss"]
    assert records[0]["loss"] == pytest.approx(
        records[0]["reconstruction"] + 1e-3 * records[0]["kl"], rel=1e-4
    )
    model, loaded, step = training.load_model(tmp_path / "run")
    assert loaded == run and step == 24
    trained, untrained = nnx.state(model), nnx.state(training.build_model(run))
    assert (
        max(jax.tree.leaves(jax.tree.map(lambda a, b: float(abs(a - b).max()), trained, untrained)))
        > 1e-2
    )
    with Store(store_path) as store:  # complete: nothing more happens
        training.fit(run, store, tmp_path / "run", log=quiet)
    assert RunFolder(tmp_path / "run").metrics() == records


@pytest.mark.slow
def test_ten_kills_change_no_bit(store_path, tmp_path):
    program = os.path.join(os.path.dirname(__file__), "kill_and_resume.py")
    result = subprocess.run(
        [sys.executable, program, store_path, tmp_path, "10"], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert "killed 10 times" in result.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_saves_and_the_next_call_goes_on(store_path, tmp_path, number):
    with Store(store_path) as store:
        run = make_run(store, epochs=400, checkpoint_seconds=1000.0)
        lines = []

        def stop_soon():
            while not any("epoch" in line for line in lines[1:]):
                time.sleep(0.01)
            os.kill(os.getpid(), number)

        threading.Thread(target=stop_soon, daemon=True).start()
        assert training.fit(run, store, tmp_path / "run", log=lines.append) == number
        assert "goes on from here" in lines[-1]
        _, _, step = training.load_model(tmp_path / "run")
        assert 0 < step < 800
        shorter = dataclasses.replace(
            run, training=dataclasses.replace(run.training, checkpoint_seconds=5.0)
        )
        trainer = Trainer(shorter, store)
        assert trainer.batches.steps_per_epoch == 2


def test_a_loss_that_is_not_finite_stops_with_the_step_and_the_clips(tmp_path):
    with (
        Store(write_store(tmp_path / "bad.h5", poison=3)) as store,
        pytest.raises(
            training.Diverged,
            match=r"at step \d+ .*\b3\b.*nothing was "
            r"saved",
        ) as caught,
    ):
        run = dataclasses.replace(make_run(store), preparation=Preparation(scale="none"))
        training.fit(run, store, tmp_path / "run", log=quiet)
    assert "Traceback" not in str(caught.value)
    assert RunFolder(tmp_path / "run").metrics() == []


def test_a_folder_belongs_to_one_run(store_path, tmp_path):
    with Store(store_path) as store:
        folder = RunFolder(tmp_path / "run")
        folder.claim(make_run(store))
        folder.claim(make_run(store, checkpoint_seconds=9.0))
        with pytest.raises(InputError, match="training.epochs=3, not 4"):
            folder.claim(make_run(store, epochs=4))
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "thesis.txt").write_text("mine")
        with pytest.raises(InputError, match="holds no run"):
            training.fit(make_run(store), store, tmp_path / "other", log=quiet)
        tilted = dataclasses.replace(make_run(store), augmentation=Augmentation(tilt=0.1))
        with pytest.raises(InputError, match="tilt needs 3D"):
            training.fit(tilted, store, tmp_path / "tilted", log=quiet)
        with pytest.raises(InputError, match="no training clips"):
            training.fit(make_run(store, split="none"), store, tmp_path / "empty", log=quiet)
        with pytest.raises(InputError, match="no checkpoint"):
            training.load_model(tmp_path / "run")
        with pytest.raises(InputError, match="holds no run"):
            training.load_model(tmp_path / "nowhere")
        (tmp_path / "run" / "run.json").write_text("{")
        with pytest.raises(InputError, match="damaged"):
            training.load_model(tmp_path / "run")


def test_a_metrics_line_cut_short_is_forgotten(tmp_path):
    folder = RunFolder(tmp_path)
    records = [{"epoch": epoch, "step": 2 * epoch + 2, "loss": 0.5} for epoch in range(3)]
    for record in records:
        folder.add_metrics(record)
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 8, "lo')
    assert folder.metrics() == records and folder.keep_metrics(4) == records[:2]
    written = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in written] == records[:2]


def test_schedules():
    rate = learning_rate(
        training.TrainOptions(learning_rate=2e-4, schedule="staircase"), steps_per_epoch=7
    )
    assert rate(0) == pytest.approx(2e-4) and rate(34) == pytest.approx(2e-4)
    assert rate(35) == pytest.approx(2e-4 * 0.999) and rate(70) == pytest.approx(2e-4 * 0.999**2)
    rate = learning_rate(
        training.TrainOptions(epochs=10, learning_rate=1.0, schedule="cosine", warmup_epochs=1), 4
    )
    assert [float(rate(i)) for i in range(4)] == pytest.approx([0.25, 0.4375, 0.625, 0.8125])
    assert (
        rate(4) == pytest.approx(1)
        and rate(40) == pytest.approx(0, abs=1e-6)
        and rate(22) == pytest.approx(0.5)
    )
    constant = learning_rate(training.TrainOptions(learning_rate=0.1, schedule="constant"), 4)
    assert constant(1000) == pytest.approx(0.1)


def arrays_of(folder):
    """Every array of a run's newest checkpoint."""
    with RunFolder(folder).checkpoints() as manager:
        step = manager.latest_step()
        return step, jax.tree.map(np.asarray, dict(manager.restore(step).items()))


def assert_same_run(one, other):
    """Two folders' last checkpoints have the same bits, and their records too, but for the time
    they took.
    """
    (step, arrays), (other_step, others) = arrays_of(one), arrays_of(other)
    assert step == other_step and len(jax.tree.leaves(arrays)) > 20
    jax.tree.map(np.testing.assert_array_equal, arrays, others)
    records = [
        [
            {
                name: value
                for name, value in record.items()
                if name not in ("seconds", "frames_per_second")
            }
            for record in RunFolder(folder).metrics()
        ]
        for folder in (one, other)
    ]
    assert records[0] == records[1]


def test_steps_are_epochs_said_otherwise(tmp_path):
    with Store(write_store(tmp_path / "clips.h5", clips=20)) as store:  # three steps an epoch
        options = {"schedule": "cosine", "length_buckets": 2}
        epochs = make_run(store, epochs=4, warmup_epochs=1.0, **options)
        steps = make_run(store, epochs=0, steps=12, warmup_steps=3, **options)
        for run, folder in ((epochs, "epochs"), (steps, "steps")):
            assert training.fit(run, store, tmp_path / folder, log=quiet) == 0
    assert_same_run(tmp_path / "epochs", tmp_path / "steps")
    assert [record["step"] for record in RunFolder(tmp_path / "steps").metrics()] == [3, 6, 9, 12]


def test_training_may_end_in_the_middle_of_an_epoch_and_go_on_from_there(tmp_path):
    """Its last record is of the steps there were; given more steps, it is the longer run, to the
    bit.
    """
    # three steps an epoch, in one call
    with Store(write_store(tmp_path / "clips.h5", clips=20)) as store:
        runs = {
            steps: make_run(store, epochs=0, steps=steps, schedule="constant")
            for steps in (5, 7, 9)
        }
        for steps in (5, 9):
            lines = []
            assert training.fit(runs[steps], store, tmp_path / str(steps), log=lines.append) == 0
            assert f"{steps} steps in all" in lines[0] and f"step {steps}/{steps}" in lines[-1]
            assert len([line for line in lines if line.startswith("step ")]) == -(-steps // 3)
        five, nine = (RunFolder(tmp_path / str(steps)).metrics() for steps in (5, 9))
        assert [record["step"] for record in five] == [3, 5] and five[1]["epoch"] == 1
        assert [record["step"] for record in nine] == [3, 6, 9] and five[1]["loss"] != nine[1][
            "loss"
        ]
        assert training.load_model(tmp_path / "5")[2] == 5

        lines = []
        assert training.fit(runs[9], store, tmp_path / "5", log=lines.append) == 0
        assert "the run's length is now 9 steps instead of 5; its learning rate goes on" in lines[0]
        assert_same_run(tmp_path / "5", tmp_path / "9")
        before = {path: path.read_bytes() for path in (tmp_path / "9").glob("*.*")}
        with pytest.raises(InputError, match="has done 9 steps, more than the 7 asked for"):
            training.fit(runs[7], store, tmp_path / "9", log=quiet)
        assert {path: path.read_bytes() for path in (tmp_path / "9").glob("*.*")} == before


def test_step_groups_are_cut_where_asked():
    rng = np.random.default_rng(0)
    step_groups = [
        batching.StepGroup(
            0, 8, count, rng.integers(1, 9, (4, 1, 2)), np.ones((4, 1, 2), np.float32)
        )
        for count in (4, 1, 3)
    ]

    def rows(cut):
        """Rows of clips, step by step."""
        return [each.clips[i].tolist() for each in cut for i in range(each.step_count)]

    for first in range(9):
        for last in range(first, 9):
            cut = list(between(step_groups, first, last))
            assert rows(cut) == rows(step_groups)[first:last]
            for step_group in cut:
                assert step_group.clips.shape == (4, 1, 2) and step_group.step_count
                assert (
                    not step_group.weight[step_group.step_count :].any()
                    or step_group in step_groups
                )


def test_what_says_how_long_to_train_must_not_contradict_itself():
    for options in (
        {"epochs": 40, "steps": 100},
        {"epochs": 0},
        {"steps": -1},
        {"warmup_steps": -1},
        {"warmup_steps": 5, "warmup_epochs": 1.0},
    ):
        with pytest.raises(InputError, match="training: .*(epochs|steps)"):
            training.TrainOptions(**options)
    assert training.TrainOptions(steps=100).length(7) == 100
    assert training.TrainOptions(epochs=3).length(7) == 21


def test_impossible_options_are_refused():
    for options in (
        {"epochs": 0},
        {"schedule": "rising"},
        {"learning_rate": 0.0},
        {"weight_decay": -1.0},
    ):
        with pytest.raises(InputError):
            training.TrainOptions(**options)


def test_one_step_is_plain_adam_on_the_mean_loss(store_path):
    """The jitted step against the same step written out, without jit or donation."""
    with Store(store_path) as store:
        run = make_run(store)
        trainer = Trainer(run, store)
        batch = trainer.batches.of_epoch(0)[0]
        ((_, frames),) = trainer.stream([batch])
    state = trainer.initial_state()
    before = jax.tree.map(np.asarray, state.model)
    key = jax.random.fold_in(jax.random.key(run.training.seed), 0)
    clips, weight = batch.clips[0, 0], batch.weight[0, 0]

    def loss(model):
        return trainer.step.loss(model, frames, clips, weight, key, batch.padded_length)[0]

    gradients = jax.jit(jax.grad(loss))(before)
    adam = optax.adam(1e-2)
    updates, _ = adam.update(gradients, adam.init(before))
    expected = optax.apply_updates(before, updates)
    after, losses = trainer.advance(state, frames, batch._replace(step_count=1))
    assert losses[0] == pytest.approx(float(loss(before)), rel=1e-5)
    # Adam's first step is lr · sign(gradient), so entries whose gradient is rounding noise may
    # differ in sign.
    for want, got, gradient in zip(
        *(jax.tree.leaves(tree) for tree in (expected, after.model, gradients))
    ):
        clear = np.abs(gradient) > 1e-6
        np.testing.assert_allclose(np.asarray(got)[clear], np.asarray(want)[clear], atol=1e-4)


def losses_of(run, store, folder):
    assert training.fit(run, store, folder, log=quiet) == 0
    return [record["loss"] for record in RunFolder(folder).metrics()]


def test_how_steps_are_computed_does_not_change_them(store_path, tmp_path):
    """Several steps a call, and a batch in parts whose gradients are added, against one step and
    one batch a call.
    """
    # Nothing random, for parts draw their own numbers.
    still = {
        "augmentation": Augmentation(),
        "options": USVAE.Config(units=8, decoder_units=8, kl_weight=0.0),
    }
    with Store(store_path) as store:

        def make(**options):
            return dataclasses.replace(make_run(store, **options), **still)

        plain = losses_of(make(steps_per_call=1), store, tmp_path / "plain")
        np.testing.assert_allclose(
            losses_of(make(steps_per_call=8), store, tmp_path / "together"), plain, rtol=1e-6
        )
        np.testing.assert_allclose(
            losses_of(make(microbatch_frames=4), store, tmp_path / "parts"), plain, rtol=1e-5
        )


def test_a_streamed_store_trains_and_resumes_like_any_other(store_path, tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "RESIDENT_BYTES", 0)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 40 * 4 * 17 * 3)
    with Store(store_path) as store:
        run = make_run(store, epochs=4, checkpoint_seconds=0.0)
        assert len(Trainer(run, store).batches.blocks) > 2
        whole = losses_of(run, store, tmp_path / "whole")
        assert len(whole) == 4 and whole[-1] < whole[0]
        lines = []

        def stop(line):
            lines.append(line)
            if "epoch" in line and len(lines) == 4:
                os.kill(os.getpid(), signal.SIGTERM)

        assert training.fit(run, store, tmp_path / "broken", log=stop) == signal.SIGTERM
        assert losses_of(run, store, tmp_path / "broken") == whole


@pytest.mark.parametrize("patience_steps, epochs", [(0, 4), (10, 6)])
def test_a_stable_loss_ends_training_after_so_many_epochs_and_steps(
    store_path, tmp_path, patience_steps, epochs
):
    with Store(store_path) as store:  # 16 clips, two steps an epoch
        run = make_run(
            store, epochs=30, learning_rate=1e-12, patience_epochs=3, patience_steps=patience_steps
        )
        still = dataclasses.replace(
            run,
            options=dataclasses.replace(run.options, kl_weight=0.0),
            augmentation=Augmentation(),
        )
        assert training.fit(still, store, tmp_path / "run", log=quiet) == 0
    assert len(RunFolder(tmp_path / "run").metrics()) == epochs
