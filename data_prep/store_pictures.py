"""Pictures of what a store holds: sample clips, and how long its clips are.

This module needs matplotlib for the pictures and never imports JAX.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib

import numpy as np

from mgjax.errors import InputError
from mgjax.report import figures, skeletons
from mgjax.store import Store

CLIPS_ON_A_SHEET = 6
DRAWN_FRAMES = 250  # of a video, where a store has no clips


@dataclasses.dataclass(frozen=True)
class _Sample:
    """What is drawn of a clip, or of a video.

    Attributes:
        title: a line above.
        first: its first frame, counted in its video.
        start: its first frame, counted in the store.
        length: its number of frames.
    """

    title: str
    first: int
    start: int
    length: int


def draw(store: Store, folder: str | os.PathLike, count: int) -> list[pathlib.Path]:
    """Write sheets of sample clips, and the histogram of clip lengths, into a folder.

    Args:
        store: what to draw of.
        folder: where to; it is made if it is not there.
        count: of the sample clips, or of videos where there are no clips.

    Returns:
        The paths of the pictures.

    Raises:
        InputError: the folder cannot be made, or the store has no frames.
    """
    folder = pathlib.Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be made a folder for pictures ({error.strerror})"
        ) from None
    # Of untrimmed videos without clips there is still something to see.
    samples = _clip_samples(store, count) if len(store.clips) else _video_samples(store, count)
    paths = []
    for sheet, first in enumerate(range(0, len(samples), CLIPS_ON_A_SHEET), 1):
        path = folder / f"skeletons-{sheet}.png"
        paths.append(_draw_sheet(store, path, samples[first : first + CLIPS_ON_A_SHEET]))
    if len(store.clips):
        lengths = store.clips.length
        path = folder / "clip_lengths.png"
        paths.append(figures.clip_lengths(path, lengths, "frames", f"{len(lengths):,} clips"))
    return paths


def _draw_sheet(store: Store, path: pathlib.Path, samples: list[_Sample]) -> pathlib.Path:
    frames = [store.frames(sample.start, sample.start + sample.length) for sample in samples]
    keypoints, score = zip(*frames)
    return skeletons.contact_sheet(
        path,
        store.layout,
        keypoints,
        score,
        tuple(sample.title for sample in samples),
        first_frames=tuple(sample.first for sample in samples),
        y_points=store.y,
    )


def _clip_samples(store: Store, count: int) -> list[_Sample]:
    """Clips of classes from all over the label table, of middling length.

    Classes have as many clips each as can be.
    """
    videos, clips = store.videos, store.clips
    classes = np.unique(clips.label)
    # With more clips than classes some are chosen several times, with fewer some never.
    places = np.linspace(0, len(classes) - 1, count).round().astype(int)
    chosen, often = np.unique(places, return_counts=True)
    samples = []
    for label, number in zip(classes[chosen], often):
        own = np.flatnonzero(clips.label == label)
        own = own[np.argsort(clips.length[own], kind="stable")]
        # The middle of each of so many equal parts, from the shortest to the longest.
        middles = (np.arange(number) + 0.5) / number * len(own)
        for row in own[np.unique(middles.astype(int))]:
            name = store.labels[label] if label >= 0 else "no label"
            title = f"clip {row} · {name} · video {videos.id[clips.video[row]]}"
            first, start = int(clips.start[row]), int(store.clip_starts[row])
            samples.append(_Sample(title, first, start, int(clips.length[row])))
    return samples


def _video_samples(store: Store, count: int) -> list[_Sample]:
    """The beginnings of videos from all over the store."""
    videos = store.videos
    # A video without a frame has nothing to show.
    filled = np.flatnonzero(videos.length > 0)
    if not len(filled):
        raise InputError(f"{store.path}: has no frames to draw")
    places = np.linspace(0, len(filled) - 1, count).round().astype(int)
    samples = []
    for row in filled[np.unique(places)]:
        length = min(int(videos.length[row]), DRAWN_FRAMES)
        samples.append(_Sample(f"video {videos.id[row]}", 0, int(videos.start[row]), length))
    return samples
