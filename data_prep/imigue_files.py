r"""iMiGUE's files: what lies in a folder of them, and a video's keypoints and clips as arrays.

Below a folder, in any subfolders (train, validate, test ...), each video has its keypoints in one
of the forms that are in use, and perhaps its labels:

  <id>_light_hand.csv  a row a frame: a column that is skipped, then 35 joints x (x, y, score):
                       BODY_25, five finger points of the right hand, five of the left
  <id>_openpose.xlsx   a row a frame, in the first sheet: 137 joints x (x, y, score): 0-24
                       BODY_25, 25-94 face, 95-115 left hand, 116-136 right hand
  <id>/*.json          OpenPose's JSON, a file a frame; the last number of a name is the frame's,
                       from 0
  <id>_label.csv       a row a clip: label,start,end: frames from 0, `end` included; label 1 to 32
                       is class C1 to C32 of the paper, 99 is C32 too, and an empty one is a clip
                       without a label

Frame k is row k of the file, or JSON file number k. A first row of names or of column numbers is
no frame. A joint whose score is 0, or one of whose cells is empty (or an error's, such as #N/A,
in a sheet), was not seen; an empty row is refused, as nothing says whether it is a frame.

Position says which joint a column is, never a name: the names that go around with these files are
mirrored ("ShoulderLeft" is OpenPose's RShoulder) for shoulders, elbows, hands, hips, knees,
ankles, eyes and ears, and are not for feet and fingers. A header with such names, or with
OpenPose's, is compared with the order above and refused where it says another one. What the
positions cannot say is measured: `orientation`.

This module never imports JAX. Sheets take python-calamine, the extra `xlsx`.
"""

from __future__ import annotations

import array
import dataclasses
import io
import os
import pathlib
import re
import zipfile
from collections.abc import Iterator, Sequence

import numpy as np

from data_prep import csv_tables, following, openpose_folders, openpose_source
from mgjax import protocols, skeleton
from mgjax.errors import InputError
from mgjax.files import read_bytes

WIDTH, HEIGHT = 1280, 720
# The joints that each form holds, in the order of its columns.
FORMS = {"csv": skeleton.IMIGUE_35, "xlsx": skeleton.OPENPOSE_137, "json": skeleton.OPENPOSE_137}
MANY = 10  # from so many clips of a video on, one class for all is hardly a label
ID = re.compile(r"[0-9]{1,4}")
_WHOLE = re.compile(r"-?[0-9]{1,15}")
LARGEST_SHEET, LARGEST_BOOK = 2**27, 2**30  # bytes of an .xlsx file, as it is and unpacked
_PART = re.compile(r"(xl/|xl/worksheets/|xl/_rels/|_rels/|)[^/]*\.(xml|rels)", re.IGNORECASE)
_FAR = re.compile(rb"""r(?<![:\w]r)\s*=\s*["'](?:[A-Za-z]{3,}[0-9]|[A-Za-z]{0,2}[0-9]{6})""")
_SKIPPED = {"csv": 1, "xlsx": 0}  # columns before the joints
_NAMES = {"csv": "<id>_light_hand.csv", "json": "<id>/*.json", "xlsx": "<id>_openpose.xlsx"}
_NAME = re.compile(
    r"([0-9]{1,4})(?:(?P<csv>_light_hand\.csv)|(?P<xlsx>_openpose\.xlsx)|(?P<label>_label\.csv))",
    re.IGNORECASE,
)
# What the names that go around mean, by position in the 35-joint form: see the module's docstring.
_MEANS = dict(
    zip(
        "nose shouldercenter shoulderleft elbowleft handleft shoulderright elbowright handright "
        "hipcenter hipleft kneeleft "
        "ankleleft hipright kneeright ankleright eyeleft eyeright earleft earright toeleft "
        "smalltoeleft heelleft toeright "
        "smalltoeright heelright rightfinger1 rightfinger2 rightfinger3 rightfinger4 rightfinger5 "
        "leftfinger1 leftfinger2 "
        "leftfinger3 leftfinger4 leftfinger5".split(),
        skeleton.IMIGUE_35.joints,
        strict=True,
    )
)
_AXIS = re.compile(r"(.+?)[ _.:-]+(x|y)")


@dataclasses.dataclass(frozen=True)
class Files:
    """A video's files: its id of four digits, the form and path of its keypoints, and its
    labels' path or None.
    """

    id: str
    form: str
    path: str
    labels: str | None


@dataclasses.dataclass(frozen=True)
class ImigueVideoReport:
    """What was packed of one video.

    Attributes:
        id, form, subject, emotion: as in the store; form is one of FORMS.
        frames: its number of frames.
        unseen: frames without a seen joint.
        clips, labelled: its clips, and those with a label.
        same_label: whether its clips, at least ten, all have one label.
        joints: joints seen, over all frames.
        outside: those of them that lie outside the picture of 1280 x 720 pixels.
        facing: share of the frames with both shoulders in which the right one lies left in the
            picture; nan without.
        own_hand: share of the hands whose finger points lie nearer to their own wrist than to the
            other; nan without.
        gaps, several: frames without a JSON file, and with more than one person; 0 in the other
            forms.
    """

    id: str
    form: str
    subject: str
    emotion: str
    frames: int
    unseen: int
    clips: int
    labelled: int
    same_label: bool
    joints: int
    outside: int
    facing: float
    own_hand: float
    gaps: int
    several: int


def find(input, form: str | None = None) -> tuple[list[Files], tuple[str, ...]]:
    """The videos below a folder, by id, and the ids of which there are labels or a folder but no
    keypoints.

    Args:
        input: the folder.
        form: one of FORMS, to leave the others aside; None takes all.

    Raises:
        InputError: the folder is missing or holds no keypoints, or an id's keypoints or labels
            are there twice.
    """
    folder = pathlib.Path(input)
    if form is not None and form not in FORMS:
        raise InputError(f"form {form!r}: expected one of {', '.join(FORMS)}")
    if not folder.is_dir():
        raise InputError(
            f"{folder}: "
            + ("is a file, expected a folder" if folder.exists() else "no such folder")
            + " of iMiGUE's files"
        )
    keypoints, labels, named = {}, {}, set()
    for where, folders, names in os.walk(folder, onerror=_unreadable):
        folders.sort()
        here = [
            (match[1], match.lastgroup, name) for name in names if (match := _NAME.fullmatch(name))
        ]
        own = os.path.basename(os.path.abspath(where))
        if ID.fullmatch(own):
            named.add(f"{int(own):04}")
            if any(name.lower().endswith(".json") and not name.startswith(".") for name in names):
                here.append((own, "json", ""))
        for id, kind, name in sorted(here):
            if kind != "label" and form not in (None, kind):
                continue
            id, path = f"{int(id):04}", os.path.join(where, name) if name else where
            table = labels if kind == "label" else keypoints
            if id in table:
                raise InputError(
                    f"{path}: video {id} is there already, as {table[id][1]}"
                    + ("" if kind == "label" else "; --form takes files of one form only")
                )
            table[id] = kind, path
    if not keypoints:
        names = " or ".join(name for kind, name in _NAMES.items() if form in (None, kind))
        raise InputError(f"{folder}: no keypoints of iMiGUE in it; expected {names}")
    found = [
        Files(id, *keypoints[id], labels[id][1] if id in labels else None)
        for id in sorted(keypoints)
    ]
    return found, tuple(sorted((named | set(labels)) - set(keypoints)))


def _unreadable(error: OSError):
    raise InputError(f"{error.filename}: the folder cannot be read ({error.strerror})")


def read_labels(path, frames: int) -> list[tuple[int, int, int | None]]:
    """The clips of a label file, in its order: start, length and label (0 to 31, or None) of each.

    Args:
        path: a CSV file of label,start,end; a first row that says so is left out.
        frames: the number of frames of the video.

    Raises:
        InputError: the file cannot be read, a value is wrong, or a clip lies outside the video.
    """
    clips = []
    separator, rows = csv_tables.read_rows(path)
    for number, (line, cells) in enumerate(rows):
        where, cells = f"{path}, line {line}", [cell.strip() for cell in cells]
        heading = [cell.lower() for cell in cells] == ["label", "start", "end"]
        if not any(cells) or (heading and not number):
            continue
        if len(cells) != 3:
            raise InputError(
                f"{where}: {len(cells)} values, expected three: label,start,end (the "
                f"values are separated by {csv_tables.SEPARATORS[separator]})"
            )
        if not all(_WHOLE.fullmatch(cell) for cell in cells[1:] + [cells[0] or "99"]):
            raise InputError(
                f"{where}: {','.join(cells)[:100]} are not whole numbers; expected label,start,end"
            )
        start, end = int(cells[1]), int(cells[2])
        label = 31 if cells[0] == "99" else int(cells[0]) - 1 if cells[0] else None
        if label is not None and not 0 <= label < len(protocols.IMIGUE_CLASSES):
            raise InputError(
                f"{where}: label is {cells[0]}, expected 1 to 32 or 99, or nothing "
                "for a clip without one"
            )
        if not 0 <= start <= end < frames:
            raise InputError(
                f"{where}: frames {start} to {end} lie outside the video, whose "
                f"{frames} frames are "
                f"numbered 0 to {frames - 1}, or end before they start"
            )
        clips.append((start, end - start + 1, label))
    return clips


def frame_rows(files: Files) -> Iterator[tuple[int, Sequence]]:
    """Row number and cells of each frame of a csv file or a sheet; an empty cell is "".

    Raises:
        InputError: the file is damaged, its header names joints in another order than the form's,
            or a row is empty.
    """
    rows = _csv_rows(files.path) if files.form == "csv" else _sheet_rows(files.path)
    for number, (row, cells) in enumerate(rows):
        if all(cell == "" for cell in cells):
            raise InputError(
                f"{files.path}, row {row}: empty; nothing says whether it is a "
                "frame: take it away, or "
                "fill it with zeros"
            )
        if number or not _is_header(cells[_SKIPPED[files.form] :], files):
            yield row, cells


def _csv_rows(path) -> Iterator[tuple[int, list[str]]]:
    separator, rows = csv_tables.read_rows(path)
    for row, cells in rows:
        # As where a spreadsheet writes semicolons, numbers have a decimal comma.
        yield row, [cell.replace(",", ".") for cell in cells] if separator == ";" else cells


def _sheet_rows(path) -> Iterator[tuple[int, list]]:
    """Number and cells of each row of a workbook's first sheet, up to its last value in both
    directions.
    """
    try:
        import python_calamine  # here, for it is an extra
    except ImportError:
        raise InputError(
            f"{path}: reading a sheet takes python-calamine: pip install 'mgjax[xlsx]'"
        ) from None
    book = _book(path)
    try:
        first = python_calamine.load_workbook(book).get_sheet_by_index(0)
        rows = first.to_python(skip_empty_area=False)
    except (OSError, python_calamine.CalamineError) as error:
        raise _no_sheet(path, error) from None
    for cells in rows:
        while cells and cells[-1] == "":
            cells.pop()
    while rows and not rows[-1]:
        rows.pop()
    return enumerate(rows, 1)


def _book(path) -> io.BytesIO:
    """A workbook as a zip file that is not packed, of the parts that hold cells and nothing else.

    What is in there has then its true size, and no cell lies so far out that the rectangle of all
    would fill the memory: the library that reads it asks neither.

    Raises:
        InputError: it cannot be read, is no workbook, or is too large.
    """
    data, unpacked = io.BytesIO(read_bytes(path, "a sheet (.xlsx)", LARGEST_SHEET)), io.BytesIO()
    try:
        with zipfile.ZipFile(data) as book, zipfile.ZipFile(unpacked, "w") as copy:
            parts = [part for part in book.infolist() if _PART.fullmatch(part.filename)]
            size = sum(part.file_size for part in parts)
            if size > LARGEST_BOOK:
                raise InputError(
                    f"{path}: its sheets have {size} bytes when unpacked, expected at "
                    f"most {LARGEST_BOOK}"
                )
            for part in parts:
                content = book.read(part)
                if _FAR.search(content):
                    raise InputError(f"{path}: a cell lies beyond row 99999 or column 702 (ZZ)")
                copy.writestr(part.filename, content)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # a damaged zip file can make its reader raise anything
        raise _no_sheet(path, error) from None
    unpacked.seek(0)
    return unpacked


def _no_sheet(path, error) -> InputError:
    return InputError(f"{path}: not a whole sheet, damaged or cut short ({str(error)[:200]})")


def _is_header(cells: Sequence, files: Files) -> bool:
    """Whether a first row is a header: no cell of it is a number, or they count up by one as
    columns do.

    Raises:
        InputError: it names joints in another order than the form's.
    """
    numbers = [_number(cell) for cell in cells if cell != ""]
    if numbers and set(numbers) == {None}:
        _check_names([str(cell) for cell in cells], files)
        return True
    with np.errstate(invalid="ignore"):
        return len(numbers) > 1 and None not in numbers and bool((np.diff(numbers) == 1).all())


def _number(cell) -> float | None:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None


def _check_names(cells: Sequence[str], files: Files):
    """Refuse a header that names a known joint, or an axis of it, in another place than it has
    in the form.
    """
    joints = FORMS[files.form].joints
    places = {joint.lower(): place for place, joint in enumerate(joints)}
    places |= {name: joints.index(joint) for name, joint in _MEANS.items()}
    for column, cell in enumerate(cells[: 3 * len(joints)]):
        name, axis, here = cell.strip().lower(), "", "xyc"[column % 3]
        if name not in places and len(name) < 100 and (match := _AXIS.fullmatch(name)):
            name, axis = match.groups()
        if name in places and (places[name] != column // 3 or axis not in ("", here)):
            raise InputError(
                f"{files.path}: its header has {cell.strip()!r} where this form has "
                f"{here} of OpenPose's "
                f"{joints[column // 3]}; files in another order cannot be packed"
            )


def count_frames(files: Files) -> int:
    """Number of frames of a video.

    Raises:
        InputError: as `frame_rows`, or the file holds no frame.
    """
    if files.form == "json":
        return _recording(files).length
    frames = sum(1 for _ in frame_rows(files))
    if not frames:
        raise InputError(f"{files.path}: holds no frame")
    return frames


def read_points(files: Files) -> np.ndarray:
    """All frames of a csv file or a sheet.

    Returns:
        float32 `[T, joints of FORMS[form], 3]`: x and y in pixels and the score; (0, 0, 0) where
        a cell is empty.

    Raises:
        InputError: as `frame_rows`, a row has another number of columns, or a cell is no number
            or infinite.
    """
    joints, skipped, numbers = len(FORMS[files.form]), _SKIPPED[files.form], []
    for row, cells in frame_rows(files):
        if len(cells) != skipped + 3 * joints:
            raise InputError(
                f"{files.path}, row {row}: {len(cells)} columns, expected "
                f"{skipped + 3 * joints}: "
                + ("one that is skipped, then " if skipped else "")
                + f"{joints} x "
                "(x, y, score)"
            )
        cells = cells[skipped:]
        try:
            row_numbers = [np.nan if cell == "" else float(cell) for cell in cells]
            numbers.append(array.array("d", row_numbers))
        except (TypeError, ValueError):
            wrong = next(cell for cell in cells if cell != "" and _number(cell) is None)
            raise InputError(
                f"{files.path}, row {row}: {csv_tables.shown(wrong)} is not a number"
            ) from None
    with np.errstate(over="ignore"):  # a number that float32 cannot hold becomes infinite
        points = np.array(numbers, np.float32).reshape(len(numbers), joints, 3)
    if np.isinf(points).any():
        raise InputError(
            f"{files.path}: frame {np.isinf(points).any(axis=(1, 2)).argmax()} has "
            "an infinite number"
        )
    points[np.isnan(points).any(axis=-1)] = 0
    return points


def _recording(files: Files) -> openpose_folders.Recording:
    """A folder of frames, which begins at frame 0 whether or not there is a file of that number."""
    (recording,), _ = openpose_folders.find_recordings(files.path)
    return dataclasses.replace(recording, first=0)


def read_video(
    files: Files,
    source: openpose_source.Source,
    person: str | int,
    clips: list[tuple],
    subject: str,
    emotion: str,
) -> tuple[ImigueVideoReport, np.ndarray, np.ndarray]:
    """A video as it is stored.

    Args:
        files, clips: of the video; clips as `read_labels` gives them.
        source, person: as in `following.read_recording`.
        subject, emotion: for the report.

    Returns:
        Its report, float32 keypoints `[T, V, 2]` and score `[T, V]`.

    Raises:
        InputError: as `read_points`, or a JSON file is damaged.
    """
    gaps = several = 0
    if files.form == "json":
        followed = following.read_recording(_recording(files), source, person, WIDTH)
        for path, reason in followed.damaged:
            raise InputError(
                f"{path}: {reason}; without that file the frame is one in which nobody is seen"
            )
        keypoints, score = followed.keypoints, followed.score
        gaps, several = followed.report.gaps, followed.report.several
    else:
        points = read_points(files)[:, source.layout.cut(FORMS[files.form])]
        keypoints, score = points[..., :2], points[..., 2]
    seen = score > 0
    inside = ((keypoints >= 0) & (keypoints <= (WIDTH, HEIGHT))).all(axis=-1)
    labels = [label for *_, label in clips if label is not None]
    facing, own_hand = orientation(keypoints, score, source.layout)
    report = ImigueVideoReport(
        files.id,
        files.form,
        subject,
        emotion,
        frames=len(score),
        unseen=int((~seen.any(axis=1)).sum()),
        clips=len(clips),
        labelled=len(labels),
        same_label=len(labels) >= MANY and len(set(labels)) == 1,
        joints=int(seen.sum()),
        outside=int((seen & ~inside).sum()),
        facing=facing,
        own_hand=own_hand,
        gaps=gaps,
        several=several,
    )
    return report, keypoints, score


def orientation(
    keypoints: np.ndarray, score: np.ndarray, layout: skeleton.Layout
) -> tuple[float, float]:
    """How left and right lie in the pictures: `facing` and `own_hand` of `ImigueVideoReport`.

    Args:
        keypoints, score: `[T, V, 2]` and `[T, V]`.
        layout: one with shoulders, wrists and fingertips.
    """
    seen, shoulders = score > 0, layout.index("RShoulder", "LShoulder")
    both = seen[:, shoulders].all(axis=1)
    across = keypoints[:, shoulders[0], 0] < keypoints[:, shoulders[1], 0]
    wrists = layout.index("RWrist", "LWrist")
    near = []
    for own, side in enumerate("RL"):
        tips = layout.index(
            *(joint for joint in skeleton.IMIGUE_22.joints if joint[0] == side and joint[-1] == "4")
        )
        whole = seen[:, wrists].all(axis=1) & seen[:, tips].all(axis=1)
        middle = keypoints[whole][:, tips].mean(axis=1)
        apart = np.linalg.norm(keypoints[whole][:, wrists] - middle[:, None], axis=-1)
        near += (apart[:, own] < apart[:, 1 - own]).tolist()
    return (
        float(across[both].mean()) if both.any() else np.nan,
        float(np.mean(near)) if near else np.nan,
    )
