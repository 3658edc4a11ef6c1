"""Training U-S-VAE at iMiGUE's lengths: BLSTM 256, decoder 256, 60 inputs, an epoch of 13,936
clips, batches of 64.

Ours is the whole way: frames gathered from the device's one array, prepared, loss, gradient,
Adam, in the batches that training draws. Peers get prepared arrays ready made, which costs them
nothing. An epoch of every contestant would take an hour on a CPU. There ours takes a quarter of
its calls for every padded length, and everywhere peers are timed on a few batches that stand for
all (`sample`); seconds of an epoch are worked out from these.

PyTorch draws random batches, each padded to its longest clip, as is common; packed or not; and,
padded, batches of like length, which is the fastest it does. flax's `nnx.RNN` gets the very
batches that we train on.
"""

from __future__ import annotations

import functools
import pathlib
import tempfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from benchmarks import nnx_models
from benchmarks.batching import BATCH, random_batches, sorted_batches
from benchmarks.clips import LAYOUT, imigue_lengths, prepared_batch, random_walks, write_store
from benchmarks.measure import Measurement, alternate, row
from benchmarks.recurrent import INPUTS, torch_peers
from mgjax.batching import Frames
from mgjax.models.usvae import USVAE
from mgjax.preparation import Augmentation, Preparation
from mgjax.store import Store
from mgjax.training import Run, TrainOptions
from mgjax.training.devices import Trainer

SUITE = "train"
KL = 1e-3


class Work(NamedTuple):
    """A batch of a peer: its padded length, rows of clips, their weights, and for how many such
    batches it stands.
    """

    steps: int
    rows: np.ndarray
    weight: np.ndarray
    share: float = 1.0


def run(runs: int, small: bool) -> Iterator[Measurement]:
    """The suite's rows."""
    lengths = np.minimum(imigue_lengths(96), 5) if small else imigue_lengths()
    units, parts = (8, 2) if small else (256, 6)
    keypoints = random_walks(lengths)
    trainer, frames = make_trainer(keypoints, lengths, units)
    contestants = {
        "mgjax": our_epoch(trainer, frames, portion=4 if jax.default_backend() == "cpu" else 1)
    }
    contestants |= _torch_contestants(keypoints, lengths, units, parts)
    contestants["flax nnx.RNN, our batches"] = _nnx_contestant(
        trainer, keypoints, lengths, units, parts
    )
    seconds = _epoch_seconds(contestants, runs)
    case = f"U-S-VAE, BLSTM {units}, decoder {units}, epochs of {len(lengths):,} clips"
    for peer in list(seconds)[1:]:
        yield row(
            SUITE,
            case,
            "valid frames/s",
            seconds["mgjax"],
            peer,
            seconds[peer],
            float(lengths.sum()),
        )
    yield row(SUITE, f"{case}: one epoch", "ms", seconds["mgjax"])


def make_trainer(keypoints: np.ndarray, lengths: np.ndarray, units: int) -> tuple[Trainer, Frames]:
    """A run of these clips with the library's own defaults, and its frames on the device."""
    run = Run(
        model="usvae",
        options=USVAE.Config(units=units, decoder_units=units, kl_weight=KL),
        preparation=Preparation(),
        augmentation=Augmentation(),
        training=TrainOptions(batch_size=BATCH),
        layout=LAYOUT,
        split="all",
        classes=(),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "bench.h5"
        starts = np.cumsum(lengths) - lengths
        write_store(
            path,
            lengths,
            lambda first, of_video: keypoints[starts[first] : starts[first] + of_video.sum()],
        )
        with Store(path) as store:
            trainer = Trainer(run, store, jax.devices()[:1])
            ((_, frames),) = trainer.stream(trainer.batches.of_epoch(0)[:1])
            return trainer, frames


def our_epoch(trainer: Trainer, frames: Frames, portion: int) -> list[tuple[float, Callable]]:
    """Our epoch as pieces of work and how often each counts.

    A piece takes one in `portion` calls for a padded length, as `mgjax.training.fit` does, and
    waits for their end.
    """
    held, shapes = [trainer.initial_state()], {}
    trainer.compile(held[0])
    for step_group in trainer.batches.of_epoch(0):
        shapes.setdefault(step_group.padded_length, []).append(step_group)

    def train(step_groups):
        for step_group in step_groups:
            held[0], _ = trainer.advance(held[0], frames, step_group)
        jax.block_until_ready(held[0])

    def work(step_groups):
        return sum(
            trainer.batches.lengths[d.clips[: d.step_count]].max(-1).sum() for d in step_groups
        )

    taken = [step_groups[::portion] for step_groups in shapes.values()]
    return [
        (float(work(all_of) / work(some)), functools.partial(train, some))
        for all_of, some in zip(shapes.values(), taken)
    ]


def our_batches(trainer: Trainer) -> list[Work]:
    """The batches of one of our epochs."""
    return [
        Work(step_group.padded_length, step_group.clips[i].ravel(), step_group.weight[i].ravel())
        for step_group in trainer.batches.of_epoch(0)
        for i in range(step_group.step_count)
    ]


def padded(lengths: np.ndarray, batches: list[np.ndarray]) -> list[Work]:
    """Batches of rows, each padded to its own longest clip."""
    return [
        Work(int(lengths[rows].max()), rows, np.ones(len(rows), np.float32)) for rows in batches
    ]


def sample(batches: list[Work], parts: int) -> list[Work]:
    """A few batches that stand for an epoch.

    In order of their padded frames they are cut into at most so many groups of about equally many
    padded frames together; the middle batch of each stands for its group, and counts as often as
    the group has its padded frames.
    """
    batches = sorted(batches, key=lambda batch: batch.steps * len(batch.rows))
    frames = np.array([batch.steps * len(batch.rows) for batch in batches])
    group = ((np.cumsum(frames) - frames / 2) / frames.sum() * parts).astype(int)
    chosen = []
    for members in (np.flatnonzero(group == g) for g in np.unique(group)):
        middle = members[len(members) // 2]
        chosen.append(batches[middle]._replace(share=float(frames[members].sum() / frames[middle])))
    return chosen


def _epoch_seconds(
    contestants: dict[str, list[tuple[float, Callable]]], runs: int
) -> dict[str, list[float]]:
    """Seconds of an epoch a run, where a contestant is several pieces of work and how often each
    counts.
    """
    pieces = {
        (name, i): work for name, pairs in contestants.items() for i, (_, work) in enumerate(pairs)
    }
    seconds = alternate(pieces, runs)
    return {
        name: [
            sum(share * seconds[name, i][r] for i, (share, _) in enumerate(pairs))
            for r in range(runs)
        ]
        for name, pairs in contestants.items()
    }


def _torch_contestants(keypoints, lengths, units, parts):
    peers, device = torch_peers()
    if peers is None:
        return {}
    random, by_length = (
        padded(lengths, random_batches(len(lengths))),
        padded(lengths, sorted_batches(lengths)),
    )
    contestants = {}
    for name, batches, packed in (
        (f"PyTorch packed, random batches of {BATCH}", random, True),
        (f"PyTorch padded, random batches of {BATCH}", random, False),
        (f"PyTorch padded, length-sorted batches of {BATCH}", by_length, False),
    ):
        train = peers.trainer(peers.AutoEncoder(INPUTS, units, units, KL, packed), device)
        contestants[name] = []
        for work in sample(batches, parts):
            x = prepared_batch(keypoints, lengths, work.rows, work.steps)
            batch = peers.place(x, lengths[work.rows], device)
            contestants[name].append((work.share, functools.partial(train, *batch)))
    return contestants


def _nnx_contestant(trainer, keypoints, lengths, units, parts):
    train = nnx_models.trainer(nnx_models.AutoEncoder(INPUTS, units, units, KL, nnx.Rngs(0)))
    pieces = []
    for work in sample(our_batches(trainer), parts):
        x = prepared_batch(keypoints, lengths, work.rows, work.steps)
        batch = [
            jnp.asarray(array) for array in (x, lengths[work.rows].astype(np.int32), work.weight)
        ]
        pieces.append((work.share, functools.partial(train, *batch)))
    return pieces
