"""Has training helped? Asked without a label, at the end of every training.

Each of some training clips is changed at random twice, as training changes it, and embedded. A clip is found again when,
of all second views, its own is the one nearest to its first (cosine). The share of clips found says how well an encoder
tells clips apart whatever is done to them. It is no accuracy of classes, but an encoder that finds fewer than before it
was trained has unlearnt something: it was trained too briefly, or on too little.
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
from mgjax.evaluation.embed import at_even_times, map_clips
from mgjax.evaluation.metrics import wilson_interval
from mgjax.store import Store
from mgjax.training import Run, build_model, load_model
from mgjax.transforms import Augmentation, Batch

MOST = 500  # clips: enough for an interval of ± 4 %, few enough for seconds
# How clips are changed where the run itself changes none.
GENTLE = Augmentation(rotation=0.2, crop=0.2)
VIEWS = 1, 2


@dataclasses.dataclass(frozen=True)
class LabelFreeCheck:
    """What was found.

    Attributes:
        n: clips that were embedded twice.
        trained, untrained, prepared: how many of them are found again by the trained encoder, by the same encoder
            untrained, and by the prepared keypoints that it reads; None for a model without `encode`.
        loss, first_loss: the training loss of the same clips, trained and untrained.
    """

    n: int
    trained: int | None
    untrained: int | None
    prepared: int | None
    loss: float
    first_loss: float

    @property
    def worse(self) -> list[str]:
        """By what the run is worse than its untrained self, in words; empty where it is not."""
        found = []
        if not self.loss <= self.first_loss:
            found.append("its training loss")
        if self.trained is not None and self.trained < self.untrained:
            found.append("the clips it finds again")
        return found

    def __str__(self) -> str:
        lines = [f"loss of {self.n} training clips: {self.loss:.4f}, untrained {self.first_loss:.4f}"]
        if self.trained is not None:
            shares = (f"{name} {_share(count, self.n)}" for name, count in (
                ("trained", self.trained), ("untrained", self.untrained),
                ("prepared keypoints", self.prepared)))
            lines.append(f"clips found again, changed at random twice: {', '.join(shares)}")
        if self.worse:
            lines.append(f"WORSE THAN UNTRAINED by {' and by '.join(self.worse)}: train for more steps "
                         "(--train.steps), or use the untrained encoder or prepared keypoints")
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

    def over_clips(step):
        return map_clips(step, blocks, chosen, run.preparation)

    judged = []
    for which in (model, build_model(run)):
        graph, state = nnx.split(which)
        loss = over_clips(functools.partial(_loss, state, graph=graph, run=run)).mean()
        again = None
        if hasattr(which, "encode"):
            again = found_again(*(
                over_clips(functools.partial(_encoded, state, graph=graph, run=run, view=view))
                for view in VIEWS))
        judged.append((again, float(loss)))
    (trained, loss), (untrained, first_loss) = judged
    prepared = None
    if trained is not None:
        prepared = found_again(*(
            over_clips(functools.partial(_keypoints, run=run, view=view)) for view in VIEWS))
    return LabelFreeCheck(len(chosen), trained, untrained, prepared, loss, first_loss)


def found_again(first: np.ndarray, second: np.ndarray) -> int:
    """How many rows of `first [N, D]` have their own row of `second [N, D]` nearest, by cosine; a tie is a miss."""
    units = (views / np.maximum(np.linalg.norm(views, axis=1, keepdims=True), 1e-12)
             for views in (first, second))
    closeness = np.matmul(*(unit if i == 0 else unit.T for i, unit in enumerate(units)))
    own = np.diag(closeness)[:, None]
    return int(((closeness >= own).sum(1) == 1).sum())


def _changed(frames, rows, steps: int, run: Run, view: int, augmentation=None) -> Batch:
    """Clips as the run's training changes them, once for every `view`; the same every time."""
    keypoints, score, length, label = gather(frames, rows, steps, run.preparation.resampling)
    key = jax.random.fold_in(jax.random.key(0), view)
    augmentation = augmentation or run.augmentation
    return run.preparation(keypoints, score, length, label, jnp.ones(len(rows)), run.layout,
                           augmentation, key)


def _gentle(run: Run) -> Augmentation:
    """The run's augmentation, or a gentle one where it would leave both views alike."""
    changes = dataclasses.replace(run.augmentation, denoise=False)
    return GENTLE if changes == Augmentation() else run.augmentation


@functools.partial(jax.jit, static_argnames=("steps", "graph", "run", "view"))
def _encoded(state, frames, rows, *, steps, graph, run, view):
    return nnx.merge(graph, state).encode(_changed(frames, rows, steps, run, view, _gentle(run)))


@functools.partial(jax.jit, static_argnames=("steps", "graph", "run"))
def _loss(state, frames, rows, *, steps, graph, run):
    loss, _ = nnx.merge(graph, state).loss(_changed(frames, rows, steps, run, 0), jax.random.key(0))
    return jnp.full(len(rows), loss)


@functools.partial(jax.jit, static_argnames=("steps", "run", "view"))
def _keypoints(frames, rows, *, steps, run, view):
    plain = dataclasses.replace(run.preparation, velocity=0.0, bones=False)
    run = dataclasses.replace(run, preparation=plain)
    return at_even_times(_changed(frames, rows, steps, run, view, _gentle(run)))
