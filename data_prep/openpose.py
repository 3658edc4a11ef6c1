"""OpenPose's JSON files (version 1.3, one file a frame) packed into a store.

`pack` does it, and returns an `OpenPoseReport` to print; the script is
`data_prep/pack_openpose.py`, which says what is read, who is followed and what is stored.
`data_prep/openpose_folders.py` finds the files, `data_prep/openpose_source.py` says what
to read of them, `data_prep/openpose_frames.py` reads them, `data_prep/following.py`
follows one person, `data_prep/openpose_jobs.py` lets several processes do so.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from data_prep.anonymous_ids import Numbering
from data_prep.following import Followed, FollowedVideo, parse_person
from data_prep.openpose_folders import Aside, Recording, find_recordings
from data_prep.openpose_jobs import Defaults, Job, follow_all, plan
from data_prep.openpose_report import KeyedVideo, OpenPoseReport
from data_prep.study_tables import Clip, VideosTable, order_labels, read_clips, read_videos
from data_prep.workers import start_workers
from mgjax import skeleton
from mgjax.errors import InputError
from mgjax.store import StoreWriter


def pack(
    input: str | os.PathLike,
    output: str | os.PathLike,
    layout: str | skeleton.Layout,
    *,
    model_pose: str | None = None,
    videos: str | os.PathLike | None = None,
    clips: str | os.PathLike | None = None,
    keep_face: bool = False,
    person: str | int = "largest",
    workers: int = 1,
    max_damaged: float = 0.05,
    anonymous_ids: bool = False,
) -> OpenPoseReport:
    """Pack OpenPose recordings into a store; `data_prep/pack_openpose.py` says how.

    Args:
        input: a folder of frames, or of such folders.
        output: the store to write.
        layout: a `skeleton.Layout` or what `skeleton.get` takes.
        model_pose: the pose model that made the files, one of `openpose_source.MODELS`;
            None takes it from the layout.
        videos: path of a CSV table, as `study_tables.read_videos` takes it.
        clips: path of a CSV table with the columns video, start, stop and perhaps label.
        keep_face: store the face landmarks of a layout that has them.
        person: one of `following.CHOICES`, or a rank by size, 1 for the largest. "centre"
            needs the videos' widths.
        workers: processes that read; the store is the same for any number.
        max_damaged: the largest share of damaged files that is let pass.
        anonymous_ids: number videos and subjects instead of storing what they are called.

    Raises:
        InputError: anything is wrong with the input, the tables or the output's folder,
            or a worker dies.

    Example:
        >>> import tempfile
        >>> from data_prep import openpose, simulation
        >>> made = simulation.simulate(videos=2, subjects=2, clips_per_video=1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     simulation.write_openpose(made, f"{folder}/made")
        ...     report = openpose.pack(f"{folder}/made/openpose", f"{folder}/out.h5", "body25")
        >>> [(video.id, video.people, video.damaged) for video in report.videos]
        [('interview001', 1, 0), ('interview002', 1, 0)]
    """
    layout = layout if isinstance(layout, skeleton.Layout) else skeleton.get(layout)
    _check_options(workers, max_damaged, str(person))
    recordings, aside = find_recordings(input)
    table = read_videos(videos, recordings) if videos is not None else VideosTable()
    defaults = Defaults(model_pose, keep_face, str(person))
    jobs = [plan(recording, table, layout, defaults) for recording in recordings]
    rows, without = _clips(clips, recordings, table)
    study = _Study(layout, jobs, table, rows, _numbering(jobs) if anonymous_ids else None)
    found = _write(study, output, workers, max_damaged)
    unlisted = len(recordings) - len(table.about) if videos is not None else None
    return _report(
        study, found, output=str(output), aside=aside, unlisted=unlisted, without=without
    )


def _check_options(workers: int, max_damaged: float, person: str) -> None:
    if workers < 1 or not 0 <= max_damaged <= 1:
        raise InputError(
            f"workers is {workers}, max_damaged {max_damaged}; expected at least 1, and a share of "
            "0 to 1"
        )
    # Before the folders are looked through, which may take a while.
    parse_person(person)


def _clips(
    path: str | os.PathLike | None, recordings: Sequence[Recording], table: VideosTable
) -> tuple[list[Clip], int]:
    """The table's clips, and how many were left out; without a table each whole video is one."""
    if path is not None:
        return read_clips(path, recordings, table.absent)
    # So that there is something to train on where nobody has annotated anything yet.
    return [Clip(recording.id, 0, recording.length) for recording in recordings], 0


def _numbering(jobs: Sequence[Job]) -> Numbering:
    videos = [job.recording.id for job in jobs]
    subjects = [job.about.get("subject", "") for job in jobs]
    return Numbering.of(videos, subjects)


def _named(
    job: Job, report: FollowedVideo, numbering: Numbering | None
) -> tuple[FollowedVideo, dict[str, Any]]:
    """A job's report and what `StoreWriter.add_video` takes, perhaps with numbers for names."""
    if numbering is None:
        return report, job.about
    folder, subject = job.recording.id, job.about.get("subject", "")
    numbered = vars(report) | {"id": numbering.videos[folder]}
    # The report alone says whom a number stands for, not the store.
    keyed = KeyedVideo(**numbered, folder=folder, subject=subject)
    return keyed, job.about | {"subject": numbering.subjects[subject]}


class _Study(NamedTuple):
    """What is to be packed, all of it checked before the first frame is read."""

    layout: skeleton.Layout
    jobs: list[Job]
    table: VideosTable
    clips: list[Clip]
    numbering: Numbering | None

    @property
    def labels(self) -> list[str]:
        """Class names in label order."""
        return order_labels({clip.label for clip in self.clips if clip.label is not None})

    @property
    def files(self) -> int:
        """How many frames' files there are."""
        return sum(job.recording.files for job in self.jobs)

    def writer(self, output: str | os.PathLike) -> StoreWriter:
        """The store's writer."""
        # Videos may say models of their own. The number of files tells a packing that was cut
        # short from a whole one, and names nobody.
        models = " and ".join(dict.fromkeys(job.source.model.name for job in self.jobs))
        return StoreWriter(
            output,
            self.layout,
            unit="pixel",
            frames=sum(job.recording.length for job in self.jobs),
            source=f"OpenPose {models}, {self.files} frame files",
            labels=self.labels,
        )


class _Found:
    """What was found in the videos so far.

    Attributes:
        reports: one a video, under the name that the store has for it.
        damaged: (file, reason) of each damaged file.
        seen: which joints were seen in any frame, bool `[V]`.
    """

    def __init__(self, joints: int):
        self.reports: list[FollowedVideo] = []
        self.damaged: list[tuple[str, str]] = []
        self.seen = np.zeros(joints, bool)

    def add(self, report: FollowedVideo, followed: Followed) -> None:
        """Take note of a video."""
        self.reports.append(report)
        self.damaged += followed.damaged
        # A whole part that nobody ever saw (hands, say) is worth a line of the report.
        self.seen |= (followed.score > 0).any(axis=0)

    def check_damaged(self, files: int, max_damaged: float) -> None:
        """Raise an InputError where more of the files are damaged than is let pass."""
        if len(self.damaged) > max_damaged * files:
            path, reason = self.damaged[0]
            raise InputError(
                f"{path}: {reason}; {len(self.damaged)} of {files} frame files are damaged so far, "
                f"more than --max_damaged {max_damaged:g} allows"
            )


def _write(study: _Study, output: str | os.PathLike, workers: int, max_damaged: float) -> _Found:
    """Follow somebody through every recording and write the store."""
    found, files = _Found(len(study.layout)), study.files
    # More processes than there are parts to read would only be started.
    workers = min(workers, sum(job.steps for job in study.jobs))
    with study.writer(output) as writer, start_workers(workers) as crew:
        for job, followed in zip(study.jobs, follow_all(study.jobs, workers, crew)):
            report, about = _named(job, followed.report, study.numbering)
            found.add(report, followed)
            # At once and not at the end, which may be an hour away.
            found.check_damaged(files, max_damaged)
            writer.add_video(report.id, followed.keypoints, followed.score, **about)
        for clip in study.clips:
            id = study.numbering.videos[clip.video] if study.numbering else clip.video
            writer.add_clip(id, clip.start, clip.length, clip.label)
        # A split is of rows; its videos may be in the table in another order.
        order = {job.recording.id: row for row, job in enumerate(study.jobs)}
        for name, sides in study.table.splits.items():
            train = [order[id] for id, side in sides.items() if side == "train"]
            test = [order[id] for id, side in sides.items() if side == "test"]
            writer.add_split(name, train, test, of="videos")
    return found


def _report(
    study: _Study, found: _Found, output: str, aside: Aside, unlisted: int | None, without: int
) -> OpenPoseReport:
    unseen = []
    for part, joints in study.layout.parts.items():
        if not found.seen[study.layout.index(*joints)].any():
            unseen.append(part)
    first_damaged = None
    if found.damaged:
        path, reason = found.damaged[0]
        first_damaged = f"{path} ({reason})"
    return OpenPoseReport(
        output=output,
        videos=tuple(found.reports),
        clips=len(study.clips),
        labelled=sum(clip.label is not None for clip in study.clips),
        labels=tuple(study.labels),
        aside=aside,
        unlisted=unlisted,
        first_damaged=first_damaged,
        absent=study.table.absent,
        without=without,
        unseen=tuple(unseen),
        root=" and ".join(study.layout.root),
        anonymous=study.numbering is not None,
    )
