"""Padding: how many of the frames that a training epoch works through belong to no clip, at
iMiGUE's lengths.

Everything that is worked through counts: frames past a clip's end and rows that only fill a
batch. Ours is told twice: of the frames that the recurrence reads, which stops at the longest
clip of each part of a batch, and of the padded arrays, which all else goes through.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.clips import imigue_lengths
from benchmarks.measure import Measurement, alternate, figure, row
from mgjax.batching import (
    StepGroup,
    batch_edges,
    group_steps,
    microbatch_count,
    padding_fraction,
    plan,
)
from mgjax.training import TrainOptions

SUITE = "batching"
BATCH = 64


def run(runs: int, small: bool) -> Iterator[Measurement]:
    """The suite's rows, as they are measured."""
    lengths = imigue_lengths(640) if small else imigue_lengths()
    peers = {
        f"random batches of {BATCH}, each padded to its longest": random_batches(len(lengths)),
        f"length-sorted batches of {BATCH}, each padded to its longest": sorted_batches(lengths),
    }
    for shapes in (8, 6):
        shares = padding_fraction(our_epoch(lengths, shapes), lengths)
        for where, share in zip(("a recurrence reads", "arrays hold"), shares):
            case = (
                f"padding of the frames that {where}, {len(lengths):,} clips, "
                f"at most {shapes} shapes"
            )
            for peer, batches in peers.items():
                theirs = padding(
                    lengths, [(int(lengths[rows].max()), len(rows)) for rows in batches]
                )
                yield figure(SUITE, case, "% of frames", 100 * share, peer, 100 * theirs)
    seconds = alternate({"ours": lambda: our_epoch(lengths, 8)}, runs)
    yield row(
        SUITE, f"choose buckets and plan an epoch of {len(lengths):,} clips", "ms", seconds["ours"]
    )


def our_epoch(lengths: np.ndarray, shapes: int) -> list[StepGroup]:
    """The batches of an epoch as training draws them."""
    options = TrainOptions(batch_size=BATCH)
    batches = plan(
        np.arange(len(lengths)), lengths, batch_edges(lengths, BATCH, shapes), BATCH, seed=0
    )
    return group_steps(
        batches,
        options.steps_per_call,
        lambda steps: microbatch_count(steps, BATCH, options.microbatch_frames),
    )


def random_batches(clips: int, seed: int = 0) -> list[np.ndarray]:
    """Rows of clips in random batches."""
    return _cut(np.random.default_rng(seed).permutation(clips))


def sorted_batches(lengths: np.ndarray) -> list[np.ndarray]:
    """Rows of clips in batches of like length, shortest first."""
    return _cut(np.argsort(lengths, kind="stable"))


def _cut(rows):
    return [rows[i : i + BATCH] for i in range(0, len(rows), BATCH)]


def padding(lengths: np.ndarray, batches: list[tuple[int, int]]) -> float:
    """Share of worked frames that belong to no clip, when batches are (padded length, rows)."""
    return 1 - lengths.sum() / sum(steps * rows for steps, rows in batches)
