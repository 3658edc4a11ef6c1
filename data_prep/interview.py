"""One simulated interview: planned as a `Session`, filmed by `record`.

This module needs NumPy only and never imports JAX.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from data_prep.filming import Camera, observe
from data_prep.performance import perform
from data_prep.seated_body import Person


@dataclasses.dataclass(frozen=True)
class Session:
    """An interview before it is filmed: who, and what he does when. `record` films it.

    Attributes:
        id, subject, emotion: names; emotion is one of `gesture_order.EMOTIONS`.
        person, seed: seeds of the subject's body and habits, and of everything else.
        gesture: rows of `GESTURES`, int64 `[clips]`.
        start, length: first frame and number of frames of every clip, int64 `[clips]`.
        frames: number of frames of the video.
    """

    id: str
    subject: str
    emotion: str
    person: tuple[int, ...]
    seed: tuple[int, ...]
    gesture: np.ndarray
    start: np.ndarray
    length: np.ndarray
    frames: int


@dataclasses.dataclass(frozen=True)
class Video:
    """A filmed interview.

    Attributes:
        keypoints: as the pose estimator found them, float32 `[T, 67, 2]`, pixels; (0, 0)
            where it found none.
        score: float32 `[T, 67]`, 0 to 1.
        truth: the same joints without noise or loss, float32 `[T, 67, 2]`, pixels.
        body: the body itself, float32 `[T, 67, 3]`, metres from between the hips; x left,
            y up, z to the front.
    """

    keypoints: np.ndarray
    score: np.ndarray
    truth: np.ndarray
    body: np.ndarray

    def __len__(self) -> int:
        return len(self.score)


def record(session: Session) -> Video:
    """Let a session happen, and film it. The same session gives the same arrays."""
    # The body has a seed of its own: a subject is the same in all of their interviews.
    person = Person(np.random.default_rng(session.person))
    # One generator for all that follows: the order of these calls is part of the result.
    rng = np.random.default_rng(session.seed)
    body = perform(person, session.gesture, session.start, session.length, session.frames, rng)
    truth, unit = Camera(len(body), rng).project(body)
    keypoints, score = observe(truth, unit, rng)
    return Video(keypoints, score, truth.astype(np.float32), body.astype(np.float32))


def seen(session: Session) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints and score of `record` alone."""
    # A worker sends these to its parent, which needs nothing else of a video.
    video = record(session)
    return video.keypoints, video.score
