"""The training loop, the same for every model.

State goes in, state and metrics come out, of one jitted pure function with donated state.
Randomness is `fold_in(key, step)` and the order of batches a pure function of (seed, epoch), so a
run that was killed at any moment and resumed ends with the same bits as one that was not.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent import futures
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec

from mgjax import files, progress
from mgjax.batching import (
    Blocks,
    Dispatch,
    Frames,
    bucket_edges,
    gather,
    group,
    longest_of_batches,
    padding_share,
    parts_of,
    plan,
)
from mgjax.errors import InputError
from mgjax.store import Store
from mgjax.training import checkpoints
from mgjax.training.folder import RunFolder
from mgjax.training.run import Run, TrainOptions, build_model


class Diverged(InputError):
    """The loss or the weights stopped being finite numbers."""


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
    warmup, total = options.warmup(steps_per_epoch), options.length(steps_per_epoch)
    if options.schedule == "cosine":
        schedule = optax.cosine_decay_schedule(options.learning_rate, max(total - warmup, 1))
    elif options.schedule == "staircase":
        schedule = optax.exponential_decay(
            options.learning_rate,
            options.decay_epochs * steps_per_epoch,
            options.decay_factor,
            staircase=True,
        )
    else:
        schedule = optax.constant_schedule(options.learning_rate)
    if not warmup:
        return schedule
    rise = optax.linear_schedule(options.learning_rate / warmup, options.learning_rate, warmup)
    return optax.join_schedules([rise, schedule], [warmup])


def make_optimiser(options: TrainOptions, steps_per_epoch: int) -> optax.GradientTransformation:
    """Adam, with weight decay and gradient clipping where asked for."""
    chain = []
    if options.gradient_clip_norm:
        chain.append(optax.clip_by_global_norm(options.gradient_clip_norm))
    rate = learning_rate(options, steps_per_epoch)
    chain.append(
        optax.adamw(rate, weight_decay=options.weight_decay)
        if options.weight_decay
        else optax.adam(rate)
    )
    return optax.chain(*chain)


def between(dispatches: Iterable[Dispatch], first: int, last: int) -> Iterator[Dispatch]:
    """The steps `first` to `last` - 1 of some dispatches, those that reach beyond being cut."""
    end = 0
    for dispatch in dispatches:
        begin, end = end, end + dispatch.count
        start, stop = max(first, begin) - begin, min(last, end) - begin
        if stop - start == dispatch.count:
            yield dispatch
        elif start < stop:
            clips, weight = np.zeros_like(dispatch.clips), np.zeros_like(dispatch.weight)
            clips[: stop - start], weight[: stop - start] = (
                dispatch.clips[start:stop],
                dispatch.weight[start:stop],
            )
            yield dispatch._replace(count=stop - start, clips=clips, weight=weight)


class Trainer:
    """A run, its frames and its jitted steps, over one or many devices.

    Every device holds the model and the frames of the block that is worked on, and computes its
    share of each batch's rows; sums over rows are sums over devices. So a batch, its order and
    its randomness do not depend on how many devices there are, and results differ by rounding only.

    Args:
        run: the run.
        store: the opened store; its split names the training clips. It must stay open while
            `frames` is used.
        devices: which devices; None takes all of all processes.
    """

    def __init__(self, run: Run, store: Store, devices: Sequence[jax.Device] | None = None):
        run.check_store(store)
        self.run, options = run, run.training
        self.clips, _ = store.clip_split(run.split)
        if not len(self.clips):
            raise InputError(f"{store.path}: split {run.split!r} has no training clips")
        self.lengths = run.preparation.lengths(store.clips.length)
        # Process by process: each one reads the share of the frames that its devices hold before
        # all get all of them.
        devices = np.array(
            sorted(
                jax.devices() if devices is None else devices,
                key=lambda device: (device.process_index, device.id),
            )
        )
        self.blocks = Blocks(
            store,
            self.clips,
            share=(jax.process_index(), jax.process_count()),
            multiple=len(devices),
        )
        block = self.blocks.block_of(self.clips)
        self.clips_of_block = [self.clips[block == number] for number in range(len(self.blocks))]
        longest = [
            longest_of_batches(self.lengths[clips], options.batch_size)
            for clips in self.clips_of_block
        ]
        self.edges = bucket_edges(np.concatenate(longest), options.length_buckets)
        self.steps_per_epoch = sum(map(len, longest))
        self.length = options.length(self.steps_per_epoch)
        rows = options.batch_size // self.parts(self.edges[-1])
        if rows % len(devices):
            raise InputError(
                f"training: {rows} rows of a batch (batch_size {options.batch_size}, "
                "computed in "
                f"{self.parts(self.edges[-1])} parts) cannot be shared out evenly "
                f"among {len(devices)} "
                "devices"
            )
        mesh = jax.sharding.Mesh(devices, ("rows",))
        self.everywhere = NamedSharding(mesh, PartitionSpec())
        self.by_row = NamedSharding(mesh, PartitionSpec(None, None, "rows"))
        self.by_frame = NamedSharding(mesh, PartitionSpec("rows"))
        self.exchange = jax.jit(lambda arrays: arrays, out_shardings=self.everywhere)
        self.graph, self.empty = nnx.split(build_model(run))
        self.optimiser = make_optimiser(options, self.steps_per_epoch)
        self.rate = learning_rate(options, self.steps_per_epoch)
        self.step = jax.jit(self._steps, static_argnames="steps", donate_argnums=0)
        self.compiled: dict[int, Callable] = {}

    def parts(self, steps: int) -> int:
        """In how many parts a batch of padded length `steps` is computed."""
        return parts_of(steps, self.run.training.batch_size, self.run.training.microbatch_frames)

    def order(self, epoch: int) -> list[Dispatch]:
        """The batches of an epoch."""
        options, dispatches = self.run.training, []
        numbers = np.random.default_rng([options.seed, epoch]).permutation(len(self.blocks))
        for number in numbers:
            clips = self.clips_of_block[number]
            batches = plan(
                clips, self.lengths[clips], self.edges, options.batch_size, options.seed, epoch
            )
            dispatches += group(batches, options.steps_per_call, self.parts, int(number))
        return dispatches

    def place(self, tree, sharding=None):
        """Put host arrays, the same in every process, on the devices: by default all of them
        everywhere.
        """
        sharding = sharding or self.everywhere

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
        read = frames.keypoints, frames.score
        read = jax.tree.map(
            functools.partial(jax.make_array_from_process_local_data, self.by_frame), read
        )
        keypoints, score = self.exchange(read)
        rest = self.place(frames._replace(keypoints=np.zeros(0), score=np.zeros(0)))
        return rest._replace(keypoints=keypoints, score=score)

    def initial_state(self) -> TrainState:
        """The state before the first step."""
        model = nnx.to_pure_dict(self.empty)
        inputs = np.zeros(1, np.int32), np.ones(1, np.float32), jax.random.key(0), self.edges[0]
        shapes = jax.eval_shape(lambda m, f: self._loss(m, f, *inputs), model, self.blocks.shapes())
        sums = {name: np.zeros((), np.float32) for name in ("loss", "weight", *shapes[1])}
        return self.place(
            TrainState(model, self.optimiser.init(model), np.zeros((), np.int32), sums)
        )

    def compile(self, state: TrainState, log: Callable[[str], None] = lambda line: None):
        """Compile the steps for every padded length, several at once."""
        frames = jax.tree.map(
            lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=self.everywhere),
            self.blocks.shapes(),
        )
        jobs = []
        for steps in self.edges:
            shape = (
                self.run.training.steps_per_call,
                self.parts(steps),
                self.run.training.batch_size // self.parts(steps),
            )
            clips, weight = (
                jax.ShapeDtypeStruct(shape, kind, sharding=self.by_row)
                for kind in (np.int32, np.float32)
            )
            # Tracing is Python and takes turns; compiling is not and does not.
            jobs.append(
                (steps, self.step.lower(state, frames, clips, weight, self._count(0), steps=steps))
            )
        began = time.monotonic()
        with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            self.compiled = dict(
                zip((steps for steps, _ in jobs), pool.map(lambda job: job[1].compile(), jobs))
            )
        log(f"compiled {len(jobs)} padded lengths in {time.monotonic() - began:.1f} s")

    def _count(self, count: int):
        return self.place(np.asarray(count, np.int32))

    def advance(
        self, state: TrainState, frames: Frames, dispatch: Dispatch
    ) -> tuple[TrainState, jax.Array]:
        """Take the optimiser steps of a dispatch; returns the new state and the loss of every
        step `[steps_per_call]`.
        """
        if dispatch.steps not in self.compiled:
            self.compiled[dispatch.steps] = functools.partial(self.step, steps=dispatch.steps)
        clips, weight = self.place((dispatch.clips, dispatch.weight), self.by_row)
        return self.compiled[dispatch.steps](
            state, frames, clips, weight, self._count(dispatch.count)
        )

    def stream(self, dispatches: Iterable[Dispatch]) -> Iterator[tuple[Dispatch, Frames]]:
        """Dispatches, each with the frames of its block on the devices."""
        dispatches = list(dispatches)
        yield from zip(
            dispatches,
            self.blocks.stream([dispatch.block for dispatch in dispatches], self.place_frames),
        )

    def _merge(self, model: dict) -> nnx.Module:
        state = jax.tree.map(lambda leaf: leaf, self.empty)  # a copy: replacing writes into it
        nnx.replace_by_pure_dict(state, model)
        return nnx.merge(self.graph, state)

    def _loss(self, model, frames, clips, weight, key, steps):
        keypoints, score, length, label = gather(
            frames, clips, steps, self.run.preparation.resampling
        )
        augment_key, model_key = jax.random.split(key)
        run = self.run
        batch = run.preparation(
            keypoints, score, length, label, weight, run.layout, run.augmentation, augment_key
        )
        return self._merge(model).loss(batch, model_key)

    def _gradients(self, model, frames, clips, weight, key, steps):
        """Loss, its parts and gradients over the rows of a batch `[parts, rows]`, part by part."""
        of_part = jax.value_and_grad(self._loss, has_aux=True)
        if len(clips) == 1:
            return of_part(model, frames, clips[0], weight[0], key, steps)

        def add(sums, part):
            rows, counts, number = part
            one = of_part(model, frames, rows, counts, jax.random.fold_in(key, number), steps)
            share = counts.sum() / jnp.maximum(weight.sum(), 1)
            return jax.tree.map(lambda total, value: total + share * value, sums, one), None

        zeros = jax.tree.map(
            lambda s: jnp.zeros(s.shape, s.dtype),
            jax.eval_shape(lambda: of_part(model, frames, clips[0], weight[0], key, steps)),
        )
        return jax.lax.scan(add, zeros, (clips, weight, jnp.arange(len(clips))))[0]

    def _one_step(self, state, frames, clips, weight, steps):
        key = jax.random.fold_in(jax.random.key(self.run.training.seed), state.step)
        (loss, parts), gradients = self._gradients(state.model, frames, clips, weight, key, steps)
        updates, optimiser = self.optimiser.update(gradients, state.optimiser, state.model)
        model = optax.apply_updates(state.model, updates)
        count = weight.sum()
        values = {"loss": loss, **parts}
        sums = {
            name: total + (count if name == "weight" else count * values[name])
            for name, total in state.sums.items()
        }
        return TrainState(model, optimiser, state.step + 1, sums), loss

    def _steps(self, state: TrainState, frames: Frames, clips, weight, count, *, steps: int):
        def one(i, carry):
            state, losses = carry
            state, loss = self._one_step(state, frames, clips[i], weight[i], steps)
            return state, losses.at[i].set(loss)

        return jax.lax.fori_loop(0, count, one, (state, jnp.zeros(len(clips))))


def fit(
    run: Run,
    store: Store,
    folder: str,
    log: Callable[[str], None] = print,
    devices: Sequence[jax.Device] | None = None,
) -> int:
    """Train a run, or go on with it, and leave its checkpoints and metrics in a folder.

    SIGTERM, SIGHUP and Ctrl-C save a checkpoint and return; calling again goes on from there, on
    the same store, with the same options but for the length, which may be raised. Where
    `jax.distributed` has joined several processes, all of them call this with the same arguments;
    the first one writes and logs.

    Args:
        run: what to train.
        store: the opened store.
        folder: the run's working folder, new or holding the same run; one that all processes see.
        log: gets a line an epoch when standard error is no terminal, of a long run some 200 in all.
        devices: which devices; None takes all. A run may go on with another number of them.

    Returns:
        0 when the run is complete, otherwise the number of the signal that stopped it.

    Raises:
        InputError: run, store and folder do not fit together, another process is training there, or
            the disk is full.
        Diverged: the loss or the weights are not finite; the last good checkpoint stays.
    """
    first = jax.process_index() == 0
    log = log if first else _nothing
    with contextlib.ExitStack() as held:
        stopped = held.enter_context(_signals())
        trainer = Trainer(run, store, devices)
        folder = RunFolder(folder)
        described, before = store.described(), run
        if first:
            folder.make()
            held.enter_context(files.one_writer(folder.path))
            before = folder.claim(run, described, any_length=True)
        multihost_utils.sync_global_devices("claimed")
        manager = held.enter_context(folder.checkpoints(writing=True))
        state = _restore(manager, trainer.initial_state())
        step = int(state.step)
        if step > trainer.length:
            raise InputError(
                f"{folder.path}: the run there has done {step} steps, more than the "
                f"{trainer.length} asked for; ask for as many at least, or choose "
                "another folder"
            )
        if first and _length_of(before) != _length_of(run):
            folder.write(run, described)
            if before.training.length(trainer.steps_per_epoch) != trainer.length:
                log(_change_of_length(before, trainer, step))
        ended = step % trainer.steps_per_epoch == 0 or step == trainer.length
        history = folder.keep_metrics(step, ended) if first else []
        if jax.process_count() > 1:
            multihost_utils.sync_global_devices("metrics kept")
            history = folder.metrics()
        recurrences, elsewhere = padding_share(trainer.order(0), trainer.lengths)
        filling = trainer.steps_per_epoch * run.training.batch_size - len(trainer.clips)
        log(
            f"{len(trainer.clips)} clips"
            + (f" and {filling} rows that only fill up a batch" if filling else "")
            + f", {trainer.steps_per_epoch} steps an epoch, {trainer.length} steps in all, "
            f"padded lengths {list(trainer.edges)} ({recurrences:.1%} padding in recurrences, "
            f"{elsewhere:.1%} elsewhere)"
            + (
                f", {len(trainer.blocks)} blocks of {trainer.blocks.size} frames"
                if len(trainer.blocks) > 1
                else ""
            )
            + (
                f", {trainer.everywhere.mesh.size} devices"
                if trainer.everywhere.mesh.size > 1
                else ""
            )
            + (f"; resuming at step {step}" if step else "")
        )
        if step < trainer.length:
            trainer.compile(state, log)
        return _Loop(trainer, folder, manager, history, log, stopped).go(state)


def _nothing(_):
    """Log nothing."""


def _length_of(run: Run) -> tuple[int, int]:
    return run.training.epochs, run.training.steps


def _change_of_length(before: Run, trainer: Trainer, step: int) -> str:
    """What another length does to a run that has done some steps, in a line."""
    options, per_epoch = before.training, trainer.steps_per_epoch
    line = f"the run's length is now {trainer.length} steps instead of {options.length(per_epoch)}"
    if options.schedule != "cosine":
        return f"{line}; its learning rate goes on as before"
    rates = [float(rate(step)) for rate in (trainer.rate, learning_rate(options, per_epoch))]
    return (
        f"{line}; its cosine is stretched over all of them: the learning rate of step {step} "
        f"is {rates[0]:.3g} "
        f"instead of {rates[1]:.3g}"
    )


class _Loop:
    """The bookkeeping between steps: checks, checkpoints, metrics, signals."""

    def __init__(self, trainer, folder, manager, history, log, stopped):
        self.trainer, self.folder, self.manager = trainer, folder, manager
        self.history, self.log, self.stopped = history, log, stopped
        self.saved_at = self.epoch_began = time.monotonic()
        self.unchecked: list[tuple[int, Dispatch, jax.Array]] = []
        self.seen = 0

    def go(self, state: TrainState) -> int:
        length, per_epoch = self.trainer.length, self.trainer.steps_per_epoch
        step = int(state.step)
        with progress.counter(length, "training", done=step, every=120) as advance:
            while step < length and not self._settled():
                epoch, first = divmod(step, per_epoch)
                self.epoch_began, self.seen = time.monotonic(), 0
                left = between(
                    self.trainer.order(epoch), first, min(per_epoch, length - epoch * per_epoch)
                )
                for dispatch, frames in self.trainer.stream(left):
                    state = self._advance(state, step, dispatch, frames)
                    step += dispatch.count
                    if step % per_epoch == 0:
                        state = self._end_epoch(state, epoch, step)
                    advance(
                        f"loss {self.history[-1]['loss']:.5f}" if self.history else "",
                        dispatch.count,
                    )
                    if self._asked_to_stop():
                        self._save(state)
                        self.log(
                            f"stopped by {signal.Signals(self.stopped[0]).name} at step "
                            f"{int(state.step)}; "
                            "saved: the same command goes on from here"
                        )
                        return self.stopped[0]
                    if self._time_to_save():
                        self._save(state)
        if step < length:
            self.log(
                "the training loss has not fallen by 0.1 % in "
                f"{self.trainer.run.training.patience_epochs} epochs: ended "
                f"at step {step} of {length}"
            )
        if step % per_epoch and (not self.history or self.history[-1]["step"] != step):
            state = self._end_epoch(state, step // per_epoch, step)
        self._save(state)
        return 0

    def _asked_to_stop(self) -> bool:
        """Whether a signal came, to any process."""
        if jax.process_count() > 1:
            mine = self.stopped[0] if self.stopped else 0
            self.stopped[:] = [
                n for n in np.ravel(multihost_utils.process_allgather(np.array(mine))).tolist() if n
            ]
        return bool(self.stopped)

    def _time_to_save(self) -> bool:
        """Whether it is time for a checkpoint; the first process says so for all."""
        due = time.monotonic() - self.saved_at >= self.trainer.run.training.checkpoint_seconds
        if jax.process_count() > 1:
            due = bool(multihost_utils.broadcast_one_to_all(np.array(due)))
        return due

    def _advance(self, state, number, dispatch, frames):
        state, losses = self.trainer.advance(state, frames, dispatch)
        self.seen += int((self.trainer.lengths[dispatch.clips] * dispatch.weight).sum())
        self.unchecked.append((number, dispatch, losses))
        # The next call is under way while the losses of the one before are looked at; no more
        # than that, so that whoever stops a run does not wait for long.
        self._check(ahead=1)
        return state

    def _check(self, ahead: int = 0):
        """Raise Diverged where a loss is not finite, in all calls but the last so many."""
        while len(self.unchecked) > ahead:
            first, dispatch, losses = self.unchecked.pop(0)
            losses = np.asarray(losses)[: dispatch.count]
            if np.isfinite(losses).all():
                continue
            i = int(np.flatnonzero(~np.isfinite(losses))[0])
            rows = sorted(set(dispatch.clips[i][dispatch.weight[i] > 0].tolist()))
            number = first + i
            raise Diverged(
                f"the loss is {losses[i]} at step {number} (epoch "
                f"{number // self.trainer.steps_per_epoch}); "
                f"clips of that step, as rows of the store: {', '.join(map(str, rows))}; "
                f"{self._last_good()}"
            )

    def _last_good(self) -> str:
        good = self.manager.latest_step()
        return (
            f"the checkpoint of step {good} is kept"
            if good is not None
            else "nothing was saved yet"
        )

    def _end_epoch(self, state, epoch, step):
        """Write the epoch's record: its means over the clips it had."""
        self._check()
        sums = {name: float(value) for name, value in state.sums.items()}
        weight = sums.pop("weight")
        seconds = time.monotonic() - self.epoch_began
        record = {"epoch": epoch, "step": step}
        record |= {name: value / weight for name, value in sums.items()}
        record |= {
            "learning_rate": float(self.trainer.rate(step - 1)),
            "frames_per_second": round(self.seen / seconds),
            "seconds": round(seconds, 3),
        }
        if jax.process_index() == 0:
            self.folder.add_metrics(record)
        self.history.append(record)
        length = self.trainer.length
        if not sys.stderr.isatty() and self._worth_a_line(step):
            parts = "  ".join(f"{name} {record[name]:.5f}" for name in sums)
            self.log(
                f"step {step:{len(str(length))}d}/{length}  epoch {epoch + 1:4d}  {parts}  "
                f"{seconds:.1f} s"
            )
        if step % self.trainer.steps_per_epoch:
            return state  # of an epoch that the run, given more steps, would go on with
        return state._replace(
            sums=self.trainer.place({name: np.zeros((), np.float32) for name in state.sums})
        )

    def _worth_a_line(self, step: int) -> bool:
        """Whether an epoch that ends with this step is logged: every one of a short run, some
        200 of a long one.
        """
        length, per_epoch = self.trainer.length, self.trainer.steps_per_epoch
        share = max(length, 200 * per_epoch) / 200
        return step == length or step // share > (step - per_epoch) // share

    def _settled(self) -> bool:
        """Whether the training loss has been stable for `patience_epochs` epochs and
        `patience_steps` steps.
        """
        options = self.trainer.run.training
        if not options.patience_epochs:
            return False
        fewest = -(-options.patience_steps // self.trainer.steps_per_epoch)
        patience = max(options.patience_epochs, fewest)
        losses = [record["loss"] for record in self.history]
        if len(losses) <= patience:
            return False
        return min(losses[-patience:]) > 0.999 * min(losses[:-patience])

    def _save(self, state):
        self._check()
        step = int(state.step)
        if self.manager.latest_step() != step:
            # A loss is that of the weights before its update, so a loss that is finite does not
            # say that they are now.
            if not _all_finite(state):
                raise Diverged(
                    "the weights or the optimiser's state are no longer finite after "
                    f"step {step - 1}; "
                    f"{self._last_good()}"
                )
            checkpoints.save(self.manager, step, **_trees(state))
        self.saved_at = time.monotonic()


def _all_finite(state: TrainState) -> bool:
    """Whether every number of a state is finite; on the host, where saving needs it anyway."""
    return all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(state))


def _trees(state: TrainState) -> dict:
    """A state as the trees that a checkpoint holds."""
    return {
        "model": state.model,
        "training": {"optimiser": state.optimiser, "step": state.step, "sums": state.sums},
    }


def _restore(manager, state: TrainState) -> TrainState:
    """The state of the newest checkpoint that can be read, or the given one when there is none.

    Newer ones, which are damaged, are deleted, so that their steps can be saved again.
    """
    found = checkpoints.newest(manager, **_trees(state))
    if found is None:
        return state
    step, read, damaged = found
    multihost_utils.sync_global_devices("restored")
    for each in damaged:
        manager.delete(each)
    if jax.process_index() == 0:
        checkpoints.seal(manager, step)
    return TrainState(read["model"], **read["training"])


@contextlib.contextmanager
def _signals():
    """Collect SIGTERM, SIGHUP and SIGINT in a list instead of dying of them; a second one acts
    as usual.
    """
    stopped: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return

    def note(number, _):
        stopped.append(number)
        for each, handler in before.items():
            signal.signal(each, handler)

    numbers = [signal.SIGTERM, signal.SIGINT]
    # as nohup leaves it
    if getattr(signal, "SIGHUP", None) and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
