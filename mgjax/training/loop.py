"""The training loop, the same for every model.

State goes in, state and metrics come out, of one jitted pure function with donated state. Randomness is
`fold_in(key, step)` and the order of batches a pure function of (seed, epoch), so a run that was killed at any
moment and resumed ends with the same bits as one that was not.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
from flax import nnx

from mgjax import progress
from mgjax.batching import BatchIndex, Frames, bucket_edges, gather, load_frames, padding_share, plan
from mgjax.errors import InputError
from mgjax.store import Store
from mgjax.training.run import Run, RunFolder, TrainOptions, build_model, restore


class Diverged(InputError):
    """The loss stopped being a finite number."""


class TrainState(NamedTuple):
    """What a checkpoint holds.

    Attributes:
        model: the model's arrays as nested dicts.
        optimiser: optax's state.
        step: optimiser steps done, int32.
        sums: sums of the loss, its parts and the clip weights over the epoch so far.
    """

    model: dict
    optimiser: optax.OptState
    step: jax.Array
    sums: dict[str, jax.Array]


def learning_rate(options: TrainOptions, steps_per_epoch: int) -> Callable:
    """The learning rate as a function of the step."""
    warmup = round(options.warmup_epochs * steps_per_epoch)
    total = options.epochs * steps_per_epoch
    if options.schedule == "cosine":
        schedule = optax.cosine_decay_schedule(options.learning_rate, max(total - warmup, 1))
    elif options.schedule == "steps":
        schedule = optax.exponential_decay(
            options.learning_rate, options.decay_epochs * steps_per_epoch, options.decay_factor, staircase=True
        )
    else:
        schedule = optax.constant_schedule(options.learning_rate)
    if not warmup:
        return schedule
    rise = optax.linear_schedule(options.learning_rate / warmup, options.learning_rate, warmup)
    return optax.join_schedules([rise, schedule], [warmup])


def make_optimiser(options: TrainOptions, steps_per_epoch: int) -> optax.GradientTransformation:
    """Adam, with weight decay and gradient clipping where asked for."""
    chain = [optax.clip_by_global_norm(options.clip_norm)] if options.clip_norm else []
    rate = learning_rate(options, steps_per_epoch)
    chain.append(optax.adamw(rate, weight_decay=options.weight_decay) if options.weight_decay else optax.adam(rate))
    return optax.chain(*chain)


class Trainer:
    """A run, its frames on the device and its jitted step.

    Args:
        run: the run.
        store: the opened store; its split names the training clips.
    """

    def __init__(self, run: Run, store: Store):
        run.check_store(store)
        self.run, options = run, run.training
        self.clips, _ = store.clip_split(run.split)
        if not len(self.clips):
            raise InputError(f"{store.path}: split {run.split!r} has no training clips")
        self.lengths = run.preparation.lengths(store.clips.length[self.clips])
        self.edges = bucket_edges(self.lengths, options.buckets)
        self.steps_per_epoch = len(self.order(0))
        self.frames = load_frames(store)
        self.graph, self.empty = nnx.split(build_model(run))
        self.optimiser = make_optimiser(options, self.steps_per_epoch)
        self.rate = learning_rate(options, self.steps_per_epoch)
        self.key = jax.random.key(options.seed)
        self.step = self._make_step()

    def order(self, epoch: int) -> list[BatchIndex]:
        """The batches of an epoch."""
        options = self.run.training
        return plan(self.clips, self.lengths, self.edges, options.batch_size, options.seed, epoch)

    def initial_state(self) -> TrainState:
        """The state before the first step."""
        model = nnx.to_pure_dict(self.empty)
        batch = self.order(0)[0]
        inputs = (self.frames, batch.clips, batch.weight, self.key, batch.steps)
        shapes = jax.eval_shape(lambda m: self._loss(m, *inputs), model)
        sums = {name: jnp.zeros(()) for name in ("loss", "weight", *shapes[1])}
        return TrainState(model, self.optimiser.init(model), jnp.zeros((), jnp.int32), sums)

    def _merge(self, model: dict) -> nnx.Module:
        state = jax.tree.map(lambda leaf: leaf, self.empty)  # a copy: replacing writes into it
        nnx.replace_by_pure_dict(state, model)
        return nnx.merge(self.graph, state)

    def _loss(self, model, frames, clips, weight, key, steps):
        keypoints, score, length, label = gather(frames, clips, steps, self.run.preparation.resampling)
        augment_key, model_key = jax.random.split(key)
        run = self.run
        batch = run.preparation(
            keypoints, score, length, label, weight, run.layout, run.augmentation, augment_key
        )
        return self._merge(model).loss(batch, model_key)

    def _make_step(self):
        def step(state: TrainState, frames: Frames, clips, weight, *, steps: int):
            key = jax.random.fold_in(self.key, state.step)
            (loss, parts), gradients = jax.value_and_grad(self._loss, has_aux=True)(
                state.model, frames, clips, weight, key, steps
            )
            updates, optimiser = self.optimiser.update(gradients, state.optimiser, state.model)
            model = optax.apply_updates(state.model, updates)
            count = weight.sum()
            values = {"loss": loss, **parts}
            sums = {name: total + (count if name == "weight" else count * values[name])
                    for name, total in state.sums.items()}
            return TrainState(model, optimiser, state.step + 1, sums), loss

        return jax.jit(step, static_argnames="steps", donate_argnums=0)


def fit(run: Run, store: Store, folder: str, log: Callable[[str], None] = print) -> int:
    """Train a run, or go on with it, and leave its checkpoints and metrics in a folder.

    SIGTERM and Ctrl-C save a checkpoint and return; calling again goes on from there.

    Args:
        run: what to train.
        store: the opened store.
        folder: the run's working folder, new or holding the same run.
        log: gets a line an epoch when standard error is no terminal.

    Returns:
        0 when the run is complete, otherwise the number of the signal that stopped it.

    Raises:
        InputError: run, store and folder do not fit together.
        Diverged: the loss is not finite; the last good checkpoint stays.
    """
    trainer = Trainer(run, store)
    folder = RunFolder(folder)
    folder.claim(run)
    with folder.checkpoints(writing=True) as manager, _signals() as stopped:
        state = _restore(manager, trainer.initial_state())
        history = folder.keep_metrics(int(state.step))
        log(f"{len(trainer.clips)} clips, {trainer.steps_per_epoch} steps an epoch, "
            f"padded lengths {list(trainer.edges)} ({padding_share(trainer.lengths, trainer.edges):.1%} padding)"
            + (f"; resuming at step {int(state.step)}" if int(state.step) else ""))
        loop = _Loop(trainer, folder, manager, history, log, stopped)
        return loop.go(state)


class _Loop:
    """The bookkeeping between steps: checks, checkpoints, metrics, signals."""

    def __init__(self, trainer, folder, manager, history, log, stopped):
        self.trainer, self.folder, self.manager = trainer, folder, manager
        self.history, self.log, self.stopped = history, log, stopped
        self.saved_at = self.epoch_began = time.monotonic()
        self.unchecked: list[tuple[int, BatchIndex, jax.Array]] = []

    def go(self, state: TrainState) -> int:
        options, per_epoch = self.trainer.run.training, self.trainer.steps_per_epoch
        first = int(state.step)
        with progress.counter(options.epochs * per_epoch, "training", done=first, every=120) as advance:
            for epoch in range(first // per_epoch, options.epochs):
                if self._settled():
                    break
                self.epoch_began = time.monotonic()
                order = self.trainer.order(epoch)
                for position in range(int(state.step) - epoch * per_epoch, per_epoch):
                    state = self._step(state, epoch * per_epoch + position, order[position])
                    last = position == per_epoch - 1
                    if last:
                        state = self._end_epoch(state, epoch)
                    advance(f"loss {self.history[-1]['loss']:.5f}" if self.history else "")
                    if self.stopped:
                        self._save(state)
                        self.log(f"stopped by {signal.Signals(self.stopped[0]).name} at step {int(state.step)}; "
                                 "saved: the same command goes on from here")
                        return self.stopped[0]
                    if time.monotonic() - self.saved_at >= options.checkpoint_seconds:
                        self._save(state)
        self._save(state)
        return 0

    def _step(self, state, number, batch):
        state, loss = self.trainer.step(state, self.trainer.frames, batch.clips, batch.weight, steps=batch.steps)
        self.unchecked.append((number, batch, loss))
        if len(self.unchecked) >= 50:
            self._check()
        return state

    def _check(self):
        for number, batch, loss in self.unchecked:
            if not np.isfinite(loss):
                rows = sorted(set(batch.clips[batch.weight > 0].tolist()))
                good = self.manager.latest_step()
                raise Diverged(
                    f"the loss is {float(loss)} at step {number} (epoch {number // self.trainer.steps_per_epoch}); "
                    f"clips of that step, as rows of the store: {', '.join(map(str, rows))}; "
                    + (f"the checkpoint of step {good} is kept" if good is not None else "nothing was saved yet")
                )
        self.unchecked.clear()

    def _end_epoch(self, state, epoch):
        self._check()
        sums = {name: float(value) for name, value in state.sums.items()}
        weight = sums.pop("weight")
        seconds = time.monotonic() - self.epoch_began
        record = {"epoch": epoch, "step": int(state.step)}
        record |= {name: value / weight for name, value in sums.items()}
        record |= {"learning_rate": float(self.trainer.rate(int(state.step) - 1)),
                   "frames_per_second": round(float(self.trainer.lengths.sum()) / seconds),
                   "seconds": round(seconds, 3)}
        self.folder.add_metrics(record)
        self.history.append(record)
        if not sys.stderr.isatty():
            parts = "  ".join(f"{name} {record[name]:.5f}" for name in sums)
            self.log(f"epoch {epoch + 1:4d}/{self.trainer.run.training.epochs}  {parts}  {seconds:.1f} s")
        return state._replace(sums={name: jnp.zeros(()) for name in state.sums})

    def _settled(self) -> bool:
        """Whether the training loss has been stable for `plateau` epochs."""
        patience = self.trainer.run.training.plateau
        losses = [record["loss"] for record in self.history]
        if not patience or len(losses) <= patience:
            return False
        return min(losses[-patience:]) > 0.999 * min(losses[:-patience])

    def _save(self, state):
        self._check()
        step = int(state.step)
        if self.manager.latest_step() != step:
            rest = {"optimiser": state.optimiser, "step": state.step, "sums": state.sums}
            self.manager.save(step, args=ocp.args.Composite(
                model=ocp.args.StandardSave(state.model), training=ocp.args.StandardSave(rest)
            ))
        self.saved_at = time.monotonic()


def _restore(manager, state: TrainState) -> TrainState:
    """The state of the newest checkpoint, or the given one when there is none."""
    step = manager.latest_step()
    if step is None:
        return state
    rest = {"optimiser": state.optimiser, "step": state.step, "sums": state.sums}
    template = ocp.args.Composite(model=ocp.args.StandardRestore(state.model), training=ocp.args.StandardRestore(rest))
    restored = restore(manager, step, template)
    return TrainState(restored.model, **restored.training)


@contextlib.contextmanager
def _signals():
    """Collect SIGTERM and SIGINT in a list instead of dying of them; a second one acts as usual."""
    stopped: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return

    def note(number, _):
        stopped.append(number)
        for each, handler in before.items():
            signal.signal(each, handler)

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
