"""From clips to batches: length buckets, an order that is a pure function, frames by index.

A batch is a vector of clip rows and a static padded length. Gathering its frames happens on the
device, inside the jitted step, out of one flat array of all frames, or of a block of them where
all are too many (`Frames`, `Blocks`). The order of batches depends on (seed, epoch) alone, so
resuming is a number.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mgjax.blocks import Blocks, Frames
from mgjax.errors import InputError
from mgjax.nn.masking import time_mask
from mgjax.transforms import neighbours

# fmt: off
__all__ = [
    "BatchIndex", "Blocks", "Frames", "StepGroup", "batch_edges", "bucket_edges", "gather",
    "group_steps", "longest_of_batches", "microbatch_count", "padding_fraction", "plan",
]
# fmt: on


class BatchIndex(NamedTuple):
    """A batch before its frames are gathered.

    Attributes:
        padded_length: frames T of every row, the same for every batch of a bucket.
        clips: rows of clips, the longest first, int32 `[B]`.
        weight: 1 for a clip, 0 where the row only fills the batch, float32 `[B]`.
    """

    padded_length: int
    clips: np.ndarray
    weight: np.ndarray


class StepGroup(NamedTuple):
    """The batches of K steps, which one call of a jitted function takes one after the other.

    Attributes:
        block: which block of the store their clips lie in.
        padded_length: frames T of every row.
        step_count: how many batches there are, at most K.
        clips, weight: as of `BatchIndex`, `[K, microbatches, B / microbatches]`; zero from
            `step_count` on.
    """

    block: int
    padded_length: int
    step_count: int
    clips: np.ndarray
    weight: np.ndarray


# Gathering


def gather(
    frames: Frames, clips: jax.Array, padded_length: int, lengths: Callable | None = None
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """The frames of some clips, padded; jittable with `padded_length` and `lengths` static.

    Args:
        frames: the frames on the device.
        clips: rows of clips, int `[B]`.
        padded_length: frames T of every row.
        lengths: new lengths as a function of the clips' own, such as `Preparation.lengths`. Clips
            are resampled to them, evenly spread, linear between frames; a joint between two
            frames has the lower of their scores. None leaves every length.

    Returns:
        keypoints `[B, T, V, C]`, score `[B, T, V]` (0 in padding), length `[B]`, label `[B]`.
    """
    original = jnp.asarray(frames.length[clips])
    length = original if lengths is None else lengths(original)
    valid = time_mask(length, padded_length)[..., None]
    # Padding repeats the clip's last frame, so that no row reaches into another video or past the
    # array.
    place = jnp.minimum(jnp.arange(padded_length), length[:, None] - 1)
    start = frames.start[clips][:, None]
    if lengths is not None:
        place = place * ((original - 1) / jnp.maximum(length - 1, 1))[:, None]
        keypoints, score = _between_frames(frames, start, place, original)
    else:
        keypoints, score = frames.keypoints[start + place], frames.score[start + place]
    return keypoints, jnp.where(valid, score, 0), length, frames.label[clips]


def _between_frames(frames: Frames, start, place, length):
    """Keypoints and score at fractional frames `place [B, T]` of clips from `start [B, 1]` on."""
    left, right, share = neighbours(place, length)
    left, right, share = start + left, start + right, share[..., None]
    before, after = frames.keypoints[left], frames.keypoints[right]
    # Not `interpolate_frames`, which rounds another way (a (1 - s) + b s): either form would move
    # the last bit of what the other gives, and with it the figures of runs that exist.
    keypoints = before + share[..., None] * (after - before)
    # A place that only rounding took off a frame is that frame, seen or not as it is.
    exact = share < 1e-4
    keypoints = jnp.where(exact[..., None], before, keypoints)
    score = frames.score[left]
    lower = jnp.minimum(score, frames.score[right])
    return keypoints, jnp.where(exact, score, lower)


# Buckets


def bucket_edges(lengths: np.ndarray, buckets: int = 6, multiple: int = 1) -> tuple[int, ...]:
    """Padded lengths that waste the least padding with at most so many buckets.

    Every clip goes to the smallest edge that holds it. The edges minimise the total of padded
    frames exactly, by dynamic programming over the distinct lengths.

    Args:
        lengths: frames of every clip, int `[N]`.
        buckets: how many edges at most; each costs one compilation.
        multiple: edges are rounded up to a multiple of this.

    Raises:
        InputError: there are no clips.

    >>> bucket_edges([10, 10, 11, 50], buckets=2)
    (11, 50)
    """
    if len(lengths) == 0:
        raise InputError("there are no clips to put into buckets")
    rounded = -(-np.asarray(lengths) // multiple) * multiple
    values, counts = np.unique(rounded, return_counts=True)
    clips_below = np.concatenate([[0], np.cumsum(counts)])
    # A last bucket over values[j:i + 1] pads all of its clips to values[i].
    pads = (clips_below[1:, None] - clips_below[None, :-1]) * values[:, None]
    # cost[i]: least padded frames of the i shortest lengths with the buckets so far.
    cost = np.full(len(values) + 1, np.inf)
    cost[0] = 0
    choices = []
    for _ in range(min(buckets, len(values))):
        totals = cost[None, :-1] + pads
        totals[np.triu_indices(len(values), 1)] = np.inf
        choice = totals.argmin(1)
        choices.append(choice)
        cost = np.concatenate([[0], totals[np.arange(len(values)), choice]])
    # Walks back from the longest length over where each last bucket begins.
    edges, end = [], len(values)
    for choice in reversed(choices):
        if end == 0:
            break
        edges.append(int(values[end - 1]))
        end = int(choice[end - 1])
    return tuple(sorted(edges))


def longest_of_batches(lengths: np.ndarray, batch_size: int) -> np.ndarray:
    """Frames of the longest clip of each of `plan`'s batches, int `[batches]`."""
    return np.sort(lengths)[::-1][::batch_size]


def batch_edges(lengths: np.ndarray, batch_size: int, buckets: int) -> tuple[int, ...]:
    """The padded lengths that suit `plan`'s batches best.

    They are the `bucket_edges` of the longest clip of every batch.
    """
    return bucket_edges(longest_of_batches(lengths, batch_size), buckets)


# Order


def plan(
    clips: np.ndarray,
    lengths: np.ndarray,
    edges: tuple[int, ...],
    batch_size: int,
    seed: int | None = None,
    epoch: int = 0,
) -> list[BatchIndex]:
    """The batches of one pass over some clips.

    A batch holds clips of about the same length: clips are sorted by length, those of equal
    length shuffled, and cut into batches from the longest on. So a recurrence that stops at its
    batch's longest clip reads hardly any padding, however few the padded lengths are.

    Args:
        clips: rows of clips, int `[N]`.
        lengths: their frames, int `[N]`.
        edges: padded lengths, ascending; the last must hold the longest clip.
        batch_size: rows of every batch; the last batch is filled up with rows of weight 0.
        seed: shuffles clips of equal length and the batches among each other; None keeps the
            order of rows.
        epoch: shuffles differently in every pass.

    Raises:
        InputError: a clip is longer than the last edge.

    >>> batches = plan(np.arange(5), np.array([3, 9, 4, 8, 2]), edges=(4, 9), batch_size=2)
    >>> [(batch.padded_length, batch.clips.tolist()) for batch in batches]
    [(9, [1, 3]), (4, [2, 0]), (4, [4, 4])]
    >>> batches[-1].weight.tolist()
    [1.0, 0.0]
    """
    clips, lengths = np.asarray(clips), np.asarray(lengths)
    if len(lengths) and lengths.max() > edges[-1]:
        raise InputError(
            f"a clip of {lengths.max()} frames does not fit the longest bucket of {edges[-1]}"
        )
    random = None if seed is None else np.random.default_rng([seed, epoch])
    order = np.arange(len(clips)) if random is None else random.permutation(len(clips))
    # Stable, so that clips of equal length stay as shuffled.
    order = order[np.argsort(-lengths[order], kind="stable")]
    batches = []
    for i in range(0, len(order), batch_size):
        taken = order[i : i + batch_size]
        padded_length = edges[np.searchsorted(edges, lengths[taken[0]])]
        batches.append(_filled(int(padded_length), clips[taken], batch_size))
    if random is not None:
        batches = [batches[i] for i in random.permutation(len(batches))]
    return batches


def _filled(padded_length: int, clips: np.ndarray, batch_size: int) -> BatchIndex:
    """A batch of clips, filled up with the last of them at weight 0."""
    missing = batch_size - len(clips)
    rows = np.concatenate([clips, np.repeat(clips[-1:], missing)]).astype(np.int32)
    weight = np.ones(batch_size, np.float32)
    weight[len(clips) :] = 0
    return BatchIndex(padded_length, rows, weight)


# Steps


def microbatch_count(padded_length: int, batch_size: int, microbatch_frames: int) -> int:
    """In how many equal microbatches a batch is computed, whose gradients are added up.

    The least power of two that divides the batch and with which a microbatch has no more padded
    frames than a whole batch of `microbatch_frames` frames a row.

    Args:
        padded_length: frames of every row.
        batch_size: rows of the batch.
        microbatch_frames: the longest padded length whose batches are computed whole.
    """
    count = 1
    while padded_length > microbatch_frames * count and batch_size % (2 * count) == 0:
        count *= 2
    return count


def group_steps(
    batches: list[BatchIndex],
    steps_per_call: int,
    microbatches: Callable[[int], int],
    block: int = 0,
) -> list[StepGroup]:
    """Batches of equal padded length, `steps_per_call` at a time.

    Groups are in the order in which the first batch of each came.

    Args:
        batches: what `plan` returned.
        steps_per_call: K, how many batches one call takes.
        microbatches: in how many microbatches a batch of a padded length is computed.
        block: which block of the store the clips lie in.
    """
    open_groups: dict[int, list[BatchIndex]] = {}
    groups = []
    for batch in batches:
        members = open_groups.get(batch.padded_length)
        if members is None:
            members = open_groups[batch.padded_length] = []
            groups.append(members)
        members.append(batch)
        if len(members) == steps_per_call:
            del open_groups[batch.padded_length]
    counts = {batch.padded_length: microbatches(batch.padded_length) for batch in batches}
    return [
        _stacked(members, steps_per_call, counts[members[0].padded_length], block)
        for members in groups
    ]


def _stacked(
    batches: list[BatchIndex], steps_per_call: int, microbatches: int, block: int
) -> StepGroup:
    """Batches of one padded length as arrays `[steps_per_call, microbatches, rows]`."""
    shape = (microbatches, len(batches[0].clips) // microbatches)
    # A call is compiled for as many steps as it may take; those that are missing stay zero.
    clips = np.zeros((steps_per_call, *shape), np.int32)
    weight = np.zeros((steps_per_call, *shape), np.float32)
    for i, batch in enumerate(batches):
        clips[i], weight[i] = batch.clips.reshape(shape), batch.weight.reshape(shape)
    return StepGroup(block, batches[0].padded_length, len(batches), clips, weight)


def padding_fraction(step_groups: list[StepGroup], lengths: np.ndarray) -> tuple[float, float]:
    """Which fraction of the clips' frames is padding, NaN without any.

    Rows that only fill a batch are not counted.

    Args:
        step_groups: what `group_steps` returned.
        lengths: frames of every clip of the store, int `[N]`.

    Returns:
        of the frames that a recurrence reads, which stops at the longest clip of each microbatch,
        and of those of the padded arrays, which all else goes through.
    """
    valid = read = held = 0.0
    for step_group in step_groups:
        clips = step_group.clips[: step_group.step_count]
        weight = step_group.weight[: step_group.step_count]
        frames = lengths[clips]
        valid += (frames * weight).sum()
        read += (frames.max(-1) * weight.sum(-1)).sum()
        held += step_group.padded_length * weight.sum()
    if not held:
        return math.nan, math.nan
    return float(1 - valid / read), float(1 - valid / held)
