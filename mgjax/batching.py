"""From a store to batches: clips in length buckets, frames on the device, an order that is a pure function.

A batch is a vector of clip rows and a static padded length. Gathering its frames happens on the device, inside
the jitted step, out of one flat array of all frames. The order of batches depends on (seed, epoch) alone, so
resuming is a number.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mgjax.errors import InputError
from mgjax.store import Store


class Frames(NamedTuple):
    """All frames of a store on the device, and where each clip lies in them.

    Attributes:
        keypoints: `[F, V, C]` float32.
        score: `[F, V]` float32.
        start: first frame of every clip, int32 `[N]`.
        length: frames of every clip, int32 `[N]`.
        label: class of every clip, int32 `[N]`, -1 where unknown.
    """

    keypoints: jax.Array
    score: jax.Array
    start: jax.Array
    length: jax.Array
    label: jax.Array


class BatchIndex(NamedTuple):
    """A batch before its frames are gathered.

    Attributes:
        steps: the padded length T, the same for every batch of a bucket.
        clips: rows of clips, int32 `[B]`.
        weight: 1 for a clip, 0 where the row only fills the batch, float32 `[B]`.
    """

    steps: int
    clips: np.ndarray
    weight: np.ndarray


def load_frames(store: Store) -> Frames:
    """Put all frames of a store on the default device."""
    if store.frame_count >= 2**31:
        raise InputError(f"{store.path}: {store.frame_count} frames are more than one array can index")
    keypoints, score = store.frames(0, store.frame_count)
    return Frames(
        jnp.asarray(keypoints), jnp.asarray(score), jnp.asarray(store.clip_starts, jnp.int32),
        jnp.asarray(store.clips.length, jnp.int32), jnp.asarray(store.clips.label, jnp.int32),
    )


def gather(frames: Frames, clips: jax.Array, steps: int, lengths: Callable | None = None):
    """The frames of some clips, padded to `steps`; jittable with `steps` and `lengths` static.

    Args:
        lengths: new lengths as a function of the clips' own, such as `Preparation.lengths`. Clips are resampled to
            them, evenly spread, linear between frames; a joint between two frames has the lower of their scores.
            None leaves every length.

    Returns:
        keypoints `[B, T, V, C]`, score `[B, T, V]` (0 in padding), length `[B]`, label `[B]`.
    """
    original, time = frames.length[clips], jnp.arange(steps)
    length = original if lengths is None else lengths(original)
    inside = (time < length[:, None])[..., None]
    # Padding repeats the clip's last frame, so that no row reaches into another video or past the array.
    place = jnp.minimum(time, length[:, None] - 1)
    start = frames.start[clips][:, None]
    if lengths is not None:
        place = place * ((original - 1) / jnp.maximum(length - 1, 1))[:, None]
        left = jnp.floor(place).astype(jnp.int32)
        right = jnp.minimum(left + 1, original[:, None] - 1)
        share = (place - left)[..., None]
        before, after = frames.keypoints[start + left], frames.keypoints[start + right]
        keypoints = before + share[..., None] * (after - before)
        exact = share < 1e-4
        keypoints = jnp.where(exact[..., None], before, keypoints)
        score = frames.score[start + left]
        score = jnp.where(exact, score, jnp.minimum(score, frames.score[start + right]))
    else:
        keypoints, score = frames.keypoints[start + place], frames.score[start + place]
    return keypoints, jnp.where(inside, score, 0), length, frames.label[clips]


def bucket_edges(lengths: np.ndarray, buckets: int = 6, multiple: int = 1) -> tuple[int, ...]:
    """Padded lengths that waste the least padding with at most so many buckets.

    Every clip goes to the smallest edge that holds it. The edges minimise the total of padded frames exactly, by
    dynamic programming over the distinct lengths.

    Args:
        lengths: frames of every clip, int `[N]`.
        buckets: how many edges at most; each costs one compilation.
        multiple: edges are rounded up to a multiple of this.
    """
    if len(lengths) == 0:
        raise InputError("there are no clips to put into buckets")
    rounded = -(-np.asarray(lengths) // multiple) * multiple
    values, counts = np.unique(rounded, return_counts=True)
    total = np.concatenate([[0], np.cumsum(counts)])
    # cost[j]: least padded frames of the j shortest lengths with the buckets so far.
    cost, choices = np.full(len(values) + 1, np.inf), []
    cost[0] = 0
    for _ in range(min(buckets, len(values))):
        # A last bucket over values[i:j] pads all of them to values[j - 1].
        pads = cost[None, :-1] + (total[1:, None] - total[None, :-1]) * values[:, None]
        pads[np.triu_indices(len(values), 1)] = np.inf
        choice = pads.argmin(1)
        better = pads[np.arange(len(values)), choice]
        choices.append(choice)
        cost = np.concatenate([[0], better])
    edges, j = [], len(values)
    for choice in reversed(choices):
        if j == 0:
            break
        edges.append(int(values[j - 1]))
        j = int(choice[j - 1])
    return tuple(sorted(edges))


def plan(clips: np.ndarray, lengths: np.ndarray, edges: tuple[int, ...], batch_size: int,
         seed: int | None = None, epoch: int = 0) -> list[BatchIndex]:
    """The batches of one pass over some clips.

    Args:
        clips: rows of clips, int `[N]`.
        lengths: their frames, int `[N]`.
        edges: padded lengths, ascending; the last must hold the longest clip.
        batch_size: rows of every batch; the last batch of a bucket is filled up with rows of weight 0.
        seed: shuffles clips within buckets and the batches among each other; None keeps the order of rows.
        epoch: shuffles differently in every pass.

    Raises:
        InputError: a clip is longer than the last edge.
    """
    clips, lengths = np.asarray(clips), np.asarray(lengths)
    if len(lengths) and lengths.max() > edges[-1]:
        raise InputError(f"a clip of {lengths.max()} frames does not fit the longest bucket of {edges[-1]}")
    order = np.random.default_rng([seed, epoch]) if seed is not None else None
    bucket = np.searchsorted(edges, lengths)
    batches = []
    for b, steps in enumerate(edges):
        rows = clips[bucket == b].astype(np.int32)
        if order is not None:
            rows = order.permutation(rows)
        for i in range(0, len(rows), batch_size):
            taken = rows[i:i + batch_size]
            fill = batch_size - len(taken)
            batches.append(BatchIndex(
                int(steps), np.concatenate([taken, np.repeat(taken[:1], fill)]),
                np.concatenate([np.ones(len(taken), np.float32), np.zeros(fill, np.float32)]),
            ))
    if order is not None:
        batches = [batches[i] for i in order.permutation(len(batches))]
    return batches


def padding_share(lengths: np.ndarray, edges: tuple[int, ...]) -> float:
    """Share of processed frames that are padding when every clip is padded to its bucket's edge."""
    padded = np.asarray(edges)[np.searchsorted(edges, lengths)].sum()
    return float(1 - np.sum(lengths) / padded) if padded else math.nan
