"""pyskl's annotation pickles to a store, and a store to such a pickle.

    python data_prep/pack_pyskl.py --input ntu60_hrnet.pkl --output ntu60.h5
    python data_prep/pack_pyskl.py --export study.h5 --output study.pkl --labels study_classes.txt

A pickle holds `{"split": {name: [frame_dir, ...]}, "annotations": [...]}`, or a list of
annotations alone. An annotation is a dict of `frame_dir`, `total_frames`, `keypoint` [M, T, V, C]
of M people and perhaps `label`, `img_shape` (height, width) and `keypoint_score` [M, T, V]. A
pickle can make whoever reads it run any program; here it is read by something that builds
numbers, text, arrays and containers (`data_prep/pickles.py`).

To a store: each annotation is a video, `frame_dir` its id, and one clip. Its person is the one
with the highest total score, or the number --person of its list. Without scores a joint is seen
(score 1) unless all its coordinates are 0; one that has NaN as a coordinate or score was not
seen. Three coordinates are taken to be metres, two pixels.

Lists of a split are paired: `xsub_train` with `xsub_test` or `xsub_val` is the split xsub,
`train1` with `test1` is split1, `train` with `val` is split; where there are both a test and a
val list, the latter with the same train list is the split with _val behind its name. Annotations
without a frame or without that person are left out; they, and lists that pair with no other, are
reported.

To a pickle: each clip is an annotation of one person, its `frame_dir` the video's id, with _1,
_2, ... behind it where the video has several clips; the lists of a split are NAME_train and
NAME_val. A pickle cannot say, and so loses: subject, emotion and fps, frames that are in no clip,
which clips are of one video, the layout's name and the unit, and in three dimensions the scores,
for pyskl takes none there. Names of classes are lost too, unless --labels keeps them in a file.
Whatever it can say comes back the same when it is read again.
"""

from __future__ import annotations

import dataclasses
import operator
import os
import pickle
import re
from collections.abc import Iterable, Iterator

import numpy as np

from data_prep import csv_tables, pickles
from data_prep.csv_tables import shown
from mgjax import files, progress, skeleton, store
from mgjax.errors import InputError

PROTOCOL = 4  # read by Python 3.4 and later
MOST_CLASSES = 10**5
_SHARED = 4  # times that an array or list may be there, on average, before it counts as a trap
_TRAIN = re.compile(r"(?:(.+)_)?train(\d*)")


@dataclasses.dataclass(frozen=True)
class Annotation:
    """One annotation of a pickle.

    Attributes:
        id: its frame_dir.
        label: class number, None without.
        keypoints: number `[M, T, V, C]` of M people.
        score: number `[M, T, V]`, None without.
        width, height: of a frame, 0 where it is not said.
    """

    id: str
    label: int | None
    keypoints: np.ndarray
    score: np.ndarray | None
    width: int
    height: int

    def person(self, number: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Keypoints `[T, V, C]` and score `[T, V]`, float32, of a person by number (1 the first),
        None for the one with the highest total score.

        NaN says that a joint was not seen: its score is 0, and so are its keypoints.
        """
        # What float32 cannot hold becomes infinite, and a NaN may signal.
        with np.errstate(all="ignore"):
            score = self.keypoints.any(axis=-1) if self.score is None else self.score
            unseen = np.isnan(self.keypoints).any(axis=-1) | np.isnan(score)
            score = np.where(unseen, 0, score)
            total = score.sum(axis=(1, 2), dtype=float)
            row = int(total.argmax()) if number is None else number - 1
            keypoints = np.where(unseen[row][..., None], 0, self.keypoints[row])
            return keypoints.astype(np.float32), score[row].astype(np.float32)


def read(path) -> tuple[dict[str, list[str]], list[Annotation]]:
    """Read a pickle: its lists of frame_dirs by name, and its annotations.

    Raises:
        InputError: as `pickles.load`, or the content is not what pyskl writes.
    """
    content, size = pickles.load(path), os.path.getsize(path)
    splits = {}
    if isinstance(content, dict) and {"split", "annotations"} <= content.keys():
        splits, content = content["split"], content["annotations"]
    if not isinstance(content, list) or not isinstance(splits, dict):
        raise InputError(
            f"{path}: expected pyskl annotations: a dict of 'split' and 'annotations', or a list"
        )
    if not content:
        raise InputError(f"{path}: holds no annotation")
    lists = [ids for ids in splits.values() if isinstance(ids, (list, tuple, set))]
    _refuse_copies(path, sum(map(len, lists)), size)
    for name, ids in splits.items():
        if (
            not isinstance(name, str)
            or not isinstance(ids, (list, tuple, set))
            or not all(isinstance(id, str) for id in ids)
        ):
            raise InputError(f"{path}: split {shown(name)} is not a list of frame_dirs")
        csv_tables.check_text(str(path), "the name of a split", name)
    annotations, seen = [], set()
    for number, fields in enumerate(content):
        annotations.append(_annotation(path, number, fields))
        if annotations[-1].id in seen:
            raise InputError(
                f"{path}: annotation {number}: frame_dir {annotations[-1].id!r} is there twice"
            )
        seen.add(annotations[-1].id)
    _refuse_copies(path, sum(annotation.keypoints.nbytes for annotation in annotations), size)
    return splits, annotations


def _refuse_copies(path, count: int, size: int):
    """A few bytes can say "the same again" as often as they like, and each would be packed."""
    if count > _SHARED * size + 2**20:
        raise InputError(
            f"{path}: its annotations or splits are the same arrays or lists again and again"
        )


def _annotation(path, number: int, fields) -> Annotation:
    if (
        not isinstance(fields, dict)
        or not isinstance(fields.get("frame_dir"), str)
        or not fields["frame_dir"]
    ):
        raise InputError(f"{path}: annotation {number} is not a dict with a 'frame_dir' in words")
    csv_tables.check_text(f"{path}: annotation {number}", "frame_dir", fields["frame_dir"])
    where = f"{path}: annotation {number} ({fields['frame_dir']!r})"
    if "keypoint" not in fields:
        raise InputError(
            f"{where}: it has no 'keypoint'; those that lie in files of their own are not read"
        )
    keypoints = _numbers(where, "keypoint", fields["keypoint"], "[M, T, V, C]")
    if keypoints.ndim != 4:
        raise InputError(
            f"{where}: keypoint is {keypoints.dtype} {keypoints.shape}, expected "
            "numbers [M, T, V, C]"
        )
    if fields.get("total_frames", keypoints.shape[1]) != keypoints.shape[1]:
        raise InputError(
            f"{where}: total_frames is {shown(fields['total_frames'])}, its keypoint "
            f"has {keypoints.shape[1]}"
        )
    score, expected = fields.get("keypoint_score"), keypoints.shape[:3]
    if score is not None:
        score = _numbers(where, "keypoint_score", score, str(expected))
        if score.shape != expected:
            raise InputError(
                f"{where}: keypoint_score is {score.dtype} {score.shape}, expected "
                f"numbers {expected}"
            )
    label = fields.get("label")
    try:
        label = None if label is None else operator.index(label)
        height, width = map(operator.index, fields.get("img_shape", (0, 0)))
    except (TypeError, ValueError):
        raise InputError(
            f"{where}: label is {shown(label)} and img_shape "
            f"{shown(fields.get('img_shape'))}; expected a whole number, and two of "
            "them"
        ) from None
    if not 0 <= (label or 0) < MOST_CLASSES:
        raise InputError(f"{where}: label is {label}, expected 0 or more, below {MOST_CLASSES}")
    if not (0 <= height < 2**31 and 0 <= width < 2**31):
        raise InputError(f"{where}: img_shape is {height}, {width}; expected no number below 0")
    return Annotation(fields["frame_dir"], label, keypoints, score, width, height)


def _numbers(where: str, what: str, value, expected: str) -> np.ndarray:
    """The array of numbers that a field holds; lists, which pyskl does not take either, are
    none.
    """
    if not isinstance(value, pickles.Array):
        raise InputError(
            f"{where}: {what} is {shown(value)}, expected an array of numbers {expected}"
        )
    array = value.value
    if array.dtype.kind not in "iuf":
        raise InputError(
            f"{where}: {what} is {array.dtype} {array.shape}, expected numbers {expected}"
        )
    return array


def layout_of(joints: int, dimensions: int, name: str | None = None) -> skeleton.Layout:
    """The layout of so many joints and coordinates: the one of that name, else the only one known
    without a face.

    Raises:
        InputError: the named layout has other numbers, or none or several are known.
    """

    def fits(layout):
        return (len(layout), layout.dimensions) == (joints, dimensions)

    if name is not None:
        layout = skeleton.get(name)
        if not fits(layout):
            raise InputError(
                f"layout {layout.name!r} has {len(layout)} joints of "
                f"{layout.dimensions} coordinates, the "
                f"annotations have {joints} of {dimensions}"
            )
        return layout
    known = [
        layout
        for layout in skeleton.LAYOUTS.values()
        if fits(layout) and "face" not in layout.parts
    ]
    if len(known) != 1:
        names = " or ".join(layout.name for layout in known) or "none known without a face"
        raise InputError(
            f"joints {joints}, coordinates {dimensions}: their layout cannot be told "
            f"({names}); name it "
            "with --layout"
        )
    return known[0]


def pair_splits(names: Iterable[str]) -> list[tuple[str, str, str]]:
    """The splits that lists make by their names: (split, list that trains, list that tests) of
    each.
    """
    names, pairs = dict.fromkeys(names), []
    for train in names:
        match = _TRAIN.fullmatch(train)
        if not match:
            continue
        prefix, number = match.group(1), match.group(2)
        split = (prefix or "split") + number
        for side in ("test", "val"):
            other = f"{prefix}_{side}{number}" if prefix else f"{side}{number}"
            if other in names:
                pairs.append((split, train, other))
                split += "_val"
    return pairs


def read_labels(path) -> list[str]:
    """Class names, one a line, in label order.

    Raises:
        InputError: the file cannot be read, or a line is empty.
    """
    names = [line.strip() for line in files.read_text(path, "class names, one a line").splitlines()]
    if not names or "" in names:
        raise InputError(
            f"{path}: line {names.index('') + 1 if names else 1} is empty, expected a class name"
        )
    for line, name in enumerate(names, 1):
        csv_tables.check_text(f"{path}, line {line}", "the class name", name)
    return names


def lines_of(labels: Iterable[str], path) -> str:
    """Class names, one a line, as `read_labels` reads them.

    Raises:
        InputError: a name cannot be told from others in such a file, which the path names.
    """
    labels = list(labels)
    for label in labels:
        if label.splitlines() != [label] or label != label.strip():
            raise InputError(
                f"class {label!r} cannot be a line of {path}: it is empty, of "
                "several lines, or begins or "
                "ends with a blank"
            )
    return "".join(f"{label}\n" for label in labels)


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
        lines += [
            f"  {split}: {train} clips train, {test} test"
            for split, (train, test) in self.splits.items()
        ]
        return "\n".join([*lines, *self.notes, f"wrote {self.output}"])


def pack(
    input,
    output,
    *,
    layout: str | None = None,
    person: int | None = None,
    labels=None,
    fps: float = 0,
) -> PysklReport:
    """Pack a pickle into a store; the module's docstring says how.

    A pickle can only be read whole, so memory holds all of it; it is converted annotation by
    annotation.

    Args:
        input: the pickle.
        output: the store to write.
        layout: what `skeleton.get` takes; None takes the only known one of so many joints and
            coordinates.
        person: which person of each annotation, 1 for the first; None for the one with the
            highest total score.
        labels: path of the class names, one a line; None names classes by their numbers.
        fps: frames a second, 0 for unknown.

    Raises:
        InputError: anything is wrong with the pickle or the options.
    """
    if not 0 <= fps < 2**31:
        raise InputError(f"fps is {fps}, expected a number of at least 0, which is for unknown")
    splits, annotations = read(input)
    kept, lost, notes = [], [], ["ids of the videos: the pickle's frame_dirs, as they are"]
    for annotation in annotations:
        people, frames = annotation.keypoints.shape[:2]
        (kept if people >= (person or 1) and frames else lost).append(annotation)
    if lost:
        notes.append(
            f"left out, without a frame or that person: {len(lost)}, the first {lost[0].id}"
        )
    if not kept:
        raise InputError(
            f"{input}: none of its {len(annotations)} annotations has a frame and that person"
        )
    shape = kept[0].keypoints.shape[2:]
    odd = next((a for a in kept if a.keypoints.shape[2:] != shape), None)
    if odd is not None:
        raise InputError(
            f"{input}: {odd.id!r} has keypoints of shape {odd.keypoints.shape[2:]} a "
            "frame, "
            f"{kept[0].id!r} {shape}; a store holds one layout"
        )
    layout = layout_of(*shape, layout)
    count = max((a.label + 1 for a in kept if a.label is not None), default=0)
    names = read_labels(labels) if labels is not None else [str(number) for number in range(count)]
    if len(names) < count:
        raise InputError(f"{labels}: {len(names)} class names, but {input} has label {count - 1}")
    writer = store.StoreWriter(
        output,
        layout,
        unit="pixel" if layout.dimensions == 2 else "metre",
        frames=sum(a.keypoints.shape[1] for a in kept),
        source="pyskl annotations",
        labels=names,
    )
    with writer:
        for annotation in progress.track(kept, len(kept), "writing"):
            keypoints, score = annotation.person(person)
            if not (np.isfinite(keypoints).all() and np.isfinite(score).all()):
                raise InputError(
                    f"{input}: {annotation.id!r} has a keypoint or score that is not finite"
                )
            writer.add_video(
                annotation.id,
                keypoints,
                score,
                fps=fps,
                width=annotation.width,
                height=annotation.height,
            )
            writer.add_clip(annotation.id, 0, len(keypoints), annotation.label)
        sizes = _add_splits(
            writer,
            input,
            splits,
            {annotation.id: row for row, annotation in enumerate(kept)},
            notes,
        )
    return PysklReport(
        str(output),
        len(kept),
        sum(a.label is not None for a in kept),
        sum(a.keypoints.shape[1] for a in kept),
        sizes,
        tuple(notes),
    )


def _add_splits(
    writer, path, splits, rows: dict[str, int], notes: list[str]
) -> dict[str, tuple[int, int]]:
    """Write the splits of a pickle's lists, given the clip of each frame_dir; clips on their
    sides.
    """
    pairs, sizes = pair_splits(splits), {}
    for split, *lists in pairs:
        csv_tables.check_split(str(path), split)
        sides = [set(splits[name]) for name in lists]
        if sides[0] & sides[1]:
            raise InputError(
                f"{path}: {min(sides[0] & sides[1])!r} is both in {lists[0]} and in {lists[1]}"
            )
        train, test = ([rows[id] for id in side if id in rows] for side in sides)
        writer.add_split(split, train, test)
        sizes[split] = len(train), len(test)
        lost = sum(map(len, sides)) - len(train) - len(test)
        if lost:
            notes.append(f"split {split}: {lost} of the frame_dirs that it lists have no clip")
    alone = sorted(set(splits) - {name for _, *lists in pairs for name in lists})
    if alone:
        further = f" and {len(alone) - 20} more" if len(alone) > 20 else ""
        notes.append(f"lists that pair with no other, left out: {', '.join(alone[:20])}{further}")
    return sizes


class _Stream:
    """A list that is made while it is pickled, so that it is never whole in memory."""

    def __init__(self, items: Iterator):
        self.items = items


class _Pickler(pickle.Pickler):
    def __init__(self, file):
        super().__init__(file, PROTOCOL)
        # remember nothing of what was written: the arrays would all stay in memory
        self.fast = True

    def reducer_override(self, value):
        """How arrays and streams are written; arrays by names that every version of NumPy has."""
        if isinstance(value, np.ndarray):
            return np.ndarray, (value.shape, value.dtype.str, bytearray(value))
        if isinstance(value, _Stream):
            return list, (), None, value.items
        return NotImplemented


def clip_ids(packed: store.Store) -> list[str]:
    """The frame_dir of each clip: its video's id, and its number among several of one video.

    Raises:
        InputError: two clips would have the same.
    """
    of_video = np.bincount(packed.clips.video, minlength=len(packed.videos))
    number, ids = np.zeros_like(of_video), {}
    for video in packed.clips.video:
        number[video] += 1
        id = packed.videos.id[video] + (f"_{number[video]}" if of_video[video] > 1 else "")
        if id in ids:
            raise InputError(
                f"{packed.path}: clips of the videos {packed.videos.id[ids[id]]!r} "
                "and "
                f"{packed.videos.id[video]!r} would both be called {id!r}"
            )
        ids[id] = video
    return list(ids)


def export(path, output, *, labels=None) -> PysklReport:
    """Write a store's clips as a pickle; the module's docstring says how, and what is lost.

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
        splits, sizes = {}, {}
        for name in packed.splits:
            sides = packed.clip_split(name)
            sizes[name] = tuple(map(len, sides))
            splits |= {
                f"{name}_{side}": [ids[row] for row in rows]
                for side, rows in zip(("train", "val"), sides)
            }
        lines = lines_of(packed.labels, labels) if labels is not None else None
        annotations = _Stream(_annotations(packed, progress.track(ids, len(ids), "writing")))
        with files.whole(output) as partial, open(partial, "wb") as file:
            _Pickler(file).dump({"split": splits, "annotations": annotations})
        if labels is not None:
            files.write_text(labels, lines)
        return PysklReport(
            str(output),
            len(ids),
            int((packed.clips.label >= 0).sum()),
            int(packed.clips.length.sum()),
            sizes,
            tuple(_lost(packed)),
        )


def _annotations(packed: store.Store, ids: Iterable[str]) -> Iterator[dict]:
    for row, id in enumerate(ids):
        keypoints, score = packed.clip(row)
        video, label = packed.clips.video[row], int(packed.clips.label[row])
        shape = int(packed.videos.height[video]), int(packed.videos.width[video])
        yield {
            "frame_dir": id,
            "total_frames": len(keypoints),
            "keypoint": keypoints[None],
            **({"keypoint_score": score[None]} if packed.layout.dimensions == 2 else {}),
            **({"label": label} if label >= 0 else {}),
            **({"img_shape": shape, "original_shape": shape} if any(shape) else {}),
        }


def _lost(packed: store.Store) -> Iterator[str]:
    """What of a store is not in its pickle and may be missed."""
    idle = len(packed.videos) - len(np.unique(packed.clips.video))
    if idle:
        yield f"videos without a clip, left out: {idle}"
    unknown = int(((packed.videos.width == 0) | (packed.videos.height == 0)).sum())
    if unknown and packed.layout.dimensions == 2:
        yield f"videos whose frame size is not known, written without img_shape: {unknown}"
