"""Which clips a run trains on, in which batches, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from mgjax.batching import (
    Blocks,
    StepGroup,
    bucket_edges,
    group_steps,
    longest_of_batches,
    microbatch_count,
    plan,
)
from mgjax.errors import InputError
from mgjax.store import Store
from mgjax.training.run import Run
from mgjax.training.train_options import TrainOptions


class BatchOrder:
    """The batches of every epoch, a pure function of the run, the store and the epoch's number.

    Args:
        run: the run.
        store: the opened store; the run's split names the training clips.
        shard: (which, of how many): this process reads one of so many equal shards of a block.
        multiple: a block's number of frames is rounded up to a multiple of this.

    Attributes:
        options: the run's options of training.
        clips: rows of the training clips, int `[N]`.
        lengths: frames of every clip of the store once it is prepared, int `[all clips]`.
        blocks: the store's frames in blocks; one block where they fit.
        edges: the padded lengths, rising.
        steps_per_epoch: optimiser steps of an epoch.

    Raises:
        InputError: the split has no training clips.
    """

    def __init__(self, run: Run, store: Store, shard: tuple[int, int] = (0, 1), multiple: int = 1):
        self.options: TrainOptions = run.training
        # The test side is not looked at, not even for lengths.
        self.clips, _ = store.clip_split(run.split)
        if not len(self.clips):
            raise InputError(f"{store.path}: split {run.split!r} has no training clips")
        self.lengths = run.preparation.lengths(store.clips.length)
        self.blocks = Blocks(store, self.clips, shard=shard, multiple=multiple)
        block = self.blocks.block_of(self.clips)
        self._clips_of_block = [self.clips[block == number] for number in range(len(self.blocks))]
        # The longest clip of every batch: what its recurrences will wait for.
        longest = [
            longest_of_batches(self.lengths[clips], self.options.batch_size)
            for clips in self._clips_of_block
        ]
        # Of all blocks together, so that what is compiled for one serves the others.
        self.edges = bucket_edges(np.concatenate(longest), self.options.length_buckets)
        self.steps_per_epoch = sum(map(len, longest))

    def microbatches(self, padded_length: int) -> int:
        """In how many parts a batch of a padded length is computed."""
        options = self.options
        return microbatch_count(padded_length, options.batch_size, options.microbatch_frames)

    def of_epoch(self, epoch: int) -> list[StepGroup]:
        """The batches of an epoch."""
        options = self.options
        step_groups: list[StepGroup] = []
        # Blocks in another order every epoch, and clips within each.
        numbers = np.random.default_rng([options.seed, epoch]).permutation(len(self.blocks))
        for number in numbers:
            clips = self._clips_of_block[number]
            batches = plan(
                clips, self.lengths[clips], self.edges, options.batch_size, options.seed, epoch
            )
            step_groups += group_steps(
                batches, options.steps_per_call, self.microbatches, int(number)
            )
        return step_groups


def between(step_groups: Iterable[StepGroup], first: int, last: int) -> Iterator[StepGroup]:
    """The steps `first` to `last` - 1 of some step groups, those that reach beyond being cut."""
    end = 0
    for step_group in step_groups:
        begin, end = end, end + step_group.step_count
        start, stop = max(first, begin) - begin, min(last, end) - begin
        if stop - start == step_group.step_count:
            yield step_group
        elif start < stop:
            # What is compiled takes arrays of one shape: what is cut away becomes zero.
            clips, weight = np.zeros_like(step_group.clips), np.zeros_like(step_group.weight)
            clips[: stop - start] = step_group.clips[start:stop]
            weight[: stop - start] = step_group.weight[start:stop]
            yield step_group._replace(step_count=stop - start, clips=clips, weight=weight)
