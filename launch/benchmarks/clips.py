"""What the suites train on: clips as long as iMiGUE's, on a skeleton of 60 inputs."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable

import numpy as np

from mgjax.skeleton import Layout
from mgjax.store import StoreWriter

CLIPS = 13_936  # training clips of iMiGUE's cross-subject protocol
FRAMES_PER_SECOND = 25

_JOINTS = tuple(f"Joint{i}" for i in range(30))
LAYOUT = Layout(
    "bench30",
    _JOINTS,
    tuple(itertools.pairwise(_JOINTS)),
    root=_JOINTS[:1],
    scale=_JOINTS[:2],
    across=_JOINTS[:2],
    up=(_JOINTS[0], _JOINTS[2]),
)
_BODY = 100.0  # pixels between the two joints that say how large the body is


def imigue_lengths(clips: int = CLIPS, seed: int = 0) -> np.ndarray:
    """Frames of clips that are as long as iMiGUE's, int64 `[clips]`.

    Seconds are log-normal (μ 0.45, σ 0.986) and clipped to 0.18–80.92, which has the dataset's
    published mean of 2.55 s and its least and greatest; 25 frames a second.
    """
    seconds = np.clip(np.random.default_rng(seed).lognormal(0.45, 0.986, clips), 0.18, 80.92)
    return np.round(seconds * FRAMES_PER_SECOND).astype(np.int64)


def random_walks(lengths: np.ndarray, seed: int = 0) -> np.ndarray:
    """One body whose joints walk at random within every clip; clips end to end, pixels, float32
    `[F, 30, 2]`.
    """
    rng = np.random.default_rng(seed)
    body = rng.uniform(200, 500, (len(_JOINTS), 2)).astype(np.float32)
    body[1] = body[0] + (_BODY, 0)
    walk = rng.standard_normal((int(lengths.sum()), len(_JOINTS), 2), np.float32)
    np.cumsum(0.5 * walk, axis=0, out=walk)
    starts = np.cumsum(lengths) - lengths
    walk -= np.repeat(walk[starts], lengths, axis=0)
    walk += body
    return walk


def write_store(
    path: str | os.PathLike,
    lengths: np.ndarray,
    keypoints_of: Callable[[int, np.ndarray], np.ndarray],
    clips_per_video: int = 100,
):
    """A store of such clips, written video by video; every joint is seen.

    Args:
        keypoints_of: the clips of a video end to end, float32 `[F, 30, 2]`, by the row of the
            first and their lengths.
    """
    with StoreWriter(
        path, LAYOUT, unit="pixel", frames=int(lengths.sum()), source="random walks"
    ) as writer:
        for first in range(0, len(lengths), clips_per_video):
            of_video = lengths[first : first + clips_per_video]
            keypoints = keypoints_of(first, of_video)
            writer.add_video(
                f"video{first}",
                keypoints,
                np.ones(keypoints.shape[:2], np.float32),
                fps=FRAMES_PER_SECOND,
            )
            for start, length in zip(np.cumsum(of_video) - of_video, of_video):
                writer.add_clip(f"video{first}", int(start), int(length))


def prepared_batch(
    keypoints: np.ndarray, lengths: np.ndarray, rows: np.ndarray, steps: int
) -> np.ndarray:
    """Some clips as `mgjax.preparation.Preparation()` gives them, float32 `[B, steps, 60]`, zero
    past each end.

    The root's first place is the origin and the body's median size the unit. Peers get these
    arrays ready made.
    """
    starts = np.cumsum(lengths) - lengths
    batch = np.zeros((len(rows), steps, 2 * len(LAYOUT)), np.float32)
    for place, row in enumerate(rows):
        clip = keypoints[starts[row] : starts[row] + lengths[row]]
        size = np.median(np.linalg.norm(clip[:, 0] - clip[:, 1], axis=-1))
        batch[place, : lengths[row]] = ((clip - clip[0, 0]) / size).reshape(len(clip), -1)
    return batch
