"""Stores larger than memory: what training costs a frame when the store is streamed, and how much
memory it takes.

A store of four million frames of random walks, with clips as long as iMiGUE's, beside one of a
tenth of it. Each is trained for one epoch by a process of its own (`python scale.py STORE
FOLDER`), whose greatest resident memory is measured; the seconds are those of the epoch,
compilation apart. The larger one does not fit the library's limit for stores held whole and is
read in blocks.
"""

from __future__ import annotations

import json
import pathlib
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from benchmarks.clips import imigue_lengths, random_walks, write_store
from benchmarks.measure import Measurement, figure, row

SUITE = "scale"
FRAMES = 4_000_000
IMIGUE_3K = 37_000_000  # frames of iMiGUE-3K


def run(runs: int, small: bool) -> Iterator[Measurement]:
    """The suite's rows."""
    sizes = (40_000, 4_000) if small else (FRAMES, FRAMES // 10)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for size in sizes:
            lengths = imigue_lengths(size // 40)
            lengths = lengths[: np.searchsorted(np.cumsum(lengths), size) + 1]
            write_store(
                folder / f"{size}.h5",
                lengths,
                lambda first, of_video: random_walks(of_video, seed=first),
            )
        found = {size: [] for size in sizes}
        # an epoch of the large one takes minutes
        for number in range(1 if small else min(runs, 2)):
            for size in sizes:
                found[size].append(
                    _train(folder / f"{size}.h5", folder / f"run{size}-{number}", small)
                )
    seconds = {size: [each["seconds"] / each["frames"] for each in found[size]] for size in sizes}
    large, tenth = sizes
    yield row(
        SUITE,
        f"training on {large:,} frames, {found[large][0]['blocks']} blocks",
        "valid frames/s",
        seconds[large],
        f"{tenth:,} frames, {found[tenth][0]['blocks']} block",
        seconds[tenth],
        1.0,
    )
    memory = {size: max(each["memory"] for each in found[size]) / 2**30 for size in sizes}
    yield figure(
        SUITE,
        f"greatest resident memory, {large:,} frames",
        "GiB",
        memory[large],
        f"{tenth:,} frames",
        memory[tenth],
    )
    yield figure(
        SUITE,
        f"one epoch of {IMIGUE_3K:,} frames at this speed",
        "min",
        IMIGUE_3K * float(np.median(seconds[large])) / 60,
        None,
        None,
    )


def _train(store, folder, small) -> dict:
    done = subprocess.run(
        [sys.executable, __file__, str(store), str(folder), "8" if small else "256"],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def train_once(store_path: str, folder: str, units: int):
    """Train one epoch and print seconds, valid frames, blocks and the process's greatest
    resident memory.
    """
    from mgjax.batching import Blocks
    from mgjax.models.usvae import USVAE
    from mgjax.preparation import Augmentation, Preparation
    from mgjax.store import Store
    from mgjax.training import Run, TrainOptions, fit
    from mgjax.training.folder import RunFolder

    with Store(store_path) as store:
        run = Run(
            model="usvae",
            options=USVAE.Config(units=units, decoder_units=units),
            preparation=Preparation(),
            augmentation=Augmentation(),
            training=TrainOptions(epochs=1, checkpoint_seconds=1e9),
            layout=store.layout,
            split="all",
            classes=(),
        )
        fit(run, store, folder, log=lambda line: None)
        blocks, frames = (
            len(Blocks(store, np.arange(len(store.clips)))),
            int(store.clips.length.sum()),
        )
    # Linux counts in KiB, macOS in bytes.
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )
    print(
        json.dumps(
            {
                "seconds": RunFolder(folder).metrics()[0]["seconds"],
                "frames": frames,
                "blocks": blocks,
                "memory": memory,
            }
        )
    )


if __name__ == "__main__":
    train_once(sys.argv[1], sys.argv[2], int(sys.argv[3]))
