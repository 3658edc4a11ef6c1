"""OpenPose's JSON, one file a frame, read as arrays.

A recording is a folder of files such as `video_000000000007_keypoints.json`; the last number of a name is the
frame's number. It runs from the lowest to the highest number there is, and a number without a file is a gap:
a frame in which nothing was seen.

A `Source` says what to read from each file, `read_frame` and `read_frames` read everybody in it. OpenPose says who
is in a frame, not who is who: `data_prep/following.py` finds that out.

This module needs NumPy only and never imports JAX.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
from collections.abc import Iterator

import numpy as np

from mgjax import skeleton
from mgjax.errors import InputError

CHUNK = 256  # frames read at a time: long enough to hide a process's overhead, short enough to share the work
SPARSEST = 100  # a recording with fewer than one file in so many numbers is not numbered by frames

# OpenPose's pose models by the layout of their joints. 25 joints are BODY_25 or BODY_25B: no count can tell.
MODELS = {layout.name: layout for layout in (skeleton.BODY_25, skeleton.BODY_25B, skeleton.COCO_18)}
FACE = skeleton.OPENPOSE_137.parts["face"]
_PARTS = {
    "face_keypoints_2d": FACE,
    "hand_left_keypoints_2d": skeleton.LEFT_HAND_21.joints,
    "hand_right_keypoints_2d": skeleton.RIGHT_HAND_21.joints,
}


class DamagedFrame(Exception):
    """One frame's file cannot be read; the message says why."""


@dataclasses.dataclass(frozen=True)
class Source:
    """What to read from each file and how to make a layout of it; `source_of` builds one.

    Attributes:
        layout: the layout to store.
        model: the layout of the files' pose part.
        parts: the JSON's name of each further part that the layout needs, and its number of joints.
        columns: where the layout's joints lie among those read (pose first, then `parts`), int64 `[V]`.
    """

    layout: skeleton.Layout
    model: skeleton.Layout
    parts: tuple[tuple[str, int], ...]
    columns: np.ndarray


def source_of(layout: skeleton.Layout, model_pose: str | None = None, keep_face: bool = False) -> Source:
    """How to cut `layout` out of OpenPose's files.

    Args:
        layout: what to store; its joints must be among a pose model's, the hands' and the face's.
        model_pose: the pose model that made the files, one of `MODELS`; None takes it from the layout: the model of
            exactly its joints, else the first that has them all.
        keep_face: whether face landmarks may be stored.

    Raises:
        InputError: no model has the layout's joints, or both models of 25 joints have; or face landmarks are in the
            layout without `keep_face`, or the other way round.
    """
    if layout.dimensions != 2:
        raise InputError(f"layout {layout.name!r} has {layout.dimensions} dimensions, OpenPose's files have 2")
    face = bool(set(layout.joints) & set(FACE))
    if face and not keep_face:
        raise InputError(f"layout {layout.name!r} holds face landmarks: they identify a person and are kept only with "
                         "--keep_face")
    if keep_face and not face:
        raise InputError(f"--keep_face has nothing to keep: layout {layout.name!r} holds no face landmarks")
    parts = {name: joints for name, joints in _PARTS.items() if set(joints) & set(layout.joints)}
    further = sum(parts.values(), ())
    if model_pose is None:
        fitting = [name for name, model in MODELS.items() if set(layout.joints) <= {*model.joints, *further}]
        same = [name for name, model in MODELS.items() if model.joints == layout.joints]
        if {"body25", "body25b"} <= set(fitting) and not same:
            raise InputError(f"layout {layout.name!r} can be cut out of BODY_25 and of BODY_25B, whose files both hold "
                             "25 joints: say with --model_pose which one made them")
        model_pose = [*same, *fitting, "body25"][0]
    if model_pose not in MODELS:
        raise InputError(f"unknown pose model {model_pose!r}; known are {', '.join(MODELS)}")
    model = MODELS[model_pose]
    whole = dataclasses.replace(model, name=f"OpenPose's {model.name}", joints=model.joints + further)
    return Source(layout, model, tuple((name, len(joints)) for name, joints in parts.items()), layout.cut(whole))


@dataclasses.dataclass(frozen=True)
class Recording:
    """A folder of frames: frame numbers `first` to `last`, in `files` files."""

    id: str
    folder: str
    first: int
    last: int
    files: int

    @property
    def length(self) -> int:
        """Number of frames, gaps included."""
        return self.last - self.first + 1


def frame_number(name: str) -> int | None:
    """The frame number in a file's name: its last number, `_keypoints` and what follows left aside."""
    stem = name[: -len(".json")].removesuffix("_keypoints")
    found = re.search(r"([0-9]+)[^0-9]*$", stem)
    return int(found[1]) if found else None


def frame_files(folder) -> tuple[dict[int, str], int]:
    """The files of a recording: file name by frame number, in order, and how many other files lie there.

    Files that do not end in .json, and hidden files, are the others.

    Raises:
        InputError: a name without a number, or two files with the same number.
    """
    names: dict[int, str] = {}
    others = 0
    try:
        entries = sorted(entry.name for entry in os.scandir(folder) if not entry.is_dir())
    except OSError as error:
        raise InputError(f"{folder}: the folder cannot be read ({error.strerror})") from None
    for name in entries:
        if name.startswith(".") or not name.lower().endswith(".json"):
            others += 1
            continue
        number = frame_number(name)
        if number is None:
            raise InputError(f"{pathlib.Path(folder, name)}: no frame number in the file's name; expected a name such "
                             "as video_000000000007_keypoints.json")
        if number in names:
            raise InputError(f"{pathlib.Path(folder, name)}: same frame number {number} as {names[number]} beside it")
        names[number] = name
    return dict(sorted(names.items())), others


def find_recordings(folder) -> tuple[list[Recording], int]:
    """The recordings of a folder of frames (one) or of a folder of such folders (one each, by name).

    Returns:
        The recordings, and how many files lie there that are no frames.

    Raises:
        InputError: the folder is missing or empty, holds frames beside folders, or a recording's names are wrong.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: " + ("is a file, expected a folder" if folder.exists() else "no such folder")
                         + " of OpenPose's .json files, or of such folders")
    names, others = frame_files(folder)
    inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not names and not inside:
        raise InputError(f"{folder}: the folder holds no .json file" + (f" ({others} other files)" if others else "")
                         + "; expected OpenPose's frames, or folders of them")
    if names and inside:
        raise InputError(f"{folder}: holds both .json files and the folder {inside[0].name}; expected one folder of "
                         "frames, or a folder of such folders")
    if names:
        return [_recording(folder, names)], others
    recordings = []
    for path in inside:
        names, count = frame_files(path)
        others += count
        if not names:
            raise InputError(f"{path}: the folder holds no .json file; expected every folder in {folder} to hold the "
                             "frames of one video")
        recordings.append(_recording(path, names))
    return recordings, others


def _recording(folder: pathlib.Path, names: dict[int, str]) -> Recording:
    first, last = min(names), max(names)
    if last - first + 1 > SPARSEST * len(names):
        raise InputError(f"{folder}: its {len(names)} files are numbered from {first} to {last}: these are not frame "
                         "numbers")
    return Recording(os.path.basename(os.path.abspath(folder)), str(folder), first, last, len(names))


def read_frame(path, source: Source) -> np.ndarray:
    """Everybody in one file who has at least one joint of the pose, in an order that does not depend on the file's.

    Returns:
        float32 `[people, joints of the pose and of source.parts, 3]`: x and y in pixels and the score; (0, 0, 0) where
        a joint was not seen, and throughout a part that the file leaves out.

    Raises:
        DamagedFrame: not JSON, or values of a wrong type.
        InputError: JSON, but not an OpenPose frame, or a part has another number of joints.
    """
    try:
        with open(path, "rb") as file:
            frame = json.loads(file.read())
    except (ValueError, RecursionError):
        raise DamagedFrame("not whole JSON") from None
    except OSError as error:
        raise DamagedFrame(f"cannot be read ({error.strerror})") from None
    if not isinstance(frame, dict) or "people" not in frame:
        raise InputError(f"{path}: JSON, but not an OpenPose frame: it has no 'people'")
    if not isinstance(frame["people"], list):
        raise DamagedFrame("its 'people' is not a list")
    rows = [_values(path, person, source) for person in frame["people"]]
    width = len(source.model) + sum(count for _, count in source.parts)
    if not rows:
        return np.zeros((0, width, 3), np.float32)
    try:
        values = np.array(rows)
    except (ValueError, OverflowError):
        raise DamagedFrame("its keypoints are not flat lists of numbers") from None
    if values.dtype.kind not in "fi" or values.ndim != 2:
        raise DamagedFrame("its keypoints are not flat lists of numbers")
    with np.errstate(over="ignore"):
        people = values.astype(np.float32).reshape(-1, width, 3)
    if not np.isfinite(people).all():
        raise DamagedFrame("its keypoints are not finite")
    people[people[..., 2] <= 0] = 0
    people = people[people[:, : len(source.model), 2].any(axis=1)]
    if len(people) > 1:
        people = people[sorted(range(len(people)), key=lambda i: people[i].tobytes())]
    return people


def _values(path, person, source: Source) -> list:
    """One person's numbers, pose first, as the flat list that `read_frame` makes an array of."""
    if not isinstance(person, dict):
        raise DamagedFrame("a person is not an object")
    if "pose_keypoints_2d" not in person:
        raise InputError(f"{path}: a person has no 'pose_keypoints_2d'; expected OpenPose's JSON of version 1.2 or 1.3")
    values = []
    for name, count in (("pose_keypoints_2d", len(source.model)), *source.parts):
        part = person.get(name, [])
        if not isinstance(part, list):
            raise DamagedFrame(f"{name} is not a list")
        if not part and name != "pose_keypoints_2d":
            part = [0] * (3 * count)
        if len(part) % 3:
            raise DamagedFrame(f"{name} holds {len(part)} numbers, which are no triples")
        if len(part) != 3 * count:
            hint = ""
            if name == "pose_keypoints_2d":
                hint = f" as pose model {source.model.name} has (--model_pose says which model made the files)"
            raise InputError(f"{path}: {name} holds {len(part) // 3} joints, expected {count}{hint}")
        values += part
    return values


@dataclasses.dataclass(frozen=True)
class Frames:
    """Everybody in some frames of a recording.

    Attributes:
        numbers: the frames' numbers, int64 `[frames]`.
        counts: people in each, int64 `[frames]`.
        points: the people of all these frames one after the other, as `read_frame` gives them.
        damaged: (file, reason) of each damaged frame; nobody is in it.
    """

    numbers: np.ndarray
    counts: np.ndarray
    points: np.ndarray
    damaged: tuple[tuple[str, str], ...]


def read_frames(folder: str, names: dict[int, str], source: Source) -> Frames:
    """Read some of a recording's files, given by frame number.

    Raises:
        InputError: as `read_frame`.
    """
    people, damaged = [], []
    nobody = np.zeros((0, len(source.model) + sum(count for _, count in source.parts), 3), np.float32)
    for name in names.values():
        path = os.path.join(folder, name)
        try:
            people.append(read_frame(path, source))
        except DamagedFrame as reason:
            people.append(nobody)
            damaged.append((path, str(reason)))
    counts = np.array([len(some) for some in people], np.int64)
    return Frames(np.fromiter(names, np.int64, len(names)), counts, np.concatenate([nobody, *people]), tuple(damaged))


def chunks(recording: Recording) -> Iterator[tuple[str, dict[int, str]]]:
    """(folder, file names by frame number) for `read_frames`, CHUNK frames at a time, in order."""
    names = list(frame_files(recording.folder)[0].items())
    for start in range(0, len(names), CHUNK):
        yield recording.folder, dict(names[start : start + CHUNK])
