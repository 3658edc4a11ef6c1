"""OpenPose's JSON, one file a frame, read as arrays.

A recording is a folder of files such as `video_000000000007_keypoints.json`; the last number of a
name is the frame's number. It runs from the lowest to the highest number there is, and a number
without a file is a gap: a frame in which nothing was seen.

A `Source` says what to read from each file, `read_frame` and `read_frames` read everybody in it.
OpenPose says who
is in a frame, not who is who: `data_prep/following.py` finds that out.

This module needs NumPy only, takes msgspec where it is installed, and never imports JAX.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import os
import pathlib
import re
import stat
import string
import struct
from collections.abc import Callable, Iterator

import numpy as np

from data_prep import csv_tables
from mgjax import skeleton
from mgjax.errors import InputError

try:
    import msgspec
except ImportError:  # the extra `fast`; without it json reads everything, with the same result
    msgspec = None

BLOCK = 1 << 16  # bytes read at once: more than most frames have
# frames read at a time: long enough to hide a process's overhead, short enough to share the work
CHUNK = 256
MOST = 1 << 26  # bytes of a frame's file
CROWD = 127  # people that OpenPose finds at most
FAR = 1e7  # pixels, more than any picture has across
DIGITS = 18  # of a frame number
SPARSEST = 100  # a recording with fewer than one file in so many numbers is not numbered by frames
_LAST_NUMBER = re.compile(r"([0-9]+)[^0-9]*$").search

# OpenPose's pose models by the layout of their joints. 25 joints are BODY_25 or BODY_25B: no
# count can tell.
MODELS = {layout.name: layout for layout in (skeleton.BODY_25, skeleton.BODY_25B, skeleton.COCO_18)}
POSE = "pose_keypoints_2d"
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
        columns: where the layout's joints lie among those read (pose first, then `parts`), int64
            `[V]`; -1 for a joint that is not read and stays unseen.
    """

    layout: skeleton.Layout
    model: skeleton.Layout
    parts: tuple[tuple[str, int], ...]
    columns: np.ndarray


def source_of(
    layout: skeleton.Layout,
    model_pose: str | None = None,
    keep_face: bool = False,
    read: skeleton.Layout | None = None,
) -> Source:
    """How to cut `layout` out of OpenPose's files.

    Args:
        layout: what to store; its joints must be among a pose model's, the hands' and the face's.
        model_pose: the pose model that made the files, one of `MODELS`; None takes it from `read`:
            the model of exactly its joints, else the first that has them all.
        keep_face: whether face landmarks may be stored.
        read: the joints to read, if not the layout's: those that it lacks stay unseen, and those
            that the layout lacks are not stored.

    Raises:
        InputError: no model has the layout's joints, or both models of 25 joints have; or face
            landmarks are in the layout without `keep_face`, or the other way round; or `read` has
            none of its joints.
    """
    if layout.dimensions != 2:
        raise InputError(
            f"layout {layout.name!r} has {layout.dimensions} dimensions, OpenPose's files have 2"
        )
    face = bool(set(layout.joints) & set(FACE))
    if face and not keep_face:
        raise InputError(
            f"layout {layout.name!r} holds face landmarks: they identify a person "
            "and are kept only with "
            "--keep_face"
        )
    if keep_face and not face:
        raise InputError(
            f"--keep_face has nothing to keep: layout {layout.name!r} holds no face landmarks"
        )
    read = layout if read is None else read
    wanted = [joint for joint in layout.joints if joint in read.joints]
    if not wanted:
        raise InputError(f"layouts {layout.name!r} and {read.name!r} have no joint in common")
    parts = {name: joints for name, joints in _PARTS.items() if set(joints) & set(wanted)}
    further = sum(parts.values(), ())
    if model_pose is None:
        fitting = [
            name for name, model in MODELS.items() if set(read.joints) <= {*model.joints, *further}
        ]
        same = [name for name, model in MODELS.items() if model.joints == read.joints]
        if {"body25", "body25b"} <= set(fitting) and not same:
            raise InputError(
                f"layout {read.name!r} can be cut out of BODY_25 and of BODY_25B, "
                "whose "
                "files both hold 25 joints: say with --model_pose which one made them"
            )
        model_pose = [*same, *fitting, "body25"][0]
    if model_pose not in MODELS:
        raise InputError(f"unknown pose model {model_pose!r}; known are {', '.join(MODELS)}")
    model = MODELS[model_pose]
    there = model.joints + further
    missing = [joint for joint in wanted if joint not in there]
    if missing:
        raise InputError(
            f"layout {read.name!r} cannot be read from files of OpenPose's "
            f"{model.name}: "
            f"they have no joint {missing[0]!r}"
            + (f" (and {len(missing) - 1} others)" if len(missing) > 1 else "")
        )
    columns = np.array([there.index(joint) if joint in wanted else -1 for joint in layout.joints])
    parts = tuple((name, len(joints)) for name, joints in parts.items())
    return Source(layout, model, parts, columns)


@dataclasses.dataclass(frozen=True)
class Recording:
    """A folder of frames, numbered `first` to `last`, in `files` files; its name is the id."""

    id: str
    folder: str
    first: int
    last: int
    files: int

    @property
    def length(self) -> int:
        """Number of frames, gaps included."""
        return self.last - self.first + 1


@dataclasses.dataclass(frozen=True)
class Aside:
    """What lies among recordings and is none: the number of files, and folders without a frame."""

    files: int
    folders: tuple[str, ...] = ()


def frame_number(name: str) -> int | None:
    """The last number in a file's name; None without one, or of more than DIGITS digits."""
    found = _LAST_NUMBER(name)
    return int(found[1]) if found and len(found[1].lstrip("0")) <= DIGITS else None


def frame_files(folder) -> tuple[dict[int, str], int]:
    """The files of a recording: file name by frame number, in order, and how many other files lie
    there.

    Files that do not end in .json, and hidden files, are the others.

    Raises:
        InputError: a name without a number or that is no text, or two files with the same number.
    """
    try:
        with os.scandir(folder) as found:
            entries = sorted([entry.name for entry in found if not _is_folder(entry)])
    except OSError as error:
        raise InputError(f"{folder}: the folder cannot be read ({error.strerror})") from None
    names = _named_alike(entries)
    if names is not None:
        return names, 0
    names, others = {}, 0
    for name in entries:
        if name.startswith(".") or not name.lower().endswith(".json"):
            others += 1
            continue
        _check_name(pathlib.Path(folder, name), "file")
        number = frame_number(name)
        if number is None:
            raise InputError(
                f"{pathlib.Path(folder, name)}: no frame number in the file's name, "
                "or "
                f"one of more than {DIGITS} digits; expected a name such as "
                "video_000000000007_keypoints.json"
            )
        if number in names:
            raise InputError(
                f"{pathlib.Path(folder, name)}: same frame number {number} as "
                f"{names[number]} beside it"
            )
        names[number] = name
    return dict(sorted(names.items())), others


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _check_name(path: pathlib.Path, kind: str):
    csv_tables.check_text(ascii(str(path)), f"the {kind}'s name", path.name)


def _named_alike(entries: list[str]) -> dict[int, str] | None:
    """As `frame_files`, in half the time, of sorted names that differ in one number only; None
    of any others.
    """
    if len(entries) < 2:
        return None
    # Whatever is sorted between two names begins as both do.
    start = len(os.path.commonprefix([entries[0], entries[-1]]).rstrip(string.digits))
    end = entries[0][start:].lstrip(string.digits)
    if (
        entries[0].startswith(".")
        or not end.lower().endswith(".json")
        or set(end) & set(string.digits)
    ):
        return None
    numbers = [name[start : -len(end)] for name in entries if name.endswith(end)]
    together = "".join(numbers)
    if not (together.isdecimal() and together.isascii() and all(numbers)):
        return None
    # Such numbers, and names that may be no text, are looked at one by one.
    if max(map(len, numbers)) > DIGITS or not entries[0].isascii():
        return None
    names = dict(zip(map(int, numbers), entries))
    return dict(sorted(names.items())) if len(names) == len(entries) else None


def find_recordings(folder) -> tuple[list[Recording], Aside]:
    """The recordings of a folder of frames (one) or of a folder of such folders (one each, by
    name).

    Returns:
        The recordings, and what else lies there.

    Raises:
        InputError: the folder is missing or without any frame, holds frames beside folders, or a
            recording's names are wrong.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise InputError(
            f"{folder}: "
            + ("is a file, expected a folder" if folder.exists() else "no such folder")
            + " of OpenPose's .json files, or of such folders"
        )
    names, others = frame_files(folder)
    inside = sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )
    if not names and not inside:
        raise InputError(
            f"{folder}: the folder holds no .json file"
            + (f" ({others} other files)" if others else "")
            + "; expected OpenPose's frames, or folders of them"
        )
    if names and inside:
        raise InputError(
            f"{folder}: holds both .json files and the folder {inside[0].name}; "
            "expected one folder of "
            "frames, or a folder of such folders"
        )
    if names:
        return [_recording(folder, names)], Aside(others)
    recordings, without = [], []
    for path in inside:
        names, count = frame_files(path)
        others += count
        if names:
            recordings.append(_recording(path, names))
        else:
            _check_name(path, "folder")
            without.append(path.name)
    if not recordings:
        raise InputError(
            f"{folder}: none of its {len(without)} folders, such as {without[0]}, "
            "holds a "
            ".json file; expected each to hold the frames of one video"
        )
    return recordings, Aside(others, tuple(without))


def _recording(folder: pathlib.Path, names: dict[int, str]) -> Recording:
    _check_name(pathlib.Path(os.path.abspath(folder)), "folder")
    first, last = min(names), max(names)
    if last - first + 1 > SPARSEST * len(names):
        raise InputError(
            f"{folder}: its {len(names)} files are numbered from {first} to {last}: "
            "these are not frame "
            "numbers"
        )
    return Recording(
        os.path.basename(os.path.abspath(folder)), str(folder), first, last, len(names)
    )


def read_frame(path, source: Source) -> np.ndarray:
    """Everybody in one file who has at least one joint of the pose, in an order that does not
    depend on the file's.

    A person whose pose is an empty list, as some programs write it, is left out.

    Returns:
        float32 `[people, joints of the pose and of source.parts, 3]`: x and y in pixels and the
        score; (0, 0, 0) where a joint was not seen, and throughout a part that the file leaves out.

    Raises:
        DamagedFrame: no plain file, too large, not JSON, or values of a wrong type.
        InputError: JSON, but not an OpenPose frame, or a part has another number of joints.
    """
    points, _, _, damaged = _people([_reader(source)(path)], source)
    if damaged:
        raise DamagedFrame(damaged[0])
    return points


def _reader(source: Source) -> Callable[[str], list[bytes]]:
    """A function from a file's path to everybody in it.

    Each is the numbers of `read_frame` as the bytes of float32, and no bytes where the pose is
    empty.
    """
    parts = [(name, 3 * count, [0.0] * (3 * count)) for name, count in source.parts]
    pose = 3 * len(source.model)
    # Takes numbers only, and a third of the time that an array of them takes.
    pack = struct.Struct(f"{pose + sum(count for _, count, _ in parts)}f").pack
    decode = _decoder(source.parts) if msgspec is not None else None

    def typed(data):
        # It would let strings pass that are no UTF-8; OpenPose writes ASCII only.
        if decode is None or not data.isascii():
            return None
        rows = []
        try:
            for person in decode(data).people:
                values = person.pose_keypoints_2d
                if len(values) != pose:
                    if values:
                        return None
                    rows.append(b"")
                    continue
                for name, count, unseen in parts:
                    part = getattr(person, name) or unseen
                    if len(part) != count:
                        return None
                    values += part
                rows.append(pack(*values))
        except (msgspec.DecodeError, RecursionError):
            return None
        return rows

    # A pipe is not waited for.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

    def read(path):
        try:
            # Without a file object, which takes as long again as opening and reading do.
            file = os.open(path, flags)
            try:
                data = os.read(file, BLOCK)
                if len(data) == BLOCK:
                    data += _rest(file)
                rows = typed(data)
                if rows is None:
                    if not stat.S_ISREG(os.fstat(file).st_mode):
                        raise DamagedFrame("is not a plain file")
                    data += _rest(file)
            finally:
                os.close(file)
        except BlockingIOError:
            raise DamagedFrame("is not a plain file") from None
        except OSError as error:
            raise DamagedFrame(f"cannot be read ({error.strerror})") from None
        # json reads what is only unusual, and says what is wrong.
        rows = _plain_rows(path, data, source, pack) if rows is None else rows
        if len(rows) > CROWD:
            raise DamagedFrame(f"holds {len(rows)} people; OpenPose finds at most {CROWD}")
        return rows

    return read


def _rest(file: int) -> bytes:
    parts, size = [], BLOCK
    while part := os.read(file, 1 << 20):
        parts.append(part)
        size += len(part)
        if size > MOST:
            raise DamagedFrame(f"has more than {MOST} bytes")
    return b"".join(parts)


@functools.cache
def _decoder(parts: tuple[tuple[str, int], ...]) -> Callable:
    """msgspec's decoder of a frame's people, each with the pose and these parts, and without all
    the rest.
    """
    fields = [(POSE, list[float]), *((name, list[float], []) for name, _ in parts)]
    person = msgspec.defstruct("Person", fields, gc=False)
    return msgspec.json.Decoder(
        msgspec.defstruct("Frame", [("people", list[person])], gc=False)
    ).decode


def _plain_rows(path, data: bytes, source: Source, pack: Callable[..., bytes]) -> list[bytes]:
    try:
        frame = json.loads(data, parse_int=_whole_number)
    except (ValueError, RecursionError):
        raise DamagedFrame("not whole JSON") from None
    if not isinstance(frame, dict) or "people" not in frame:
        raise InputError(f"{path}: JSON, but not an OpenPose frame: it has no 'people'")
    if not isinstance(frame["people"], list):
        raise DamagedFrame("its 'people' is not a list")
    rows = [_values(path, person, source) for person in frame["people"]]
    try:
        if any({*map(type, row)} - {int, float} for row in rows):
            raise TypeError
        return [pack(*row) if row else b"" for row in rows]
    except (TypeError, struct.error):  # a whole number that no float holds is the latter
        raise DamagedFrame("its keypoints are not flat lists of numbers") from None


def _whole_number(text: str) -> float:
    # Python reads none of thousands of digits, and msgspec skips such in a part that nobody asks
    # for.
    return int(text) if len(text) < 1000 else float(text)


def _values(path, person, source: Source) -> list:
    """One person's numbers, pose first, as a flat list; none where the pose is empty."""
    if not isinstance(person, dict):
        raise DamagedFrame("a person is not an object")
    if POSE not in person:
        raise InputError(
            f"{path}: a person has no {POSE!r}; expected OpenPose's JSON of version 1.2 or 1.3"
        )
    if person[POSE] == []:
        return []
    values = []
    for name, count in ((POSE, len(source.model)), *source.parts):
        part = person.get(name, [])
        if not isinstance(part, list):
            raise DamagedFrame(f"{name} is not a list")
        if not part and name != POSE:
            part = [0] * (3 * count)
        if len(part) % 3:
            raise DamagedFrame(f"{name} holds {len(part)} numbers, which are no triples")
        if len(part) != 3 * count:
            hint = ""
            if name == POSE:
                hint = f" as pose model {source.model.name} has (--model_pose says which model made the files)"
            raise InputError(
                f"{path}: {name} holds {len(part) // 3} joints, expected {count}{hint}"
            )
        values += part
    return values


def _people(
    rows: list[list[bytes]], source: Source
) -> tuple[np.ndarray, np.ndarray, int, dict[int, str]]:
    """Everybody in some frames, given as `_reader` reads them.

    Returns:
        The people as `read_frame` gives them, one frame after the other; how many are in each
        frame, int64 `[frames]`; how many were left out for their empty pose; and what is wrong
        with each damaged frame, in which nobody is, by its place.
    """
    width = len(source.model) + sum(count for _, count in source.parts)
    poseless = [some.count(b"") for some in rows]
    counts = np.array([len(some) for some in rows], np.int64) - poseless
    people = np.frombuffer(
        bytearray().join(itertools.chain.from_iterable(rows)), np.float32
    ).reshape(-1, width, 3)
    owner = np.repeat(np.arange(len(rows)), counts)
    damaged = owner[~(np.abs(people) < FAR).all(axis=(1, 2))]
    unseen = ~(people[..., 2] > 0)
    for numbers in np.moveaxis(people, -1, 0):
        numbers[unseen] = 0
    keep = ~(unseen[:, : len(source.model)].all(axis=1) | np.isin(owner, damaged))
    people, counts = people[keep], np.bincount(owner[keep], minlength=len(rows))
    for frame, start in zip(
        *((x[counts > 1]).tolist() for x in (counts, np.cumsum(counts) - counts))
    ):
        some = people[start : start + frame]
        some[:] = some[sorted(range(frame), key=lambda i: some[i].tobytes())]
    reason = "its keypoints are not finite, or far outside of any picture"
    return people, counts, sum(poseless), dict.fromkeys(damaged.tolist(), reason)


@dataclasses.dataclass(frozen=True)
class Frames:
    """Everybody in some frames of a recording.

    Attributes:
        numbers: the frames' numbers, int64 `[frames]`.
        counts: people in each, int64 `[frames]`.
        points: the people of all these frames one after the other, as `read_frame` gives them.
        damaged: (file, reason) of each damaged frame; nobody is in it.
        poseless: how many people were left out because their pose is empty.
    """

    numbers: np.ndarray
    counts: np.ndarray
    points: np.ndarray
    damaged: tuple[tuple[str, str], ...]
    poseless: int = 0


def read_frames(folder: str, names: dict[int, str], source: Source) -> Frames:
    """Read some of a recording's files, given by frame number.

    Raises:
        InputError: as `read_frame`.
    """
    read, rows, damaged = _reader(source), [], {}
    paths = [f"{folder}{os.sep}{name}" for name in names.values()]
    for frame, path in enumerate(paths):
        try:
            rows.append(read(path))
        except DamagedFrame as reason:
            rows.append([])
            damaged[frame] = str(reason)
    points, counts, poseless, not_finite = _people(rows, source)
    damaged = sorted((damaged | not_finite).items())
    damaged = tuple((paths[frame], reason) for frame, reason in damaged)
    return Frames(np.fromiter(names, np.int64, len(names)), counts, points, damaged, poseless)


def chunks(recording: Recording) -> Iterator[tuple[str, dict[int, str]]]:
    """(folder, file names by frame number) for `read_frames`, CHUNK frames at a time, in order."""
    names = list(frame_files(recording.folder)[0].items())
    for start in range(0, len(names), CHUNK):
        yield recording.folder, dict(names[start : start + CHUNK])
