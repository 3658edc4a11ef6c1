r"""Pack OpenPose's JSON files (version 1.3, one file a frame) into a store.

  python data_prep/pack_openpose.py --input frames/ --output interviews.h5 --layout body25_hands

--input is one folder of files, which is one video named as the folder, or a folder of such folders, one video
each. The last number in a file's name is its frame number, as in video_000000000007_keypoints.json. A video runs
from its lowest to its highest number; a number without a file is a frame in which nothing was seen (score 0,
keypoint 0), and so is a damaged file. Files that do not end in .json, and hidden ones, are left aside and counted.
Keypoints are taken to be pixels (OpenPose's own default, --keypoint_scale 0).

Frame numbers of clips (--clips) are the numbers in the files' names, `start` included and `stop` not: 0,25 are the
25 frames numbered 0 to 24. In the store a clip's start counts from its video's first frame. Without --clips every
whole video is one clip without a label.

OpenPose does not say who is who. One person is followed through each video (--person), by where the joints are
from frame to frame; a frame that cannot be said to show that person is left unseen, and what was missed is printed
and reported. Where a recording is cut from one camera to another, split it at the cuts first.

OpenPose's BODY_25 and BODY_25B both have 25 joints, so the files do not tell which they hold: the layout does
(body25 or body25b), or --model_pose where the layout can be cut out of both.

Face landmarks identify a person. They are kept only with --keep_face and a layout that has them (openpose137).
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
from collections.abc import Iterable, Iterator

from absl import flags

from data_prep import csv_tables, following, openpose
from data_prep import workers as crews
from mgjax import errors, skeleton
from mgjax.errors import InputError
from mgjax.progress import track
from mgjax.store import StoreWriter


@dataclasses.dataclass(frozen=True)
class Report:
    """What a job packed.

    Attributes:
        output: the store.
        videos: one `following.VideoReport` a video, in the store's order.
        clips, labelled: clips written, and those with a label.
        labels: class names in label order.
        others: files that are no frames.
        unlisted: videos that the table of videos leaves out; None without such a table.
        first_damaged: the first damaged file and what is wrong with it, or None.
    """

    output: str
    videos: tuple[following.VideoReport, ...]
    clips: int
    labelled: int
    labels: tuple[str, ...]
    others: int
    unlisted: int | None
    first_damaged: str | None

    def total(self, field: str) -> int:
        """The sum of a field of the videos' reports."""
        return sum(getattr(video, field) for video in self.videos)

    def __str__(self) -> str:
        lines = [_describe(video) for video in self.videos]
        worst = max(self.videos, key=lambda video: video.jump)
        fields = ("frames", "missing", "nobody", "several", "gaps", "damaged")
        lines.append(f"all {len(self.videos)}: " + ", ".join(f"{field} {self.total(field)}" for field in fields))
        if worst.jump_frame >= 0:
            lines.append(f"largest root jump: {worst.jump:.1f} px, video {worst.id} at frame {worst.jump_frame}")
        if self.first_damaged:
            lines.append(f"first damaged file: {self.first_damaged}")
        if self.others:
            lines.append(f"left aside: {self.others} files that are not frames (hidden, or not ending in .json)")
        if self.unlisted:
            lines.append(f"videos that the table of videos leaves out: {self.unlisted}")
        lines.append(f"clips: {self.clips}, labelled {self.labelled}, classes {len(self.labels)}")
        lines.append(f"wrote {self.output}")
        return "\n".join(lines)


def _describe(video: following.VideoReport) -> str:
    jump = f"{video.jump:.1f} px at frame {video.jump_frame}" if video.jump_frame >= 0 else "none (root not seen twice)"
    fields = ("people", "missing", "nobody", "several", "gaps", "damaged")
    found = ", ".join(f"{field} {getattr(video, field)}" for field in fields)
    last = video.first + video.frames - 1
    return f"video {video.id}: frames {video.first} to {last}, {found}, largest root jump {jump}"


def pack(input, output, layout: str | skeleton.Layout, *, model_pose: str | None = None, videos=None, clips=None,
         keep_face: bool = False, person: str | int = "largest", workers: int = 1, max_damaged: float = 0.05) -> Report:
    """Pack OpenPose recordings into a store; the module's docstring says how.

    Args:
        input: a folder of frames, or of such folders.
        output: the store to write.
        layout: a `skeleton.Layout` or what `skeleton.get` takes.
        model_pose: the pose model that made the files, one of `openpose.MODELS`; None takes it from the layout.
        videos: path of a CSV table with the columns id and any of subject, emotion, fps, width, height; a column
            split_NAME holding train, test or nothing makes the split NAME.
        clips: path of a CSV table with the columns video, start, stop and perhaps label.
        keep_face: store the face landmarks of a layout that has them.
        person: one of `following.CHOICES`, or a rank by size, 1 for the largest. "centre" needs the videos' widths.
        workers: processes that read; the store is the same for any number.
        max_damaged: the largest share of damaged files that is let pass.

    Raises:
        InputError: anything is wrong with the input, the tables or the output's folder, or a worker dies.
    """
    layout = layout if isinstance(layout, skeleton.Layout) else skeleton.get(layout)
    source = openpose.source_of(layout, model_pose, keep_face)
    person = following.parse_person(str(person))
    if workers < 1 or not 0 <= max_damaged <= 1:
        raise InputError(f"workers is {workers}, max_damaged {max_damaged}; expected at least 1, and a share of 0 to 1")
    recordings, others = openpose.find_recordings(input)
    about, splits = read_videos(videos, recordings) if videos is not None else ({}, {})
    rows = read_clips(clips, recordings) if clips is not None else [
        (recording.id, 0, recording.length, None) for recording in recordings
    ]
    if person == "centre":
        for recording in recordings:
            if not about.get(recording.id, {}).get("width"):
                raise InputError(f"person centre needs the width of video {recording.id!r} in the table of videos")
    labels = order_labels({label for *_, label in rows if label is not None})
    widths = [about.get(recording.id, {}).get("width", 0) for recording in recordings]
    files = sum(recording.files for recording in recordings)
    workers = min(workers, sum(_steps(recording) for recording in recordings))
    reports, damaged = [], []
    writer = StoreWriter(output, layout, unit="pixel", frames=sum(recording.length for recording in recordings),
                         source=f"OpenPose {source.model.name}, {files} frame files", labels=labels)
    with writer, crews.start(workers) as crew:
        for followed in _follow_all(recordings, widths, source, person, workers, crew):
            damaged += followed.damaged
            if len(damaged) > max_damaged * files:
                path, reason = damaged[0]
                raise InputError(f"{path}: {reason}; {len(damaged)} of {files} frame files are damaged so far, more "
                                 f"than --max_damaged {max_damaged:g} allows")
            id = followed.report.id
            writer.add_video(id, followed.keypoints, followed.score, **about.get(id, {}))
            reports.append(followed.report)
        for video, start, length, label in rows:
            writer.add_clip(video, start, length, label)
        order = {recording.id: row for row, recording in enumerate(recordings)}
        for name, sides in splits.items():
            train, test = ([order[id] for id, side in sides.items() if side == which] for which in ("train", "test"))
            writer.add_split(name, train, test, of="videos")
    return Report(str(output), tuple(reports), len(rows), sum(label is not None for *_, label in rows), tuple(labels),
                  others, len(recordings) - len(about) if videos is not None else None,
                  f"{damaged[0][0]} ({damaged[0][1]})" if damaged else None)


def _follow_all(recordings, widths, source, person, workers, crew) -> Iterator[following.Followed]:
    """The followed person of each recording, in order."""
    if len(recordings) >= workers > 1:
        tasks = ((recording, source, person, width) for recording, width in zip(recordings, widths))
        found = crew.in_order(following.read_recording, tasks, 2 * workers)
        yield from track(found, len(recordings), "packing videos")
        return
    # Fewer videos than processes: these share the frames of each video, and following is done here.
    tasks = ((*chunk, source) for recording in recordings for chunk in openpose.chunks(recording))
    parts = crew.in_order(openpose.read_frames, tasks, 4 * workers)
    counts = [_steps(recording) for recording in recordings]
    parts = track(parts, sum(counts), f"packing, {openpose.CHUNK} frames a step")
    for recording, width, count in zip(recordings, widths, counts):
        yield following.follow(recording, itertools.islice(parts, count), source, person, width)


def _steps(recording: openpose.Recording) -> int:
    return math.ceil(recording.files / openpose.CHUNK)


def order_labels(labels: Iterable[str]) -> list[str]:
    """Class names in label order: by number where all are whole numbers, else by name."""
    labels = sorted(labels)
    try:
        return sorted(labels, key=int)
    except ValueError:
        return labels


def read_videos(path, recordings: list[openpose.Recording]) -> tuple[dict[str, dict], dict[str, dict[str, str]]]:
    """The table of videos: what `StoreWriter.add_video` takes, by video id, and the side of every video in each split.

    Raises:
        InputError: as `csv_tables.read_table`, a video is not among the recordings, or is listed twice, or a side is
            neither train, test nor empty.
    """
    known, about, splits = {recording.id for recording in recordings}, {}, {}
    optional = ("subject", "emotion", "fps", "width", "height")
    for where, row in csv_tables.read_table(path, ("id",), optional, csv_tables.SPLIT):
        id = row.pop("id")
        if id not in known:
            raise InputError(f"{where}: unknown video {id!r}: the input has no such folder")
        if id in about:
            raise InputError(f"{where}: video {id!r} is there twice")
        for name, side in csv_tables.pop_sides(where, row).items():
            splits.setdefault(name, {})[id] = side
        about[id] = row
    return about, splits


def read_clips(path, recordings: list[openpose.Recording]) -> list[tuple[str, int, int, str | None]]:
    """The table of clips: (video, start counted from the video's first frame, length, label or None) of each.

    Raises:
        InputError: as `csv_tables.read_table`, a clip is of an unknown video or not within it, or there is none.
    """
    known, clips = {recording.id: recording for recording in recordings}, []
    for where, row in csv_tables.read_table(path, ("video", "start", "stop"), ("label",)):
        if row["video"] not in known:
            raise InputError(f"{where}: unknown video {row['video']!r}: the input has no such folder")
        recording, start, stop = known[row["video"]], row["start"], row["stop"]
        if stop <= start:
            raise InputError(f"{where}: stop is {stop} and start {start}; stop is the frame after the clip's last, so "
                             "it must be greater")
        if start < recording.first or stop > recording.last + 1:
            raise InputError(f"{where}: start {start} and stop {stop} lie outside video {recording.id!r}, whose frames "
                             f"are numbered {recording.first} to {recording.last} (stop at most {recording.last + 1})")
        clips.append((recording.id, start - recording.first, stop - start, row.get("label") or None))
    if not clips:
        raise InputError(f"{path}: no clip; expected a line for each (leave --clips out to take whole videos)")
    return clips


def define_flags():
    """The script's options."""
    flags.DEFINE_string("input", None, "Folder of OpenPose's .json files (one video), or of such folders.")
    flags.DEFINE_string("output", None, "Store to write, such as interviews.h5.")
    flags.DEFINE_string("layout", None, "Joints to store: " + ", ".join(sorted(
        name for name, layout in skeleton.LAYOUTS.items() if layout.dimensions == 2
    )) + "; or the path of a layout's .json file.")
    flags.DEFINE_enum("model_pose", None, list(openpose.MODELS), "Pose model that made the files; taken from --layout "
                      "where that says it. Files of body25 and of body25b cannot be told apart.")
    flags.DEFINE_string("videos", None, "CSV table of videos: id, and any of subject, emotion, fps, width, height; a "
                        "column split_NAME with train, test or nothing for each video makes the split NAME.")
    flags.DEFINE_string("clips", None, "CSV table of clips: video, start, stop and perhaps label (empty: none). "
                        "Numbers are those in the files' names; start is included, stop is not. Without it every whole "
                        "video is one clip without a label.")
    flags.DEFINE_boolean("keep_face", False, "Store the face landmarks of a layout that has them (openpose137). They "
                         "identify a person.")
    flags.DEFINE_string("person", "largest", "Who is followed: largest (area times score, summed over the frames), "
                        "leftmost, rightmost, centre (needs width in --videos), or a rank by size: 1 for the largest, "
                        "2 for the next.")
    flags.DEFINE_integer("workers", os.cpu_count(), "Processes that read. The store is the same for any number.",
                         lower_bound=1)
    flags.DEFINE_float("max_damaged", 0.05, "Largest share of damaged files that is let pass.", 0, 1)
    flags.DEFINE_string("report", None, "CSV table to write with what was found in each video.")
    flags.mark_flags_as_required(["input", "output", "layout"])


@errors.script
def main(_):
    """Read the flags, make the call, say what was done."""
    options = flags.FLAGS
    csv_tables.check_report(options.report, options.output)
    report = pack(
        options.input, options.output, options.layout, model_pose=options.model_pose, videos=options.videos,
        clips=options.clips, keep_face=options.keep_face, person=options.person, workers=options.workers,
        max_damaged=options.max_damaged,
    )
    if options.report is not None:
        csv_tables.write_report(options.report, report.videos)
    print(report)


if __name__ == "__main__":
    errors.run_script(main, define_flags)
