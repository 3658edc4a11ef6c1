"""Has training helped? Asked without a label, at the end of every training.

Some training clips are changed at random twice, first a little and then a lot, and embedded.
A clip is found again when, of all second views, its own is the one nearest to its first
(cosine). The share of clips found says how well an encoder tells clips apart whatever is done
to them. It is no accuracy of classes, but an encoder that finds fewer than before it was
trained has unlearnt something: it was trained too briefly, or on too little. A little alone
would not show it, for an untrained encoder keeps everything; a lot alone would not either, for
it finds next to nothing then.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from mgjax.batching import gather
from mgjax.blocks import Blocks
from mgjax.evaluation.embedding import at_even_times, map_clips
from mgjax.preparation import Augmentation, Batch
from mgjax.report.accuracy import Accuracy
from mgjax.store import Store
from mgjax.training import Run, build_model, load_model

MOST = 500  # clips: enough for an interval of ± 4 %, few enough for seconds
BATCH_SIZE = 64
# The same changes for every run, so that runs can be compared.
CHANGES = {
    "a little": Augmentation(rotation=0.2, crop=0.2),
    "a lot": Augmentation(rotation=0.5, crop=0.4, speed=0.2, joint_dropout=0.1),
}


@dataclasses.dataclass(frozen=True)
class LabelFreeCheck:
    """What was found.

    Attributes:
        n: clips that were embedded.
        trained, untrained, prepared: how many of them are found again after each of
            `CHANGES`, by the trained encoder, by the same encoder untrained, and by the
            prepared keypoints that it reads; empty for a model without `encode`.
        loss, first_loss: the training loss of the same clips, trained and untrained.
    """

    n: int
    trained: tuple[int, ...]
    untrained: tuple[int, ...]
    prepared: tuple[int, ...]
    loss: float
    first_loss: float

    @property
    def worse(self) -> list[str]:
        """By what the run is worse than its untrained self, in words; empty where it is not."""
        found = []
        # Not `>`: a loss of NaN is worse.
        if not self.loss <= self.first_loss:
            found.append("its training loss")
        # Both strengths of change are counted together.
        if sum(self.trained) < sum(self.untrained):
            found.append("the clips it finds again")
        return found

    def __str__(self) -> str:
        lines = [
            f"loss of {self.n} training clips: {self.loss:.4f}, untrained {self.first_loss:.4f}"
        ]
        names = "trained", "untrained", "prepared keypoints"
        for change, *counts in zip(CHANGES, self.trained, self.untrained, self.prepared):
            found = [Accuracy(count, self.n) for count in counts]
            shares = (f"{name} {each.percent} % ({each.range})" for name, each in zip(names, found))
            lines.append(f"found again, changed {change}: {', '.join(shares)}")
        if self.worse:
            lines.append(
                f"WORSE THAN UNTRAINED by {' and by '.join(self.worse)}: train for more steps "
                "(--train.steps), or take the untrained encoder or prepared keypoints"
            )
        return "\n".join(lines)


def check_run(folder: str | os.PathLike, store: Store, clips: int = MOST) -> LabelFreeCheck:
    """Compare a run with its untrained self on its own training clips; no label is read.

    Args:
        folder: the run's working folder; its newest checkpoint is taken.
        store: the opened store that it was trained on.
        clips: how many training clips at most, drawn at random, always the same ones.

    Raises:
        InputError: run and store do not fit together.
    """
    model, run, _ = load_model(folder)
    run.check_store(store)
    train, _ = store.clip_split(run.split)
    # In the store's order, so that a streamed store is read once through.
    chosen = np.sort(np.random.default_rng(0).permutation(train)[:clips])
    views = _Views(run, store, chosen)
    judged = []
    for which in (model, build_model(run)):
        graph, state = nnx.split(which)
        losses = views.of(functools.partial(_loss, graph, state), run.augmentation, 0)
        encode = functools.partial(_encode, graph, state)
        found = views.found_again(encode) if hasattr(which, "encode") else ()
        judged.append((found, float(losses.mean())))
    (trained, loss), (untrained, first_loss) = judged
    positions = functools.partial(_positions, run.layout.dimensions)
    prepared = views.found_again(positions) if trained else ()
    return LabelFreeCheck(len(chosen), trained, untrained, prepared, loss, first_loss)


class _Views:
    """Some clips of a run, changed at random and described."""

    def __init__(self, run: Run, store: Store, clips: np.ndarray):
        self.run, self.clips, self.blocks = run, clips, Blocks(store, clips)
        # One padded length: compiling several would take longer than the padding does.
        self.edges = (int(run.preparation.lengths(store.clips.length[clips]).max()),)

    def of(self, describe: Callable[[Batch], Any], changes: Augmentation, view: int) -> np.ndarray:
        """What `describe` gives of every clip, `[N, ...]`, changed in the way of this view."""

        def step(frames, rows, *, steps):
            batch = _changed(frames, rows, view, steps=steps, run=self.run, augmentation=changes)
            return describe(batch)

        preparation = self.run.preparation
        return map_clips(step, self.blocks, self.clips, preparation, BATCH_SIZE, self.edges)

    def found_again(self, describe: Callable[[Batch], Any]) -> tuple[int, ...]:
        """How many clips are found again after each of `CHANGES`."""
        counts = []
        for changes in CHANGES.values():
            first, second = (self.of(describe, changes, view) for view in (1, 2))
            counts.append(found_again(first, second))
        return tuple(counts)


def found_again(first: np.ndarray, second: np.ndarray) -> int:
    """How many rows of `first [N, D]` have their own row of `second [N, D]` nearest, by
    cosine; a tie is a miss.

    >>> found_again(np.eye(3), np.array([[1, 0.1, 0], [1, 0, 0], [0, 0, 1]]))
    1
    """
    closeness = _units(first) @ _units(second).T
    own = np.diag(closeness)[:, None]
    # Of the rows at least as close as the own one, that one is the only one.
    return int(((closeness >= own).sum(1) == 1).sum())


def _units(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


@functools.partial(jax.jit, static_argnames=("steps", "run", "augmentation"))
def _changed(frames, rows, view, *, steps, run, augmentation) -> Batch:
    """Some clips, changed in another way for every `view`, and in the same one every time."""
    keypoints, score, length, label = gather(frames, rows, steps, run.preparation.resampling)
    key = jax.random.fold_in(jax.random.key(0), view)
    weight = jnp.ones(len(rows))
    return run.preparation(keypoints, score, length, label, weight, run.layout, augmentation, key)


# Apart from the changes, so that each of them is compiled once.


@functools.partial(jax.jit, static_argnums=0)
def _encode(graph, state, batch):
    return nnx.merge(graph, state).encode(batch)


@functools.partial(jax.jit, static_argnums=0)
def _loss(graph, state, batch):
    loss, _ = nnx.merge(graph, state).loss(batch, jax.random.key(0))
    return jnp.full(len(batch.length), loss)


@functools.partial(jax.jit, static_argnums=0)
def _positions(dimensions, batch):
    """What a model reads, without velocity and bones."""
    return at_even_times(batch._replace(inputs=batch.inputs[..., :dimensions]))
