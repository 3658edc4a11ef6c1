"""The training loop, the same for every model.

State goes in, state and metrics come out, of one jitted pure function with donated state.
Randomness is `fold_in(key, step)` and the order of batches a pure function of (seed, epoch), so a
run that was killed at any moment and resumed ends with the same bits as one that was not.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from mgjax import files, models, progress
from mgjax.batching import Frames, StepGroup, padding_fraction
from mgjax.errors import InputError
from mgjax.store import Store
from mgjax.training import checkpoints, signals
from mgjax.training.devices import Trainer
from mgjax.training.folder import RunFolder
from mgjax.training.hooks import EndedEpoch, OnEpoch, checked
from mgjax.training.optimiser import learning_rate
from mgjax.training.order import between
from mgjax.training.run import Run
from mgjax.training.step import TrainState


class Diverged(InputError):
    """The loss or the weights stopped being finite numbers."""


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
    first = jax.process_index() == 0
    log = log if first else _nothing
    with contextlib.ExitStack() as held:
        stopped = held.enter_context(signals.collected())
        trainer = Trainer(run, store, devices)
        place = RunFolder(folder)
        described, before = store.described(), run
        if first:
            place.make()
            held.enter_context(files.one_writer(place.path))
            before = place.claim(run, described, any_length=True)
        # The others open checkpoints only once the first one knows that the folder is the run's.
        multihost_utils.sync_global_devices("claimed")
        manager = held.enter_context(place.checkpoints(writing=True))
        state = _restore(manager, trainer.initial_state())
        step, length = int(state.step), run.training.length(trainer.batches.steps_per_epoch)
        if step > length:
            raise InputError(
                f"{place.path}: the run there has done {step} steps, more than the {length} asked "
                "for; ask for as many at least, or choose another folder"
            )
        if first and _said_length(before) != _said_length(run):
            place.write(run, described)
            _log_change(before, run, trainer.batches.steps_per_epoch, step, log)
        history = _kept_metrics(place, trainer, step, length)
        log(_summary(trainer, step, length))
        if step < length:
            trainer.compile(state, log)
        loop = _Epochs(trainer, place, manager, history, log, stopped, on_epoch)
        return loop.go(state)


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
    now, then = (float(learning_rate(each.training, per_epoch)(step)) for each in (run, before))
    log(
        f"{line}; its cosine is stretched over all of them: the learning rate of step {step} "
        f"is {now:.3g} instead of {then:.3g}"
    )


def _kept_metrics(folder: RunFolder, trainer: Trainer, step: int, length: int) -> list[dict]:
    """The records up to a step; the first process drops later ones, which the run repeats."""
    history = []
    if jax.process_index() == 0:
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


class _Epochs:
    """The bookkeeping between steps: checks, checkpoints, metrics, signals."""

    def __init__(
        self,
        trainer: Trainer,
        folder: RunFolder,
        manager: ocp.CheckpointManager,
        history: list[dict],
        log: Callable[[str], object],
        stopped: list[int],
        on_epoch: OnEpoch | None,
    ):
        self.trainer, self.folder, self.manager = trainer, folder, manager
        self.history, self.log, self.stopped = history, log, stopped
        self.on_epoch = on_epoch
        self.options, self.per_epoch = trainer.batches.options, trainer.batches.steps_per_epoch
        self.length = self.options.length(self.per_epoch)
        self.rate = learning_rate(self.options, self.per_epoch)
        self.saved_at = self.epoch_began = time.monotonic()
        # Calls whose losses nobody has looked at yet, each with its first step.
        self.unchecked: list[tuple[int, StepGroup, jax.Array]] = []
        self.frames_seen = 0

    def go(self, state: TrainState) -> int:
        """Train to the end, or until a signal comes; returns its number, or 0."""
        step = int(state.step)
        with progress.counter(self.length, "training", done=step, every=120) as advance:
            while step < self.length and not self._settled():
                state, step, number = self._epoch(state, step, advance)
                if number:
                    return number
        if step < self.length:
            self.log(
                "the training loss has not fallen by 0.1 % in "
                f"{self.options.patience_epochs} epochs: ended at step {step} of {self.length}"
            )
        if step % self.per_epoch and (not self.history or self.history[-1]["step"] != step):
            state = self._end_epoch(state, step // self.per_epoch, step)
        self._save(state)
        return 0

    def _epoch(
        self, state: TrainState, step: int, advance: Callable[..., None]
    ) -> tuple[TrainState, int, int]:
        """What is left of the epoch that a step is in.

        Returns:
            the state, the step, and the number of a signal that ended it early, saved, or 0.
        """
        epoch, first = divmod(step, self.per_epoch)
        self.epoch_began, self.frames_seen = time.monotonic(), 0
        last = min(self.per_epoch, self.length - epoch * self.per_epoch)
        left = between(self.trainer.batches.of_epoch(epoch), first, last)
        for step_group, frames in self.trainer.stream(left):
            state = self._advance(state, step, step_group, frames)
            step += step_group.step_count
            if step % self.per_epoch == 0:
                state = self._end_epoch(state, epoch, step)
            loss = f"loss {self.history[-1]['loss']:.5f}" if self.history else ""
            advance(loss, step_group.step_count)
            if self._asked_to_stop():
                self._save(state)
                name = signal.Signals(self.stopped[0]).name
                self.log(
                    f"stopped by {name} at step {step}; saved: the same command goes on from here"
                )
                return state, step, self.stopped[0]
            if self._time_to_save():
                self._save(state)
        return state, step, 0

    def _asked_to_stop(self) -> bool:
        """Whether a signal came, to any process."""
        if jax.process_count() > 1:
            mine = np.array(self.stopped[0] if self.stopped else 0)
            everyones = np.ravel(multihost_utils.process_allgather(mine)).tolist()
            self.stopped[:] = [number for number in everyones if number]
        return bool(self.stopped)

    def _time_to_save(self) -> bool:
        """Whether it is time for a checkpoint; the first process says so for all."""
        due = time.monotonic() - self.saved_at >= self.options.checkpoint_seconds
        if jax.process_count() > 1:
            due = bool(multihost_utils.broadcast_one_to_all(np.array(due)))
        return due

    def _advance(
        self, state: TrainState, step: int, step_group: StepGroup, frames: Frames
    ) -> TrainState:
        state, losses = self.trainer.advance(state, frames, step_group)
        lengths = self.trainer.batches.lengths[step_group.clips]
        self.frames_seen += int((lengths * step_group.weight).sum())
        self.unchecked.append((step, step_group, losses))
        # The next call is under way while the losses of the one before are looked at; no more
        # than that, so that whoever stops a run does not wait for long.
        self._check(ahead=1)
        return state

    def _check(self, ahead: int = 0) -> None:
        """Raise Diverged where a loss is not finite, in all calls but the last so many."""
        while len(self.unchecked) > ahead:
            first, step_group, on_device = self.unchecked.pop(0)
            losses = np.asarray(on_device)[: step_group.step_count]
            wrong = np.flatnonzero(~np.isfinite(losses))
            if not len(wrong):
                continue
            i = int(wrong[0])
            rows = sorted(set(step_group.clips[i][step_group.weight[i] > 0].tolist()))
            number = first + i
            raise Diverged(
                f"the loss is {losses[i]} at step {number} (epoch {number // self.per_epoch}); "
                f"clips of that step, as rows of the store: {', '.join(map(str, rows))}; "
                f"{self._last_good()}"
            )

    def _last_good(self) -> str:
        good = self.manager.latest_step()
        if good is None:
            return "nothing was saved yet"
        return f"the checkpoint of step {good} is kept"

    def _end_epoch(self, state: TrainState, epoch: int, step: int) -> TrainState:
        """Write the epoch's record: its means over the clips it had."""
        self._check()
        sums = {name: float(value) for name, value in state.sums.items()}
        weight = sums.pop("weight")
        seconds = time.monotonic() - self.epoch_began
        record: dict[str, Any] = {"epoch": epoch, "step": step}
        record |= {name: value / weight for name, value in sums.items()}
        record |= {
            "learning_rate": float(self.rate(step - 1)),
            "frames_per_second": round(self.frames_seen / seconds),
            "seconds": round(seconds, 3),
        }
        if jax.process_index() == 0:
            record |= self._asked(state, record)
            self.folder.add_metrics(record)
        self.history.append(record)
        if not sys.stderr.isatty() and self._worth_a_line(step):
            self._log_epoch(record, list(sums))
        if step % self.per_epoch:
            return state  # of an epoch that the run, given more steps, would go on with
        zeros = {name: np.zeros((), np.float32) for name in state.sums}
        return state._replace(sums=self.trainer.placement.place(zeros))

    def _asked(self, state: TrainState, record: dict) -> dict[str, float]:
        """What `on_epoch` says of an epoch."""
        if self.on_epoch is None:
            return {}

        def make_model():
            # Copies, for the next step takes the state's own buffers.
            arrays = jax.tree.map(lambda leaf: np.array(leaf), state.model)
            return self.trainer.step.model(arrays)

        ended = EndedEpoch(record["epoch"], record["step"], record, make_model)
        said = checked(self.on_epoch(ended), record)
        ended.close()
        return said

    def _log_epoch(self, record: dict, losses: list[str]) -> None:
        said = [name for name in record if name.startswith("validation")]
        parts = "  ".join(f"{name} {record[name]:.5f}" for name in [*losses, *said])
        step, width = record["step"], len(str(self.length))
        self.log(
            f"step {step:{width}d}/{self.length}  epoch {record['epoch'] + 1:4d}  {parts}  "
            f"{record['seconds']:.1f} s"
        )

    def _worth_a_line(self, step: int) -> bool:
        """Whether an epoch that ends with this step is logged: every one of a short run, some
        200 of a long one.
        """
        share = max(self.length, 200 * self.per_epoch) / 200
        return step == self.length or step // share > (step - self.per_epoch) // share

    def _settled(self) -> bool:
        """Whether the training loss has been stable for `patience_epochs` epochs and
        `patience_steps` steps.
        """
        if not self.options.patience_epochs:
            return False
        fewest = -(-self.options.patience_steps // self.per_epoch)
        patience = max(self.options.patience_epochs, fewest)
        losses = [record["loss"] for record in self.history]
        if len(losses) <= patience:
            return False
        return min(losses[-patience:]) > 0.999 * min(losses[:-patience])

    def _save(self, state: TrainState) -> None:
        self._check()
        step = int(state.step)
        if self.manager.latest_step() != step:
            # A loss is that of the weights before its update, so a loss that is finite does not
            # say that they are now.
            if not state.all_finite():
                raise Diverged(
                    "the weights or the optimiser's state are no longer finite after step "
                    f"{step - 1}; {self._last_good()}"
                )
            checkpoints.save(self.manager, step, **state.trees())
        self.saved_at = time.monotonic()


def _restore(manager: ocp.CheckpointManager, state: TrainState) -> TrainState:
    """The state of the newest checkpoint that can be read, or the given one when there is none.

    Newer ones, which are damaged, are deleted, so that their steps can be saved again.
    """
    found = checkpoints.newest(manager, **state.trees())
    if found is None:
        return state
    step, read, damaged = found
    multihost_utils.sync_global_devices("restored")
    for each in damaged:
        manager.delete(each)
    if jax.process_index() == 0:
        checkpoints.seal(manager, step)
    return TrainState.from_trees(**read)
