"""Which clips a run trains on, in which batches, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from mgjax.batching import (
    Blocks,
    Dispatch,
    bucket_edges,
    group,
    longest_of_batches,
    parts_of,
    plan,
)
from mgjax.errors import InputError
from mgjax.store import Store
from mgjax.training.run import Run, TrainOptions


class BatchOrder:
    """The batches of every epoch, a pure function of the run, the store and the epoch's number.

    Args:
        run: the run.
        store: the opened store; the run's split names the training clips.
        share: (which, of how many): this process reads one of so many equal shares of a block.
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

    def __init__(self, run: Run, store: Store, share: tuple[int, int] = (0, 1), multiple: int = 1):
        self.options: TrainOptions = run.training
        self.clips, _ = store.clip_split(run.split)
        if not len(self.clips):
            raise InputError(f"{store.path}: split {run.split!r} has no training clips")
        self.lengths = run.preparation.lengths(store.clips.length)
        self.blocks = Blocks(store, self.clips, share=share, multiple=multiple)
        block = self.blocks.block_of(self.clips)
        self._clips_of_block = [self.clips[block == number] for number in range(len(self.blocks))]
        longest = [
            longest_of_batches(self.lengths[clips], self.options.batch_size)
            for clips in self._clips_of_block
        ]
        self.edges = bucket_edges(np.concatenate(longest), self.options.length_buckets)
        self.steps_per_epoch = sum(map(len, longest))

    def microbatches(self, padded_length: int) -> int:
        """In how many parts a batch of a padded length is computed."""
        options = self.options
        return parts_of(padded_length, options.batch_size, options.microbatch_frames)

    def of_epoch(self, epoch: int) -> list[Dispatch]:
        """The batches of an epoch."""
        options = self.options
        dispatches: list[Dispatch] = []
        # Blocks in another order every epoch, and clips within each.
        numbers = np.random.default_rng([options.seed, epoch]).permutation(len(self.blocks))
        for number in numbers:
            clips = self._clips_of_block[number]
            batches = plan(
                clips, self.lengths[clips], self.edges, options.batch_size, options.seed, epoch
            )
            dispatches += group(batches, options.steps_per_call, self.microbatches, int(number))
        return dispatches


def between(dispatches: Iterable[Dispatch], first: int, last: int) -> Iterator[Dispatch]:
    """The steps `first` to `last` - 1 of some dispatches, those that reach beyond being cut."""
    end = 0
    for dispatch in dispatches:
        begin, end = end, end + dispatch.count
        start, stop = max(first, begin) - begin, min(last, end) - begin
        if stop - start == dispatch.count:
            yield dispatch
        elif start < stop:
            # What is compiled takes arrays of one shape: what is cut away becomes zero.
            clips, weight = np.zeros_like(dispatch.clips), np.zeros_like(dispatch.weight)
            clips[: stop - start] = dispatch.clips[start:stop]
            weight[: stop - start] = dispatch.weight[start:stop]
            yield dispatch._replace(count=stop - start, clips=clips, weight=weight)
