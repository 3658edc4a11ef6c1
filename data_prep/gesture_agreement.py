"""How far two annotators of the same videos agree, measured.

`agreement` gives R and Cohen's kappa for all videos, for each class and for each video.
`data_prep/agreement.py` says what the two mean and how videos and overlapping gestures
count; `data_prep/annotations.py` reads the annotations. This module needs NumPy and
SciPy, and never imports JAX.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from data_prep.annotations import NONE, Annotation, Gesture
from data_prep.study_tables import order_labels
from mgjax.errors import InputError
from mgjax.protocols import IMIGUE_CLASSES
from mgjax.report.tables import Table

MOST_CLASSES = 500


def matched(first: np.ndarray, second: np.ndarray, overlap: float) -> int:
    """The most pairs that gestures of one class can form, each gesture in at most one.

    Args:
        first, second: first frame and frame after the last, int `[N, 2]` and `[M, 2]`.
        overlap: least intersection over union of a pair.
    """
    if not (len(first) and len(second)):
        return 0
    latest_start = np.maximum(first[:, None, 0], second[None, :, 0])
    earliest_stop = np.minimum(first[:, None, 1], second[None, :, 1])
    # Every gesture of one with every gesture of the other, `[N, M]`.
    shared = np.maximum(earliest_stop - latest_start, 0)
    one, other = np.ptp(first, axis=1), np.ptp(second, axis=1)
    either = one[:, None] + other - shared
    fits = csr_array(shared >= overlap * either)
    # Not the best pair first, which can leave two gestures over that fit otherwise.
    return int((maximum_bipartite_matching(fits, "column") >= 0).sum())


def by_frame(gestures: Iterable[Gesture], numbers: dict[str, int], frames: int) -> np.ndarray:
    """The class of every frame by its number, int64 `[frames]`; 0 where there is no gesture.

    A frame may as well be a stretch of frames, if gestures are said in stretches.
    """

    def precedence(gesture: Gesture) -> tuple[int, int, str]:
        start, stop, label = gesture
        return start, -stop, label

    classes = np.zeros(frames, np.int64)
    # What comes later covers what came before it.
    for start, stop, label in sorted(gestures, key=precedence):
        classes[start:stop] = numbers[label]
    return classes


def kappa(confusion: np.ndarray) -> float | None:
    """Cohen's kappa of two annotators from how often one said i and the other j, `[K, K]`.

    None where chance alone would make them agree in every frame, and where there is no
    frame.

    >>> kappa(np.array([[30, 10], [10, 30]]))  # agreed in 0.75 of all frames, by chance in 0.5
    0.5
    """
    total = confusion.sum()
    # Were the two independent, with each one's classes as often as they are.
    by_chance = (confusion.sum(0) * confusion.sum(1)).sum()
    chance = by_chance / max(total, 1) ** 2
    if total == 0 or chance == 1:
        return None
    agreed = np.trace(confusion) / total
    return float((agreed - chance) / (1 - chance))


def one_against_rest(confusion: np.ndarray, i: int) -> np.ndarray:
    """The `[2, 2]` confusion of one class and all the others."""
    both = confusion[i, i]
    first, second = confusion[i].sum(), confusion[:, i].sum()
    neither = confusion.sum() - first - second + both
    return np.array([[both, first - both], [second - both, neither]])


def agreement(
    first: Annotation,
    second: Annotation,
    *,
    overlap: float = 0.5,
    only_both: bool = False,
    lengths: dict[str, int] | None = None,
) -> dict[str, Any]:
    """Compare two annotations; `data_prep/agreement.py` says how.

    Args:
        first, second: gestures by video.
        overlap: least intersection over union of a pair, above 0 and at most 1.
        only_both: leave out videos that one annotation does not name.
        lengths: frames of every video; None counts to the last annotated one.

    Returns:
        Plain values: `overall`, and `classes` and `videos` by name, each with gestures
        `first` and `second`, `matched`, `R`, `frames` (of a class: frames that either
        says are of it) and `kappa`; R and kappa are None where there is nothing to
        compare. `classes` ends with "none", which has frames only. `one_sided` are the
        videos that one annotation does not name.

    Raises:
        InputError: overlap is out of range, no video is left, or a gesture lies outside
            its video.

    Example:
        >>> from data_prep.gesture_agreement import agreement
        >>> anna = {"v": [(0, 10, "rub"), (20, 30, "touch")]}  # first frame, frame after the last
        >>> ben = {"v": [(0, 8, "rub"), (26, 36, "touch")]}
        >>> agreement(anna, ben)["overall"]["R"]  # 2 matched / (2 + 2); touch overlaps too little
        0.5
        >>> round(agreement(anna, ben)["classes"]["rub"]["kappa"], 2)
        0.85
    """
    if not 0 < overlap <= 1:
        raise InputError(f"overlap is {overlap:g}, expected above 0 and at most 1")
    pairs = _pairs(first, second, only_both)
    labels = _labels_of(pairs.values(), only_both)
    # Summed as they come: a confusion of many classes is large.
    counts = np.zeros((len(labels), 3), np.int64)
    confusion = np.zeros((len(labels) + 1, len(labels) + 1), np.int64)
    videos = {}
    for video, pair in pairs.items():
        own_counts = _counts(*pair, labels, overlap)
        own_confusion = _confusion(video, *pair, labels, lengths)
        videos[video] = _figures(own_counts.sum(0), own_confusion)
        counts += own_counts
        confusion += own_confusion
    return {
        "overall": _figures(counts.sum(0), confusion),
        "classes": _of_classes(labels, counts, confusion),
        "videos": videos,
        "overlap": overlap,
        "only_both": only_both,
        "one_sided": sorted(first.keys() ^ second.keys()),
        "whole_videos": lengths is not None,
    }


def _pairs(
    first: Annotation, second: Annotation, only_both: bool
) -> dict[str, tuple[list[Gesture], list[Gesture]]]:
    """The gestures of each annotator by video."""
    named = first.keys() | second.keys()
    if only_both:
        named = first.keys() & second.keys()
    return {video: (first.get(video, []), second.get(video, [])) for video in sorted(named)}


def _labels_of(pairs: Iterable[tuple[list[Gesture], list[Gesture]]], only_both: bool) -> list[str]:
    """The classes of some videos' gestures, in label order."""
    labels = {label for first, second in pairs for _, _, label in (*first, *second)}
    if not labels:
        where = " in videos that both annotated" if only_both else ""
        raise InputError(f"there is no gesture to compare{where}")
    # The paper's order, which names alone do not have.
    if labels <= set(IMIGUE_CLASSES):
        return sorted(labels, key=IMIGUE_CLASSES.index)
    ordered = order_labels(labels)
    # The confusion has a place for each two: a column of free text would be too much.
    if len(ordered) > MOST_CLASSES:
        raise InputError(
            f"there are {len(ordered)} classes, expected at most {MOST_CLASSES}; the last is "
            f"{ordered[-1]!r}"
        )
    return ordered


def _counts(
    first: list[Gesture], second: list[Gesture], labels: Sequence[str], overlap: float
) -> np.ndarray:
    """Gestures of each class by the first, by the second, and found by both, int64 `[K, 3]`."""
    counts = np.zeros((len(labels), 3), np.int64)
    for label in {label for *_, label in (*first, *second)}:
        one, other = _frames_of(first, label), _frames_of(second, label)
        row = len(one), len(other), matched(one, other, overlap)
        counts[labels.index(label)] = row
    return counts


def _frames_of(gestures: list[Gesture], label: str) -> np.ndarray:
    """First frame and frame after the last of the gestures of a class, int `[N, 2]`."""
    frames = [(start, stop) for start, stop, its_label in gestures if its_label == label]
    return np.array(frames, int).reshape(-1, 2)


def _confusion(
    video: str,
    first: list[Gesture],
    second: list[Gesture],
    labels: Sequence[str],
    lengths: dict[str, int] | None,
) -> np.ndarray:
    """How many frames the two give each pair of classes, int64 `[K + 1, K + 1]`; 0 is none."""
    numbers = {label: number for number, label in enumerate(labels, 1)}
    both = [*first, *second]
    last = max((stop for _, stop, _ in both), default=0)
    frames = last if lengths is None else _checked_length(video, last, lengths)
    # Between two edges nothing changes, so a stretch is looked at once, however long.
    edges = sorted({0, frames, *(frame for gesture in both for frame in gesture[:2])})
    place = {frame: stretch for stretch, frame in enumerate(edges)}
    said = []
    for side in (first, second):
        stretches = [(place[start], place[stop], label) for start, stop, label in side]
        said.append(by_frame(stretches, numbers, len(edges) - 1))
    kinds = len(labels) + 1
    confusion = np.zeros((kinds, kinds), np.int64)
    np.add.at(confusion, tuple(said), np.diff(edges))
    return confusion


def _checked_length(video: str, last: int, lengths: dict[str, int]) -> int:
    if video not in lengths:
        raise InputError(f"video {video!r} is annotated, but its number of frames is not given")
    if last > lengths[video]:
        raise InputError(
            f"video {video!r} has {lengths[video]} frames, but a gesture ends with frame "
            f"{last - 1} (frames count from 0)"
        )
    return lengths[video]


def _of_classes(
    labels: Sequence[str], counts: np.ndarray, confusion: np.ndarray
) -> dict[str, dict[str, Any]]:
    classes = {}
    for number, label in enumerate(labels, 1):
        frames = one_against_rest(confusion, number)
        classes[label] = _class_figures(counts[number - 1], frames)
    # Last, and of frames alone: no gesture is of no class.
    classes[NONE] = _class_figures((0, 0, 0), one_against_rest(confusion, 0))
    return classes


def _figures(counts: Iterable[int], confusion: np.ndarray) -> dict[str, Any]:
    # Plain ints, as JSON takes them.
    first, second, both = map(int, counts)
    return {
        "first": first,
        "second": second,
        "matched": both,
        # The paper's Eq. 1.
        "R": 2 * both / (first + second) if first + second else None,
        "frames": int(confusion.sum()),
        "kappa": kappa(confusion),
    }


def _class_figures(counts: Iterable[int], confusion: np.ndarray) -> dict[str, Any]:
    # Frames that neither gives to the class would be nearly all.
    either = confusion.sum() - confusion[1, 1]
    return _figures(counts, confusion) | {"frames": int(either)}


def tables(result: dict[str, Any]) -> list[Table | str]:
    """What `agreement` found, to be shown: tables overall, by class and by video, and notes."""
    sections = {
        "": {"all videos": result["overall"]},
        "class": result["classes"],
        "video": result["videos"],
    }
    shown: list[Table | str] = []
    for heading, rows in sections.items():
        table = Table([heading, "first", "second", "both", "R", "frames", "kappa"])
        for name, row in rows.items():
            counts = (row["first"], row["second"], row["matched"])
            table.add(name, *counts, _rounded(row["R"]), row["frames"], _rounded(row["kappa"]))
        shown.append(table)
    shown.append("\n".join(_notes(result)))
    return shown


def _rounded(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def _notes(result: dict[str, Any]) -> list[str]:
    counted = "from 0 to the last annotated one of each video"
    if result["whole_videos"]:
        counted = "of the whole videos"
    notes = [
        f"both: same class, frames shared at least {result['overlap']:g} of the frames covered; "
        "R = 2 both / (first + second)",
        f"frames: {counted}; of a class, those that either gives to it",
    ]
    if result["one_sided"]:
        what = "left out" if result["only_both"] else "counted as found empty by the other"
        notes.append(f"videos that only one annotated, {what}: {', '.join(result['one_sided'])}")
    return notes
