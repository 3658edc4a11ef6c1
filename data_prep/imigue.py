r"""iMiGUE's files, which its licence gives you, packed into a store.

`data_prep/imigue_files.py` says what the files are called and what is in them. In the
store labels count from 0 and are rows of `protocols.IMIGUE_CLASSES`; both official splits
are written from `mgjax/protocols.py`, for the videos whose subject or id is known. What
is missing or extra against the published counts is reported
(`data_prep/imigue_report.py`).

Each sheet is read twice, as its frames have to be counted first. They take
python-calamine: pip install 'mgjax[xlsx]'.

Face landmarks identify a person. They are kept only if asked for, in layout openpose137.

This module needs NumPy and h5py and never imports JAX.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

import mgjax.files
from data_prep import csv_tables, following, imigue_files, imigue_frames, openpose_source
from data_prep.imigue_files import FPS, HEIGHT, WIDTH, Files, Form
from data_prep.imigue_report import ImigueReport, ImigueVideoReport, official
from data_prep.workers import Crew, start_workers
from mgjax import protocols, skeleton
from mgjax.errors import InputError
from mgjax.progress import track
from mgjax.store import StoreWriter

LAYOUTS = {
    layout.name: layout
    for layout in (
        skeleton.IMIGUE_22,
        skeleton.IMIGUE_35,
        skeleton.BODY_25_HANDS,
        skeleton.OPENPOSE_137,
    )
}
_EMOTIONS = {"win": "positive", "won": "positive", "lose": "negative", "lost": "negative", "": ""}
_SUBJECTS = 72  # numbered from 1

# Start, length and label of a clip.
_Clip = tuple[int, int, int | None]
# What `imigue_frames.read_video` takes.
_Task = tuple[Files, openpose_source.Source, following.Choice | int, list[_Clip], str, str]


def pack(
    input: str | os.PathLike,
    output: str | os.PathLike,
    layout: str | None = None,
    *,
    videos: str | os.PathLike | None = None,
    form: Form | None = None,
    keep_face: bool = False,
    person: str | int = "largest",
    workers: int = 1,
) -> ImigueReport:
    """Pack iMiGUE's files into a store; the module's docstring says how.

    Args:
        input: the folder that holds the files, in any subfolders.
        output: the store to write.
        layout: one of LAYOUTS; None takes the largest without a face that every video's
            file can give.
        videos: path of a CSV table with the columns id and any of subject (1 to 72),
            emotion (positive or negative) or result (win or lose); a column split_NAME
            holding train, test or nothing makes the split NAME.
        form: one of `imigue_files.FORMS`, to read that form only; None reads all.
        keep_face: store the face landmarks of openpose137.
        person: who is followed through JSON files, as in `openpose.pack`; the other forms
            hold one person.
        workers: processes that read; the store is the same for any number.

    Raises:
        InputError: anything is wrong with the files, the table or the output's folder, or
            a worker dies.
    """
    mgjax.files.writable(output)
    found, empty = imigue_files.find(input, form)
    source = _source(found, layout, keep_face)
    who = _who(found, person)
    # Before anything is read, which takes minutes.
    about, splits = read_videos(videos) if videos is not None else ({}, {})
    if workers < 1:
        raise InputError(f"workers is {workers}, expected at least 1")
    # A video is read by one process at a time, so more than there are videos have no
    # work.
    with start_workers(min(workers, len(found))) as crew:
        lengths, clips = _count(crew, found, 2 * workers)
        tasks: list[_Task] = []
        for files, rows in zip(found, clips):
            subject, emotion = about.get(files.id, ("", ""))
            tasks.append((files, source, who, rows, subject, emotion))
        reports, written = _write(output, crew, tasks, sum(lengths), splits, 2 * workers)
    ids = {files.id for files in found}
    # Without a table nobody is left out of it.
    known = set(about) if videos is not None else ids
    return ImigueReport(
        str(output),
        source.layout.name,
        tuple(reports),
        tuple(written),
        empty,
        unlisted=tuple(sorted(ids - known)),
        absent=tuple(sorted(known - ids)),
    )


def _who(found: Sequence[Files], person: str | int) -> following.Choice | int:
    """Who is followed, if some of the files hold several people."""
    who = following.parse_person(str(person))
    if who != "largest" and all(files.form != "json" for files in found):
        raise InputError(
            f"person {who} has nobody to choose from: only JSON files hold several people"
        )
    return who


def _source(found: Sequence[Files], layout: str | None, keep_face: bool) -> openpose_source.Source:
    """What to store of some files, each of which has the joints for it."""
    # 35 joints of csv files, and of the others all without the face.
    if layout is None:
        has_csv = any(files.form == "csv" for files in found)
        layout = "imigue35" if has_csv else "body25_hands"
    if layout not in LAYOUTS:
        raise InputError(f"layout {layout!r}: expected one of {', '.join(LAYOUTS)}")
    source = openpose_source.source_of(LAYOUTS[layout], "body25", keep_face)
    # One file of each form is enough.
    for files in {files.form: files for files in found}.values():
        try:
            source.layout.cut(imigue_files.FORMS[files.form])
        except InputError as error:
            raise InputError(f"{files.path}: {error}; layout imigue35 can") from None
    return source


def _count(crew: Crew, found: Sequence[Files], ahead: int) -> tuple[list[int], list[list[_Clip]]]:
    """Number of frames, and clips, of each video."""
    tasks = ((files,) for files in found)
    counted = crew.in_order(imigue_frames.count_frames, tasks, ahead)
    lengths = list(track(counted, len(found), "counting frames"))
    # Only with the number of frames can a clip that lies outside be told.
    clips: list[list[_Clip]] = []
    for files, frames in zip(found, lengths):
        clips.append(imigue_files.read_labels(files.labels, frames) if files.labels else [])
    return lengths, clips


def _write(
    output: str | os.PathLike,
    crew: Crew,
    tasks: Sequence[_Task],
    frames: int,
    tabled: dict[str, dict[str, str]],
    ahead: int,
) -> tuple[list[ImigueVideoReport], list[str]]:
    """Read the videos and write the store.

    Args:
        output: the store.
        crew, tasks, ahead: who reads, what, and how many videos may wait in memory.
        frames: of all videos together.
        tabled: the table's splits.

    Returns:
        A report of each video, and the names of the splits that the store has.
    """
    found, source = [files for files, *_ in tasks], tasks[0][1]
    reports: list[ImigueVideoReport] = []
    with StoreWriter(
        output,
        source.layout,
        unit="pixel",
        frames=frames,
        source=_described(found),
        labels=list(protocols.IMIGUE_CLASSES),
    ) as writer:
        read = crew.in_order(imigue_frames.read_video, tasks, ahead)
        read = track(read, len(tasks), "packing videos")
        # They come in the order of the tasks, which is that of the ids.
        for (report, keypoints, score), (_, _, _, clips, _, _) in zip(read, tasks):
            _add_video(writer, report, keypoints, score, clips)
            reports.append(report)
        splits = _splits(reports, tabled)
        for name, (train, test) in splits.items():
            writer.add_split(name, train, test, of="videos")
    return reports, list(splits)


def _described(found: Sequence[Files]) -> str:
    """The store's source: "iMiGUE, 3 videos (1 csv, 2 json)"."""
    forms = [files.form for files in found]
    present = [form for form in imigue_files.FORMS if form in forms]
    counts = [f"{forms.count(form)} {form}" for form in present]
    return f"iMiGUE, {len(found)} videos ({', '.join(counts)})"


def _add_video(
    writer: StoreWriter,
    report: ImigueVideoReport,
    keypoints: np.ndarray,
    score: np.ndarray,
    clips: Sequence[_Clip],
) -> None:
    writer.add_video(
        report.id,
        keypoints,
        score,
        fps=FPS,
        width=WIDTH,
        height=HEIGHT,
        subject=report.subject,
        emotion=report.emotion,
    )
    for clip in clips:
        writer.add_clip(report.id, *clip)


def _splits(
    reports: Sequence[ImigueVideoReport], tabled: dict[str, dict[str, str]]
) -> dict[str, tuple[Sequence[int], Sequence[int]]]:
    """Rows that train and that test by name: the table's splits, and the official ones.

    An official split of which a side would be empty is left out.
    """
    splits: dict[str, tuple[Sequence[int], Sequence[int]]] = {}
    for name, (train, test) in official(reports).items():
        if len(train) and len(test):
            splits[name] = train.tolist(), test.tolist()
    row_of = {report.id: row for row, report in enumerate(reports)}
    for name, sides in tabled.items():
        rows: dict[str, list[int]] = {"train": [], "test": [], "": []}
        for id, side in sides.items():
            # The table may list videos of which there are no files.
            if id in row_of:
                rows[side].append(row_of[id])
        splits[name] = rows["train"], rows["test"]
    return splits


def read_videos(
    path: str | os.PathLike,
) -> tuple[dict[str, tuple[str, str]], dict[str, dict[str, str]]]:
    """The table of videos.

    Returns:
        (subject, emotion) by id, and sides (train, test or "") of ids by name of a split.

    Raises:
        InputError: as `csv_tables.read_table`, an id is listed twice, or a value is none
            of those expected.
    """
    about: dict[str, tuple[str, str]] = {}
    splits: dict[str, dict[str, str]] = {}
    optional = ("subject", "emotion", "result")
    for where, row in csv_tables.read_table(path, ("id",), optional, csv_tables.SPLIT):
        if not imigue_files.ID.fullmatch(row["id"]):
            raise InputError(
                f"{where}: id is {row['id']!r}, expected a number of up to four digits"
            )
        id = f"{int(row['id']):04}"
        if id in about:
            raise InputError(f"{where}: video {id} is there twice")
        about[id] = _subject(where, row), _emotion(where, row)
        for name, side in csv_tables.pop_sides(where, row).items():
            # Two splits of one name could not both be written.
            if name in official([]):
                raise InputError(
                    f"{where}: the split {name} is made from subjects and ids; call this one "
                    "otherwise"
                )
            splits.setdefault(name, {})[id] = side
    return about, splits


def _subject(where: str, row: dict) -> str:
    """A row's subject as the store has it, two digits; "" where it is not known."""
    subject = row.get("subject", "")
    if not subject:
        return ""
    if not (imigue_files.ID.fullmatch(subject) and 1 <= int(subject) <= _SUBJECTS):
        raise InputError(
            f"{where}: subject is {subject!r}, expected a number from 1 to {_SUBJECTS}, or nothing"
        )
    return f"{int(subject):02}"


def _emotion(where: str, row: dict) -> str:
    """A row's emotion, which its result may say; "" where it is not known."""
    emotion, result = row.get("emotion", "").lower(), row.get("result", "").lower()
    if emotion not in (*protocols.IMIGUE_EMOTIONS, ""):
        raise InputError(f"{where}: emotion is {emotion!r}, expected positive, negative or nothing")
    if result not in _EMOTIONS:
        raise InputError(f"{where}: result is {result!r}, expected win, lose or nothing")
    # Both columns may be there, as long as they do not contradict each other.
    implied = _EMOTIONS[result]
    if emotion and result and emotion != implied:
        raise InputError(
            f"{where}: result {result} is emotion {implied}, and the row says {emotion}"
        )
    return emotion or implied
