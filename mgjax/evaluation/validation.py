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
        gallery, self.judged = store.clip_split(split)
        trained, tested = store.clip_split(run.split)
        self._check(store, run, split, np.concatenate([gallery, self.judged]), tested)
        trained_too = len(np.intersect1d(self.judged, trained))
        if trained_too:
            print(
                f"note: {trained_too} of {len(self.judged)} validation clips (split {split!r}) are "
                f"training clips of the run (split {run.split!r}): what they say is not of new "
                "clips",
                file=sys.stderr,
                flush=True,
            )
        if not len(gallery):
            gallery = np.setdiff1d(trained, self.judged)
        self.run, self.every = run, every
        self._labels = store.clips.label
        self._classes = len(store.labels)
        self._gallery = gallery[self._labels[gallery] >= 0]
        clips = np.concatenate([self.judged, self._gallery])
        self._blocks = Blocks(store, clips)
        self._edges = bucket_edges(run.preparation.lengths(store.clips.length[clips]), MOST_EDGES)

    def _check(
        self, store: Store, run: Run, split: str, clips: np.ndarray, tested: np.ndarray
    ) -> None:
        if not len(self.judged):
            raise InputError(f"{store.path}: split {split!r} has no test clips to validate on")
        shared = len(np.intersect1d(clips, tested))
        if shared:
            raise InputError(
                f"{store.path}: {shared} clips of validation split {split!r} are test clips of "
                f"the run's split {run.split!r}, which training must not see; choose another"
            )

    def __call__(self, ended: EndedEpoch) -> dict[str, float]:
        """What joins an epoch's record; nothing after other epochs than every so many."""
        if (ended.epoch + 1) % self.every:
            return {}
        return self.judge(ended.model)

    def judge(self, model: nnx.Module) -> dict[str, float]:
        """A model's loss and accuracies on the validation clips, by name."""
        models.need(model, "loss", "validation")
        graph, state = nnx.split(model)
        loss = functools.partial(
            _loss, state, graph=graph, preparation=self.run.preparation, layout=self.run.layout
        )
        found = {"validation_loss": float(self._over(map_clips, loss, self.judged).mean())}
        known = self.judged[self._labels[self.judged] >= 0]
        truth = self._labels[known]
        if not len(known):
            return found
        if hasattr(model, "encode") and len(self._gallery):
            embed = functools.partial(self._by_model, embed_clips, model)
            ranking = knn_ranking(
                embed(known), embed(self._gallery), self._labels[self._gallery], self._classes
            )
            found["validation_top1"] = float((ranking[:, 0] == truth).mean())
        if hasattr(model, "logits"):
            logits = self._by_model(logits_of_clips, model, known)
            found["validation_accuracy"] = float((logits.argmax(1) == truth).mean())
        return found

    def _over(self, call: Any, first: Any, clips: np.ndarray) -> np.ndarray:
        """What a call gives of clips of the validation's blocks."""
        return call(first, self._blocks, clips, self.run.preparation, edges=self._edges)

    def _by_model(self, call: Any, model: nnx.Module, clips: np.ndarray) -> np.ndarray:
        return self._over(functools.partial(call, layout=self.run.layout), model, clips)


@functools.partial(jax.jit, static_argnames=("steps", "graph", "preparation", "layout"))
def _loss(state, frames, rows, *, steps, graph, preparation, layout):
    """The mean loss of a batch's clips, once for every row, float32 `[B]`."""
    batch = prepared_batch(frames, rows, steps, preparation, layout)
    # A batch is filled up by its last clip, which must count once: every clip is there once.
    first = jnp.concatenate([jnp.ones(1, bool), rows[1:] != rows[:-1]])
    weight = first.astype(jnp.float32)
    loss, _ = nnx.merge(graph, state).loss(batch._replace(weight=weight), jax.random.key(0))
    return jnp.full(len(rows), loss)
