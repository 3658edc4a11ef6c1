"""OpenPose's JSON read as arrays: everybody in a frame (`read_frame`), or in many (`read_frames`).

The typed parser of msgspec reads a file in a third of the time where it is installed (the
extra `fast`). Whatever it does not take as it stands goes to the standard library's json,
which reads what is only unusual and says what is wrong: the result is the same without
msgspec.

This module needs NumPy only, takes msgspec where it is installed, and never imports JAX.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import os
import stat
import struct
import types
from collections.abc import Callable, Sequence

import numpy as np

from data_prep.openpose_source import POSE, Source
from mgjax.errors import InputError

try:
    import msgspec
except ImportError:  # without the extra `fast` json reads everything, with the same result
    # There is no type of a module that may be missing.
    msgspec = None  # type: ignore[assignment]

BLOCK = 1 << 16  # bytes read at once: more than most frames have
MOST = 1 << 26  # bytes of a frame's file
CROWD = 127  # people that OpenPose finds at most
FAR = 1e7  # pixels, more than any picture has across
# A pipe is not waited for. The last two are of some systems only.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class DamagedFrame(Exception):
    """One frame's file cannot be read; the message says why."""


@dataclasses.dataclass(frozen=True)
class Detections:
    """Everybody whom OpenPose detected in some frames of a recording.

    Attributes:
        numbers: the frames' numbers, int64 `[frames]`.
        counts: people in each, int64 `[frames]`.
        points: the people of all these frames one after the other, as `read_frame` gives
            them.
        damaged: (file, reason) of each damaged frame; nobody is in it.
        poseless: how many people were left out because their pose is empty.
    """

    numbers: np.ndarray
    counts: np.ndarray
    points: np.ndarray
    damaged: tuple[tuple[str, str], ...]
    poseless: int = 0


def read_frame(path: str | os.PathLike, source: Source) -> np.ndarray:
    """Everybody in one file who has at least one joint of the pose.

    Their order does not depend on the file's. A person whose pose is an empty list, as
    some programs write it, is left out.

    Returns:
        float32 `[people, joints of the pose and of source.parts, 3]`: x and y in pixels
        and the score; (0, 0, 0) where a joint was not seen, and throughout a part that
        the file leaves out.

    Raises:
        DamagedFrame: no plain file, too large, not JSON, or values of a wrong type.
        InputError: JSON, but not an OpenPose frame, or a part has another number of
            joints.
    """
    points, _, _, damaged = _people([_reader(source)(path)], source)
    if damaged:
        raise DamagedFrame(damaged[0])
    return points


def read_frames(folder: str, names: dict[int, str], source: Source) -> Detections:
    """Read some of a recording's files, given by frame number.

    Raises:
        InputError: as `read_frame`.
    """
    read = _reader(source)
    rows: list[list[bytes]] = []
    damaged: dict[int, str] = {}
    paths = [f"{folder}{os.sep}{name}" for name in names.values()]
    for frame, path in enumerate(paths):
        try:
            rows.append(read(path))
        except DamagedFrame as reason:
            rows.append([])
            damaged[frame] = str(reason)
    points, counts, poseless, not_finite = _people(rows, source)
    reasons = sorted((damaged | not_finite).items())
    numbers = np.fromiter(names, np.int64, len(names))
    named = tuple((paths[frame], reason) for frame, reason in reasons)
    return Detections(numbers, counts, points, named, poseless)


def _reader(source: Source) -> Callable[[str | os.PathLike], list[bytes]]:
    """A function from a file's path to everybody in it.

    Each is the numbers of `read_frame` as the bytes of float32, and no bytes where the
    pose is empty.
    """
    # Takes numbers only, and a third of the time that an array of them takes.
    pack = struct.Struct(f"{3 * source.width}f").pack
    parse = _typed_parser(source, pack)

    def read(path: str | os.PathLike) -> list[bytes]:
        data, rows = _read_file(path, parse)
        if rows is None:
            rows = _plain_rows(path, data, source, pack)
        if len(rows) > CROWD:
            raise DamagedFrame(f"holds {len(rows)} people; OpenPose finds at most {CROWD}")
        return rows

    return read


def _read_file(
    path: str | os.PathLike, parse: Callable[[bytes], list[bytes] | None]
) -> tuple[bytes, list[bytes] | None]:
    """A file's bytes and what `parse` makes of them; None if it takes another parser.

    What was parsed need not have been read to its end; for another parser it is.
    """
    try:
        # Without a file object, which takes as long again as opening and reading do.
        file = os.open(path, _FLAGS)
        try:
            data = os.read(file, BLOCK)
            if len(data) == BLOCK:
                data += _rest(file)
            rows = parse(data)
            if rows is None:
                # Asked only here, as it is a call to the system that whole frames spare.
                if not stat.S_ISREG(os.fstat(file).st_mode):
                    raise DamagedFrame("is not a plain file")
                # A read may come short of BLOCK without having reached the end.
                data += _rest(file)
        finally:
            os.close(file)
    except BlockingIOError:
        raise DamagedFrame("is not a plain file") from None
    except OSError as error:
        raise DamagedFrame(f"cannot be read ({error.strerror})") from None
    return data, rows


def _rest(file: int) -> bytes:
    parts, size = [], BLOCK
    while part := os.read(file, 1 << 20):
        parts.append(part)
        size += len(part)
        # A device such as /dev/zero never ends.
        if size > MOST:
            raise DamagedFrame(f"has more than {MOST} bytes")
    return b"".join(parts)


def _typed_parser(
    source: Source, pack: Callable[..., bytes]
) -> Callable[[bytes], list[bytes] | None]:
    """A function from a file's bytes to everybody in it, None if it takes another parser."""
    parts = [(name, 3 * count, [0.0] * (3 * count)) for name, count in source.parts]
    pose = 3 * len(source.model)
    decode = _decoder(source.parts) if msgspec is not None else None

    def parse(data: bytes) -> list[bytes] | None:
        # msgspec would let strings pass that are no UTF-8; OpenPose writes ASCII only.
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

    return parse


@functools.cache
def _decoder(parts: tuple[tuple[str, int], ...]) -> Callable:
    """msgspec's decoder of a frame's people, each with the pose, these parts and nothing else."""
    fields: list[tuple] = [(POSE, list[float])]
    fields += [(name, list[float], []) for name, _ in parts]
    # Nothing here refers to itself, and the garbage collector need not look for it.
    person = msgspec.defstruct("Person", fields, gc=False)
    people = types.GenericAlias(list, (person,))
    frame = msgspec.defstruct("Frame", [("people", people)], gc=False)
    return msgspec.json.Decoder(frame).decode


def _plain_rows(
    path: str | os.PathLike, data: bytes, source: Source, pack: Callable[..., bytes]
) -> list[bytes]:
    """Everybody in a file as `_reader` gives them, by the standard library's json."""
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
        # A bool would be packed as a number.
        if any({*map(type, row)} - {int, float} for row in rows):
            raise TypeError
        return [pack(*row) if row else b"" for row in rows]
    except (TypeError, struct.error):  # a whole number that no float holds is the latter
        raise DamagedFrame("its keypoints are not flat lists of numbers") from None


def _whole_number(text: str) -> float:
    # Python refuses thousands of digits, which msgspec skips where nobody asks for them.
    return int(text) if len(text) < 1000 else float(text)


def _values(path: str | os.PathLike, person: object, source: Source) -> list:
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
        # OpenPose without hands writes their lists empty.
        if not part and name != POSE:
            part = [0] * (3 * count)
        if len(part) % 3:
            raise DamagedFrame(f"{name} holds {len(part)} numbers, which are no triples")
        if len(part) != 3 * count:
            hint = (
                f" as pose model {source.model.name} has (--model_pose says which model made the "
                "files)"
            )
            raise InputError(
                f"{path}: {name} holds {len(part) // 3} joints, expected {count}"
                f"{hint if name == POSE else ''}"
            )
        values += part
    return values


def _people(
    rows: Sequence[list[bytes]], source: Source
) -> tuple[np.ndarray, np.ndarray, int, dict[int, str]]:
    """Everybody in some frames, given as `_reader` reads them.

    Returns:
        The people as `read_frame` gives them, one frame after the other; how many are in
        each frame, int64 `[frames]`; how many were left out for their empty pose; and
        what is wrong with each damaged frame, in which nobody is, by its place.
    """
    poseless = [some.count(b"") for some in rows]
    counts = np.array([len(some) for some in rows], np.int64) - poseless
    # A bytearray's array can be written to, so that nothing is copied.
    numbers = bytearray().join(itertools.chain.from_iterable(rows))
    people = np.frombuffer(numbers, np.float32).reshape(-1, source.width, 3)
    owner = np.repeat(np.arange(len(rows)), counts)
    # NaN is not less than anything.
    within = (np.abs(people) < FAR).all(axis=(1, 2))
    damaged = owner[~within]
    unseen = ~(people[..., 2] > 0)
    for x_y_or_score in np.moveaxis(people, -1, 0):
        x_y_or_score[unseen] = 0
    nobody = unseen[:, : len(source.model)].all(axis=1)
    keep = ~(nobody | np.isin(owner, damaged))
    people, counts = people[keep], np.bincount(owner[keep], minlength=len(rows))
    _sort_people(people, counts)
    reason = "its keypoints are not finite, or far outside of any picture"
    return people, counts, sum(poseless), dict.fromkeys(damaged.tolist(), reason)


def _sort_people(people: np.ndarray, counts: np.ndarray) -> None:
    """Sort each frame's people, in place, by their bytes: in an order that is not the file's."""
    starts = np.cumsum(counts) - counts
    several = counts > 1
    for count, start in zip(counts[several].tolist(), starts[several].tolist()):
        some = people[start : start + count]
        numbers = [person.tobytes() for person in some]
        some[:] = some[sorted(range(count), key=numbers.__getitem__)]
