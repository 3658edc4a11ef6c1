"""What is read of a checkpoint is what was written; what cannot be written or read is said in a
sentence.
"""

import errno
import os
import random
import shutil

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from flax import nnx
from test_fit import assert_same_run, make_run, quiet, write_store

from mgjax import training
from mgjax.errors import InputError
from mgjax.store import Store
from mgjax.training import checkpoints
from mgjax.training.folder import RunFolder


def weights_of(folder, step=None):
    """The step and the model's arrays of a checkpoint."""
    model, _, step = training.load_model(folder, step)
    return step, [np.asarray(leaf) for leaf in jax.tree.leaves(nnx.to_pure_dict(nnx.state(model)))]


def same(one, other):
    """Whether two lists of arrays have the same bits."""
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def flip_a_bit(checkpoint, chance):
    """Flip one bit somewhere in a checkpoint's files; returns where."""
    path = chance.choice(
        sorted(path for path in checkpoint.rglob("*") if path.is_file() and path.stat().st_size)
    )
    data, byte, bit = (
        bytearray(path.read_bytes()),
        chance.randrange(path.stat().st_size),
        chance.randrange(8),
    )
    data[byte] ^= 1 << bit
    path.write_bytes(data)
    return f"bit {bit} of byte {byte} of {path.relative_to(checkpoint)}"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a store and a finished run of it, whose checkpoints are of steps 4 and 6."""
    folder = tmp_path_factory.mktemp("trained")
    with Store(write_store(folder / "tiny.h5")) as store:
        assert training.fit(run_of(store), store, folder / "run", log=quiet) == 0
    return folder


def run_of(store, **options):
    return make_run(store, **({"checkpoint_seconds": 0.0} | options))


@pytest.fixture
def copied(trained, tmp_path):
    shutil.copytree(trained / "run", tmp_path / "run")
    return tmp_path / "run"


def test_a_flipped_bit_never_loads_as_other_weights(trained, tmp_path, capsys):
    known = {step: weights_of(trained / "run", step)[1] for step in (4, 6)}
    assert not same(known[4], known[6])
    for seed in range(12):
        folder = tmp_path / str(seed)
        shutil.copytree(trained / "run", folder)
        where = flip_a_bit(folder / "checkpoints" / "6", random.Random(seed))
        step, weights = weights_of(folder)
        assert same(weights, known[step]), where
        if step == 4:
            told = capsys.readouterr().err
            assert (
                told.count("\n") == 1
                and "the checkpoint of step 4 is used" in told
                and "Traceback" not in told
            )
            with pytest.raises(InputError, match="6: damaged"):
                training.load_model(folder, 6)


def test_a_flipped_bit_of_every_file_is_noticed(copied):
    checkpoint = copied / "checkpoints" / "6"
    assert checkpoints.damage(checkpoint) is None
    for path in sorted(path for path in checkpoint.rglob("*") if path.is_file()):
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 4]))
        assert checkpoints.damage(checkpoint), path
        path.unlink()
        # Without its digests a checkpoint is one of an older version.
        assert checkpoints.damage(checkpoint) or path.name == checkpoints.DIGESTS
        path.write_bytes(whole)
    assert checkpoints.damage(checkpoint) is None


def test_where_every_checkpoint_is_damaged_nothing_is_loaded(trained, copied):
    for step in ("4", "6"):
        (copied / "checkpoints" / step / "model" / "_METADATA").write_text("{")
    with pytest.raises(
        InputError, match="4: damaged: model/_METADATA is not as it was written; there is no other"
    ):
        training.load_model(copied)
    before = sorted(copied.rglob("*"))
    refused = pytest.raises(InputError, match="there is no other")
    with Store(trained / "tiny.h5") as store, refused:
        training.fit(run_of(store), store, copied, log=quiet)
    assert sorted(copied.rglob("*")) == before


@pytest.mark.parametrize(
    "name", ["7", "99999999999999999999", "x", "-1", "3.orbax-checkpoint-tmp-0", "٣"]
)
def test_what_else_lies_among_the_checkpoints_does_not_stop_it(trained, copied, name):
    (copied / "checkpoints" / name).mkdir()
    assert weights_of(copied)[0] == 6
    with Store(trained / "tiny.h5") as store:
        assert training.fit(run_of(store), store, copied, log=quiet) == 0
    assert weights_of(copied)[0] == 6


def test_a_damaged_checkpoint_is_trained_again(trained, copied, capsys):
    flip_a_bit(copied / "checkpoints" / "6", random.Random(1))
    with Store(trained / "tiny.h5") as store:
        assert training.fit(run_of(store), store, copied, log=quiet) == 0
    assert "the checkpoint of step 4 is used" in capsys.readouterr().err
    assert checkpoints.damage(copied / "checkpoints" / "6") is None
    assert_same_run(copied, trained / "run")


def test_a_checkpoint_of_an_older_version_is_read_and_gets_its_digests(trained, copied, capsys):
    for step in ("4", "6"):
        (copied / "checkpoints" / step / checkpoints.DIGESTS).unlink()
    step, weights = weights_of(copied)
    assert step == 6 and same(weights, weights_of(trained / "run")[1])
    with Store(trained / "tiny.h5") as store:
        assert training.fit(run_of(store), store, copied, log=quiet) == 0
    assert (copied / "checkpoints" / "6" / checkpoints.DIGESTS).exists()
    for path in (copied / "checkpoints" / "4").rglob("d/*"):
        path.write_bytes(b"")
    shutil.rmtree(copied / "checkpoints" / "6")
    capsys.readouterr()
    with pytest.raises(InputError, match="4: cannot be read"):
        training.load_model(copied)
    assert capsys.readouterr().err == ""


def test_nothing_says_where_a_run_was_trained(trained, tmp_path):
    words = [part.encode() for part in trained.parts if len(part) > 3]
    files = [path for path in (trained / "run").rglob("*") if path.is_file()]
    assert len(files) > 30
    for path in files:
        assert not [word for word in words if word in path.read_bytes()], path
    shutil.copytree(trained / "run", tmp_path / "elsewhere")
    assert same(weights_of(tmp_path / "elsewhere")[1], weights_of(trained / "run")[1])


def test_an_update_that_is_not_finite_is_not_saved(trained, tmp_path):
    """The loss of the only step is that of the weights before its update."""
    with Store(trained / "tiny.h5") as store:
        run = run_of(store, epochs=0, steps=1, learning_rate=1e30, weight_decay=1e30)
        with pytest.raises(
            training.Diverged, match="no longer finite after step 0; nothing was saved"
        ):
            training.fit(run, store, tmp_path / "run", log=quiet)
    with pytest.raises(InputError, match="no checkpoint"):
        training.load_model(tmp_path / "run")


def test_a_full_disk_ends_in_a_sentence_and_the_run_goes_on_from_before(
    trained, tmp_path, monkeypatch
):
    save = ocp.CheckpointManager.save

    def full(manager, step, args):
        if step == 4:
            (manager.directory / "4.orbax-checkpoint-tmp-1").mkdir()
            raise ValueError(
                f"RESOURCE_EXHAUSTED: Error writing: {os.strerror(errno.ENOSPC)} [tensorstore...]"
            )
        return save(manager, step, args=args)

    with Store(trained / "tiny.h5") as store:
        with monkeypatch.context() as patched:
            patched.setattr(ocp.CheckpointManager, "save", full)
            with pytest.raises(
                InputError,
                match=r"step 4 cannot be written \(No space left on "
                r"device\).* of step 2",
            ):
                training.fit(run_of(store), store, tmp_path / "run", log=quiet)
        assert sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir()) == ["2"]
        assert training.fit(run_of(store), store, tmp_path / "run", log=quiet) == 0
    assert_same_run(tmp_path / "run", trained / "run")


def test_metrics_that_cannot_be_written_are_said(tmp_path):
    resource = pytest.importorskip("resource")
    folder = RunFolder(tmp_path)
    record = {"epoch": 0, "step": 2, "loss": 0.5}
    folder.add_metrics(record)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (os.path.getsize(tmp_path / "metrics.jsonl") + 8, limits[1])
    )
    try:
        with pytest.raises(InputError, match="metrics.jsonl: cannot be written .*last checkpoint"):
            folder.add_metrics({"epoch": 1, "step": 4, "loss": 0.25})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert folder.keep_metrics(2) == [record] == folder.metrics()
