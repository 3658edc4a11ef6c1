"""A run on its devices: where arrays lie, and the steps, compiled.

Every device holds the model and the frames of the block that is worked on, and computes its share
of each batch's rows; sums over rows are sums over devices. So a batch, its order and its randomness
do not depend on how many devices there are, and results differ by rounding only.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent import futures
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mgjax.batching import Frames, StepGroup
from mgjax.errors import InputError
from mgjax.store import Store
from mgjax.training.optimiser import make_optimiser
from mgjax.training.order import BatchOrder
from mgjax.training.run import Run
from mgjax.training.step import TrainState, TrainStep


class Placement:
    """Where arrays lie on some devices.

    Args:
        devices: which; None takes all of all processes.

    Attributes:
        count: how many devices.
        everywhere: the sharding of an array that every device holds.
        by_row: that of `[K, microbatches, rows]`, each device having some rows.
        by_frame: that of `[frames, ...]`, each device having some frames.
    """

    def __init__(self, devices: Sequence[jax.Device] | None = None):
        chosen = jax.devices() if devices is None else devices
        # Process by process: each one reads the share of the frames that its devices hold before
        # all get all of them.
        ordered = sorted(chosen, key=lambda device: (device.process_index, device.id))
        self.count = len(ordered)
        mesh = Mesh(np.array(ordered), ("rows",))
        self.everywhere = NamedSharding(mesh, PartitionSpec())
        self.by_row = NamedSharding(mesh, PartitionSpec(None, None, "rows"))
        self.by_frame = NamedSharding(mesh, PartitionSpec("rows"))
        self._exchange = jax.jit(lambda arrays: arrays, out_shardings=self.everywhere)

    def place(self, tree: Any, sharding: NamedSharding | None = None) -> Any:
        """Put host arrays, the same in every process, on the devices: by default all of them
        everywhere.
        """
        sharding = sharding or self.everywhere

        # device_put would do for one process; the callback does for several too.
        def put(array):
            array = np.asarray(array)
            return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

        return jax.tree.map(put, tree)

    def place_frames(self, frames: Frames) -> Frames:
        """Put a block's frames on all devices; each of several processes has read its share of
        them.
        """
        if jax.process_count() == 1:
            return self.place(frames)
        # Every frame is read from the disk by one process alone, then sent to the others.
        of_process = functools.partial(jax.make_array_from_process_local_data, self.by_frame)
        keypoints, score = self._exchange((of_process(frames.keypoints), of_process(frames.score)))
        rest = self.place((frames.start, frames.length, frames.label))
        return Frames(keypoints, score, *rest)


class Trainer:
    """A run, its batches and its compiled steps.

    Args:
        run: the run.
        store: the opened store; its split names the training clips. It must stay open while
            `stream` is used.
        devices: which devices; None takes all of all processes.

    Attributes:
        batches: the batches of every epoch.
        placement: where arrays lie.
        step: the step.

    Raises:
        InputError: run, store and devices do not fit together.
    """

    def __init__(self, run: Run, store: Store, devices: Sequence[jax.Device] | None = None):
        run.check_store(store)
        self.placement = Placement(devices)
        self.batches = BatchOrder(
            run,
            store,
            shard=(jax.process_index(), jax.process_count()),
            multiple=self.placement.count,
        )
        self._check_rows()
        self.step = TrainStep.of(run, make_optimiser(run.training, self.batches.steps_per_epoch))
        # The state is donated: its buffers become those of the new one.
        self._jitted = jax.jit(self.step.many, static_argnames="steps", donate_argnums=0)
        self._compiled: dict[int, Callable] = {}

    def _check_rows(self) -> None:
        """Raise InputError where a batch's rows cannot be shared out."""
        batch_size = self.batches.options.batch_size
        # The longest padded length is computed in the most, and so the smallest, microbatches.
        microbatches = self.batches.microbatches(self.batches.edges[-1])
        rows = batch_size // microbatches
        if rows % self.placement.count:
            raise InputError(
                f"training: {rows} rows of a batch (batch_size {batch_size}, computed in "
                f"{microbatches} parts) cannot be shared out evenly among "
                f"{self.placement.count} devices"
            )

    def initial_state(self) -> TrainState:
        """The state before the first step."""
        shapes, padded_length = self.batches.blocks.shapes(), self.batches.edges[0]
        return self.placement.place(self.step.initial_state(shapes, padded_length))

    def lower(self, state: TrainState, padded_length: int) -> jax.stages.Lowered:
        """The steps of a padded length, traced and lowered, not yet compiled."""
        place = self.placement

        def shape_of(array):
            return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=place.everywhere)

        frames = jax.tree.map(shape_of, self.batches.blocks.shapes())
        options = self.batches.options
        microbatches = self.batches.microbatches(padded_length)
        shape = options.steps_per_call, microbatches, options.batch_size // microbatches
        clips = jax.ShapeDtypeStruct(shape, np.int32, sharding=place.by_row)
        weight = jax.ShapeDtypeStruct(shape, np.float32, sharding=place.by_row)
        return self._jitted.lower(state, frames, clips, weight, self._count(0), steps=padded_length)

    def compile(self, state: TrainState, log: Callable[[str], object] = lambda line: None) -> None:
        """Compile the steps for every padded length, several at once."""
        # Tracing is Python and takes turns; compiling is not and does not.
        lowered = {edge: self.lower(state, edge) for edge in self.batches.edges}
        began = time.monotonic()
        with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            compiled = pool.map(lambda each: each.compile(), lowered.values())
            self._compiled = dict(zip(lowered, compiled))
        log(f"compiled {len(lowered)} padded lengths in {time.monotonic() - began:.1f} s")

    def _count(self, count: int) -> jax.Array:
        # An array, not a number of Python's: each number would be compiled anew.
        return self.placement.place(np.asarray(count, np.int32))

    def advance(
        self, state: TrainState, frames: Frames, step_group: StepGroup
    ) -> tuple[TrainState, jax.Array]:
        """Take the optimiser steps of a step group.

        Args:
            state: the state before them, which is used up.
            frames: the frames of its block, on the devices.
            step_group: the batches.

        Returns:
            the new state, and the loss of every step, float32 `[steps_per_call]`.
        """
        # A call that nobody compiled for is compiled when it is first made.
        call = self._compiled.get(step_group.padded_length)
        if call is None:
            call = functools.partial(self._jitted, steps=step_group.padded_length)
        clips, weight = self.placement.place(
            (step_group.clips, step_group.weight), self.placement.by_row
        )
        return call(state, frames, clips, weight, self._count(step_group.step_count))

    def stream(self, step_groups: Iterable[StepGroup]) -> Iterator[tuple[StepGroup, Frames]]:
        """Step groups, each with the frames of its block on the devices."""
        step_groups = list(step_groups)
        blocks = [step_group.block for step_group in step_groups]
        frames = self.batches.blocks.prefetch(blocks, self.placement.place_frames)
        yield from zip(step_groups, frames)
