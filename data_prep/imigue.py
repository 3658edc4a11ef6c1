r"""Pack iMiGUE's files, which its licence gives you, into a store.

  python data_prep/pack_imigue.py --input imigue/ --output imigue.h5 --videos videos.csv

Somewhere below --input, in any subfolders, each video has its keypoints (<id>_light_hand.csv,
<id>_openpose.xlsx or OpenPose's JSON in a folder <id>/) and perhaps its labels (<id>_label.csv);
`data_prep/imigue.py` says what is in them, and why the names of joints that go around with them
are not to be trusted. In the store labels count from 0 and are rows of
`protocols.IMIGUE_CLASSES`. How often the right shoulder lies left in the picture, as it does in
somebody who faces the camera, and how often five finger points lie nearest their own wrist, is
reported: files whose sides are swapped show there.

Both official splits are written from `mgjax/protocols.py`, for the videos whose subject or id is
known, and what is missing or extra against the published counts is printed; a part of the dataset
is packed like the whole.

Each sheet is read twice, as its frames have to be counted first. They take python-calamine: pip
install 'mgjax[xlsx]'.

Face landmarks identify a person. They are kept only with --keep_face and layout openpose137.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

import mgjax.files
from data_prep import csv_tables, following, imigue_files, openpose_source
from data_prep.workers import start_workers
from mgjax import protocols, skeleton
from mgjax.errors import InputError
from mgjax.progress import track
from mgjax.store import StoreWriter

FPS = 25
LAYOUTS = {
    layout.name: layout
    for layout in (
        skeleton.IMIGUE_22,
        skeleton.IMIGUE_35,
        skeleton.BODY_25_HANDS,
        skeleton.OPENPOSE_137,
    )
}
_RESULTS = {"win": "positive", "won": "positive", "lose": "negative", "lost": "negative", "": ""}


@dataclasses.dataclass(frozen=True)
class ImigueReport:
    """What a job packed.

    Attributes:
        output: the store.
        layout: the name of its layout.
        videos: one `imigue_files.ImigueVideoReport` a video, in the store's order.
        splits: names of the splits written.
        without_keypoints: ids of which there are labels or a folder, but no keypoints.
        unlisted, absent: videos that the table of videos leaves out, and ids in it that are not
            among the files.
    """

    output: str
    layout: str
    videos: tuple[imigue_files.ImigueVideoReport, ...]
    splits: tuple[str, ...]
    without_keypoints: tuple[str, ...]
    unlisted: tuple[str, ...]
    absent: tuple[str, ...]

    def total(self, field: str) -> int:
        """The sum of a field of the videos' reports."""
        return sum(getattr(video, field) for video in self.videos)

    def __str__(self) -> str:
        lines = [
            f"frames {self.total('frames')}, without anybody {self.total('unseen')}, layout "
            f"{self.layout}"
        ]
        lines += compare(self.videos, self.splits)
        named = {
            "videos with labels or a folder but no keypoints": self.without_keypoints,
            "videos that the table of videos leaves out": self.unlisted,
            "videos in the table of videos but not among the files": self.absent,
            "videos without clips": [v.id for v in self.videos if not v.clips],
            "videos with clips without a label": [
                v.id for v in self.videos if v.labelled < v.clips
            ],
            f"videos of {imigue_files.MANY} or more clips, all of one class (hidden labels?)": [
                v.id for v in self.videos if v.same_label
            ],
        }
        lines += [f"{what}: {ranges(ids)}" for what, ids in named.items() if ids]
        return "\n".join([*lines, *self._doubts(), f"wrote {self.output}"])

    def _doubts(self) -> list[str]:
        """What the keypoints themselves make doubtful."""
        lines, outside, joints = [], self.total("outside"), self.total("joints")
        if outside:
            worst = max(self.videos, key=lambda video: video.outside / max(video.joints, 1))
            lines.append(
                f"joints outside the picture of {imigue_files.WIDTH} x {imigue_files.HEIGHT}: "
                f"{outside} of {joints} "
                f"({outside / joints:.2%}), most in video {worst.id} "
                f"({worst.outside / worst.joints:.2%})"
            )
        for field, what in (
            ("facing", "the right shoulder lies left in the picture"),
            ("own_hand", "five finger points lie nearest their own wrist"),
        ):
            shares = [getattr(video, field) for video in self.videos]
            if not np.isnan(shares).all():
                least = self.videos[int(np.nanargmin(shares))]
                lines.append(
                    f"{what} in {np.nanmean(shares):.1%} of the cases, in video "
                    f"{least.id} in "
                    f"{getattr(least, field):.1%}"
                    + ("; are left and right swapped?" if np.nanmean(shares) < 0.5 else "")
                )
        return lines


def ranges(numbers: Iterable) -> str:
    """Numbers, or ids of digits, as "0003, 0007-0009": in order, neighbours joined."""
    spelt = {int(number): str(number) for number in numbers}
    text, last = [], None
    for number in sorted(spelt):
        if last is not None and number == last + 1:
            text[-1] = f"{text[-1].partition('-')[0]}-{spelt[number]}"
        else:
            text.append(spelt[number])
        last = number
    return ", ".join(text)


def _against(count: int, published: int) -> str:
    """A count beside the published one: "12 of 359 (347 missing)"."""
    if count == published:
        return f"{count}, all there are"
    return f"{count} of {published} ({abs(published - count)} {'missing' if count < published else 'too many'})"


def compare(videos: Sequence[imigue_files.ImigueVideoReport], written: Iterable[str]) -> list[str]:
    """What was packed beside what was published, a sentence each.

    Args:
        videos: what was packed.
        written: the names of the splits that the store has.
    """
    splits, clips = official(videos), np.array([video.clips for video in videos])
    emotions = [video.emotion for video in videos]
    lost = protocols.IMIGUE_VIDEOS - protocols.IMIGUE_WON
    won, unknown = emotions.count("positive"), emotions.count("")
    lines = [
        f"videos {_against(len(videos), protocols.IMIGUE_VIDEOS)}; won "
        f"{_against(won, protocols.IMIGUE_WON)}, lost "
        f"{_against(emotions.count('negative'), lost)}"
        + (f", {unknown} not known" if unknown else ""),
        f"clips {_against(int(clips.sum()), protocols.IMIGUE_CLIPS)}",
    ]
    sides = zip(("train", "test"), splits["imigue_cross_subject"], protocols.IMIGUE_SPLIT_CLIPS)
    lines.append(
        "imigue_cross_subject: "
        + "; ".join(
            f"{side} clips {_against(int(clips[rows].sum()), published)}"
            for side, rows, published in sides
        )
    )
    subjects = {int(video.subject) for video in videos if video.subject}
    nobody = [video.id for video in videos if not video.subject]
    if nobody:
        lines.append(f"  videos without a subject, in neither: {ranges(nobody)}")
    missing = {*protocols.IMIGUE_TRAIN_SUBJECTS, *protocols.IMIGUE_TEST_SUBJECTS} - subjects
    if missing and subjects:
        lines.append(f"  subjects of whom there is no video: {ranges(missing)}")
    ids = {int(video.id) for video in videos}
    published = (protocols.IMIGUE_EMOTION_TRAIN, protocols.IMIGUE_EMOTION_TEST)
    parts = zip(("train", "test"), splits["imigue_emotion"], published)
    lines.append(
        "imigue_emotion: "
        + "; ".join(
            f"{side} videos {_against(len(rows), len(known))}" for side, rows, known in parts
        )
    )
    lines += [
        f"  missing to {side}: {ranges(f'{id:04}' for id in set(known) - ids)}"
        for side, known in zip(("train", "test"), published)
        if set(known) - ids
    ]
    blank = [
        videos[row].id
        for row in np.concatenate(splits["imigue_emotion"])
        if not videos[row].emotion
    ]
    if blank:
        lines.append(f"  videos of it whose emotion is not known: {ranges(blank)}")
    lines += [
        f"{name}: not written, as nothing is there to {'test' if len(train) else 'train'}"
        for name, (train, _) in splits.items()
        if name not in written
    ]
    extra = [video.id for video in videos if int(video.id) > max(map(max, published))]
    if extra:
        lines.append(f"videos of ids that iMiGUE does not have: {ranges(extra)}")
    return lines


def official(videos: Sequence[imigue_files.ImigueVideoReport]) -> dict[str, protocols.Rows]:
    """The official splits of some videos: name to rows that train and that test."""
    return protocols.imigue(
        [int(video.subject or 0) for video in videos], [int(video.id) for video in videos]
    )


def pack(
    input,
    output,
    layout: str | None = None,
    *,
    videos=None,
    form: str | None = None,
    keep_face: bool = False,
    person: str | int = "largest",
    workers: int = 1,
) -> ImigueReport:
    """Pack iMiGUE's files into a store; the module's docstring says how.

    Args:
        input: the folder that holds the files, in any subfolders.
        output: the store to write.
        layout: one of LAYOUTS; None takes the largest without a face that every video's file can
            give.
        videos: path of a CSV table with the columns id and any of subject (1 to 72), emotion
            (positive or negative) or result (win or lose); a column split_NAME holding train,
            test or nothing makes the split NAME.
        form: one of `imigue_files.FORMS`, to read that form only; None reads all.
        keep_face: store the face landmarks of openpose137.
        person: who is followed through JSON files, as in `openpose.pack`; the other forms
            hold one person.
        workers: processes that read; the store is the same for any number.

    Raises:
        InputError: anything is wrong with the files, the table or the output's folder, or a
            worker dies.
    """
    mgjax.files.writable(output)
    found, empty = imigue_files.find(input, form)
    source = _source(found, layout, keep_face)
    person = following.parse_person(str(person))
    if person != "largest" and all(files.form != "json" for files in found):
        raise InputError(
            f"person {person} has nobody to choose from: only JSON files hold several people"
        )
    about, splits = read_videos(videos) if videos is not None else ({}, {})
    if workers < 1:
        raise InputError(f"workers is {workers}, expected at least 1")
    reports = []
    forms = [files.form for files in found]
    named = ", ".join(f"{forms.count(form)} {form}" for form in imigue_files.FORMS if form in forms)
    with start_workers(min(workers, len(found))) as crew:
        counted = crew.in_order(
            imigue_files.count_frames, ((files,) for files in found), 2 * workers
        )
        lengths = list(track(counted, len(found), "counting frames"))
        clips = [
            imigue_files.read_labels(files.labels, frames) if files.labels else []
            for files, frames in zip(found, lengths)
        ]
        tasks = [
            (files, source, person, rows, *about.get(files.id, ("", "")))
            for files, rows in zip(found, clips)
        ]
        with StoreWriter(
            output,
            source.layout,
            unit="pixel",
            frames=sum(lengths),
            source=f"iMiGUE, {len(found)} videos ({named})",
            labels=list(protocols.IMIGUE_CLASSES),
        ) as writer:
            read = crew.in_order(imigue_files.read_video, tasks, 2 * workers)
            for (report, keypoints, score), rows in zip(
                track(read, len(tasks), "packing videos"), clips
            ):
                writer.add_video(
                    report.id,
                    keypoints,
                    score,
                    fps=FPS,
                    width=imigue_files.WIDTH,
                    height=imigue_files.HEIGHT,
                    subject=report.subject,
                    emotion=report.emotion,
                )
                for clip in rows:
                    writer.add_clip(report.id, *clip)
                reports.append(report)
            written = _splits(reports, splits)
            for name, (train, test) in written.items():
                writer.add_split(name, train, test, of="videos")
    ids = {files.id for files in found}
    known = about.keys() if videos is not None else ids
    return ImigueReport(
        str(output),
        source.layout.name,
        tuple(reports),
        tuple(written),
        empty,
        tuple(sorted(ids - known)),
        tuple(sorted(known - ids)),
    )


def _splits(
    reports: Sequence[imigue_files.ImigueVideoReport], tabled: dict[str, dict[str, str]]
) -> dict[str, protocols.Rows]:
    """Rows that train and that test by name: the official splits that have both, and the
    table's.
    """
    splits = {name: rows for name, rows in official(reports).items() if all(map(len, rows))}
    order = {report.id: row for row, report in enumerate(reports)}
    for name, sides in tabled.items():
        splits[name] = tuple(
            [order[id] for id in sides if sides[id] == side and id in order]
            for side in ("train", "test")
        )
    return splits


def _source(
    found: Sequence[imigue_files.Files], layout: str | None, keep_face: bool
) -> openpose_source.Source:
    """What to store of some files, each of which has the joints for it."""
    if layout is None:
        layout = "imigue35" if any(files.form == "csv" for files in found) else "body25_hands"
    if layout not in LAYOUTS:
        raise InputError(f"layout {layout!r}: expected one of {', '.join(LAYOUTS)}")
    source = openpose_source.source_of(LAYOUTS[layout], "body25", keep_face)
    for files in {files.form: files for files in found}.values():
        try:
            source.layout.cut(imigue_files.FORMS[files.form])
        except InputError as error:
            raise InputError(f"{files.path}: {error}; layout imigue35 can") from None
    return source


def read_videos(path) -> tuple[dict[str, tuple[str, str]], dict[str, dict[str, str]]]:
    """The table of videos: (subject, emotion) by id, and sides (train, test or "") of ids by name
    of a split.

    Raises:
        InputError: as `csv_tables.read_table`, an id is listed twice, or a value is none of those
            expected.
    """
    about, splits = {}, {}
    for where, row in csv_tables.read_table(
        path, ("id",), ("subject", "emotion", "result"), csv_tables.SPLIT
    ):
        if not imigue_files.ID.fullmatch(row["id"]):
            raise InputError(
                f"{where}: id is {row['id']!r}, expected a number of up to four digits"
            )
        id = f"{int(row['id']):04}"
        if id in about:
            raise InputError(f"{where}: video {id} is there twice")
        subject, emotion, result = (
            row.get(column, "").lower() for column in ("subject", "emotion", "result")
        )
        if subject and not (imigue_files.ID.fullmatch(subject) and 1 <= int(subject) <= 72):
            raise InputError(
                f"{where}: subject is {subject!r}, expected a number from 1 to 72, or nothing"
            )
        if emotion not in (*protocols.IMIGUE_EMOTIONS, ""):
            raise InputError(
                f"{where}: emotion is {emotion!r}, expected positive, negative or nothing"
            )
        if result not in _RESULTS:
            raise InputError(f"{where}: result is {result!r}, expected win, lose or nothing")
        if emotion and result and emotion != _RESULTS[result]:
            raise InputError(
                f"{where}: result {result} is emotion {_RESULTS[result]}, and the "
                f"row says {emotion}"
            )
        about[id] = (f"{int(subject):02}" if subject else "", emotion or _RESULTS[result])
        for name, side in csv_tables.pop_sides(where, row).items():
            if name in official([]):
                raise InputError(
                    f"{where}: the split {name} is made from subjects and ids; call "
                    "this one otherwise"
                )
            splits.setdefault(name, {})[id] = side
    return about, splits
