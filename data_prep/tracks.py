"""One tracked person's recent past, and where that lets them be expected.

It is rule 1 of `data_prep/tracking.py`. This module needs NumPy only and never imports
JAX.
"""

from __future__ import annotations

import bisect
import functools
from typing import NamedTuple

import numpy as np

from data_prep.pose_comparison import lower_median

MEMORY = 25  # frames: what was seen longer ago is not looked at
PATIENCE = 10  # frames: nobody is forgotten sooner
# weight of the newest step in the velocity; what is left of it per unseen frame
SMOOTHING, FADING = 0.3, 0.9


class _State(NamedTuple):
    """Where each joint is `[V, 2]`, which are known `[V]`, the size and the velocity `[2]`."""

    place: np.ndarray
    known: np.ndarray
    size: float
    velocity: np.ndarray


class Track:
    """Somebody known so far, by what was seen of them in the MEMORY frames up to the last one.

    Attributes:
        id: their number.
        seen: in how many frames.
    """

    def __init__(self, id: int):
        self.id, self.seen = id, 0
        self._frames: list[int] = []
        self._poses: list[np.ndarray] = []

    def see(self, frames: list[int], pose: np.ndarray) -> None:
        """Take note of where the person is in some frames; pose `[frames, V, 3]`."""
        self.seen += len(frames)
        self._frames += frames[-MEMORY:]
        self._poses += list(pose[-MEMORY:])
        old = bisect.bisect(self._frames, frames[-1] - MEMORY)
        del self._frames[:old], self._poses[:old]
        # Worked out again when it is next asked for: in easy stretches that is rarely.
        self.__dict__.pop("_state", None)

    @property
    def last(self) -> int:
        """The frame in which the person was seen last."""
        return self._frames[-1]

    @property
    def patience(self) -> int:
        """The frame after which they are forgotten."""
        return self.last + max(self.seen, PATIENCE)

    @property
    def known(self) -> np.ndarray:
        """Which joints are known, bool `[V]`."""
        return self._state.known

    @property
    def size(self) -> float:
        """The diagonal of the box around the known joints, in pixels."""
        return self._state.size

    def expected(self, frames: np.ndarray) -> np.ndarray:
        """Where the known joints are expected in some frames to come, float `[frames, V, 2]`."""
        # A geometric series: each unseen frame's step is FADING times the one before.
        steps = (1 - FADING ** (frames - self.last)) / (1 - FADING)
        return self._state.place + steps[:, None, None] * self._state.velocity

    @functools.cached_property
    def _state(self) -> _State:
        poses, frames = np.array(self._poses), np.array(self._frames)
        place, seen = poses[..., :2], poses[..., 2] > 0
        steps = _steps(place, seen)
        # How far the person has moved since each frame; unseen joints move with the rest.
        to_last = np.cumsum(steps[::-1], axis=0)[::-1]
        moved = np.append(to_last, [[0, 0]], axis=0)
        latest = len(seen) - 1 - seen[::-1].argmax(axis=0)
        place = place[latest, np.arange(seen.shape[1])] + moved[latest]
        known = np.asarray(seen.any(axis=0))
        # Exponential smoothing, of steps per frame.
        age = np.arange(len(steps))[::-1]
        weights = SMOOTHING * (1 - SMOOTHING) ** age
        velocity = weights / np.diff(frames) @ steps
        width, height = np.ptp(place[known], axis=0)
        # A single joint has no size to divide by.
        size = max(float(np.hypot(width, height)), 1e-6)
        return _State(place, known, size, velocity)


def _steps(place: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """How far the person moved from each frame to the next, float `[frames - 1, 2]`.

    It is the median joint's step, lest a limb that fails be taken for one.
    """
    both = seen[1:] & seen[:-1]
    count = both.sum(axis=-1)[:, None]
    # Of each frame x and y by joint, `[frames - 1, 2, V]`.
    steps = (place[1:] - place[:-1]).swapaxes(1, 2)
    steps = np.where(both[:, None], steps, np.inf)
    return np.where(count > 0, lower_median(steps, count), 0)
