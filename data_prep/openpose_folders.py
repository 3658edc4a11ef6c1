"""OpenPose's files in their folders: which recordings there are, and which frame a file is.

A recording is a folder of files such as `video_000000000007_keypoints.json`; the last
number of a name is the frame's number. It runs from the lowest to the highest number
there is, and a number without a file is a gap: a frame in which nothing was seen.

This module needs the standard library only.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import string
from collections.abc import Iterator

from data_prep import csv_tables
from mgjax.errors import InputError

# Frames read at a time: enough to hide a process's overhead, few enough to share the work.
CHUNK = 256
DIGITS = 18  # of a frame number, so that it is an int64
SPARSEST = 100  # a recording with fewer than one file in so many numbers is not numbered by frames
_LAST_NUMBER = re.compile(r"([0-9]+)[^0-9]*$").search


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


def find_recordings(folder: str | os.PathLike[str]) -> tuple[list[Recording], Aside]:
    """The recordings of a folder of frames, or of a folder of such folders.

    Returns:
        The recordings, one or by the folders' names, and what else lies there.

    Raises:
        InputError: the folder is missing or without any frame, holds frames beside
            folders, or a recording's names are wrong.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        problem = "is a file, expected a folder" if folder.exists() else "no such folder"
        raise InputError(f"{folder}: {problem} of OpenPose's .json files, or of such folders")
    names, others = frame_files(folder)
    folders = sorted(path for path in folder.iterdir() if path.is_dir())
    inside = [path for path in folders if not path.name.startswith(".")]
    if not names and not inside:
        besides = f" ({others} other files)" if others else ""
        raise InputError(
            f"{folder}: the folder holds no .json file{besides}; expected OpenPose's frames, or "
            "folders of them"
        )
    if names and inside:
        raise InputError(
            f"{folder}: holds both .json files and the folder {inside[0].name}; expected one "
            "folder of frames, or a folder of such folders"
        )
    if names:
        return [_recording(folder, names)], Aside(others)
    return _recordings_inside(folder, inside, others)


def _recordings_inside(
    folder: pathlib.Path, inside: list[pathlib.Path], others: int
) -> tuple[list[Recording], Aside]:
    recordings, without = [], []
    for path in inside:
        names, count = frame_files(path)
        others += count
        if names:
            recordings.append(_recording(path, names))
        else:
            # It is printed, and so has to be text like the others.
            _check_name(path, "folder")
            without.append(path.name)
    if not recordings:
        raise InputError(
            f"{folder}: none of its {len(without)} folders, such as {without[0]}, holds a .json "
            "file; expected each to hold the frames of one video"
        )
    return recordings, Aside(others, tuple(without))


def _recording(folder: pathlib.Path, names: dict[int, str]) -> Recording:
    path = os.path.abspath(folder)
    _check_name(pathlib.Path(path), "folder")
    first, last = min(names), max(names)
    # Dates or times of day, say: a store of that many frames would fill the disk.
    if last - first + 1 > SPARSEST * len(names):
        raise InputError(
            f"{folder}: its {len(names)} files are numbered from {first} to {last}: these are not "
            "frame numbers"
        )
    return Recording(os.path.basename(path), str(folder), first, last, len(names))


def chunks(recording: Recording) -> Iterator[tuple[str, dict[int, str]]]:
    """(folder, file names by frame number) for `read_frames`, CHUNK frames at a time, in order."""
    names = list(frame_files(recording.folder)[0].items())
    for start in range(0, len(names), CHUNK):
        yield recording.folder, dict(names[start : start + CHUNK])


def frame_files(folder: str | os.PathLike[str]) -> tuple[dict[int, str], int]:
    """The files of a recording by frame number, in order, and the number of other files there.

    Files that do not end in .json, and hidden files, are the others.

    Raises:
        InputError: a name without a number or that is no text, or two files with the same
            number.
    """
    try:
        with os.scandir(os.fspath(folder)) as found:
            entries = sorted([entry.name for entry in found if not _is_folder(entry)])
    except OSError as error:
        raise InputError(f"{folder}: the folder cannot be read ({error.strerror})") from None
    # Nearly every folder was written by a program; its names are told in half the time.
    alike = _named_alike(entries)
    if alike is not None:
        return alike, 0
    names: dict[int, str] = {}
    others = 0
    for name in entries:
        if name.startswith(".") or not name.lower().endswith(".json"):
            others += 1
            continue
        path = pathlib.Path(folder, name)
        _check_name(path, "file")
        number = frame_number(name)
        if number is None:
            raise InputError(
                f"{path}: no frame number in the file's name, or one of more than {DIGITS} digits; "
                "expected a name such as video_000000000007_keypoints.json"
            )
        if number in names:
            raise InputError(f"{path}: same frame number {number} as {names[number]} beside it")
        names[number] = name
    return dict(sorted(names.items())), others


def frame_number(name: str) -> int | None:
    """The last number in a file's name; None without one, or of more than DIGITS digits.

    >>> frame_number("cam01_000000000007_keypoints.json")
    7
    """
    found = _LAST_NUMBER(name)
    if not found or len(found[1].lstrip("0")) > DIGITS:
        return None
    return int(found[1])


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _check_name(path: pathlib.Path, kind: str) -> None:
    # The path is shown as ASCII, for a name that is no text could not be printed.
    csv_tables.check_text(ascii(str(path)), f"the {kind}'s name", path.name)


def _named_alike(entries: list[str]) -> dict[int, str] | None:
    """As `frame_files`, of sorted names that differ in one number only; None of any others."""
    if len(entries) < 2:
        return None
    # Whatever is sorted between two names begins as both do.
    begin = os.path.commonprefix([entries[0], entries[-1]])  # noqa: RUF071 (of characters)
    start = len(begin.rstrip(string.digits))
    end = entries[0][start:].lstrip(string.digits)
    hidden = entries[0].startswith(".")
    if hidden or not end.lower().endswith(".json") or set(end) & set(string.digits):
        return None
    numbers = [name[start : -len(end)] for name in entries if name.endswith(end)]
    # One look at all the digits together is faster than one at each name.
    digits = "".join(numbers)
    if not (digits.isdecimal() and digits.isascii() and all(numbers)):
        return None
    # Such numbers, and names that may be no text, are looked at one by one.
    if max(map(len, numbers)) > DIGITS or not entries[0].isascii():
        return None
    names = dict(zip(map(int, numbers), entries))
    # Fewer numbers than names: one name ends otherwise, or a number is there as 1 and 01.
    return dict(sorted(names.items())) if len(names) == len(entries) else None
