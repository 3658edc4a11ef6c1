"""Validation during training: loss and accuracy on clips that are neither trained on nor tested.

It hangs on `on_epoch` of `mgjax.training.fit`, and what is trained does not depend on it.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from mgjax import models
from mgjax.batching import Blocks, bucket_edges
from mgjax.errors import InputError
from mgjax.evaluation.embedding import embed_clips, logits_of_clips, map_clips, prepared_batch
from mgjax.evaluation.knn import knn_ranking
from mgjax.store import Store
from mgjax.training import Run
from mgjax.training.hooks import EndedEpoch

# Padded lengths at most; each is compiled once.
MOST_EDGES = 3


class Validation:
    """Judges a model every few epochs of its training, on a split of its own.

    The split's test clips are judged, prepared as for training but not augmented. What joins the
    record of an epoch is `validation_loss`; `validation_top1`, the share of clips whose nearest
    clip of the gallery (cosine) has their class, of a model that encodes; and
    `validation_accuracy`, of a classifier. Only clips whose class is known are judged by it. The
    gallery are the split's training clips, or where it has none the run's other training clips.

        fit(run, store, folder, on_epoch=Validation(run, store, "validation", every=5))

    Args:
        run: the run.
        store: the opened store that it is trained on; it must stay open.
        split: the store's split of the validation clips.
        every: after how many epochs to judge.

    Raises:
        InputError: the split has no test clips, or a clip of it is among those that the run's own
            split tests: what they say must not choose anything.
    """

    def __init__(self, run: Run, store: Store, split: str, every: int = 1):
        if every < 1:
            raise InputError(f"validation: every is {every}, expected at least 1")
        run.check_store(store)
        gallery, self._judged = _sides(store, run, split)
        self._run, self._every = run, every
        self._labels, self._classes = store.clips.label, len(store.labels)
        # A neighbour without a class could not vote.
        self._gallery = gallery[self._labels[gallery] >= 0]
        clips = np.concatenate([self._judged, self._gallery])
        # Both sides share blocks and padded lengths, so that each is compiled once.
        self._blocks = Blocks(store, clips)
        lengths = run.preparation.lengths(store.clips.length[clips])
        self._edges = bucket_edges(lengths, MOST_EDGES)

    def __call__(self, ended: EndedEpoch) -> dict[str, float]:
        """What joins an epoch's record; nothing after other epochs than every so many."""
        # Counted from the run's first epoch, so that a run that goes on is judged at the same ones.
        if (ended.epoch + 1) % self._every:
            return {}
        return self.judge(ended.model)

    def judge(self, model: nnx.Module) -> dict[str, float]:
        """A model's loss and accuracies on the validation clips, by name."""
        models.need(model, "loss", "validation")
        found = {"validation_loss": self._mean_loss(model)}
        known = self._judged[self._labels[self._judged] >= 0]
        if not len(known):
            return found
        truth = self._labels[known]
        if hasattr(model, "encode") and len(self._gallery):
            nearest = self._nearest_classes(model, known)
            found["validation_top1"] = float((nearest == truth).mean())
        if hasattr(model, "logits"):
            logits = self._of_clips(logits_of_clips, model, known, layout=self._run.layout)
            found["validation_accuracy"] = float((logits.argmax(1) == truth).mean())
        return found

    def _mean_loss(self, model: nnx.Module) -> float:
        """The mean over the validation clips."""
        graph, state = nnx.split(model)
        run = self._run
        static = {"graph": graph, "preparation": run.preparation, "layout": run.layout}
        of_rows = functools.partial(_loss, state, **static)
        return float(self._of_clips(map_clips, of_rows, self._judged).mean())

    def _nearest_classes(self, model: nnx.Module, clips: np.ndarray) -> np.ndarray:
        """The class of every clip's nearest one in the gallery, int `[N]`."""
        vectors, gallery = (
            self._of_clips(embed_clips, model, each, layout=self._run.layout)
            for each in (clips, self._gallery)
        )
        ranking = knn_ranking(vectors, gallery, self._labels[self._gallery], self._classes)
        return ranking[:, 0]

    def _of_clips(self, call: Any, subject: Any, clips: np.ndarray, **how: Any) -> np.ndarray:
        """What one of `mgjax.evaluation.embedding`'s functions gives of some clips."""
        preparation = self._run.preparation
        return call(subject, self._blocks, clips, preparation, edges=self._edges, **how)


def _sides(store: Store, run: Run, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the gallery's clips and of those that are judged; see `Validation`."""
    gallery, judged = store.clip_split(split)
    if not len(judged):
        raise InputError(f"{store.path}: split {split!r} has no test clips to validate on")
    trained, tested = store.clip_split(run.split)
    shared = np.intersect1d(np.concatenate([gallery, judged]), tested)
    if len(shared):
        raise InputError(
            f"{store.path}: {len(shared)} clips of validation split {split!r} are test clips of "
            f"the run's split {run.split!r}, which training must not see; choose another"
        )
    trained_too = np.intersect1d(judged, trained)
    if len(trained_too):
        print(
            f"note: {len(trained_too)} of {len(judged)} validation clips (split {split!r}) are "
            f"training clips of the run (split {run.split!r}): what they say is not of new clips",
            file=sys.stderr,
            flush=True,
        )
    if not len(gallery):
        gallery = np.setdiff1d(trained, judged)
    return gallery, judged


@functools.partial(jax.jit, static_argnames=("steps", "graph", "preparation", "layout"))
def _loss(state, frames, rows, *, steps, graph, preparation, layout):
    """The mean loss of a batch's clips, once for every row, float32 `[B]`."""
    batch = prepared_batch(frames, rows, steps, preparation, layout)
    # A batch is filled up by its last clip, which must count once: every clip is there once.
    first = jnp.concatenate([jnp.ones(1, bool), rows[1:] != rows[:-1]])
    weight = first.astype(jnp.float32)
    loss, _ = nnx.merge(graph, state).loss(batch._replace(weight=weight), jax.random.key(0))
    return jnp.full(len(rows), loss)
