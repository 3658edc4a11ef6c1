"""OpenPose's JSON: one file a frame, read as arrays, and one person followed through them.

A recording is a folder of files such as `video_000000000007_keypoints.json`; the last number of a name is the
frame's number. It runs from the lowest to the highest number there is, and a number without a file is a gap:
a frame in which nothing was seen.

OpenPose says who is in a frame, not who is who: `people` has no stable order. `Tracker` says which detection
of one frame is which of the next, and `follow` chooses one of these people. The rule, in body sizes (the
diagonal of the box around a person's seen joints):

1.  Each person known so far is a pose: every joint where it was last seen, joints unseen for MEMORY frames
    forgotten. It is moved on by the person's mean velocity (which fades while the person is unseen).
2.  A detection can be that person if they share at least COMMON joints whose mean distance is within GATE body
    sizes; for each frame unseen the gate widens by GROWTH up to WIDEST. Somebody who was out of sight must also
    come back no more than GROWN times as large or as small.
3.  A detection nearer than TWIN to somebody seen a frame ago is that one's, or a second or torn detection of
    that one; nobody farther away by more than TWIN can take it, and no new person starts from it.
4.  Pairs are made in the order of their mean distance, where a joint that the detection lacks counts as ABSENT,
    so that a whole detection is preferred to a stray part of it.
5.  What is left and has COMMON joints starts a new person. Somebody unseen for longer than they were ever seen
    (and than PATIENCE frames) is forgotten.

Nothing depends on the order of `people` or on chance. The followed person never jumps from one place to another
in a single frame: where the rule cannot say that a detection is the same person, the frame is left unseen.

This module needs NumPy only and never imports JAX.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import re
from collections.abc import Iterable, Iterator

import numpy as np

from mgjax import skeleton
from mgjax.errors import InputError

CHUNK = 256  # frames read at a time: long enough to hide a process's overhead, short enough to share the work
SPARSEST = 100  # a recording with fewer than one file in so many numbers is not numbered by frames

COMMON, GATE, GROWTH, WIDEST, GROWN = 3, 0.5, 0.05, 2.0, 2.0
TWIN, ABSENT, MEMORY, PATIENCE = 0.1, 0.1, 25, 10
SMOOTHING, FADING = 0.3, 0.9  # weight of the newest step in the velocity; what is left of it per unseen frame
LASTING = 0.25  # who can be chosen: people seen in at least this share of the frames of the one seen most
CHOICES = ("largest", "leftmost", "rightmost", "centre")

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


def extents(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Width and height of the box around each person's seen joints, `[people]` each; pose `[people, V, 3]`."""
    seen = pose[..., 2:] > 0
    low = np.where(seen, pose[..., :2], np.inf).min(axis=1, initial=np.inf)
    high = np.where(seen, pose[..., :2], -np.inf).max(axis=1, initial=-np.inf)
    return tuple((high - low).T)


class Tracker:
    """Says who is who from frame to frame, by the rule in this module's docstring.

        tracker = Tracker(joints=25)
        who = tracker.step(0, pose)         # [people] numbers; the same number is the same person in later steps

    Frames must come in order; frames with nobody in them can be left out.
    """

    def __init__(self, joints: int):
        self.people = 0
        # One row a person who is not forgotten; `known` is the frame in which each joint was last seen.
        self._id = np.zeros(0, np.int64)
        self._pose = np.zeros((0, joints, 2))
        self._known = np.zeros((0, joints), np.int64)
        self._velocity = np.zeros((0, 2))
        self._size = np.zeros(0)
        self._last = np.zeros(0, np.int64)
        self._seen = np.zeros(0, np.int64)

    def step(self, frame: int, pose: np.ndarray, size: np.ndarray | None = None) -> np.ndarray:
        """Who each detection of a frame is: int64 `[people]`, -1 for nobody.

        Args:
            frame: its number, from 0.
            pose: float `[people, V, 3]`, everybody with a seen joint.
            size: the diagonals of their `extents` `[people]`, where the caller has them already.
        """
        seen = pose[..., 2] > 0
        pose = pose[..., :2].astype(np.float64)
        size = np.maximum(np.hypot(*extents(np.dstack([pose, seen]))) if size is None else size, 1e-6)
        self._forget(frame)
        who = np.full(len(pose), -1, np.int64)
        free = seen.sum(axis=1) >= COMMON
        if len(self._id):
            cost, allowed, twin = self._compare(frame, pose, seen, size)
            for row, person in _pairs(cost, allowed):
                self._update(row, frame, pose[person], seen[person], size[person])
                who[person] = self._id[row]
            free &= (who < 0) & ~twin
        for person in np.flatnonzero(free):
            who[person] = self._start(frame, pose[person], seen[person], size[person])
        return who

    def _forget(self, frame: int):
        keep = frame - self._last <= np.maximum(self._seen, PATIENCE)
        if not keep.all():
            for name in ("_id", "_pose", "_known", "_velocity", "_size", "_last", "_seen"):
                setattr(self, name, getattr(self, name)[keep])

    def _compare(self, frame: int, pose: np.ndarray, seen: np.ndarray, size: np.ndarray):
        """What pairing costs and whether it can be, `[known people, detections]`, and which detections are a TWIN."""
        gap = frame - self._last
        reach = (1 - FADING**gap) / (1 - FADING)
        expected = self._pose + (self._velocity * reach[:, None])[:, None]
        known = self._known >= 0
        common = known[:, None] & seen
        count = common.sum(axis=-1)
        apart = expected[:, None] - pose
        apart = np.sqrt(np.einsum("kpvc,kpvc->kpv", apart, apart))
        total = np.einsum("kpv,kpv->kp", apart, common) / np.maximum(self._size[:, None], size)
        distance = np.where(count >= COMMON, total / np.maximum(count, 1), np.inf)
        joints = known.sum(axis=-1)[:, None]
        cost = (total + ABSENT * (joints - count)) / joints
        gate = np.minimum(GATE + GROWTH * (gap - 1), WIDEST)
        allowed = distance <= gate[:, None]
        twin = np.zeros(len(pose), bool)
        if allowed.size > 1:
            nearest = distance[gap == 1].min(axis=0, initial=np.inf)
            twin = nearest < TWIN
            allowed &= ~(twin & (distance > nearest + TWIN))
        for row in (gap > 1).nonzero()[0]:
            for person in np.flatnonzero(allowed[row]):
                both = common[row, person]
                growth = _spread(pose[person, both]) / max(_spread(self._pose[row, both]), 1e-6)
                allowed[row, person] = 1 / GROWN <= growth <= GROWN
        return cost, allowed, twin

    def _update(self, row: int, frame: int, pose: np.ndarray, seen: np.ndarray, size: float):
        known = self._known[row]
        common = seen & (known >= 0)
        step = common @ (pose - self._pose[row]) / np.count_nonzero(common)
        self._velocity[row] += SMOOTHING * (step / (frame - self._last[row]) - self._velocity[row])
        # Joints out of sight move along with the others.
        self._pose[row] = np.where(seen[:, None], pose, self._pose[row] + step)
        known[seen] = frame
        known[known < frame - MEMORY] = -1
        self._last[row] = frame
        self._seen[row] += 1
        if np.count_nonzero(known >= 0) > np.count_nonzero(seen):
            box = self._pose[row, known >= 0]
            size = np.hypot(*(box.max(axis=0) - box.min(axis=0)))
        self._size[row] = max(size, 1e-6)

    def _start(self, frame: int, pose: np.ndarray, seen: np.ndarray, size: float) -> int:
        new = {"_id": self.people, "_pose": pose, "_known": np.where(seen, frame, -1), "_velocity": np.zeros(2),
               "_size": size, "_last": frame, "_seen": 1}
        for name, value in new.items():
            rows = getattr(self, name)
            setattr(self, name, np.concatenate([rows, np.asarray(value, rows.dtype)[None]]))
        self.people += 1
        return self.people - 1


def _pairs(cost: np.ndarray, allowed: np.ndarray) -> Iterator[tuple[int, int]]:
    """(row, column) of the allowed pairs, cheapest first, each row and column once."""
    if allowed.size == 1:
        if allowed[0, 0]:
            yield 0, 0
        return
    rows, columns = np.nonzero(allowed)
    taken_rows, taken_columns = set(), set()
    for i in np.argsort(cost[rows, columns], kind="stable"):
        row, column = int(rows[i]), int(columns[i])
        if row not in taken_rows and column not in taken_columns:
            taken_rows.add(row)
            taken_columns.add(column)
            yield row, column


def _spread(points: np.ndarray) -> float:
    """Root mean square distance of points `[n, 2]` from their centre."""
    return float(np.sqrt(points.var(axis=0).sum()))


def parse_person(text: str) -> str | int:
    """One of CHOICES, or the person's rank by size as an int, 1 for the largest.

    Raises:
        InputError: neither.
    """
    if text in CHOICES:
        return text
    if re.fullmatch("[1-9][0-9]*", text):
        return int(text)
    raise InputError(f"unknown person {text!r}; expected {', '.join(CHOICES)}, or 1 for the largest, 2 for the next")


def choose(who: np.ndarray, weight: np.ndarray, x: np.ndarray, person: str | int, width: int, id: str) -> int | None:
    """Which person of a recording to follow; None where there is nobody.

    Args:
        who: the person of each detection, -1 for nobody, int `[detections]`.
        weight: its area times its mean score `[detections]`; a person's size is the sum.
        x: where it is, in pixels from the left `[detections]`; a person's place is the mean.
        person: as `parse_person` gives it.
        width: the image's width in pixels, for "centre".
        id: the recording's name for error messages.

    Raises:
        InputError: there are fewer people than the rank asks for.
    """
    somebody = who >= 0
    who, weight, x = who[somebody], weight[somebody], x[somebody]
    if not len(who):
        return None
    frames = np.bincount(who)
    lasting = np.flatnonzero(frames >= LASTING * frames.max())
    by_size = lasting[np.argsort(-np.bincount(who, weight)[lasting], kind="stable")]
    place = np.bincount(who, x)[by_size] / frames[by_size]
    if isinstance(person, int):
        if person > len(by_size):
            raise InputError(f"video {id!r}: person {person} by size was asked for, and only {len(by_size)} "
                             + ("was" if len(by_size) == 1 else "were") + " found")
        return int(by_size[person - 1])
    if person == "largest":
        return int(by_size[0])
    order = {"leftmost": place, "rightmost": -place, "centre": np.abs(place - width / 2)}[person]
    return int(by_size[np.argmin(order)])


@dataclasses.dataclass(frozen=True)
class VideoReport:
    """What was found in one recording.

    Attributes:
        id: its name.
        first: the number of its first frame.
        frames: its number of frames, gaps included.
        gaps: frames without a file.
        damaged: frames whose file is damaged.
        nobody: frames in whose file nobody is.
        several: frames with more than one person.
        people: people told apart who lasted long enough to be chosen.
        missing: frames without the followed person, for whatever reason.
        jump: largest distance in pixels of the layout's root between one frame where it was seen and the next such.
        jump_frame: the number of the later of these two frames, -1 without such a pair.
    """

    id: str
    first: int
    frames: int
    gaps: int
    damaged: int
    nobody: int
    several: int
    people: int
    missing: int
    jump: float
    jump_frame: int


@dataclasses.dataclass(frozen=True)
class Followed:
    """One person through a recording: keypoints float32 `[T, V, 2]` in pixels, score float32 `[T, V]`."""

    keypoints: np.ndarray
    score: np.ndarray
    report: VideoReport
    damaged: tuple[tuple[str, str], ...]


def follow(recording: Recording, parts: Iterable[Frames], source: Source, person: str | int = "largest",
           width: int = 0) -> Followed:
    """Follow one person through a recording, given as `read_frames` of all its `chunks`, in order.

    Raises:
        InputError: as `choose`.
    """
    joints = len(source.model)
    tracker = Tracker(joints)
    kept = []
    for part in parts:
        who = np.full(len(part.points), -1, np.int64)
        pose = part.points[:, :joints]
        across, down = extents(pose)
        size = np.hypot(across, down)
        start = 0
        for number, count in zip((part.numbers - recording.first).tolist(), part.counts.tolist()):
            if count:
                ours = slice(start, start + count)
                who[ours] = tracker.step(number, pose[ours], size[ours])
            start += count
        seen = pose[..., 2] > 0
        joints_seen = seen.sum(axis=1)
        weight = across * down * pose[..., 2].sum(axis=1) / joints_seen
        kept.append((part, who, weight, (pose[..., 0] * seen).sum(axis=1) / joints_seen))
    who, weight, x = (np.concatenate([row[i] for row in kept]) for i in (1, 2, 3))
    chosen = choose(who, weight, x, person, width, recording.id)
    found = np.zeros((recording.length, len(source.layout), 3), np.float32)
    there = np.zeros(recording.length, bool)
    for part, ids, *_ in kept:
        ours = ids == chosen if chosen is not None else np.zeros(len(ids), bool)
        rows = np.repeat(part.numbers - recording.first, part.counts)[ours]
        found[rows] = part.points[ours][:, source.columns]
        there[rows] = True
    keypoints, score = np.ascontiguousarray(found[..., :2]), np.ascontiguousarray(found[..., 2])
    counts = np.concatenate([part.counts for part, *_ in kept])
    damaged = sum((part.damaged for part, *_ in kept), ())
    jump, at = largest_jump(keypoints, score, source.layout)
    seen_in = np.bincount(who[who >= 0], minlength=1)
    report = VideoReport(
        recording.id, recording.first, recording.length, recording.length - recording.files, len(damaged),
        nobody=int((counts == 0).sum()) - len(damaged), several=int((counts > 1).sum()),
        people=int((seen_in >= max(1, LASTING * seen_in.max())).sum()), missing=int((~there).sum()),
        jump=jump, jump_frame=recording.first + at if at >= 0 else -1,
    )
    return Followed(keypoints, score, report, damaged)


def largest_jump(keypoints: np.ndarray, score: np.ndarray, layout: skeleton.Layout) -> tuple[float, int]:
    """The root's largest step in pixels between one frame where it is seen and the next such, and the later's index.

    Args:
        keypoints, score: `[T, V, 2]` and `[T, V]`.
        layout: whose root; it is seen where all its joints are.

    Returns:
        (0.0, -1) where no two frames have a root.
    """
    root = layout.index(*layout.root)
    frames = np.flatnonzero((score[:, root] > 0).all(axis=1))
    if len(frames) < 2:
        return 0.0, -1
    steps = np.linalg.norm(np.diff(keypoints[frames][:, root].astype(np.float64).mean(axis=1), axis=0), axis=1)
    return float(steps.max()), int(frames[1 + steps.argmax()])


def read_recording(recording: Recording, source: Source, person: str | int = "largest", width: int = 0) -> Followed:
    """Read a recording and follow one person through it.

    Raises:
        InputError: as `read_frame` and `choose`.
    """
    return follow(recording, (read_frames(*chunk, source) for chunk in chunks(recording)), source, person, width)
