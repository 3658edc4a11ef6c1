"""pyskl's annotation pickles packed into a store, and clips of a store written as such.

To a store: each annotation is a video, `frame_dir` its id, and one clip. Its person is
the one with the highest total score, or the one of a number of its list. Without scores a
joint is seen (score 1) unless all its coordinates are 0; one that has NaN as a coordinate
or score was not seen. Three coordinates are taken to be metres, two pixels.

Lists of a split are paired: `xsub_train` with `xsub_test` or `xsub_val` is the split
xsub, `train1` with `test1` is split1, `train` with `val` is split; where there are both a
test and a val list, the latter with the same train list is the split with _val behind its
name. Annotations without a frame or without that person are left out; they, and lists
that pair with no other, are reported.

To a pickle: each clip is an annotation of one person, its `frame_dir` the video's id,
with _1, _2, ... behind it where the video has several clips; the lists of a split are
NAME_train and NAME_val. A pickle cannot say, and so loses: subject, emotion and fps,
frames that are in no clip, which clips are of one video, the layout's name and the unit,
and in three dimensions the scores, for pyskl takes none there. Names of classes are lost
too, unless they are kept in a file. Whatever it can say comes back the same when it is
read again.

The pickles themselves are in `data_prep/pyskl_pickles.py`. This module needs NumPy and
h5py only and never imports JAX.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from data_prep import class_names, csv_tables, pyskl_pickles
from data_prep.pyskl_pickles import Annotation
from mgjax import files, progress, skeleton, store
from mgjax.errors import InputError

NAMED = 20  # lists of a split that a note names; a pickle may hold any number


@dataclasses.dataclass(frozen=True)
class PysklReport:
    """What a job wrote.

    Attributes:
        output: the store or the pickle.
        clips, labelled, frames: clips written, those with a label, and their frames.
        splits: split name to clips that train and that test.
        notes: what was left out, a line each.
    """

    output: str
    clips: int
    labelled: int
    frames: int
    splits: dict[str, tuple[int, int]]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"clips: {self.clips}, labelled {self.labelled}, frames {self.frames}"]
        for split, (train, test) in self.splits.items():
            lines.append(f"  {split}: {train} clips train, {test} test")
        return "\n".join([*lines, *self.notes, f"wrote {self.output}"])


def layout_of(joints: int, dimensions: int, name: str | None = None) -> skeleton.Layout:
    """The layout of so many joints and coordinates.

    Args:
        joints, dimensions: how many of each a frame has.
        name: what `skeleton.get` takes; None for the only known layout of that size that
            has no face.

    Raises:
        InputError: the named layout has other numbers, or none or several are known.
    """
    size = joints, dimensions
    if name is not None:
        layout = skeleton.get(name)
        if (len(layout), layout.dimensions) != size:
            raise InputError(
                f"layout {layout.name!r} has {len(layout)} joints of {layout.dimensions} "
                f"coordinates, the annotations have {joints} of {dimensions}"
            )
        return layout
    known = [
        layout
        for layout in skeleton.LAYOUTS.values()
        # Face landmarks are never stored unless somebody asks for them by name.
        if (len(layout), layout.dimensions) == size and "face" not in layout.parts
    ]
    if len(known) != 1:
        names = " or ".join(layout.name for layout in known) or "none known without a face"
        raise InputError(
            f"joints {joints}, coordinates {dimensions}: their layout cannot be told ({names}); "
            "name it with --layout"
        )
    return known[0]


def pack(
    input: str | os.PathLike,
    output: str | os.PathLike,
    *,
    layout: str | None = None,
    person: int | None = None,
    labels: str | os.PathLike | None = None,
    fps: float = 0,
) -> PysklReport:
    """Pack a pickle into a store; the module's docstring says how.

    A pickle can only be read whole, so memory holds all of it; it is converted annotation
    by annotation.

    Args:
        input: the pickle.
        output: the store to write.
        layout: what `skeleton.get` takes; None takes the only known one of so many joints
            and coordinates.
        person: which person of each annotation, 1 for the first; None for the one with
            the highest total score.
        labels: path of the class names, one a line; None names classes by their numbers.
        fps: frames a second, 0 for unknown.

    Raises:
        InputError: anything is wrong with the pickle or the options.
    """
    if not 0 <= fps < 2**31:
        raise InputError(f"fps is {fps}, expected a number of at least 0, which is for unknown")
    splits, annotations = pyskl_pickles.read(input)
    kept, lost = _of_somebody(input, annotations, person)
    notes = ["ids of the videos: the pickle's frame_dirs, as they are"]
    if lost:
        notes.append(
            f"left out, without a frame or that person: {len(lost)}, the first {lost[0].id}"
        )
    # A store holds one layout, and one unit.
    stored = layout_of(*_joints_and_dimensions(input, kept), layout)
    frames = sum(annotation.keypoints.shape[1] for annotation in kept)
    numbers = [annotation.label for annotation in kept if annotation.label is not None]
    classes = max(numbers, default=-1) + 1
    writer = store.StoreWriter(
        output,
        stored,
        unit="pixel" if stored.dimensions == 2 else "metre",
        frames=frames,
        source="pyskl annotations",
        labels=class_names.read_or_number(labels, classes, input),
    )
    with writer:
        for annotation in progress.track(kept, len(kept), "writing"):
            _add_video(writer, input, annotation, person, fps)
        rows = {annotation.id: row for row, annotation in enumerate(kept)}
        sizes = _add_splits(writer, input, splits, rows, notes)
    return PysklReport(str(output), len(kept), len(numbers), frames, sizes, tuple(notes))


def _of_somebody(
    path: str | os.PathLike, annotations: Sequence[Annotation], person: int | None
) -> tuple[list[Annotation], list[Annotation]]:
    """The annotations that have a frame and that person, and those that have not."""
    kept: list[Annotation] = []
    lost: list[Annotation] = []
    for annotation in annotations:
        people, frames = annotation.keypoints.shape[:2]
        # Somebody else would be labelled with what that person did.
        has_both = people >= (person or 1) and frames
        (kept if has_both else lost).append(annotation)
    if not kept:
        raise InputError(
            f"{path}: none of its {len(annotations)} annotations has a frame and that person"
        )
    return kept, lost


def _joints_and_dimensions(
    path: str | os.PathLike, annotations: Sequence[Annotation]
) -> tuple[int, int]:
    """The V and C of [M, T, V, C] that all annotations have."""
    first = annotations[0]
    expected = first.keypoints.shape[2:]
    for annotation in annotations:
        shape = annotation.keypoints.shape[2:]
        if shape != expected:
            raise InputError(
                f"{path}: {annotation.id!r} has keypoints of shape {shape} a frame, "
                f"{first.id!r} {expected}; a store holds one layout"
            )
    joints, dimensions = expected
    return joints, dimensions


def _add_video(
    writer: store.StoreWriter,
    path: str | os.PathLike,
    annotation: Annotation,
    person: int | None,
    fps: float,
) -> None:
    """Write an annotation as a video that is one clip."""
    keypoints, score = annotation.person(person)
    # The writer would take an infinite coordinate for a joint that was not seen.
    if not (np.isfinite(keypoints).all() and np.isfinite(score).all()):
        raise InputError(f"{path}: {annotation.id!r} has a keypoint or score that is not finite")
    writer.add_video(
        annotation.id,
        keypoints,
        score,
        fps=fps,
        width=annotation.width,
        height=annotation.height,
    )
    writer.add_clip(annotation.id, 0, len(keypoints), annotation.label)


def _add_splits(
    writer: store.StoreWriter,
    path: str | os.PathLike,
    splits: dict[str, list[str]],
    rows: dict[str, int],
    notes: list[str],
) -> dict[str, tuple[int, int]]:
    """Write the splits of a pickle's lists; clips that train and that test, by split.

    `rows` are the clips of the frame_dirs. What is left out of a list is added to
    `notes`.
    """
    pairs = pyskl_pickles.pair_splits(splits)
    sizes = {}
    for split, *lists in pairs:
        csv_tables.check_split(str(path), split)
        sides = [set(splits[name]) for name in lists]
        # What is tested must not have been trained on.
        both = sides[0] & sides[1]
        if both:
            raise InputError(f"{path}: {min(both)!r} is both in {lists[0]} and in {lists[1]}")
        # Lists name what was left out too.
        train, test = ([rows[id] for id in side if id in rows] for side in sides)
        writer.add_split(split, train, test)
        sizes[split] = len(train), len(test)
        listed = len(sides[0]) + len(sides[1])
        lost = listed - len(train) - len(test)
        if lost:
            notes.append(f"split {split}: {lost} of the frame_dirs that it lists have no clip")
    paired = {name for _, *lists in pairs for name in lists}
    alone = sorted(set(splits) - paired)
    if alone:
        further = f" and {len(alone) - NAMED} more" if len(alone) > NAMED else ""
        named = ", ".join(alone[:NAMED])
        notes.append(f"lists that pair with no other, left out: {named}{further}")
    return sizes


def clip_ids(packed: store.Store) -> list[str]:
    """The frame_dir of each clip: its video's id, and a number if there are several.

    Raises:
        InputError: two clips would have the same.
    """
    of_video = np.bincount(packed.clips.video, minlength=len(packed.videos))
    number = np.zeros_like(of_video)
    # The video of each id: "a_1" may be a video's own, and the first clip of the video
    # "a".
    ids: dict[str, int] = {}
    for video in packed.clips.video:
        number[video] += 1
        id = packed.videos.id[video]
        if of_video[video] > 1:
            id += f"_{number[video]}"
        if id in ids:
            first, second = packed.videos.id[ids[id]], packed.videos.id[video]
            raise InputError(
                f"{packed.path}: clips of the videos {first!r} and {second!r} would both be "
                f"called {id!r}"
            )
        ids[id] = video
    return list(ids)


def export(
    path: str | os.PathLike, output: str | os.PathLike, *, labels: str | os.PathLike | None = None
) -> PysklReport:
    """Write a store's clips as a pickle; the module's docstring says what is lost.

    Memory holds one clip.

    Args:
        path: the store.
        output: the pickle to write; it gets its name when it is whole.
        labels: path of a file to write the class names into, one a line, or None.

    Raises:
        InputError: the store has no clip, or what it holds cannot be said in a pickle.
    """
    files.writable(output)
    with store.Store(path) as packed:
        if not len(packed.clips):
            raise InputError(f"{path}: has no clip to export")
        ids = clip_ids(packed)
        splits: dict[str, list[str]] = {}
        sizes = {}
        for name in packed.splits:
            train, test = packed.clip_split(name)
            # As `pair_splits` puts them together again.
            splits[f"{name}_train"] = [ids[row] for row in train]
            splits[f"{name}_val"] = [ids[row] for row in test]
            sizes[name] = len(train), len(test)
        # Before the pickle is written, as a name may not be one that a file of lines can
        # hold.
        lines = class_names.lines_of(packed.labels, labels) if labels is not None else ""
        annotations = _annotations(packed, progress.track(ids, len(ids), "writing"))
        pyskl_pickles.write(output, splits, annotations)
        if labels is not None:
            files.write_text(labels, lines)
        labelled = int((packed.clips.label >= 0).sum())
        frames = int(packed.clips.length.sum())
        notes = tuple(_lost(packed))
    return PysklReport(str(output), len(ids), labelled, frames, sizes, notes)


def _annotations(packed: store.Store, ids: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The fields of each clip, without those that it cannot fill."""
    for row, id in enumerate(ids):
        keypoints, score = packed.clip(row)
        video, label = packed.clips.video[row], int(packed.clips.label[row])
        shape = int(packed.videos.height[video]), int(packed.videos.width[video])
        # `[None]` is the axis of people, of whom there is one.
        fields = {"frame_dir": id, "total_frames": len(keypoints), "keypoint": keypoints[None]}
        # pyskl reads scores of two dimensions only.
        if packed.layout.dimensions == 2:
            fields["keypoint_score"] = score[None]
        if label >= 0:
            fields["label"] = label
        # pyskl scales by it, and must not by 0.
        if any(shape):
            fields |= {"img_shape": shape, "original_shape": shape}
        yield fields


def _lost(packed: store.Store) -> Iterator[str]:
    """What of a store is not in its pickle and may be missed."""
    idle = len(packed.videos) - len(np.unique(packed.clips.video))
    if idle:
        yield f"videos without a clip, left out: {idle}"
    sized = (packed.videos.width != 0) & (packed.videos.height != 0)
    unknown = int((~sized).sum())
    if unknown and packed.layout.dimensions == 2:
        yield f"videos whose frame size is not known, written without img_shape: {unknown}"
