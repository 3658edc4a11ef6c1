"""A video of iMiGUE as arrays: keypoints and scores of its frames, from any of the forms.

Frame k is row k of the file, or JSON file number k. A first row of names or of column
numbers is no frame. A joint whose score is 0, or one of whose cells is empty (or an
error's, such as #N/A, in a sheet), was not seen; an empty row is refused, as nothing says
whether it is a frame.

Position says which joint a column is, never a name: the names that go around with these
files are mirrored ("ShoulderLeft" is OpenPose's RShoulder) for shoulders, elbows, hands,
hips, knees, ankles, eyes and ears, and are not for feet and fingers. A header with such
names, or with OpenPose's, is compared with the order of `imigue_files.FORMS` and refused
where it says another one. What the positions cannot say is measured: `orientation`.

This module never imports JAX. Sheets take python-calamine, the extra `xlsx`.
"""

from __future__ import annotations

import array
import dataclasses
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from data_prep import csv_tables, following, openpose_folders, openpose_source, sheets
from data_prep.csv_tables import shown
from data_prep.imigue_files import FORMS, HEIGHT, WIDTH, Files
from data_prep.imigue_report import MANY, ImigueVideoReport
from mgjax import skeleton
from mgjax.errors import InputError

_SKIPPED = {"csv": 1, "xlsx": 0}  # columns before the joints
_TIPS = [joint for joint in skeleton.IMIGUE_22.joints if joint[-1] == "4"]
# What the names that go around mean, by position in the 35-joint form: see above.
_MEANS = dict(
    zip(
        "nose shouldercenter shoulderleft elbowleft handleft shoulderright elbowright handright "
        "hipcenter hipleft kneeleft ankleleft hipright kneeright ankleright eyeleft eyeright "
        "earleft earright toeleft smalltoeleft heelleft toeright smalltoeright heelright "
        "rightfinger1 rightfinger2 rightfinger3 rightfinger4 rightfinger5 "
        "leftfinger1 leftfinger2 leftfinger3 leftfinger4 leftfinger5".split(),
        skeleton.IMIGUE_35.joints,
        strict=True,
    )
)
# "Nose_x", "Nose x", "Nose.y": a joint and which of its numbers.
_AXIS = re.compile(r"(.+?)[ _.:-]+(x|y)")


def frame_rows(files: Files) -> Iterator[tuple[int, Sequence]]:
    """Row number and cells of each frame of a csv file or a sheet; an empty cell is "".

    Raises:
        InputError: the file is damaged, its header names joints in another order than the
            form's, or a row is empty.
    """
    rows = _csv_rows(files.path) if files.form == "csv" else sheets.read_rows(files.path)
    for number, (row, cells) in enumerate(rows):
        if all(cell == "" for cell in cells):
            raise InputError(
                f"{files.path}, row {row}: empty; nothing says whether it is a frame: take it "
                "away, or fill it with zeros"
            )
        if number or not _is_header(cells[_SKIPPED[files.form] :], files):
            yield row, cells


def _csv_rows(path: str | os.PathLike) -> Iterator[tuple[int, list[str]]]:
    separator, rows = csv_tables.read_rows(path)
    for row, cells in rows:
        # As where a spreadsheet writes semicolons, numbers have a decimal comma.
        yield row, [cell.replace(",", ".") for cell in cells] if separator == ";" else cells


def _is_header(cells: Sequence, files: Files) -> bool:
    """Whether a first row is no frame.

    No cell of a header is a number, or they count up by one as columns do.

    Raises:
        InputError: it names joints in another order than the form's.
    """
    filled = [cell for cell in cells if cell != ""]
    numbers = [number for cell in filled if (number := _number(cell)) is not None]
    # Position counts, but a header that contradicts it is a sign of another file.
    if filled and not numbers:
        _check_names([str(cell) for cell in cells], files)
        return True
    if len(filled) < 2 or len(numbers) < len(filled):
        return False
    with np.errstate(invalid="ignore"):  # "inf" and "nan" are numbers too
        return bool((np.diff(numbers) == 1).all())


def _number(cell: Any) -> float | None:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None


def _check_names(cells: Sequence[str], files: Files) -> None:
    """Refuse a header that names a known joint, or an axis of it, in another place."""
    joints = FORMS[files.form].joints
    places = {joint.lower(): place for place, joint in enumerate(joints)}
    places |= {name: joints.index(joint) for name, joint in _MEANS.items()}
    for column, cell in enumerate(cells[: 3 * len(joints)]):
        name, axis, here = cell.strip().lower(), "", "xyc"[column % 3]
        # The pattern takes time that grows with the square of a name's length.
        if name not in places and len(name) < 100 and (match := _AXIS.fullmatch(name)):
            name, axis = match.groups()
        if name in places and (places[name] != column // 3 or axis not in ("", here)):
            raise InputError(
                f"{files.path}: its header has {cell.strip()!r} where this form has {here} of "
                f"OpenPose's {joints[column // 3]}; files in another order cannot be packed"
            )


def count_frames(files: Files) -> int:
    """Number of frames of a video.

    Raises:
        InputError: as `frame_rows`, or the file holds no frame.
    """
    if files.form == "json":
        return _recording(files).length
    # The rows are read a second time later: all videos' frames would not fit the memory.
    frames = sum(1 for _ in frame_rows(files))
    if not frames:
        raise InputError(f"{files.path}: holds no frame")
    return frames


def read_points(files: Files) -> np.ndarray:
    """All frames of a csv file or a sheet.

    Returns:
        float32 `[T, joints of FORMS[form], 3]`: x and y in pixels and the score; (0, 0, 0)
        where a cell is empty.

    Raises:
        InputError: as `frame_rows`, a row has another number of columns, or a cell is no
            number or infinite.
    """
    joints, skipped = len(FORMS[files.form]), _SKIPPED[files.form]
    numbers = []
    for row, cells in frame_rows(files):
        where = f"{files.path}, row {row}"
        if len(cells) != skipped + 3 * joints:
            first = "one that is skipped, then " if skipped else ""
            raise InputError(
                f"{where}: {len(cells)} columns, expected {skipped + 3 * joints}: {first}{joints} "
                "x (x, y, score)"
            )
        numbers.append(_row_numbers(where, cells[skipped:]))
    with np.errstate(over="ignore"):  # a number that float32 cannot hold becomes infinite
        points = np.array(numbers, np.float32)
    points = points.reshape(len(numbers), joints, 3)
    infinite = np.isinf(points).any(axis=(1, 2))
    if infinite.any():
        raise InputError(f"{files.path}: frame {infinite.argmax()} has an infinite number")
    # NaN stands for an empty cell: of a joint that lacks one nothing is believed.
    points[np.isnan(points).any(axis=-1)] = 0
    return points


def _row_numbers(where: str, cells: Sequence) -> array.array:
    """A row as float64, NaN for empty cells; 8 bytes a number, as there are millions."""
    try:
        return array.array("d", [np.nan if cell == "" else float(cell) for cell in cells])
    except (TypeError, ValueError):
        wrong = next(cell for cell in cells if cell != "" and _number(cell) is None)
        raise InputError(f"{where}: {shown(wrong)} is not a number") from None


def _recording(files: Files) -> openpose_folders.Recording:
    """A folder of frames, which begins at frame 0 even if there is no file of that number."""
    # It has frames, as `imigue_files.find` has seen them, and is looked into alone.
    (recording,), _ = openpose_folders.find_recordings(files.path)
    return dataclasses.replace(recording, first=0)


def read_video(
    files: Files,
    source: openpose_source.Source,
    person: following.Choice | int,
    clips: Sequence[tuple[int, int, int | None]],
    subject: str,
    emotion: str,
) -> tuple[ImigueVideoReport, np.ndarray, np.ndarray]:
    """A video as it is stored.

    Args:
        files, clips: of the video; clips as `imigue_files.read_labels` gives them.
        source, person: as in `following.read_recording`.
        subject, emotion: for the report.

    Returns:
        Its report, float32 keypoints `[T, V, 2]` and score `[T, V]`.

    Raises:
        InputError: as `read_points`, or a JSON file is damaged.
    """
    keypoints, score, gaps, several = _read_frames(files, source, person)
    seen = score > 0
    beyond = (keypoints < 0) | (keypoints > (WIDTH, HEIGHT))
    unseen = ~seen.any(axis=1)
    outside = seen & beyond.any(axis=-1)
    labels = [label for *_, label in clips if label is not None]
    same_label = len(labels) >= MANY and len(set(labels)) == 1
    facing, own_hand = orientation(keypoints, score, source.layout)
    report = ImigueVideoReport(
        files.id,
        files.form,
        subject,
        emotion,
        frames=len(score),
        unseen=int(unseen.sum()),
        clips=len(clips),
        labelled=len(labels),
        same_label=same_label,
        joints=int(seen.sum()),
        outside=int(outside.sum()),
        facing=facing,
        own_hand=own_hand,
        gaps=gaps,
        several=several,
    )
    return report, keypoints, score


def _read_frames(
    files: Files, source: openpose_source.Source, person: following.Choice | int
) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Keypoints `[T, V, 2]`, score `[T, V]`, and `gaps` and `several` of the report."""
    if files.form != "json":
        points = read_points(files)[:, source.layout.cut(FORMS[files.form])]
        return points[..., :2], points[..., 2], 0, 0
    followed = following.read_recording(_recording(files), source, person, WIDTH)
    # A benchmark that quietly lacks frames gives figures that compare with nothing.
    for path, reason in followed.damaged:
        raise InputError(
            f"{path}: {reason}; without that file the frame is one in which nobody is seen"
        )
    found = followed.report
    return followed.keypoints, followed.score, found.gaps, found.several


def orientation(
    keypoints: np.ndarray, score: np.ndarray, layout: skeleton.Layout
) -> tuple[float, float]:
    """How left and right lie in the pictures.

    Somebody who faces the camera has the right shoulder left in the picture, and a hand's
    own fingers are nearest to its own wrist unless hands are crossed. Where either is so
    in less than half of the frames, the file's left and right are probably swapped.

    Args:
        keypoints, score: `[T, V, 2]` and `[T, V]`.
        layout: one with shoulders, wrists and fingertips.

    Returns:
        `facing` and `own_hand` of `ImigueVideoReport`.
    """
    seen, shoulders = score > 0, layout.index("RShoulder", "LShoulder")
    both = seen[:, shoulders].all(axis=1)
    # x of each, where both are seen.
    right, left = keypoints[both][:, shoulders, 0].T
    wrists = layout.index("RWrist", "LWrist")
    near: list[bool] = []
    for own, side in enumerate("RL"):
        # Of each finger the fourth point, which OpenPose numbers from the palm.
        tips = layout.index(*(joint for joint in _TIPS if joint[0] == side))
        whole = seen[:, [*wrists, *tips]].all(axis=1)
        hands = keypoints[whole]
        middle = hands[:, tips].mean(axis=1)
        ways = hands[:, wrists] - middle[:, None]
        apart = np.linalg.norm(ways, axis=-1)
        is_near = apart[:, own] < apart[:, 1 - own]
        near += is_near.tolist()
    facing = float((right < left).mean()) if both.any() else np.nan
    return facing, float(np.mean(near)) if near else np.nan
