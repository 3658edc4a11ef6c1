"""Trains one run on some devices, as one process or as one of two, and prints its losses as JSON.

    python many_devices.py STORE FOLDER EPOCHS DEVICES [PROCESS COORDINATOR]

A program of its own, because the number of devices of a process is settled when JAX starts.
"""

import json
import os
import sys

store_path, folder, epochs, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
distributed = len(sys.argv) > 5
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = (
    f"--xla_force_host_platform_device_count={count // 2 if distributed else count}"
)

import jax  # noqa: E402

if distributed:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(sys.argv[6], num_processes=2, process_id=int(sys.argv[5]))

from mgjax import training  # noqa: E402
from mgjax.models.usvae import USVAE  # noqa: E402
from mgjax.preparation import Augmentation, Preparation  # noqa: E402
from mgjax.store import Store  # noqa: E402
from mgjax.training.folder import RunFolder  # noqa: E402

read = []


class CountingStore(Store):
    def frames(self, start, stop):
        read.append(stop - start)
        return super().frames(start, stop)


with CountingStore(store_path) as store:
    run = training.Run(
        model="usvae",
        options=USVAE.Config(units=8, decoder_units=8),
        preparation=Preparation(),
        augmentation=Augmentation(rotation=0.3),
        training=training.TrainOptions(
            epochs=4,
            batch_size=16,
            learning_rate=1e-2,
            length_buckets=2,
            microbatch_frames=12,
            steps_per_call=2,
        ),
        layout=store.layout,
        split="all",
        classes=store.labels,
    )
    lines = []

    def log(line):
        # Stopped like a user would, once so many epochs are done: the loop looks for a signal
        # after every call.
        lines.append(line)
        if (
            "epoch " in line
            and sum("epoch " in each for each in lines[1:]) == epochs < run.training.epochs
        ):
            os.kill(os.getpid(), 15)

    assert len(jax.devices()) == count
    training.fit(run, store, folder, log=log)
    # One block, read once, each process its share.
    share = -(-store.frame_count // count) * count // jax.process_count()
    assert sum(read) == min(share, store.frame_count - share * jax.process_index()), (
        read,
        store.frame_count,
    )
if jax.process_index() == 0:
    print(json.dumps([record["loss"] for record in RunFolder(folder).metrics()]))
