"""What to do with each OpenPose recording (`Job`), and doing it with any number of processes.

This module needs NumPy only (and what `data_prep/following.py` needs), and never imports
JAX.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from data_prep import following, openpose_folders, openpose_frames, openpose_source
from data_prep.openpose_folders import Recording
from data_prep.study_tables import OWN, VideosTable
from data_prep.workers import Crew
from mgjax import skeleton
from mgjax.errors import InputError
from mgjax.progress import track


@dataclasses.dataclass(frozen=True)
class Job:
    """A recording, what to read, whom to follow, and what `StoreWriter.add_video` takes of it."""

    recording: Recording
    source: openpose_source.Source
    person: following.Choice | int
    about: dict[str, Any]

    @property
    def width(self) -> int:
        """The picture's width in pixels, 0 if unknown."""
        return self.about.get("width", 0)

    @property
    def steps(self) -> int:
        """How many times some of its files are read at once."""
        return math.ceil(self.recording.files / openpose_folders.CHUNK)


class Defaults(NamedTuple):
    """What counts for a recording of which the table of videos says nothing else.

    Attributes:
        model_pose, keep_face: as `openpose_source.source_of` takes them.
        person: as `following.parse_person` takes it.
    """

    model_pose: str | None = None
    keep_face: bool = False
    person: str = "largest"


def plan(
    recording: Recording, table: VideosTable, layout: skeleton.Layout, defaults: Defaults
) -> Job:
    """What to do with a recording, by its row of the table and else by the defaults.

    Args:
        layout: the layout to store.

    Raises:
        InputError: what the row or the defaults say cannot be, or does not fit together.
    """
    about = dict(table.about.get(recording.id, {}))
    own = {column: value for column in OWN if (value := about.pop(column, ""))}
    try:
        whom = following.parse_person(own.get("person", defaults.person))
        read = skeleton.get(own["layout"]) if "layout" in own else None
        model_pose = own.get("model_pose", defaults.model_pose)
        source = openpose_source.source_of(layout, model_pose, defaults.keep_face, read)
        if whom == "centre" and not about.get("width"):
            raise InputError(
                f"person centre needs the width of video {recording.id!r} in the table of videos"
            )
    except InputError as error:
        # The row is named only if it says something of its own; else the flags are wrong.
        raise InputError(f"{table.where[recording.id]}: {error}" if own else str(error)) from None
    return Job(recording, source, whom, about)


def follow_all(jobs: Sequence[Job], workers: int, crew: Crew) -> Iterator[following.Followed]:
    """The followed person of each job's recording, in order.

    Args:
        workers: how many processes the crew has.
    """
    # A worker answers with what was followed, much less than what was read; twice as many
    # as there are workers may wait for a longer one before them.
    if len(jobs) >= workers > 1:
        whole = ((job.recording, job.source, job.person, job.width) for job in jobs)
        found = crew.in_order(following.read_recording, whole, 2 * workers)
        yield from track(found, len(jobs), "packing videos")
        return
    # Fewer videos than processes: these share the frames of each video, and people are
    # followed here, which takes a fraction of what reading does.
    chunks = (
        (*chunk, job.source) for job in jobs for chunk in openpose_folders.chunks(job.recording)
    )
    parts = crew.in_order(openpose_frames.read_frames, chunks, 4 * workers)
    total = sum(job.steps for job in jobs)
    parts = track(parts, total, f"packing, {openpose_folders.CHUNK} frames a step")
    # The parts come in one row for all videos, so that no worker waits at a video's end.
    for job in jobs:
        own_parts = itertools.islice(parts, job.steps)
        yield following.follow(job.recording, own_parts, job.source, job.person, job.width)
