"""How the parts of a store must fit together; asked by the reader and by the writer.

A function here returns what is wrong, a sentence without the file's name, or None.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mgjax.skeleton import Layout
from mgjax.store_format import ALL, Clips, Column, Split, StoreTable, Videos


def text_problem(text: object) -> str | None:
    """Why a text cannot be stored, or None."""
    if not isinstance(text, str):
        return f"is {text!r}, expected text"
    if "\0" in text:  # where HDF5 would end it
        return f"is {text!r}, with a NUL byte"
    try:
        text.encode()  # fails for bytes of a file name that were no text
    except UnicodeEncodeError:
        return f"is {text!r}, which is not UTF-8"
    return None


def value_problem(value: object, column: Column) -> str | None:
    """Why a value cannot be one of a video's column of texts or of numbers from 0, or None."""
    return text_problem(value) if column.kind is str else _number_problem(value, column)


def _number_problem(value: Any, column: Column) -> str | None:
    if column.kind is np.float32:
        right = 0 <= value <= float(np.finfo(column.kind).max)
        expected = "a finite number"
    else:
        # A fraction would be cut off, and NaN is in no range.
        right = 0 <= value <= np.iinfo(column.kind).max and value == int(value)
        expected = "a whole number of pixels"
    return None if right else f"is {value}, expected {expected}, 0 for unknown"


def split_name_problem(name: str) -> str | None:
    """Why no split can be called that, or None."""
    if name == ALL:
        return f"a split cannot be called {ALL!r}: every store has that one, of all its clips"
    return None


def problem(
    *,
    layout: Layout,
    keypoints_shape: tuple[int, ...],
    score_shape: tuple[int, ...],
    videos: Videos,
    clips: Clips,
    labels: Sequence[str],
    splits: Mapping[str, Split],
    source: str,
) -> str | None:
    """What is wrong in a store's parts or does not fit together, or None."""
    frames = keypoints_shape[0] if keypoints_shape else 0
    counts = {"clips": len(clips), "videos": len(videos)}
    # Each one relies on what those before it have found in order.
    return (
        _shapes_problem(layout, tuple(keypoints_shape), tuple(score_shape))
        or _lengths_problem({"videos": videos, "clips": clips})
        or _texts_problem("source", [source])
        or _texts_problem("a video's id", videos.id)
        or _texts_problem("a video's subject", videos.subject)
        or _texts_problem("a video's emotion", videos.emotion)
        or _texts_problem("a class name", labels)
        or _texts_problem("a split's name", splits)
        or _videos_problem(videos, frames)
        or _clips_problem(clips, videos, labels)
        or _splits_problem(splits, counts)
    )


def _shapes_problem(
    layout: Layout, keypoints: tuple[int, ...], score: tuple[int, ...]
) -> str | None:
    joints = len(layout)
    if keypoints[1:] != (joints, layout.dimensions):
        expected = f"[F, {joints}, {layout.dimensions}] for layout {layout.name!r}"
        return f"frames/keypoints has shape {keypoints}, expected {expected}"
    if score != (keypoints[0], joints):
        return f"frames/score has shape {score}, expected {(keypoints[0], joints)}"
    return None


def _lengths_problem(tables: Mapping[str, StoreTable]) -> str | None:
    for name, table in tables.items():
        lengths = {len(values) for values in table.arrays().values()}
        if len(lengths) > 1:
            return f"the columns of {name} differ in length: {sorted(lengths)}"
    return None


def _texts_problem(what: str, texts: Iterable[str]) -> str | None:
    # Of a file too: HDF5 stores any bytes as a text, also such as nobody can write again.
    for text in texts:
        if wrong := text_problem(text):
            return f"{what} {wrong}"
    return None


def _videos_problem(videos: Videos, frames: int) -> str | None:
    columns = videos.columns()
    # Their lengths first: sums of negative ones would mean nothing.
    if wrong := columns["length"].problem(videos.length):
        return wrong
    together = sum(videos.length.tolist())  # of Python's numbers, which do not overflow
    if together != frames:
        return f"the videos have {together} frames together, frames/keypoints has {frames}"
    if not np.array_equal(videos.start, videos.length.cumsum() - videos.length):
        return "videos/start is not the running sum of videos/length"
    if len(set(videos.id)) != len(videos):
        return "two videos have the same id"
    for name, values in videos.arrays().items():
        if wrong := columns[name].problem(values):
            return wrong
    return None


def _clips_problem(clips: Clips, videos: Videos, labels: Sequence[str]) -> str | None:
    if len(set(labels)) != len(labels):
        return "two classes have the same name"
    if not len(clips):
        return None
    if clips.video.min() < 0 or clips.video.max() >= len(videos):
        return "a clip names a video that is not there"
    frames = videos.length[clips.video]
    # What its video has from a clip's start on; of a negative start it could overflow.
    rest = frames - np.maximum(clips.start, 0)
    outside = (clips.start < 0) | (clips.length < 1) | (clips.length > rest)
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        clip = f"clip {row} (start {clips.start[row]}, length {clips.length[row]})"
        video = f"its video {videos.id[clips.video[row]]!r} of {frames[row]} frames"
        return f"{clip} lies outside {video}"
    if clips.label.min() < -1 or clips.label.max() >= len(labels):
        return f"a clip's label lies outside the {len(labels)} class names"
    return None


def _splits_problem(splits: Mapping[str, Split], counts: Mapping[str, int]) -> str | None:
    for name, split in splits.items():
        if wrong := split_name_problem(name):
            return wrong
        if split.of not in counts:
            return f"split {name!r} is of {split.of!r}, expected clips or videos"
        # Both sides at once: a row that trains and tests would be found by no other check.
        rows = np.concatenate([split.train, split.test])
        if len(rows) and (rows.min() < 0 or rows.max() >= counts[split.of]):
            return f"split {name!r} names {split.of} that are not there"
        if len(np.unique(rows)) != len(rows):
            return f"split {name!r} names a row of {split.of} twice"
    return None


def first_damaged_frame(keypoints: np.ndarray, score: np.ndarray) -> int | None:
    """The first frame of `[T, V, C]` and `[T, V]` in which a number is not finite or a score is
    negative; None without one.
    """
    if _are_certainly_sound(keypoints, score):
        return None
    sound = np.isfinite(keypoints).all((1, 2)) & ((score >= 0) & (score < np.inf)).all(1)
    return None if sound.all() else int(np.flatnonzero(~sound)[0])


def _are_certainly_sound(keypoints: np.ndarray, score: np.ndarray) -> bool:
    """Whether frames are finite and scores not negative for certain, at next to no cost.

    As whole numbers, the bits of float32 are in the numbers' order up to those of infinity; NaN
    and the negative come after it. A sum with NaN or infinity in it is never finite again.
    """
    infinity = 0x7F800000
    highest = np.maximum.reduce(score.view(np.uint32), axis=None, initial=0)
    flat = keypoints.ravel()
    with np.errstate(over="ignore"):  # of large numbers, which are looked at one by one then
        return bool(highest < infinity) and math.isfinite(flat.dot(flat))
