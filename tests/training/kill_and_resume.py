"""Trains the same run twice, once unbroken and once killed at random moments and resumed; compares every bit.

    python kill_and_resume.py STORE FOLDER KILLS

A program of its own, because it forks: every try is a child of this process, which has imported everything but never
touched a device.
"""

import os
import pathlib
import random
import signal
import sys
import time

import numpy as np

from mgjax import training
from mgjax.models.usvae import USVAE
from mgjax.store import Store
from mgjax.training.run import RunFolder
from mgjax.transforms import Augmentation, Preparation

EPOCHS = 40


def train(store_path, folder):
    with Store(store_path) as store:
        run = training.Run(
            "usvae", USVAE.Config(units=8, decoder_units=8, latent=8), Preparation(velocity=2.0),
            Augmentation(rotation=0.3, speed=0.2, drop=0.1, denoise=True),
            training.TrainOptions(epochs=EPOCHS, batch_size=8, learning_rate=1e-2, buckets=1, checkpoint_seconds=0),
            store.layout, "all", store.labels,
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


def files(folder):
    """Names of what lies among the checkpoints, finished or not."""
    checkpoints = folder / "checkpoints"
    return sorted(os.listdir(checkpoints)) if checkpoints.is_dir() else []


def checkpoint(folder):
    """Every array of the newest checkpoint, by name."""
    import jax

    with RunFolder(folder).checkpoints() as manager:
        restored = manager.restore(manager.latest_step())
    leaves = jax.tree_util.tree_leaves_with_path({"model": restored.model, "training": restored.training})
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def main():
    store_path, folder, kills = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
    _, status = os.waitpid(child(store_path, folder / "unbroken"), 0)
    assert status == 0, f"the unbroken run ended with status {status}"
    chance, moments = random.Random(0), []
    for _ in range(kills):
        before = files(folder / "broken")
        pid = child(store_path, folder / "broken")
        # Most kills come once the run writes again, a checkpoint every step, in whatever it is doing then.
        while chance.random() < 0.9 and files(folder / "broken") == before:
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.6))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status), "the run was over before it could be killed"
        moments.append(len(RunFolder(folder / "broken").metrics()))
    pid, status = os.waitpid(child(store_path, folder / "broken"), 0)
    assert status == 0, f"the last resume ended with status {status}"
    one, other = checkpoint(folder / "unbroken"), checkpoint(folder / "broken")
    assert one.keys() == other.keys() and len(one) > 20
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    records = [[{name: value for name, value in record.items() if name not in ("seconds", "frames_per_second")}
                for record in RunFolder(folder / which).metrics()] for which in ("unbroken", "broken")]
    assert records[0] == records[1] and len(records[0]) == EPOCHS
    print(f"killed {kills} times, after {moments} epochs; {len(one)} arrays and {len(records[0])} records are the same "
          "to the bit")


if __name__ == "__main__":
    main()
