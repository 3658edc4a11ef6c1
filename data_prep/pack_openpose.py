r"""Pack OpenPose's JSON files (version 1.3, one file a frame) into a store.

  python data_prep/pack_openpose.py --input frames/ --output interviews.h5 --layout body25_hands

--input is one folder of files, which is one video named as the folder, or a folder of such
folders, one video each. The last number in a file's name is its frame number, as in
video_000000000007_keypoints.json. A video runs from its lowest to its highest number; a number
without a file is a frame in which nothing was seen (score 0, keypoint 0), and so is a damaged
file. Files that do not end in .json, and hidden ones, are left aside and counted, and so are
folders without frames and people whose pose is an empty list. Keypoints are taken to be pixels
(OpenPose's own default, --keypoint_scale 0).

Frame numbers of clips (--clips) are the numbers in the files' names, `start` included and `stop`
not: 0,25 are the 25 frames numbered 0 to 24. In the store a clip's start counts from its video's
first frame. Without --clips every whole video is one clip without a label.

OpenPose does not say who is who. One person is followed through each video (--person), by where
the joints are from frame to frame; a frame that cannot be said to show that person is left unseen,
and what was missed is printed and reported. Where a recording is cut from one camera to another,
split it at the cuts first.

OpenPose's BODY_25 and BODY_25B both have 25 joints, so the files do not tell which they hold: the
layout does (body25 or body25b), or --model_pose where the layout can be cut out of both. Where the
bones fit the other one much better, that is said.

The table of videos (--videos) may say of each video who is followed (person), the model that made
its files (model_pose), and which joints they are read for (layout, by name or a layout's .json
file); an empty cell means what the flag says. The store has the joints of --layout in any case:
those that a video's own layout lacks are stored unseen, so that a store of body25_hands can hold a
video without hands (body25), and those that only the video's layout has are not stored.

Ids are the names of the folders, and they are in the store. With --anonymous_ids videos are
numbered instead, v001, v002 and so on in the order of the folders' names, and subjects s01, s02 in
the order in which they come. Which number stands for whom is then in the --report alone, which is
the owner's key: keep it, and keep it to yourself.

Face landmarks identify a person. They are kept only with --keep_face and a layout that has them
(openpose137).
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from absl import flags

from data_prep import csv_tables, following, openpose
from data_prep import workers as crews
from mgjax import errors, files, skeleton
from mgjax.errors import InputError
from mgjax.progress import track
from mgjax.store import StoreWriter

OWN = ("person", "layout", "model_pose")  # columns of the table of videos that go before the flags


@dataclasses.dataclass(frozen=True)
class KeyedReport(following.VideoReport):
    """What was found in a video whose id is a number, and its folder's and its subject's name."""

    folder: str = ""
    subject: str = ""


@dataclasses.dataclass(frozen=True)
class Report:
    """What a job packed.

    Attributes:
        output: the store.
        videos: one `following.VideoReport` a video, in the store's order; with anonymous ids a
            `KeyedReport`.
        clips, labelled: clips written, and those with a label.
        labels: class names in label order.
        aside: what lies among the input's frames and is none.
        unlisted: videos that the table of videos leaves out; None without such a table.
        first_damaged: the first damaged file and what is wrong with it, or None.
        absent: ids in the table of videos that the input has no frames of.
        without: clips left out because they are of such a video.
        unseen: parts of the layout that were not seen in any frame of any video.
        root: the layout's root joints, as text.
        anonymous: whether ids are numbers.
    """

    output: str
    videos: tuple[following.VideoReport, ...]
    clips: int
    labelled: int
    labels: tuple[str, ...]
    aside: openpose.Aside
    unlisted: int | None
    first_damaged: str | None
    absent: tuple[str, ...]
    without: int
    unseen: tuple[str, ...]
    root: str
    anonymous: bool

    def total(self, field: str) -> int:
        """The sum of a field of the videos' reports."""
        return sum(getattr(video, field) for video in self.videos)

    def __str__(self) -> str:
        lines = [_describe(video) for video in self.videos]
        worst = max(self.videos, key=lambda video: video.jump)
        fields = ("frames", "missing", "nobody", "several", "gaps", "damaged")
        lines.append(
            f"all {len(self.videos)}: "
            + ", ".join(f"{field} {self.total(field)}" for field in fields)
        )
        if worst.jump_frame >= 0:
            lines.append(
                f"largest root jump: {worst.jump:.1f} px, video {worst.id} at frame "
                f"{worst.jump_frame}"
            )
        if self.first_damaged:
            lines.append(f"first damaged file: {self.first_damaged}")
        if self.total("poseless"):
            lines.append(f"left aside: {self.total('poseless')} people whose pose is an empty list")
        if self.aside.files:
            lines.append(
                f"left aside: {self.aside.files} files that are not frames (hidden, or "
                "not "
                "ending in .json)"
            )
        if self.aside.folders:
            lines.append(f"left aside: folders without a frame: {_some(self.aside.folders)}")
        if self.absent:
            lines.append(
                "left aside: videos of the table that the input has no frames of: "
                f"{_some(self.absent)}; with them {self.without} clips"
            )
        if self.unlisted:
            lines.append(f"videos that the table of videos leaves out: {self.unlisted}")
        lines += self.doubts()
        lines.append(
            f"clips: {self.clips}, labelled {self.labelled}, classes {len(self.labels)}"
            + (f": {_some(self.labels, 100)}" if self.labels else "")
        )
        first = self.videos[0].id
        if self.anonymous:
            lines.append(f"ids are numbers, such as {first}, in the order of the folders' names")
        else:
            lines.append(
                f"ids are the folders' names, such as {first}, and are in the store; "
                "--anonymous_ids numbers them"
            )
        lines.append(f"wrote {self.output}")
        return "\n".join(lines)

    def doubts(self) -> list[str]:
        """What may have gone wrong without being an error, a sentence each."""
        lines = []
        for model in sorted({video.misfit for video in self.videos} - {""}):
            fitting = [video.id for video in self.videos if video.misfit == model]
            lines.append(
                f"doubtful: the bones fit pose model {model} much better in "
                f"{_some(fitting)}; "
                "if that model made these files, say so (--model_pose or --layout, or "
                "these "
                "columns of the table of videos)"
            )
        rootless = [
            video.id for video in self.videos if not video.rooted and video.missing < video.frames
        ]
        if rootless:
            lines.append(
                f"doubtful: the root ({self.root}) of the person followed is never seen "
                "in "
                f"{_some(rootless)}, so that root-centred coordinates are not to be had"
            )
        if self.unseen:
            lines.append(f"never seen in any video: {_some(self.unseen)}")
        return lines


def _some(names: Sequence[str], most: int = 10) -> str:
    """Names in a row, the first ones of many."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _describe(video: following.VideoReport) -> str:
    jump = (
        f"{video.jump:.1f} px at frame {video.jump_frame}"
        if video.jump_frame >= 0
        else "none (root not seen twice)"
    )
    fields = ("people", "missing", "nobody", "several", "gaps", "damaged")
    found = ", ".join(f"{field} {getattr(video, field)}" for field in fields)
    last = video.first + video.frames - 1
    return f"video {video.id}: frames {video.first} to {last}, {found}, largest root jump {jump}"


@dataclasses.dataclass(frozen=True)
class _Task:
    """A recording, what to read, whom to follow, and what `StoreWriter.add_video` takes of it."""

    recording: openpose.Recording
    source: openpose.Source
    person: str | int
    about: dict

    @property
    def width(self) -> int:
        """The picture's width in pixels, 0 if unknown."""
        return self.about.get("width", 0)


def pack(
    input,
    output,
    layout: str | skeleton.Layout,
    *,
    model_pose: str | None = None,
    videos=None,
    clips=None,
    keep_face: bool = False,
    person: str | int = "largest",
    workers: int = 1,
    max_damaged: float = 0.05,
    anonymous_ids: bool = False,
) -> Report:
    """Pack OpenPose recordings into a store; the module's docstring says how.

    Args:
        input: a folder of frames, or of such folders.
        output: the store to write.
        layout: a `skeleton.Layout` or what `skeleton.get` takes.
        model_pose: the pose model that made the files, one of `openpose.MODELS`; None takes it
            from the layout.
        videos: path of a CSV table with the columns id and any of subject, emotion, fps, width,
            height, person, layout, model_pose; a column split_NAME holding train, test or nothing
            makes the split NAME.
        clips: path of a CSV table with the columns video, start, stop and perhaps label.
        keep_face: store the face landmarks of a layout that has them.
        person: one of `following.CHOICES`, or a rank by size, 1 for the largest. "centre" needs
            the videos' widths.
        workers: processes that read; the store is the same for any number.
        max_damaged: the largest share of damaged files that is let pass.
        anonymous_ids: number videos and subjects instead of storing what they are called.

    Raises:
        InputError: anything is wrong with the input, the tables or the output's folder, or a
            worker dies.
    """
    layout = layout if isinstance(layout, skeleton.Layout) else skeleton.get(layout)
    if workers < 1 or not 0 <= max_damaged <= 1:
        raise InputError(
            f"workers is {workers}, max_damaged {max_damaged}; expected at least 1, "
            "and a share of 0 to 1"
        )
    person = following.parse_person(str(person))
    recordings, aside = openpose.find_recordings(input)
    table = read_videos(videos, recordings) if videos is not None else Table({}, {}, {}, ())
    tasks = [
        _task(recording, table, layout, model_pose, keep_face, person) for recording in recordings
    ]
    rows, without = (
        read_clips(clips, recordings, table.absent)
        if clips is not None
        else ([(recording.id, 0, recording.length, None) for recording in recordings], 0)
    )
    labels = order_labels({label for *_, label in rows if label is not None})
    ids, subjects = {}, {}
    if anonymous_ids:
        ids = _numbered([recording.id for recording in recordings], "v", 3)
        subjects = _numbered([task.about.get("subject", "") for task in tasks], "s", 2)
    count = sum(recording.files for recording in recordings)
    workers = min(workers, sum(_steps(recording) for recording in recordings))
    reports, damaged, seen = [], [], np.zeros(len(layout), bool)
    models = " and ".join(dict.fromkeys(task.source.model.name for task in tasks))
    writer = StoreWriter(
        output,
        layout,
        unit="pixel",
        frames=sum(recording.length for recording in recordings),
        source=f"OpenPose {models}, {count} frame files",
        labels=labels,
    )
    with writer, crews.start(workers) as crew:
        for task, followed in zip(tasks, _follow_all(tasks, workers, crew)):
            damaged += followed.damaged
            if len(damaged) > max_damaged * count:
                path, reason = damaged[0]
                raise InputError(
                    f"{path}: {reason}; {len(damaged)} of {count} frame files are "
                    "damaged so far, more "
                    f"than --max_damaged {max_damaged:g} allows"
                )
            id, about, report = task.recording.id, task.about, followed.report
            if anonymous_ids:
                subject = about.get("subject", "")
                about = about | {"subject": subjects[subject]}
                report = KeyedReport(**vars(report) | {"id": ids[id]}, folder=id, subject=subject)
            writer.add_video(report.id, followed.keypoints, followed.score, **about)
            seen |= (followed.score > 0).any(axis=0)
            reports.append(report)
        for video, start, length, label in rows:
            writer.add_clip(ids.get(video, video), start, length, label)
        order = {recording.id: row for row, recording in enumerate(recordings)}
        for name, sides in table.splits.items():
            train, test = (
                [order[id] for id, side in sides.items() if side == which]
                for which in ("train", "test")
            )
            writer.add_split(name, train, test, of="videos")
    return Report(
        output=str(output),
        videos=tuple(reports),
        clips=len(rows),
        labelled=sum(label is not None for *_, label in rows),
        labels=tuple(labels),
        aside=aside,
        unlisted=len(recordings) - len(table.about) if videos is not None else None,
        first_damaged=f"{damaged[0][0]} ({damaged[0][1]})" if damaged else None,
        absent=table.absent,
        without=without,
        unseen=tuple(
            part for part, joints in layout.parts.items() if not seen[layout.index(*joints)].any()
        ),
        root=" and ".join(layout.root),
        anonymous=anonymous_ids,
    )


def _numbered(names: Iterable[str], letter: str, width: int) -> dict[str, str]:
    """A letter and a number for each name, in the order in which they come; "" stays what it is."""
    names = [name for name in dict.fromkeys(names) if name]
    width = max(width, len(str(len(names))))
    return {"": ""} | {name: f"{letter}{number:0{width}d}" for number, name in enumerate(names, 1)}


def _task(
    recording: openpose.Recording, table: Table, layout, model_pose, keep_face, person
) -> _Task:
    """What to do with a recording, by its row of the table and else by the flags."""
    about = dict(table.about.get(recording.id, {}))
    own = {column: value for column in OWN if (value := about.pop(column, ""))}
    try:
        person = following.parse_person(own.get("person", str(person)))
        read = skeleton.get(own["layout"]) if "layout" in own else None
        source = openpose.source_of(layout, own.get("model_pose", model_pose), keep_face, read)
        if person == "centre" and not about.get("width"):
            raise InputError(
                f"person centre needs the width of video {recording.id!r} in the table of videos"
            )
    except InputError as error:
        raise InputError(f"{table.where[recording.id]}: {error}" if own else str(error)) from None
    return _Task(recording, source, person, about)


def _follow_all(tasks: list[_Task], workers: int, crew: crews.Crew) -> Iterator[following.Followed]:
    """The followed person of each recording, in order."""
    if len(tasks) >= workers > 1:
        whole = ((task.recording, task.source, task.person, task.width) for task in tasks)
        found = crew.in_order(following.read_recording, whole, 2 * workers)
        yield from track(found, len(tasks), "packing videos")
        return
    # Fewer videos than processes: these share the frames of each video, and following is done here.
    chunks = ((*chunk, task.source) for task in tasks for chunk in openpose.chunks(task.recording))
    parts = crew.in_order(openpose.read_frames, chunks, 4 * workers)
    counts = [_steps(task.recording) for task in tasks]
    parts = track(parts, sum(counts), f"packing, {openpose.CHUNK} frames a step")
    for task, count in zip(tasks, counts):
        some = itertools.islice(parts, count)
        yield following.follow(task.recording, some, task.source, task.person, task.width)


def _steps(recording: openpose.Recording) -> int:
    return math.ceil(recording.files / openpose.CHUNK)


def order_labels(labels: Iterable[str]) -> list[str]:
    """Class names in label order: by number where all are whole numbers, else by name."""
    labels = sorted(labels)
    try:
        return sorted(labels, key=int)
    except ValueError:
        return labels


@dataclasses.dataclass(frozen=True)
class Table:
    """The table of videos.

    Attributes:
        about: by id, what `StoreWriter.add_video` takes and the columns of OWN.
        where: by id, where its row is, for error messages.
        splits: by the split's name and by id, the side: train, test or "".
        absent: ids that the input has no frames of.
    """

    about: dict[str, dict]
    where: dict[str, str]
    splits: dict[str, dict[str, str]]
    absent: tuple[str, ...]


def read_videos(path, recordings: list[openpose.Recording]) -> Table:
    """Read the table of videos.

    Raises:
        InputError: as `csv_tables.read_table`, no video is among the recordings, one is listed
            twice, or a side is neither train, test nor empty.
    """
    known, about, places, splits = {recording.id for recording in recordings}, {}, {}, {}
    optional = ("subject", "emotion", "fps", "width", "height", *OWN)
    for where, row in csv_tables.read_table(path, ("id",), optional, csv_tables.SPLIT):
        id = row.pop("id")
        if id in places:
            raise InputError(f"{where}: video {id!r} is there twice")
        places[id] = where
        sides = csv_tables.pop_sides(where, row)
        for name in sides if id in known else ():
            splits.setdefault(name, {})[id] = sides[name]
        about |= {id: row} if id in known else {}
    if places and not about:
        id, where = next(iter(places.items()))
        raise InputError(
            f"{where}: unknown video {id!r}: the input has no folder of frames of any "
            f"video in this table, but has {recordings[0].id!r}"
        )
    return Table(about, places, splits, tuple(id for id in places if id not in known))


def read_clips(
    path, recordings: list[openpose.Recording], absent: Iterable[str] = ()
) -> tuple[list[tuple[str, int, int, str | None]], int]:
    """Read the table of clips.

    Args:
        absent: videos that are known to have no frames, whose clips are left out.

    Returns:
        (video, start counted from the video's first frame, length, label or None) of each, and how
        many were left out.

    Raises:
        InputError: as `csv_tables.read_table`, a clip is of an unknown video or not within it, or
            there is none.
    """
    known, absent = {recording.id: recording for recording in recordings}, set(absent)
    clips, without = [], 0
    for where, row in csv_tables.read_table(path, ("video", "start", "stop"), ("label",)):
        start, stop = row["start"], row["stop"]
        if stop <= start:
            raise InputError(
                f"{where}: stop is {stop} and start {start}; stop is the frame after "
                "the clip's last, so "
                "it must be greater"
            )
        if row["video"] in absent:
            without += 1
            continue
        if row["video"] not in known:
            raise InputError(
                f"{where}: unknown video {row['video']!r}: the input has no such "
                "folder, "
                "nor has the table of videos"
            )
        recording = known[row["video"]]
        if start < recording.first or stop > recording.last + 1:
            raise InputError(
                f"{where}: start {start} and stop {stop} lie outside video "
                f"{recording.id!r}, whose frames "
                f"are numbered {recording.first} to {recording.last} (stop at most "
                f"{recording.last + 1})"
            )
        clips.append(
            (recording.id, start - recording.first, stop - start, row.get("label") or None)
        )
    if not clips:
        only = f" but {without} of videos that have no frames" if without else ""
        raise InputError(
            f"{path}: no clip{only}; expected a line for each (leave --clips out to "
            "take "
            "whole videos)"
        )
    return clips, without


def define_flags():
    """The script's options."""
    flags.DEFINE_string(
        "input", None, "Folder of OpenPose's .json files (one video), or of such folders."
    )
    flags.DEFINE_string("output", None, "Store to write, such as interviews.h5.")
    flags.DEFINE_string(
        "layout",
        None,
        "Joints to store: "
        + ", ".join(
            sorted(name for name, layout in skeleton.LAYOUTS.items() if layout.dimensions == 2)
        )
        + "; or the path of a layout's .json file.",
    )
    flags.DEFINE_enum(
        "model_pose",
        None,
        list(openpose.MODELS),
        "Pose model that made the files; "
        "taken from --layout "
        "where that says it. Files of body25 and of body25b cannot be told apart.",
    )
    flags.DEFINE_string(
        "videos",
        None,
        "CSV table of videos: id, and any of subject, emotion, "
        "fps, "
        "width, height; person, model_pose and layout (the joints to read), where "
        "they "
        "differ from the flags' for a video; a column split_NAME with train, test "
        "or "
        "nothing for each video makes the split NAME.",
    )
    flags.DEFINE_string(
        "clips",
        None,
        "CSV table of clips: video, start, stop and perhaps label "
        "(empty: none). "
        "Numbers are those in the files' names; start is included, stop is not. "
        "Without it every whole "
        "video is one clip without a label.",
    )
    flags.DEFINE_boolean(
        "keep_face",
        False,
        "Store the face landmarks of a layout that has them (openpose137). They identify a person.",
    )
    flags.DEFINE_string(
        "person",
        "largest",
        "Who is followed: largest (area times score, summed "
        "over the frames), "
        "leftmost, rightmost, centre (needs width in --videos), or a rank by "
        "size: 1 for the largest, "
        "2 for the next.",
    )
    flags.DEFINE_integer(
        "workers",
        os.cpu_count(),
        "Processes that read. The store is the same for any number.",
        lower_bound=1,
    )
    flags.DEFINE_float(
        "max_damaged", 0.05, "Largest share of damaged files that is let pass.", 0, 1
    )
    flags.DEFINE_boolean(
        "anonymous_ids",
        False,
        "Number videos (v001, in the order of the "
        "folders' "
        "names) and subjects (s01, in the order in which they come) instead of "
        "storing "
        "what they are called. Names are then in no file but that of --report, "
        "the "
        "owner's key: its columns folder and subject say what each number stands "
        "for. "
        "Names of classes, emotions and splits stay as they are.",
    )
    flags.DEFINE_string("report", None, "CSV table to write with what was found in each video.")
    flags.mark_flags_as_required(["input", "output", "layout"])


@errors.script
def main(_):
    """Read the flags, make the call, say what was done."""
    options = flags.FLAGS
    files.output(options.output)
    csv_tables.check_report(options.report, options.output)
    report = pack(
        options.input,
        options.output,
        options.layout,
        model_pose=options.model_pose,
        videos=options.videos,
        clips=options.clips,
        keep_face=options.keep_face,
        person=options.person,
        workers=options.workers,
        max_damaged=options.max_damaged,
        anonymous_ids=options.anonymous_ids,
    )
    if options.report is not None:
        csv_tables.write_report(options.report, report.videos)
    print(report)


if __name__ == "__main__":
    errors.run_script(main, define_flags)
