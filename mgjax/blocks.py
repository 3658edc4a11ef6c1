"""A store's frames on the device: all of them where they fit, else in blocks of whole videos."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from typing import Any, NamedTuple

import jax
import numpy as np

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

    keypoints: jax.Array | np.ndarray
    score: jax.Array | np.ndarray
    start: jax.Array | np.ndarray
    length: jax.Array | np.ndarray
    label: jax.Array | np.ndarray


# Decided here and not by the machine at hand, so that a run's order is the same everywhere.
RESIDENT_BYTES, BLOCK_BYTES = 2**30, 2**28


class Blocks:
    """A store's frames, cut into blocks of whole videos that fit in memory one after the other.

    The cut depends on the store and on `block_bytes` alone. A store of no more than
    `resident_bytes` is one block, which stays on the device. Every block has the same number of
    frames, the last ones of most being unused, so that one compilation serves all.

    Args:
        store: the opened store.
        clips: rows of clips that will be asked for; videos without any are left out.
        block_bytes: size of a block's frames; None takes BLOCK_BYTES. A video that is longer is a
            block of its own.
        resident_bytes: size up to which there is one block; None takes RESIDENT_BYTES.
        shard: (which, of how many): `read` reads one of so many equal shards of a block's frames.
        multiple: a block's number of frames is rounded up to a multiple of this.

    Attributes:
        videos: rows of the videos of every block, ascending.
        size: frames of a block.
    """

    def __init__(
        self,
        store: Store,
        clips: np.ndarray,
        block_bytes: int | None = None,
        resident_bytes: int | None = None,
        shard: tuple[int, int] = (0, 1),
        multiple: int = 1,
    ):
        block_bytes = BLOCK_BYTES if block_bytes is None else block_bytes
        resident_bytes = RESIDENT_BYTES if resident_bytes is None else resident_bytes
        self.store = store
        self.videos = self._cut(np.unique(store.clips.video[clips]), block_bytes, resident_bytes)
        largest = max((int(store.videos.length[videos].sum()) for videos in self.videos), default=0)
        self.size = -(-largest // multiple) * multiple
        which, shards = shard
        self._shard = self.size * which // shards, self.size * (which + 1) // shards
        self._block_of_video = np.full(len(store.videos), -1)
        for number, videos in enumerate(self.videos):
            self._block_of_video[videos] = number
        # The number of the block that was used last, and its frames as they were placed.
        self._resident: tuple[int | None, Any] = (None, None)

    def _cut(self, videos: np.ndarray, block_bytes: int, resident_bytes: int) -> list[np.ndarray]:
        """The videos of every block, ascending, out of those that are wanted."""
        layout, lengths = self.store.layout, self.store.videos.length[videos]
        total = lengths.sum()
        frame_bytes = 4 * len(layout) * (layout.dimensions + 1)  # float32 coordinates and score
        if total * frame_bytes <= resident_bytes:
            limit = total
        else:
            limit = max(block_bytes // frame_bytes, lengths.max())
        if limit < total:
            # Neighbouring videos are often of one person: dealt out at random, every block has
            # some of everyone.
            order = np.random.default_rng(0).permutation(len(videos))
            videos, lengths = videos[order], lengths[order]
        blocks: list[list[int]] = []
        frames_left = 0
        for video, length in zip(videos, lengths):
            if length > frames_left or not blocks:
                blocks.append([])
                frames_left = limit
            blocks[-1].append(video)
            frames_left -= length
        return [np.sort(block) for block in blocks]

    def __len__(self) -> int:
        return len(self.videos)

    def block_of(self, clips: np.ndarray) -> np.ndarray:
        """Which block holds each of some of the asked clips, int `[N]`."""
        return self._block_of_video[self.store.clips.video[clips]]

    def shapes(self) -> Any:
        """`Frames` of a block's shapes and dtypes, the same for all, to compile with."""
        layout, clips = self.store.layout, len(self.store.clips)
        keypoints = (self.size, len(layout), layout.dimensions)
        columns = [((clips,), np.int32)] * 3
        arrays = [(keypoints, np.float32), (keypoints[:2], np.float32), *columns]
        return Frames._make(jax.ShapeDtypeStruct(*array) for array in arrays)

    def read(self, block: int) -> Frames:
        """This shard of a block's frames, as NumPy arrays.

        `start` is right for the clips of the block, and 0 for all others.
        """
        store, videos = self.store, self.videos[block]
        low, high = self._shard
        keypoints = np.zeros((high - low, len(store.layout), store.layout.dimensions), np.float32)
        score = np.zeros(keypoints.shape[:2], np.float32)
        starts, start = np.zeros(len(store.videos), np.int64), 0
        for video in videos:
            end = start + int(store.videos.length[video])
            # What of the video, whose frames in the block are [start, end), is in the shard.
            first, last = max(start, low), min(end, high)
            if first < last:
                here = slice(first - low, last - low)
                shift = int(store.videos.start[video]) - start
                keypoints[here], score[here] = store.frames(first + shift, last + shift)
            starts[video] = start
            start = end
        clips = store.clips
        clip_starts = starts[clips.video] + clips.start
        clip_starts = np.where(np.isin(clips.video, videos), clip_starts, 0)
        columns = (clip_starts, clips.length, clips.label)
        return Frames(keypoints, score, *(column.astype(np.int32) for column in columns))

    def prefetch(self, order: Iterable[int], place: Callable[[Frames], Frames]) -> Iterator[Frames]:
        """Blocks in some order; the next one is read while this one is worked on.

        A block that comes again, in this call or a later one, with no other in between is not
        read again.

        Args:
            order: numbers of blocks.
            place: puts what `read` returned on the device.
        """
        turns = [(block, len(list(same))) for block, same in itertools.groupby(order)]
        with futures.ThreadPoolExecutor(1) as reader:
            ahead = None
            for turn, (block, times) in enumerate(turns, 1):
                if self._resident[0] != block:
                    read = ahead.result() if ahead else self.read(block)
                    # Lets go of the block before: there may be no memory for both.
                    self._resident = (None, None)
                    self._resident = (block, place(read))
                    del read
                ahead = reader.submit(self.read, turns[turn][0]) if turn < len(turns) else None
                for _ in range(times):
                    yield self._resident[1]
