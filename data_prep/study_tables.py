"""The tables that come with recordings: of the videos, and of the clips in them.

`read_videos` and `read_clips` read them; `order_labels` orders the class names of clips.

This module needs the standard library only.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from data_prep import csv_tables
from data_prep.openpose_folders import Recording
from mgjax.errors import InputError

OWN = ("person", "layout", "model_pose")  # columns of the table of videos that go before the flags


@dataclasses.dataclass(frozen=True)
class VideosTable:
    """The table of videos.

    Attributes:
        about: by id, what `StoreWriter.add_video` takes and the columns of OWN.
        where: by id, where its row is, for error messages.
        splits: by the split's name and by id, the side: train, test or "".
        absent: ids that the input has no frames of.
    """

    about: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    where: dict[str, str] = dataclasses.field(default_factory=dict)
    splits: dict[str, dict[str, str]] = dataclasses.field(default_factory=dict)
    absent: tuple[str, ...] = ()


class Clip(NamedTuple):
    """A row of the table of clips.

    Attributes:
        video: its video's id.
        start: its first frame, counted from the video's first frame.
        length: its number of frames.
        label: its class name, or None.
    """

    video: str
    start: int
    length: int
    label: str | None = None


def read_videos(path: str | os.PathLike, recordings: Sequence[Recording]) -> VideosTable:
    """Read the table of videos.

    Its columns are id and any of subject, emotion, fps, width, height and those of OWN; a
    column split_NAME holding train, test or nothing makes the split NAME.

    Raises:
        InputError: as `csv_tables.read_table`, no video is among the recordings, one is
            listed twice, or a side is neither train, test nor empty.
    """
    known = {recording.id for recording in recordings}
    table = VideosTable()
    optional = ("subject", "emotion", "fps", "width", "height", *OWN)
    for where, row in csv_tables.read_table(path, ("id",), optional, csv_tables.SPLIT):
        id = row.pop("id")
        if id in table.where:
            raise InputError(f"{where}: video {id!r} is there twice")
        table.where[id] = where
        sides = csv_tables.pop_sides(where, row)
        # One table may serve several inputs, so that a video may be absent from this one.
        if id in known:
            table.about[id] = row
            for name, side in sides.items():
                table.splits.setdefault(name, {})[id] = side
    # That none is here is another table, or other names of the folders.
    if table.where and not table.about:
        id, where = next(iter(table.where.items()))
        raise InputError(
            f"{where}: unknown video {id!r}: the input has no folder of frames of any video in "
            f"this table, but has {recordings[0].id!r}"
        )
    absent = tuple(id for id in table.where if id not in known)
    return dataclasses.replace(table, absent=absent)


def read_clips(
    path: str | os.PathLike, recordings: Sequence[Recording], absent: Iterable[str] = ()
) -> tuple[list[Clip], int]:
    """Read the table of clips: video, start, stop and perhaps label.

    Args:
        absent: videos that are known to have no frames, whose clips are left out.

    Returns:
        The clips, and how many were left out.

    Raises:
        InputError: as `csv_tables.read_table`, a clip is of an unknown video or not
            within it, or there is none.
    """
    known = {recording.id: recording for recording in recordings}
    absent = set(absent)
    clips, without = [], 0
    for where, row in csv_tables.read_table(path, ("video", "start", "stop"), ("label",)):
        start, stop = row["start"], row["stop"]
        if stop <= start:
            raise InputError(
                f"{where}: stop is {stop} and start {start}; stop is the frame after the clip's "
                "last, so it must be greater"
            )
        # Of a video that is not here its own two numbers are all that can be checked.
        if row["video"] in absent:
            without += 1
            continue
        if row["video"] not in known:
            raise InputError(
                f"{where}: unknown video {row['video']!r}: the input has no such folder, nor has "
                "the table of videos"
            )
        recording = known[row["video"]]
        _check_within(where, start, stop, recording)
        label = row.get("label") or None
        clips.append(Clip(recording.id, start - recording.first, stop - start, label))
    if not clips:
        only = f" but {without} of videos that have no frames" if without else ""
        raise InputError(
            f"{path}: no clip{only}; expected a line for each (leave --clips out to take whole "
            "videos)"
        )
    return clips, without


def _check_within(where: str, start: int, stop: int, recording: Recording) -> None:
    # Numbers of frames are those of the files, which need not begin with 0.
    if start < recording.first or stop > recording.last + 1:
        raise InputError(
            f"{where}: start {start} and stop {stop} lie outside video {recording.id!r}, whose "
            f"frames are numbered {recording.first} to {recording.last} (stop at most "
            f"{recording.last + 1})"
        )


def order_labels(labels: Iterable[str]) -> list[str]:
    """Class names in label order: by number where all are whole numbers, else by name.

    >>> order_labels({"10", "9"}), order_labels({"10", "9", "nod"})
    (['9', '10'], ['10', '9', 'nod'])
    """
    labels = sorted(labels)
    # Class 10 comes after class 9.
    try:
        return sorted(labels, key=int)
    except ValueError:
        return labels
