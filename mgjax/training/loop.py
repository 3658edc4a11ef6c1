"""The training loop, the same for every model.

State goes in, state and metrics come out, of one jitted pure function with donated state.
Randomness is `fold_in(key, step)` and the order of batches a pure function of (seed, epoch), so a
run that was killed at any moment and resumed ends with the same bits as one that was not.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence

import jax
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from mgjax import files, models
from mgjax.batching import padding_fraction
from mgjax.errors import InputError
from mgjax.store import Store
from mgjax.training import checkpoints, signals
from mgjax.training.devices import Trainer
from mgjax.training.epochs import Epochs
from mgjax.training.folder import RunFolder
from mgjax.training.hooks import OnEpoch
from mgjax.training.optimiser import learning_rate
from mgjax.training.run import Run
from mgjax.training.step import TrainState


def fit(
    run: Run,
    store: Store,
    folder: str | os.PathLike,
    log: Callable[[str], object] = print,
    devices: Sequence[jax.Device] | None = None,
    on_epoch: OnEpoch | None = None,
) -> int:
    """Train a run, or go on with it, and leave its checkpoints and metrics in a folder.

    SIGTERM, SIGHUP and Ctrl-C save a checkpoint and return; calling again goes on from there, on
    the same store, with the same options but for the length, which may be raised. Where
    `jax.distributed` has joined several processes, all of them call this with the same arguments;
    the first one writes, logs and calls `on_epoch`.

        with Store("nucla.h5") as store:
            run = Run.from_recipe("usvae_nucla", store, split="cross_view", seed=0)
            fit(run, store, "runs/nucla", on_epoch=lambda ended: print(ended.record))

    Args:
        run: what to train.
        store: the opened store.
        folder: the run's working folder, new or holding the same run; one that all processes see.
        log: gets a line an epoch when standard error is no terminal, of a long run some 200 in all.
        devices: which devices; None takes all. A run may go on with another number of them.
        on_epoch: called after every epoch; the finite numbers that it gives by name join the
            epoch's record in metrics.jsonl. What is trained does not depend on it.

    Returns:
        0 when the run is complete, otherwise the number of the signal that stopped it.

    Raises:
        InputError: run, store and folder do not fit together, another process is training there, or
            the disk is full.
        Diverged: the loss or the weights are not finite; the last good checkpoint stays.
    """
    models.need(models.get(run.model), "loss", "training")
    # The only process that writes.
    first = jax.process_index() == 0
    log = log if first else _nothing
    with contextlib.ExitStack() as held:
        # From the very beginning, so that a signal is never lost on the way.
        stopped = held.enter_context(signals.collected())
        trainer = Trainer(run, store, devices)
        place = RunFolder(folder)
        before = _claimed(place, run, store, held)
        manager = held.enter_context(place.checkpoints(writing=True))
        state = _restore(manager, trainer.initial_state())
        per_epoch = trainer.batches.steps_per_epoch
        step, length = int(state.step), run.training.length(per_epoch)
        _check_length(place, step, length)
        if first and _said_length(before) != _said_length(run):
            place.write(run, store.described())
            _log_change(before, run, per_epoch, step, log)
        history = _kept_metrics(place, trainer, step, length)
        log(_summary(trainer, step, length))
        # A finished run compiles nothing to find that there is nothing to do.
        if step < length:
            trainer.compile(state, log)
        return Epochs(trainer, place, manager, history, log, stopped, on_epoch).go(state)


def _claimed(folder: RunFolder, run: Run, store: Store, held: contextlib.ExitStack) -> Run:
    """Make the folder the run's, and keep other processes from it; the run as it is there."""
    before = run
    if jax.process_index() == 0:
        folder.make()
        held.enter_context(files.one_writer(folder.path))
        before = folder.claim(run, store.described(), any_length=True)
    # The others open checkpoints only once the first one knows that the folder is the run's.
    multihost_utils.sync_global_devices("claimed")
    return before


def _check_length(folder: RunFolder, step: int, length: int) -> None:
    """Raise InputError where a run has done more than is asked for, which cannot be undone."""
    if step > length:
        raise InputError(
            f"{folder.path}: the run there has done {step} steps, more than the {length} asked "
            "for; ask for as many at least, or choose another folder"
        )


def _nothing(_: str) -> None:
    """Log nothing."""


def _said_length(run: Run) -> tuple[int, int]:
    return run.training.epochs, run.training.steps


def _log_change(
    before: Run, run: Run, per_epoch: int, step: int, log: Callable[[str], object]
) -> None:
    """Say what another length does to a run that has done some steps."""
    lengths = [each.training.length(per_epoch) for each in (run, before)]
    if lengths[0] == lengths[1]:
        return
    line = f"the run's length is now {lengths[0]} steps instead of {lengths[1]}"
    if before.training.schedule != "cosine":
        log(f"{line}; its learning rate goes on as before")
        return
    # Where the longer cosine joins the shorter one, the rate jumps: whoever asked for it is told.
    now, then = (float(learning_rate(each.training, per_epoch)(step)) for each in (run, before))
    log(
        f"{line}; its cosine is stretched over all of them: the learning rate of step {step} "
        f"is {now:.3g} instead of {then:.3g}"
    )


def _kept_metrics(folder: RunFolder, trainer: Trainer, step: int, length: int) -> list[dict]:
    """The records up to a step; the first process drops later ones, which the run repeats."""
    history = []
    if jax.process_index() == 0:
        # A record of the middle of an epoch is right only where the run was to end there.
        ended = step % trainer.batches.steps_per_epoch == 0 or step == length
        history = folder.keep_metrics(step, ended)
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("metrics kept")
        history = folder.metrics()
    return history


def _summary(trainer: Trainer, step: int, length: int) -> str:
    """What is trained, in a line."""
    batches = trainer.batches
    recurrences, elsewhere = padding_fraction(batches.of_epoch(0), batches.lengths)
    filling = batches.steps_per_epoch * batches.options.batch_size - len(batches.clips)
    parts = [
        f"{len(batches.clips)} clips"
        + (f" and {filling} rows that only fill up a batch" if filling else ""),
        f"{batches.steps_per_epoch} steps an epoch",
        f"{length} steps in all",
        f"padded lengths {list(batches.edges)} ({recurrences:.1%} padding in recurrences, "
        f"{elsewhere:.1%} elsewhere)",
    ]
    if len(batches.blocks) > 1:
        parts.append(f"{len(batches.blocks)} blocks of {batches.blocks.size} frames")
    if trainer.placement.count > 1:
        parts.append(f"{trainer.placement.count} devices")
    return ", ".join(parts) + (f"; resuming at step {step}" if step else "")


def _restore(manager: ocp.CheckpointManager, state: TrainState) -> TrainState:
    """The state of the newest checkpoint that can be read, or the given one when there is none.

    Newer ones, which are damaged, are deleted, so that their steps can be saved again.
    """
    found = checkpoints.newest(manager, **state.trees())
    if found is None:
        return state
    step, read, damaged = found
    # Nothing is deleted that another process is still reading.
    multihost_utils.sync_global_devices("restored")
    for each in damaged:
        manager.delete(each)
    if jax.process_index() == 0:
        checkpoints.seal(manager, step)
    return TrainState.from_trees(**read)
