"""Has training helped? Asked without a label, at the end of every training.

Some training clips are changed at random twice, first a little and then a lot, and embedded. A
clip is found again when, of all second views, its own is the one nearest to its first (cosine).
The share of clips found says how well an encoder tells clips apart whatever is done to them. It
is no accuracy of classes, but an encoder that finds fewer than before it
was trained has unlearnt something: it was trained too briefly, or on too little. A little alone
would not show it, for an untrained encoder keeps everything; a lot alone would not either, for it
finds next to nothing then.
"""

from __future__ import annotations

import dataclasses
import functools
import os

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from mgjax.batching import Blocks, gather
from mgjax.evaluation.embedding import at_even_times, map_clips
from mgjax.report.accuracy import wilson_interval
from mgjax.store import Store
from mgjax.training import build_model, load_model
from mgjax.transforms import Augmentation, Batch

MOST = 500  # clips: enough for an interval of ± 4 %, few enough for seconds
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
        trained, untrained, prepared: how many of them are found again after each of `CHANGES`, by
            the trained encoder, by the same encoder untrained, and by the prepared keypoints that
            it reads; empty for a model without `encode`.
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
        if not self.loss <= self.first_loss:
            found.append("its training loss")
        if sum(self.trained) < sum(self.untrained):
            found.append("the clips it finds again")
        return found

    def __str__(self) -> str:
        lines = [
            f"loss of {self.n} training clips: {self.loss:.4f}, untrained {self.first_loss:.4f}"
        ]
        for change, *counts in zip(CHANGES, self.trained, self.untrained, self.prepared):
            names = "trained", "untrained", "prepared keypoints"
            shares = (f"{name} {_share(count, self.n)}" for name, count in zip(names, counts))
            lines.append(f"found again, changed {change}: {', '.join(shares)}")
        if self.worse:
            lines.append(
                f"WORSE THAN UNTRAINED by {' and by '.join(self.worse)}: train for more "
                "steps "
                "(--train.steps), or take the untrained encoder or prepared keypoints"
            )
        return "\n".join(lines)


def _share(count: int, n: int) -> str:
    low, high = wilson_interval(count, n)
    return f"{count / n:.1%} ({low:.1%} – {high:.1%})"


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
    chosen = np.sort(np.random.default_rng(0).permutation(train)[:clips])
    blocks = Blocks(store, chosen)

    # One padded length: compiling several would take longer than the padding does.
    longest = int(run.preparation.lengths(store.clips.length[chosen]).max())

    def over_clips(describe, augmentation, view):
        def step(frames, rows, *, steps):
            batch = _changed(frames, rows, view, steps=steps, run=run, augmentation=augmentation)
            return describe(batch)

        return map_clips(step, blocks, chosen, run.preparation, batch_size=64, edges=(longest,))

    def again(describe):
        return tuple(
            found_again(*(over_clips(describe, change, view) for view in (1, 2)))
            for change in CHANGES.values()
        )

    judged = []
    for which in (model, build_model(run)):
        graph, state = nnx.split(which)
        loss = over_clips(functools.partial(_loss, graph, state), run.augmentation, 0).mean()
        encode = functools.partial(_encode, graph, state)
        judged.append((again(encode) if hasattr(which, "encode") else (), float(loss)))
    (trained, loss), (untrained, first_loss) = judged
    prepared = again(functools.partial(_positions, run.layout.dimensions)) if trained else ()
    return LabelFreeCheck(len(chosen), trained, untrained, prepared, loss, first_loss)


def found_again(first: np.ndarray, second: np.ndarray) -> int:
    """How many rows of `first [N, D]` have their own row of `second [N, D]` nearest, by cosine;
    a tie is a miss.
    """
    units = (
        views / np.maximum(np.linalg.norm(views, axis=1, keepdims=True), 1e-12)
        for views in (first, second)
    )
    closeness = np.matmul(*(unit if i == 0 else unit.T for i, unit in enumerate(units)))
    own = np.diag(closeness)[:, None]
    return int(((closeness >= own).sum(1) == 1).sum())


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
