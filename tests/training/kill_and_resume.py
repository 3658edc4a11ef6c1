"""Trains the same run twice, once unbroken and once killed at random moments and resumed;
compares every bit.

    python kill_and_resume.py STORE FOLDER KILLS [SEED [STEPS]]

Kills are spread over the whole run. A third of them come at any moment, a third inside a save, a
third right after one, before the checkpoint has its digests.

A program of its own, because it forks: every try is a child of this process, which has imported
everything but never touched a device.
"""

import itertools
import os
import pathlib
import random
import signal
import sys
import time

import numpy as np

from mgjax import training
from mgjax.models.usvae import USVAE
from mgjax.preparation import Augmentation, Preparation
from mgjax.store import Store
from mgjax.training.checkpoints import DIGESTS
from mgjax.training.folder import RunFolder

STEPS = int(sys.argv[5]) if len(sys.argv) > 5 else 121  # of most stores, in the middle of an epoch
HANGS = 300  # seconds


def train(store_path, folder):
    with Store(store_path) as store:
        run = training.Run(
            model="usvae",
            options=USVAE.Config(units=8, decoder_units=8, latent_size=8),
            preparation=Preparation(velocity=2.0),
            augmentation=Augmentation(rotation=0.3, speed=0.2, joint_dropout=0.1, denoise=True),
            training=training.TrainOptions(
                epochs=0,
                steps=STEPS,
                batch_size=8,
                learning_rate=1e-2,
                length_buckets=1,
                checkpoint_seconds=0,
            ),
            layout=store.layout,
            split="all",
            classes=store.labels,
        )
        training.fit(run, store, folder, log=lambda line: None)


def child(store_path, folder):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            train(store_path, folder)
            code = 0
        finally:
            os._exit(code)
    return pid


def saved(folder):
    """Steps of finished checkpoints, and whether one is being written, and whether one has no
    digests yet.
    """
    checkpoints = folder / "checkpoints"
    names = os.listdir(checkpoints) if checkpoints.is_dir() else []
    steps = sorted(int(name) for name in names if name.isdecimal())
    unsealed = steps and not (checkpoints / str(steps[-1]) / DIGESTS).exists()
    return steps, len(steps) < len(names), bool(unsealed)


def wait_until(true, pid):
    """Wait for a moment in the life of a child, which must not have ended."""
    began = time.monotonic()
    while not true():
        assert os.waitpid(pid, os.WNOHANG) == (0, 0), "the run was over before it could be killed"
        assert time.monotonic() - began < HANGS, "the run hangs"
        time.sleep(0.0005)


def checkpoint(folder):
    """Every array of the newest checkpoint, by name."""
    import jax

    with RunFolder(folder).checkpoints() as manager:
        restored = manager.restore(manager.latest_step())
    leaves = jax.tree_util.tree_leaves_with_path(
        {"model": restored.model, "training": restored.training}
    )
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def main():
    store_path, folder, kills = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    chance = random.Random(int(sys.argv[4]) if len(sys.argv) > 4 else 0)
    _, status = os.waitpid(child(store_path, folder / "unbroken"), 0)
    assert status == 0, f"the unbroken run ended with status {status}"
    broken, hits = (
        folder / "broken",
        {"any moment": [], "inside a save": [], "before its digests": []},
    )
    ways = list(itertools.islice(itertools.cycle(hits), kills))
    chance.shuffle(ways)
    for number, way in enumerate(ways):
        target = round(0.85 * STEPS * (number + chance.random()) / kills)
        pid = child(store_path, broken)
        wait_until(lambda target=target: (saved(broken)[0] or [0])[-1] >= target, pid)
        if way == "any moment":
            time.sleep(chance.uniform(0, 0.3))
        else:
            sign = 1 if way == "inside a save" else 2
            wait_until(lambda sign=sign: saved(broken)[sign], pid)
            time.sleep(chance.uniform(0, 0.01) if way == "inside a save" else 0)
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status), "the run was over before it could be killed"
        steps, writing, unsealed = saved(broken)
        hits[
            "inside a save" if writing else "before its digests" if unsealed else "any moment"
        ] += steps[-1:] or [0]
    pid, status = os.waitpid(child(store_path, folder / "broken"), 0)
    assert status == 0, f"the last resume ended with status {status}"
    one, other = checkpoint(folder / "unbroken"), checkpoint(folder / "broken")
    assert one.keys() == other.keys() and len(one) > 20
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    records = [
        [
            {
                name: value
                for name, value in record.items()
                if name not in ("seconds", "frames_per_second")
            }
            for record in RunFolder(folder / which).metrics()
        ]
        for which in ("unbroken", "broken")
    ]
    assert records[0] == records[1] and records[0][-1]["step"] == STEPS
    assert [record["epoch"] for record in records[0]] == list(range(len(records[0])))
    found = "; ".join(
        f"{way}: after steps {', '.join(map(str, steps)) or 'none'}" for way, steps in hits.items()
    )
    print(
        f"killed {kills} times ({found}); {len(one)} arrays and {len(records[0])} records are "
        "the same to the bit"
    )


if __name__ == "__main__":
    main()
