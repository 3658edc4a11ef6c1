"""From a store to batches: clips in length buckets, frames on the device, an order that is a pure
function.

A batch is a vector of clip rows and a static padded length. Gathering its frames happens on the
device, inside the jitted step, out of one flat array of all frames, or of a block of them where
all are too many. The order of batches depends on (seed, epoch) alone, so resuming is a number.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mgjax.errors import InputError
from mgjax.store import Store


class Frames(NamedTuple):
    """Frames of a store on the device, and where each clip lies in them.

    Attributes:
        keypoints: `[F, V, C]` float32.
        score: `[F, V]` float32.
        start: first frame of every clip of the store, int32 `[N]`.
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
        clips: rows of clips, the longest first, int32 `[B]`.
        weight: 1 for a clip, 0 where the row only fills the batch, float32 `[B]`.
    """

    steps: int
    clips: np.ndarray
    weight: np.ndarray


class Dispatch(NamedTuple):
    """Batches that are computed one after the other in one call of a jitted function.

    Attributes:
        block: which block of the store their clips lie in.
        steps: their padded length T.
        count: how many batches, at most K.
        clips, weight: as of `BatchIndex`, `[K, parts, B / parts]`; zero from `count` on.
    """

    block: int
    steps: int
    count: int
    clips: np.ndarray
    weight: np.ndarray


# Decided here and not by the machine at hand, so that a run's order is the same everywhere.
WHOLE_BYTES, BLOCK_BYTES = 2**30, 2**28


class Blocks:
    """A store's frames, cut into blocks of whole videos that fit in memory one after the other.

    The cut depends on the store and on `block_bytes` alone. A store of no more than `whole_bytes`
    is one block. Every block has the same number of frames, the last ones of most being unused,
    so that one compilation serves all.

    Args:
        store: the opened store.
        clips: rows of clips that will be asked for; videos without any are left out.
        block_bytes: size of a block's frames; None takes BLOCK_BYTES. A video that is longer is a
            block of its own.
        whole_bytes: size up to which there is one block; None takes WHOLE_BYTES.
        share: (which, of how many): `read` reads one of so many equal shares of a block's frames.
        multiple: a block's number of frames is rounded up to a multiple of this.
    """

    def __init__(
        self,
        store: Store,
        clips: np.ndarray,
        block_bytes: int | None = None,
        whole_bytes: int | None = None,
        share: tuple[int, int] = (0, 1),
        multiple: int = 1,
    ):
        block_bytes = BLOCK_BYTES if block_bytes is None else block_bytes
        whole_bytes = WHOLE_BYTES if whole_bytes is None else whole_bytes
        self.store = store
        self._held: tuple[int | None, Frames | None] = None, None
        wanted = np.unique(store.clips.video[clips])
        frame = 4 * len(store.layout) * (store.layout.dimensions + 1)
        lengths = store.videos.length[wanted]
        limit = (
            lengths.sum()
            if lengths.sum() * frame <= whole_bytes
            else max(block_bytes // frame, lengths.max())
        )
        # Neighbouring videos are often of one person: dealt out at random, every block has some
        # of everyone.
        if limit < lengths.sum():
            order = np.random.default_rng(0).permutation(len(wanted))
            wanted, lengths = wanted[order], lengths[order]
        self.videos: list[np.ndarray] = []
        room = 0
        for video, length in zip(wanted, lengths):
            if length > room or not self.videos:
                self.videos.append([])
                room = limit
            self.videos[-1].append(video)
            room -= length
        self.videos = [np.sort(videos) for videos in self.videos]
        longest = max((int(store.videos.length[videos].sum()) for videos in self.videos), default=0)
        self.size = -(-longest // multiple) * multiple
        which, shares = share
        self._share = self.size * which // shares, self.size * (which + 1) // shares
        self._block_of_video = np.full(len(store.videos), -1)
        for number, videos in enumerate(self.videos):
            self._block_of_video[videos] = number

    def __len__(self) -> int:
        return len(self.videos)

    def block_of(self, clips: np.ndarray) -> np.ndarray:
        """Which block holds each of some of the asked clips, int `[N]`."""
        return self._block_of_video[self.store.clips.video[clips]]

    def shapes(self) -> Frames:
        """Shapes and dtypes of a block's arrays, the same for all."""
        layout = self.store.layout
        keypoints = jax.ShapeDtypeStruct((self.size, len(layout), layout.dimensions), np.float32)
        column = jax.ShapeDtypeStruct((len(self.store.clips),), np.int32)
        return Frames(
            keypoints, jax.ShapeDtypeStruct(keypoints.shape[:2], np.float32), column, column, column
        )

    def read(self, block: int) -> Frames:
        """This share of a block's frames, as NumPy arrays; `start` is right for the clips of the
        block.
        """
        store, videos = self.store, self.videos[block]
        low, high = self._share
        keypoints = np.zeros((high - low, len(store.layout), store.layout.dimensions), np.float32)
        score = np.zeros(keypoints.shape[:2], np.float32)
        starts, at = np.zeros(len(store.videos), np.int64), 0
        for video in videos:
            length, shift = int(store.videos.length[video]), int(store.videos.start[video]) - at
            first, last = max(at, low), min(at + length, high)
            if first < last:
                here = slice(first - low, last - low)
                keypoints[here], score[here] = store.frames(first + shift, last + shift)
            starts[video] = at
            at += length
        start = starts[store.clips.video] + store.clips.start
        return Frames(
            keypoints,
            score,
            np.where(np.isin(store.clips.video, videos), start, 0).astype(np.int32),
            store.clips.length.astype(np.int32),
            store.clips.label.astype(np.int32),
        )

    def stream(self, order: Iterable[int], place: Callable[[Frames], Frames]) -> Iterator[Frames]:
        """Blocks in some order, each given to `place`; the next one is read while this one is
        worked on.

        A block that comes again, in this call or a later one, with no other in between is not
        read again.
        """
        turns = [(block, len(list(same))) for block, same in itertools.groupby(order)]
        with futures.ThreadPoolExecutor(1) as reader:
            ahead = None
            for turn, (block, times) in enumerate(turns):
                if self._held[0] != block:
                    read = ahead.result() if ahead else self.read(block)
                    self._held = None, None  # lets go of the block before
                    self._held, read = (block, place(read)), None
                ahead = (
                    reader.submit(self.read, turns[turn + 1][0]) if turn + 1 < len(turns) else None
                )
                for _ in range(times):
                    yield self._held[1]


def gather(frames: Frames, clips: jax.Array, steps: int, lengths: Callable | None = None):
    """The frames of some clips, padded to `steps`; jittable with `steps` and `lengths` static.

    Args:
        lengths: new lengths as a function of the clips' own, such as `Preparation.lengths`. Clips
            are resampled to them, evenly spread, linear between frames; a joint between two
            frames has the lower of their scores. None leaves every length.

    Returns:
        keypoints `[B, T, V, C]`, score `[B, T, V]` (0 in padding), length `[B]`, label `[B]`.
    """
    original, time = frames.length[clips], jnp.arange(steps)
    length = original if lengths is None else lengths(original)
    inside = (time < length[:, None])[..., None]
    # Padding repeats the clip's last frame, so that no row reaches into another video or past the
    # array.
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

    Every clip goes to the smallest edge that holds it. The edges minimise the total of padded
    frames exactly, by dynamic programming over the distinct lengths.

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


def longest_of_batches(lengths: np.ndarray, batch_size: int) -> np.ndarray:
    """Frames of the longest clip of each of `plan`'s batches, int `[batches]`."""
    return np.sort(lengths)[::-1][::batch_size]


def batch_edges(lengths: np.ndarray, batch_size: int, buckets: int) -> tuple[int, ...]:
    """The padded lengths that suit `plan`'s batches best: `bucket_edges` of the longest clip of
    every batch.
    """
    return bucket_edges(longest_of_batches(lengths, batch_size), buckets)


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
    """
    clips, lengths = np.asarray(clips), np.asarray(lengths)
    if len(lengths) and lengths.max() > edges[-1]:
        raise InputError(
            f"a clip of {lengths.max()} frames does not fit the longest bucket of {edges[-1]}"
        )
    random = np.random.default_rng([seed, epoch]) if seed is not None else None
    order = random.permutation(len(clips)) if random is not None else np.arange(len(clips))
    order = order[np.argsort(-lengths[order], kind="stable")]
    batches = []
    for i in range(0, len(order), batch_size):
        taken = order[i : i + batch_size]
        fill = batch_size - len(taken)
        rows = clips[np.concatenate([taken, np.repeat(taken[-1:], fill)])].astype(np.int32)
        weight = np.concatenate([np.ones(len(taken), np.float32), np.zeros(fill, np.float32)])
        batches.append(
            BatchIndex(int(edges[np.searchsorted(edges, lengths[taken[0]])]), rows, weight)
        )
    if random is not None:
        batches = [batches[i] for i in random.permutation(len(batches))]
    return batches


def parts_of(steps: int, batch_size: int, microbatch_frames: int) -> int:
    """In how many equal parts a batch of padded length `steps` is computed: the least power of
    two with which a part has no more padded frames than a batch of `microbatch_frames` frames, and
    that divides the batch."""
    parts = 1
    while steps > microbatch_frames * parts and batch_size % (2 * parts) == 0:
        parts *= 2
    return parts


def group(
    batches: list[BatchIndex], steps_per_call: int, parts: Callable[[int], int], block: int = 0
) -> list[Dispatch]:
    """Batches of equal padded length, `steps_per_call` at a time, in the order in which
    the first of each group came.

    Args:
        parts: in how many parts a batch of a padded length is computed.
    """
    waiting: dict[int, list[BatchIndex]] = {}
    groups = []
    for batch in batches:
        if not waiting.get(batch.steps):
            waiting[batch.steps] = []
            groups.append(waiting[batch.steps])
        waiting[batch.steps].append(batch)
        if len(waiting[batch.steps]) == steps_per_call:
            waiting[batch.steps] = []
    dispatches = []
    for members in groups:
        steps = members[0].steps
        shape = (parts(steps), len(members[0].clips) // parts(steps))
        clips, weight = (
            np.zeros((steps_per_call, *shape), np.int32),
            np.zeros((steps_per_call, *shape), np.float32),
        )
        for i, batch in enumerate(members):
            clips[i], weight[i] = batch.clips.reshape(shape), batch.weight.reshape(shape)
        dispatches.append(Dispatch(block, steps, len(members), clips, weight))
    return dispatches


def padding_share(dispatches: list[Dispatch], lengths: np.ndarray) -> tuple[float, float]:
    """Share of clips' frames that are padding: of those a recurrence reads, which stops at the
    longest clip of each part of a batch, and of those of the padded arrays. Rows that only fill a
    batch are not counted.

    Args:
        lengths: frames of every clip of the store, int `[N]`.
    """
    valid = read = held = 0
    for dispatch in dispatches:
        clips, weight = dispatch.clips[: dispatch.count], dispatch.weight[: dispatch.count]
        frames = lengths[clips]
        valid += (frames * weight).sum()
        read += (frames.max(-1) * weight.sum(-1)).sum()
        held += dispatch.steps * weight.sum()
    return (float(1 - valid / read), float(1 - valid / held)) if held else (math.nan, math.nan)
