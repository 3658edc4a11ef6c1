"""NTU RGB+D's .skeleton files, read as people.

A file has up to six bodies of 25 joints a frame, and not every body is a person:

- A body whose extent from left to right is more than 0.8 of its height in more than 70 %
  of its frames is furniture, not a person.
- Kinect gives a person it has lost and found again another body id. A body that begins
  after a person was last seen, no further away than somebody walks in between, is that
  person.
- A person of fewer than 12 frames is left out.
- Of several, the main one has the largest sum of the variances of x, y and z over all
  joints and frames (in the frames that are not too wide), the rule of the dataset's
  authors.

Where a rule would leave nobody, it is not applied.

Kinect's tracking state is the score: tracked 1, inferred 0.5, not tracked 0. A joint at
exactly 0, 0, 0, the camera's own place, was not seen.

This module needs NumPy only and never imports JAX.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import re
from collections.abc import Iterable

import numpy as np

from data_prep.csv_tables import shown
from mgjax import files, protocols, skeleton
from mgjax.errors import InputError

FPS = 30  # Kinect v2
SCORES = np.array([0, 0.5, 1], np.float32)  # by tracking state: not tracked, inferred, tracked
# Width over height, and share of frames, above which a body is furniture.
WIDE, WIDE_SHARE = 0.8, 0.7
SHORTEST = 12  # frames
# Metres, and metres a second, that a person may have moved while lost.
REACH, PACE = 0.5, 2.0
# Bytes, frames and body ids of a file; some 10 MB, 300 and a dozen occur.
LARGEST, LONGEST, MOST_BODIES = 2**26, 10**5, 200
FAR = 1e6  # metres
_NAME = re.compile(r"S(\d{3})C(\d{3})P(\d{3})R(\d{3})A(\d{3})", re.ASCII)
_JOINTS = len(skeleton.NTU_25)
_COLUMNS, _BODY_COLUMNS = 12, 10  # of a line of a joint, and of a body


@dataclasses.dataclass(frozen=True)
class Body:
    """What was found under one body id, or of one person.

    Attributes:
        frames: frame numbers, ascending, int64 `[n]`.
        joints: x, y, z in metres and tracking state (0, 1 or 2), float32 `[n, 25, 4]`.
    """

    frames: np.ndarray
    joints: np.ndarray

    @functools.cached_property
    def wide(self) -> np.ndarray:
        """Frames too wide for a person, bool `[n]`."""
        width, height = np.ptp(self.joints[..., :2], axis=1).T
        return width > WIDE * height

    @functools.cached_property
    def motion(self) -> float:
        """Sum of the variances of x, y and z over all joints and frames, in m².

        Frames that are too wide are left out, unless all are.
        """
        joints = self.joints if self.wide.all() else self.joints[~self.wide]
        places = joints[..., :3].reshape(-1, 3)
        return float(places.var(axis=0).sum())

    def video(self) -> np.ndarray:
        """x, y, z and score from the first frame to the last, float32 `[T, 25, 4]`."""
        rows = self.frames - self.frames[0]
        places = self.joints[..., :3]
        state = self.joints[..., 3].astype(int)
        # Frames in which the person was lost stay unseen.
        video = np.zeros((rows[-1] + 1, _JOINTS, 4), np.float32)
        video[rows, :, :3] = places
        video[rows, :, 3] = SCORES[state] * places.any(axis=-1)
        return video


@dataclasses.dataclass(frozen=True)
class Sample:
    """What a file's name says."""

    id: str
    setup: int
    camera: int
    subject: int
    action: int


def read_name(path: str | os.PathLike) -> Sample:
    """What a file's name says.

    Raises:
        InputError: the name is not of the form SsssCcccPpppRrrrAaaa, or a number is not
            among the benchmark's.
    """
    path = pathlib.Path(path)
    match = _NAME.fullmatch(path.stem)
    if not match:
        raise InputError(f"{path}: the name is not of the form SsssCcccPpppRrrrAaaa.skeleton")
    setup, camera, subject, replication, action = map(int, match.groups())
    for what, value, known in (
        ("setup", setup, protocols.NTU_SETUPS),
        ("camera", camera, protocols.NTU_CAMERAS),
        ("subject", subject, protocols.NTU_SUBJECTS),
        ("replication", replication, range(1, 3)),
        ("action", action, range(1, len(protocols.NTU_ACTIONS) + 1)),
    ):
        if value not in known:
            numbers = f"{known[0]} to {known[-1]}"
            raise InputError(f"{path}: {what} {value} is not among the benchmark's {numbers}")
    return Sample(path.stem, setup, camera, subject, action)


def read(path: str | os.PathLike) -> list[Body]:
    """Read a file: the bodies in it, one a body id, in order of appearance.

    Raises:
        InputError: the file cannot be read, or is damaged; the sentence names the line.
    """
    data = files.read_bytes(path, "a .skeleton file", LARGEST)
    # What separates columns has to be the same for everything that takes the lines apart:
    # NumPy, which reads them as text, would split at these too.
    if not data.isascii() or any(byte in data for byte in (b"\x1c", b"\x1d", b"\x1e", b"\x1f")):
        raise InputError(
            f"{path}: damaged, or not a .skeleton file: it has bytes that are not text in ASCII"
        )
    lines = data.splitlines()
    starts, places = _find_joints(path, lines)
    # Counting blanks is quick; only where they are not those of a sound file is each line
    # looked at.
    blanks_of_body = _JOINTS * (_COLUMNS - 1) + _BODY_COLUMNS - 1
    blanks = len(starts) * blanks_of_body
    values = _joints(path, lines, starts, regular=data.count(b" ") == blanks)
    return [Body(np.array(frames), values[rows]) for frames, rows in places.values()]


# Of each body id, the frames that it is in, and the rows of its joints among all that are
# read.
_Places = dict[int, tuple[list[int], list[int]]]


def _find_joints(path: str | os.PathLike, lines: list[bytes]) -> tuple[list[int], _Places]:
    """Where each body's 25 lines of joints begin, and which of them are whose.

    A file is: the number of frames; then of each frame the number of bodies; then of each
    body a line of its id and state, the number of joints, and a line a joint.
    """
    starts: list[int] = []
    places: _Places = {}
    length = _count(path, lines, 0, "the number of frames")
    if length > LONGEST:
        raise InputError(f"{path}, line 1: {length} frames, expected at most {LONGEST}")
    at = 1
    for frame in range(length):
        bodies = _count(path, lines, at, "the number of bodies")
        at += 1
        for _ in range(bodies):
            frames, rows = places.setdefault(_body_id(path, lines, at), ([], []))
            if frames and frames[-1] == frame:
                raise InputError(f"{path}, line {at + 1}: this body is in frame {frame + 1} twice")
            _check_joint_count(path, lines, at + 1)
            if len(places) > MOST_BODIES:
                raise InputError(
                    f"{path}, line {at + 1}: more than {MOST_BODIES} body ids; a sample has a few"
                )
            frames.append(frame)
            rows.append(len(starts))
            starts.append(at + 2)
            at += 2 + _JOINTS
            if at > len(lines):
                raise _cut_short(path, lines)
    _check_rest(path, lines, at)
    return starts, places


def _check_joint_count(path: str | os.PathLike, lines: list[bytes], at: int) -> None:
    if _count(path, lines, at, "the number of joints") != _JOINTS:
        said = lines[at].decode()[:20]
        raise InputError(f"{path}, line {at + 1}: {said} joints, expected {_JOINTS}")


def _check_rest(path: str | os.PathLike, lines: list[bytes], at: int) -> None:
    """Refuse a file in which anything but blank lines is left from a line on."""
    for number, line in enumerate(lines[at:], at + 1):
        if line.strip():
            raise InputError(
                f"{path}, line {number}: more than the frames that the first line counts"
            )


def _count(path: str | os.PathLike, lines: list[bytes], at: int, what: str) -> int:
    try:
        count = int(lines[at])
    except IndexError:
        raise _cut_short(path, lines) from None
    except ValueError:
        count = -1
    if not 0 <= count < 2**31:
        raise InputError(f"{path}, line {at + 1}: expected {what}")
    return count


def _cut_short(path: str | os.PathLike, lines: list[bytes]) -> InputError:
    return InputError(f"{path}, line {len(lines)}: the file ends here, cut short")


def _body_id(path: str | os.PathLike, lines: list[bytes], at: int) -> int:
    if at >= len(lines):
        raise _cut_short(path, lines)
    try:
        id, *values = lines[at].split()
        if len(values) == _BODY_COLUMNS - 1:
            return int(id)
    except ValueError:
        pass
    raise InputError(f"{path}, line {at + 1}: expected a body's id and 9 further values")


def _joints(
    path: str | os.PathLike, lines: list[bytes], starts: list[int], regular: bool
) -> np.ndarray:
    """x, y, z and tracking state, float32 `[blocks, 25, 4]`.

    Args:
        path, lines: the file.
        starts: where each block of 25 lines begins.
        regular: whether the file has as many columns as it should; otherwise they are
            counted.
    """
    if not starts:
        return np.empty((0, _JOINTS, 4), np.float32)
    blocks = [lines[start : start + _JOINTS] for start in starts]
    try:
        # All at once, which is many times as fast as block by block.
        values = _numbers(line for block in blocks for line in block)
        values = values.reshape(len(starts), _JOINTS, 4)
        # NaN is not below anything.
        near, states = np.abs(values) < FAR, np.isin(values[..., 3], (0, 1, 2))
        sound = near.all() and states.all()
        if not regular:
            counts = {len(line.split()) for block in blocks for line in block}
            sound = sound and counts == {_COLUMNS}
    except ValueError:
        sound = False
    if not sound:
        number, problem = _first_wrong(lines, starts)
        raise InputError(f"{path}, line {number}: {problem}")
    return values


def _numbers(lines: Iterable[bytes]) -> np.ndarray:
    """x, y, z and tracking state of joints' lines, float32 `[lines, 4]`."""
    return np.loadtxt(
        lines, np.float32, comments=None, usecols=(0, 1, 2, 11), ndmin=2, encoding="latin-1"
    )


def _first_wrong(lines: list[bytes], starts: list[int]) -> tuple[int, str]:
    """Line number of the first line that is not a joint's, and what is wrong."""
    for at in (at for start in starts for at in range(start, start + _JOINTS)):
        count = len(lines[at].split())
        if count != _COLUMNS:
            return at + 1, f"{count} values, expected a joint's {_COLUMNS}"
        try:
            *place, state = _numbers([lines[at]])[0]
        except ValueError:
            return at + 1, "a joint's x, y, z or tracking state is not a number"
        if not (np.abs(place) < FAR).all() or state not in (0, 1, 2):
            return at + 1, (
                f"a joint's x, y or z is not finite or not below {FAR:g} metres, or its "
                "tracking state is not 0, 1 or 2"
            )
    return starts[0] + 1, "the joints from here on cannot be read as columns of numbers"


def find_people(bodies: Iterable[Body]) -> list[Body]:
    """The people among the bodies of a file, the main one first, by the module's rules."""
    bodies = list(bodies)
    people: list[Body] = []
    upright = [body for body in bodies if body.wide.mean() <= WIDE_SHARE]
    for body in sorted(upright or bodies, key=lambda body: body.frames[0]):
        distances = [_distance(person, body) for person in people]
        if min(distances, default=np.inf) <= 1:
            same = people.pop(int(np.argmin(distances)))
            frames = np.append(same.frames, body.frames)
            body = Body(frames, np.concatenate([same.joints, body.joints]))
        people.append(body)
    people = [person for person in people if len(person.frames) >= SHORTEST] or people
    return sorted(people, key=lambda person: -person.motion)


def _distance(person: Body, body: Body) -> float:
    """How far a body begins from where a person was last seen.

    1 is as far as one gets in between; infinite while the person is still there.
    """
    frames = body.frames[0] - person.frames[-1]
    if frames <= 0:
        return np.inf
    begins = body.joints[0, :, :3].mean(axis=0)
    ended = person.joints[-1, :, :3].mean(axis=0)
    moved = np.linalg.norm(begins - ended)
    return float(moved / (REACH + PACE * frames / FPS))


def read_people(path: str | os.PathLike, most: int) -> tuple[int, list[np.ndarray]]:
    """How many people are in a file, and `Body.video` of the first so many of them."""
    people = find_people(read(path))
    return len(people), [person.video() for person in people[:most]]


def read_missing(path: str | os.PathLike) -> set[str]:
    """The samples named in the authors' list, one a line below a heading.

    Raises:
        InputError: the list cannot be read, names no sample, or a line below its first
            name is not a name.
    """
    lines = files.read_text(path, "a list of samples").splitlines()
    names: set[str] = set()
    for number, line in enumerate(lines, 1):
        name = line.strip().removesuffix(".skeleton")
        if _NAME.fullmatch(name):
            names.add(name)
        # Above the first name is a heading.
        elif names and name:
            raise InputError(
                f"{path}, line {number}: {shown(name)} is not of the form SsssCcccPpppRrrrAaaa"
            )
    if not names:
        raise InputError(f"{path}: names no sample of the form SsssCcccPpppRrrrAaaa")
    return names
