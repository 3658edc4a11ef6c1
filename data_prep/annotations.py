"""What one annotator says about some videos: gestures, read from a table or from label files.

This module needs NumPy and h5py (for a store's lengths) and never imports JAX.
"""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Iterator

from data_prep.csv_tables import check_text, read_table, shown
from data_prep.imigue_files import read_labels
from mgjax.errors import InputError
from mgjax.protocols import IMIGUE_CLASSES
from mgjax.store import Store

NONE = "none"  # what frames without a gesture are called
LONGEST = 10**7  # frames of a video, four days at 25 a second: more is a slip of the pen
MOST = 4000  # gestures of an annotator in one video, which are compared with all of the other's
LABEL_FILE = "_label.csv"  # what the names of iMiGUE's label files end in
# First frame, frame after the last, class.
Gesture = tuple[int, int, str]
# Gestures by video.
Annotation = dict[str, list[Gesture]]


def read_annotation(path: str | os.PathLike) -> Annotation:
    """One annotator's gestures, from a table of clips or from a folder of iMiGUE's label files.

    Raises:
        InputError: the path is neither, a value is wrong, or a gesture is there twice.
    """
    path = pathlib.Path(path)
    found: Annotation = {}
    if path.is_dir():
        files = _label_files(path)
        # Also those without a gesture: somebody looked at these videos and saw none.
        found = {video: [] for video in files}
        rows = _label_rows(files)
    else:
        rows = _table_rows(path)
    seen = set()
    for where, video, gesture in rows:
        _check_gesture(where, gesture)
        start, stop, label = gesture
        if (video, gesture) in seen:
            raise InputError(
                f"{where}: {label!r} of video {video!r}, frames {start} to {stop - 1}, is there "
                "twice"
            )
        seen.add((video, gesture))
        found.setdefault(video, []).append(gesture)
        if len(found[video]) > MOST:
            raise InputError(f"{where}: video {video!r} has more than {MOST} gestures")
    return found


def _table_rows(path: pathlib.Path) -> Iterator[tuple[str, str, Gesture]]:
    """Where it stands, video and gesture of each row of a table of clips."""
    for where, row in read_table(path, ("video", "start", "stop", "label"), ()):
        yield where, row["video"], (row["start"], row["stop"], row["label"])


def _label_files(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """iMiGUE's label files in a folder, by the video's id as a packed store has it."""
    found: dict[str, pathlib.Path] = {}
    for path in sorted(folder.glob(f"*{LABEL_FILE}")):
        video = path.name.removesuffix(LABEL_FILE)
        if re.fullmatch("[0-9]{1,4}", video):
            video = f"{int(video):04}"
        check_text(str(path), "the id in its name", video)
        if video in found:
            raise InputError(f"{path}: video {video} is there already, as {found[video]}")
        found[video] = path
    if not found:
        raise InputError(f"{folder}: no file in this folder ends in {LABEL_FILE}")
    return found


def _label_rows(files: dict[str, pathlib.Path]) -> Iterator[tuple[str, str, Gesture]]:
    """As `_table_rows`, of label files."""
    for video, path in files.items():
        for start, length, label in read_labels(path, LONGEST):
            if label is None:
                raise InputError(f"{path}: frames {start} to {start + length - 1} have no label")
            yield str(path), video, (start, start + length, IMIGUE_CLASSES[label])


def _check_gesture(where: str, gesture: Gesture) -> None:
    start, stop, label = gesture
    if stop <= start:
        raise InputError(
            f"{where}: the gesture ends before it starts (frames {start} to {stop - 1})"
        )
    if stop > LONGEST:
        raise InputError(
            f"{where}: the gesture ends with frame {stop - 1}, expected less than {LONGEST}"
        )
    if label == NONE:
        raise InputError(
            f"{where}: no class can be called {NONE!r}, which stands for frames without a gesture"
        )


def read_lengths(path: str | os.PathLike) -> dict[str, int]:
    """Frames of every video, from a CSV table with the columns id and frames.

    Raises:
        InputError: the table or a value is wrong.
    """
    lengths: dict[str, int] = {}
    for where, row in read_table(path, ("id", "frames"), ()):
        # The digits are counted first, as Python refuses to read thousands of them.
        if not re.fullmatch("[0-9]{1,9}", row["frames"]) or int(row["frames"]) > LONGEST:
            raise InputError(
                f"{where}: frames is {shown(row['frames'])}, expected a whole number of at most "
                f"{LONGEST}"
            )
        if row["id"] in lengths:
            raise InputError(f"{where}: video {row['id']!r} is there twice")
        lengths[row["id"]] = int(row["frames"])
    return lengths


def store_lengths(path: str | os.PathLike) -> dict[str, int]:
    """Frames of every video of a store."""
    with Store(path) as store:
        return dict(zip(store.videos.id.tolist(), store.videos.length.tolist()))
