r"""iMiGUE's files: what lies in a folder of them, and the clips of a video.

Below a folder, in any subfolders (train, validate, test ...), each video has its
keypoints in one of the forms that are in use, and perhaps its labels:

  <id>_light_hand.csv  a row a frame: a column that is skipped, then 35 joints x (x, y, score):
                       BODY_25, five finger points of the right hand, five of the left
  <id>_openpose.xlsx   a row a frame, in the first sheet: 137 joints x (x, y, score): 0-24
                       BODY_25, 25-94 face, 95-115 left hand, 116-136 right hand
  <id>/*.json          OpenPose's JSON, a file a frame; the last number of a name is the
                       frame's, from 0
  <id>_label.csv       a row a clip: label,start,end: frames from 0, `end` included; label 1 to
                       32 is class C1 to C32 of the paper, 99 is C32 too, and an empty one is a
                       clip without a label

`data_prep/imigue_frames.py` reads the keypoints. This module never imports JAX.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
from typing import Any, Literal

from data_prep import csv_tables
from mgjax import protocols, skeleton
from mgjax.errors import InputError

Form = Literal["csv", "xlsx", "json"]

# The joints that each form holds, in the order of its columns.
FORMS: dict[Form, skeleton.Layout] = {
    "csv": skeleton.IMIGUE_35,
    "xlsx": skeleton.OPENPOSE_137,
    "json": skeleton.OPENPOSE_137,
}
WIDTH, HEIGHT, FPS = 1280, 720, 25  # of all videos
ID = re.compile(r"[0-9]{1,4}")
_WHOLE = re.compile(r"-?[0-9]{1,15}")  # Python reads endless ones only slowly
_NAMES = {"csv": "<id>_light_hand.csv", "json": "<id>/*.json", "xlsx": "<id>_openpose.xlsx"}
# What a file is, by the name of the group that matches.
_NAME = re.compile(
    r"([0-9]{1,4})(?:(?P<csv>_light_hand\.csv)|(?P<xlsx>_openpose\.xlsx)|(?P<label>_label\.csv))",
    re.IGNORECASE,
)
_NO_CLASS = 31  # label of C32, which the files call 32 or 99


@dataclasses.dataclass(frozen=True)
class Files:
    """A video's files.

    Attributes:
        id: of four digits.
        form: of its keypoints.
        path: of its keypoints; of the folder, where they are JSON.
        labels: path of its labels, or None.
    """

    id: str
    form: Form
    path: str
    labels: str | None


def find(input: str | os.PathLike, form: Form | None = None) -> tuple[list[Files], tuple[str, ...]]:
    """The videos below a folder, and what lies there without keypoints.

    Args:
        input: the folder.
        form: one of FORMS, to leave the others aside; None takes all.

    Returns:
        The videos by id, and the ids of which there are labels or a folder but no keypoints.

    Raises:
        InputError: the folder is missing or holds no keypoints, or an id's keypoints or
            labels are there twice.
    """
    folder = pathlib.Path(input)
    _check_folder(folder, form)
    keypoints: dict[str, tuple[Form, str]] = {}
    labels: dict[str, str] = {}
    named: set[str] = set()  # ids of folders
    for where, folders, names in os.walk(folder, onerror=_unreadable):
        # So that what is there twice is reported alike on every file system.
        folders.sort()
        own = os.path.basename(os.path.abspath(where))
        if ID.fullmatch(own):
            named.add(_four_digits(own))
        for id, kind, path in _files_in(where, own, names):
            if kind == "label":
                if id in labels:
                    raise InputError(f"{path}: video {id} is there already, as {labels[id]}")
                labels[id] = path
            elif form in (None, kind):
                if id in keypoints:
                    raise InputError(
                        f"{path}: video {id} is there already, as {keypoints[id][1]}; --form takes "
                        "files of one form only"
                    )
                keypoints[id] = kind, path
    if not keypoints:
        expected = " or ".join(name for kind, name in _NAMES.items() if form in (None, kind))
        raise InputError(f"{folder}: no keypoints of iMiGUE in it; expected {expected}")
    found = [Files(id, *keypoints[id], labels.get(id)) for id in sorted(keypoints)]
    without = (named | set(labels)) - set(keypoints)
    return found, tuple(sorted(without))


def _check_folder(folder: pathlib.Path, form: str | None) -> None:
    if form is not None and form not in FORMS:
        raise InputError(f"form {form!r}: expected one of {', '.join(FORMS)}")
    if not folder.is_dir():
        problem = "is a file, expected a folder" if folder.exists() else "no such folder"
        raise InputError(f"{folder}: {problem} of iMiGUE's files")


def _files_in(where: str, own: str, names: list[str]) -> list[tuple[str, Any, str]]:
    """Id, kind (a form, or "label") and path of what iMiGUE calls so, in one folder.

    Args:
        where: the folder's path.
        own: its own name, which is the id of JSON files in it.
        names: of the files in it.
    """
    here = []
    for name in names:
        if match := _NAME.fullmatch(name):
            here.append((match[1], match.lastgroup, os.path.join(where, name)))
    # Hidden files are some system's own.
    shown = [name.lower() for name in names if not name.startswith(".")]
    if ID.fullmatch(own) and any(name.endswith(".json") for name in shown):
        here.append((own, "json", where))
    return [(_four_digits(id), kind, path) for id, kind, path in sorted(here)]


def _four_digits(id: str) -> str:
    return f"{int(id):04}"


def _unreadable(error: OSError) -> None:
    raise InputError(f"{error.filename}: the folder cannot be read ({error.strerror})")


def read_labels(path: str | os.PathLike, frames: int) -> list[tuple[int, int, int | None]]:
    """The clips of a label file, in its order.

    Args:
        path: a CSV file of label,start,end; a first row that says so is left out.
        frames: the number of frames of the video.

    Returns:
        Start, length and label (0 to 31, or None) of each.

    Raises:
        InputError: the file cannot be read, a value is wrong, or a clip lies outside the
            video.
    """
    clips = []
    separator, rows = csv_tables.read_rows(path)
    for number, (line, row) in enumerate(rows):
        cells = [cell.strip() for cell in row]
        heading = [cell.lower() for cell in cells] == ["label", "start", "end"]
        if not any(cells) or (heading and not number):
            continue
        where = f"{path}, line {line}"
        if len(cells) != 3:
            raise InputError(
                f"{where}: {len(cells)} values, expected three: label,start,end (the values are "
                f"separated by {csv_tables.SEPARATORS[separator]})"
            )
        clips.append(_clip(where, cells, frames))
    return clips


def _clip(where: str, cells: list[str], frames: int) -> tuple[int, int, int | None]:
    """Start, length and label of a row of label,start,end."""
    named, *ends = cells
    if not all(_WHOLE.fullmatch(cell) for cell in (*ends, named or "99")):
        raise InputError(
            f"{where}: {','.join(cells)[:100]} are not whole numbers; expected label,start,end"
        )
    label = None
    if named:
        # In the files classes count from 1.
        label = _NO_CLASS if named == "99" else int(named) - 1
        if not 0 <= label < len(protocols.IMIGUE_CLASSES):
            raise InputError(
                f"{where}: label is {named}, expected 1 to 32 or 99, or nothing for a clip "
                "without one"
            )
    # In the files the end is the last frame; a store's clip has a length.
    start, end = map(int, ends)
    if not 0 <= start <= end < frames:
        raise InputError(
            f"{where}: frames {start} to {end} lie outside the video, whose {frames} frames are "
            f"numbered 0 to {frames - 1}, or end before they start"
        )
    return start, end - start + 1, label
