"""What one pass over all frames of a store finds: missing joints, ranges, and oddities.

This module needs NumPy and h5py only and never imports JAX.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from mgjax import skeleton
from mgjax.store import FramesDigest, Store

BLOCK = 8192  # frames read at a time: 13 MB of the largest layout


@dataclasses.dataclass(frozen=True)
class FrameCounts:
    """What one pass over all frames of a store finds.

    Attributes:
        missing: frames with score 0, by joint, int64 `[V]`.
        nobody: frames in which no joint is seen.
        low, high: the smallest and largest coordinate of seen joints, `[C]`; NaN where
            none is seen.
        scores: the smallest and largest score of seen joints; NaN where none is seen.
        outside: seen joints outside their video's picture, of the `placed` ones whose
            picture's size is known.
        not_zero: joints with score 0 whose keypoint is not at the origin.
        digest: of all frames as they are now, to be compared with `Store.frames_digest`.
        size: mean distance of the layout's two `scale` joints over the frames that show
            both; NaN if none does.
    """

    missing: np.ndarray
    nobody: int
    low: np.ndarray
    high: np.ndarray
    scores: tuple[float, float]
    outside: int
    placed: int
    not_zero: int
    digest: str
    size: float


def look_at_frames(store: Store, block: int = BLOCK) -> FrameCounts:
    """Read all frames of a store once, `block` frames at a time.

    Raises:
        InputError: frames cannot be read, or hold what no store may.
    """
    counter = _Counter(store.layout)
    for start in range(0, store.frame_count, block):
        keypoints, score = store.frames(start, min(start + block, store.frame_count))
        counter.add(keypoints, score, _pictures(store, start, len(score)))
    return counter.counts()


def _pictures(store: Store, start: int, count: int) -> np.ndarray:
    """Width and height of the picture that each of some frames is from, `[count, 2]`."""
    frames = np.arange(start, start + count)
    # Rows of empty videos share their start with the next one, which is the one that the
    # frame is of.
    video = np.searchsorted(store.videos.start, frames, side="right") - 1
    return np.stack([store.videos.width[video], store.videos.height[video]], -1)


class _Counter:
    """The counts of the blocks so far."""

    def __init__(self, layout: skeleton.Layout):
        self.scale = layout.index(*layout.scale)
        self.missing = np.zeros(len(layout), np.int64)
        self.low = np.full(layout.dimensions, np.inf)
        self.high = np.full(layout.dimensions, -np.inf)
        self.scores = np.inf, -np.inf
        self.nobody = self.not_zero = self.placed = self.outside = 0
        self.distance, self.pairs = 0.0, 0
        self.digest = FramesDigest()

    def add(self, keypoints: np.ndarray, score: np.ndarray, picture: np.ndarray) -> None:
        """Take in a block: keypoints `[T, V, C]`, score `[T, V]`, pictures `[T, 2]`."""
        self.digest.update(keypoints, score)
        seen = score > 0
        self.missing += (~seen).sum(0)
        self.nobody += int((~seen.any(1)).sum())
        unseen = keypoints[~seen]
        self.not_zero += int((unseen != 0).any(-1).sum())
        if seen.any():
            self._add_ranges(keypoints[seen], score[seen])
        self._add_outside(keypoints, seen, picture)
        self._add_distances(keypoints, seen)

    def _add_ranges(self, keypoints: np.ndarray, score: np.ndarray) -> None:
        """Of joints that were seen, `[N, C]` and `[N]`."""
        self.low = np.minimum(self.low, keypoints.min(0))
        self.high = np.maximum(self.high, keypoints.max(0))
        low, high = self.scores
        self.scores = min(low, float(score.min())), max(high, float(score.max()))

    def _add_outside(self, keypoints: np.ndarray, seen: np.ndarray, picture: np.ndarray) -> None:
        # A picture's size of 0 is not known.
        known = seen & np.all(picture > 0, axis=-1, keepdims=True)
        flat = keypoints[..., :2]
        beyond = (flat < 0) | (flat > picture[:, None])
        self.placed += int(known.sum())
        self.outside += int((known & beyond.any(-1)).sum())

    def _add_distances(self, keypoints: np.ndarray, seen: np.ndarray) -> None:
        # The distance that a body is scaled by, such as from shoulder to shoulder.
        first, second = self.scale
        both = seen[:, first] & seen[:, second]
        way = keypoints[both, first] - keypoints[both, second]
        apart = np.linalg.norm(way, axis=-1)
        # In float64, as a store may have millions of frames.
        self.distance += float(apart.sum(dtype=np.float64))
        self.pairs += int(both.sum())

    def counts(self) -> FrameCounts:
        """What was found in all blocks together."""
        # Nothing is lower than infinity only as long as nothing was seen.
        none = not np.isfinite(self.scores).all()
        nan = np.full_like(self.low, np.nan)
        return FrameCounts(
            missing=self.missing,
            nobody=self.nobody,
            low=nan if none else self.low,
            high=nan if none else self.high,
            scores=(np.nan, np.nan) if none else self.scores,
            outside=self.outside,
            placed=self.placed,
            not_zero=self.not_zero,
            digest=self.digest.hexdigest(),
            size=self.distance / self.pairs if self.pairs else np.nan,
        )
