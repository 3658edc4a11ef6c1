"""The epochs of a run, and the bookkeeping between steps: checks, checkpoints, metrics, signals."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from mgjax import progress
from mgjax.batching import StepGroup
from mgjax.blocks import Frames
from mgjax.errors import InputError
from mgjax.training import checkpoints
from mgjax.training.devices import Trainer
from mgjax.training.folder import RunFolder
from mgjax.training.hooks import EndedEpoch, OnEpoch, checked
from mgjax.training.optimiser import learning_rate
from mgjax.training.order import between
from mgjax.training.step import TrainState


class Diverged(InputError):
    """The loss or the weights stopped being finite numbers."""


class Epochs:
    """What happens in a run from its first step, or the one that it goes on from, to its last.

    Args:
        trainer: the run's batches and compiled steps.
        folder: the run's working folder.
        manager: its checkpoints.
        history: the records of the epochs so far.
        log: gets what there is to say, a line each.
        stopped: gets the numbers of signals that ask to stop.
        on_epoch: called after every epoch; None calls nothing.
    """

    def __init__(
        self,
        trainer: Trainer,
        folder: RunFolder,
        manager: ocp.CheckpointManager,
        history: list[dict],
        log: Callable[[str], object],
        stopped: list[int],
        on_epoch: OnEpoch | None = None,
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
        # Where there is no terminal, the log has a line an epoch besides.
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
            # Between two calls, not between two epochs: an epoch may take an hour.
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
            # All must leave at the same step, or the others wait for this one for ever.
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
            # Rows of weight 0 only fill up the batch, and may repeat others.
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
        # Sums are on the device, so that no step waits for the host to add.
        sums = {name: float(value) for name, value in state.sums.items()}
        weight = sums.pop("weight")
        seconds = time.monotonic() - self.epoch_began
        record: dict[str, Any] = {"epoch": epoch, "step": step}
        record |= {name: value / weight for name, value in sums.items()}
        record |= {
            # Of the last step that was taken.
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
        # Of the whole run, earlier sessions too, so that going on later ends it no later.
        losses = [record["loss"] for record in self.history]
        if len(losses) <= patience:
            return False
        return min(losses[-patience:]) > 0.999 * min(losses[:-patience])

    def _save(self, state: TrainState) -> None:
        self._check()
        step = int(state.step)
        # A run that ends as it saves would save the same step twice.
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
