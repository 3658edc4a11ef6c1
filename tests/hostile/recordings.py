"""Hostile OpenPose frames and recordings, tables of videos and clips, and iMiGUE's files."""

from __future__ import annotations

import functools
import importlib.util
import io
import json
import os
import pathlib
from unittest import mock

import numpy as np

from data_prep import (
    annotations,
    gesture_agreement,
    imigue,
    openpose,
    openpose_frames,
    openpose_source,
)
from hostile import damage, formats, made, sound, target
from mgjax import skeleton
from mgjax.errors import InputError

SOURCES = [
    openpose_source.source_of(skeleton.get(name), model)
    for name, model in (
        ("body25", None),
        ("body25b", None),
        ("coco18", None),
        ("body25_hands", None),
        ("imigue22", "body25"),
    )
]
HANDS = ("hand_left_keypoints_2d", "hand_right_keypoints_2d")


def _people(chance, joints=25, count=None):
    """A sound frame of one to three people."""

    def part(size):
        return [
            round(chance.uniform(0, 700), 3) if i % 3 < 2 else round(chance.random(), 3)
            for i in range(3 * size)
        ]

    people = []
    for _ in range(count or chance.choice((1, 1, 2, 3))):
        person = {"person_id": [-1], "pose_keypoints_2d": part(joints), "face_keypoints_2d": []}
        people.append(person | {hand: part(21) for hand in HANDS})
    return {"version": 1.3, "people": people}


@target("openpose", 18)
def openpose_frame(chance, folder, good):
    """One spoilt file, which both readers of JSON must read alike; or a recording, packed."""
    if chance.random() < 0.2:
        _recording(chance, folder)
        return
    source = chance.choice(SOURCES)
    path = damage.place(
        chance,
        folder / "cam_000000000007_keypoints.json",
        damage.json_of(chance, _people(chance, len(source.model))),
    )
    readers = [None] if openpose_frames.msgspec is None else [openpose_frames.msgspec, None]
    found = []
    for reader in readers:
        with mock.patch.object(openpose_frames, "msgspec", reader):
            try:
                found.append(openpose_frames.read_frame(path, source))
            except (openpose_frames.DamagedFrame, InputError) as error:
                found.append(error)
    kinds = [type(one) for one in found]
    sound.need(len(set(kinds)) == 1, f"the two readers differ: {found}"[:300])
    if isinstance(found[0], Exception):
        # A damaged frame is tolerated by the packers, which put its path before the reason.
        raise found[0] if isinstance(found[0], InputError) else InputError(f"{path}: {found[0]}")
    points = found[0]
    sound.need(
        all(np.array_equal(one, points) for one in found), "the two readers read different numbers"
    )
    width = len(source.model) + sum(count for _, count in source.parts)
    sound.need(
        points.dtype == np.float32 and points.ndim == 3 and points.shape[1:] == (width, 3),
        f"{points.shape}",
    )
    sound.need(
        np.isfinite(points).all() and (points[..., 2] >= 0).all(),
        "a number that is negative or not finite",
    )


# fmt: off
NAMES = ("cam_{n}_keypoints.json", "cam_{n}_keypoints.JSON", ".cam_{n}.json", "{n}.json",
         "cam.json", "cam_{n}.txt",
         "cam_{n}_keypoints.json.partial", "0{n}.json", "cam_99999999999999999999_keypoints.json",
         "9{n}.json",
         "cam_" + "9" * 200 + ".json", "cam_٣_keypoints.json", "n\n{n}.json", "-{n}.json")
# fmt: on


def _recording(chance, folder):
    """Frames, or folders of them, with odd names, damage, and things that are no frames."""
    root = folder / "input"
    videos = [root] if chance.random() < 0.3 else [root / name for name in ("a", "b")]
    if chance.random() < 0.1:
        videos.append(root / chance.choice((".hidden", "a\nb", "x" * 200, "c")))
    if chance.random() < 0.05:
        videos.append(pathlib.Path(os.fsdecode(os.fsencode(root) + b"/\xff\xfe")))
    for video in videos:
        video.mkdir(parents=True, exist_ok=True)
        for number in range(chance.choice((0, 1, 3, 5)) if chance.random() < 0.1 else 4):
            name = chance.choice(NAMES) if chance.random() < 0.04 else NAMES[0]
            data = json.dumps(_people(chance)).encode()
            if chance.random() < 0.15:
                data = damage.json_of(chance, _people(chance))
            path = video / name.format(n=number)
            if not os.path.lexists(path):
                damage.place(chance, path, data)
    person = chance.choice(("largest", "1", "leftmost", "rightmost"))
    sound.packed(
        folder / "out.h5",
        lambda out: openpose.pack(
            root,
            out,
            chance.choice(("body25", "imigue22", "body25_hands")),
            model_pose=chance.choice(("body25", None)),
            person=person,
            max_damaged=chance.choice((0.05, 0.5, 1)),
        ),
    )


def _good_frames(good):
    """Two videos of six frames each, and their tables."""
    import random

    chance = random.Random(1)

    def write(folder):
        for video in ("a", "b"):
            (folder / video).mkdir(parents=True)
            for number in range(6):
                path = folder / video / f"cam_{number:012}_keypoints.json"
                path.write_text(json.dumps(_people(chance, count=1)))

    made(good / "frames", write)


VIDEOS = [
    ["id", "subject", "emotion", "fps", "width", "height", "split_mine"],
    ["a", "s1", "positive", "25", "1280", "720", "train"],
    ["b", "s2", "negative", "29.97", "1280", "720", "test"],
]
CLIPS = [
    ["video", "start", "stop", "label"],
    ["a", "0", "3", "rubbing"],
    ["a", "3", "6", "folding"],
    ["b", "1", "5", "rubbing"],
    ["b", "2", "6", ""],
]
LENGTHS = [["id", "frames"], ["a", "6"], ["b", "6"]]


@target("csv", 15, prepare=_good_frames)
def tables_of_videos_and_clips(chance, folder, good):
    """Spoilt tables beside sound frames; or beside another annotator's."""
    if chance.random() < 0.3:
        _agreement(chance, folder)
        return
    spoilt = chance.choice(("videos", "clips"))
    paths = {}
    for name, rows in (("videos", VIDEOS), ("clips", CLIPS)):
        data = damage.table_of(chance, rows) if name == spoilt else _csv(rows)
        paths[name] = damage.place(chance, folder / f"{name}.csv", data)
    sound.packed(
        folder / "out.h5", lambda out: openpose.pack(good / "frames", out, "body25", **paths)
    )


def _csv(rows) -> bytes:
    return "".join(",".join(row) + "\n" for row in rows).encode()


def _agreement(chance, folder):
    spoilt = chance.choice(("first", "second", "lengths"))
    theirs = {"first": formats.clips, "second": formats.clips, "lengths": formats.frames}
    paths = {}
    for name, rows in (("first", CLIPS[:4]), ("second", CLIPS[:3]), ("lengths", LENGTHS)):
        spoil = theirs[name] if chance.random() < 0.3 else _spoilt(rows)
        data = spoil(chance) if name == spoilt else _csv(rows)
        paths[name] = damage.place(chance, folder / f"{name}.csv", data)
    first, second = (annotations.read_annotation(paths[name]) for name in ("first", "second"))
    lengths = annotations.read_lengths(paths["lengths"])
    for video, gestures in (*first.items(), *second.items()):
        sound.need(
            all(0 <= start < stop and label for start, stop, label in gestures),
            f"gestures of {video!r}",
        )
    sound.need(
        all(type(frames) is int and frames >= 0 for frames in lengths.values()),
        "a number of frames",
    )
    try:
        json.dumps(gesture_agreement.agreement(first, second, lengths=lengths), allow_nan=False)
    except InputError as error:  # two annotations that are sound, but do not fit together
        raise InputError(f"{folder}: {error}") from None


# iMiGUE


def _imigue_rows(chance, frames, skipped=1, joints=35):
    return [
        [str(number)] * skipped
        + [
            f"{chance.uniform(0, 700):.2f}" if i % 3 < 2 else f"{chance.random():.3f}"
            for i in range(3 * joints)
        ]
        for number in range(frames)
    ]


LABELS = [["1", "0", "1"], ["99", "1", "2"], ["", "0", "2"]]
ABOUT = [["id", "subject", "emotion"], ["0001", "1", "positive"], ["0187", "2", "negative"]]


@target("imigue", 10)
def imigue_files(chance, folder, good):
    """Two videos as iMiGUE has them, in one of three forms, of which one file is spoilt."""
    root = folder / "input"
    root.mkdir()
    form = chance.choice(("csv", "csv", "json", "xlsx" if _sheets() else "csv"))
    spoilt = chance.choice(("keypoints", "keypoints", "labels", "videos"))
    theirs = chance.random() < 0.3  # spoilt in the way of `formats`
    for id in ("0001", "0187"):
        bad = id == "0001" and spoilt
        _imigue_keypoints(chance, root, id, form, bad == "keypoints", theirs)
        labels = formats.labels if theirs else _spoilt(LABELS)
        data = labels(chance) if bad == "labels" else _csv(LABELS)
        damage.place(chance, root / f"{id}_label.csv", data)
    videos = None
    if chance.random() < 0.5 or spoilt == "videos":
        about = formats.videos if theirs else _spoilt(ABOUT)
        data = about(chance) if spoilt == "videos" else _csv(ABOUT)
        videos = damage.place(chance, folder / "videos.csv", data)
    sound.packed(folder / "out.h5", lambda out: imigue.pack(root, out, videos=videos, form=form))


def _spoilt(rows):
    """A function that spoils a table."""
    return functools.partial(damage.table_of, rows=rows)


def _imigue_keypoints(chance, root, id, form, bad, theirs):
    """Write a video's keypoints."""
    if form == "json":
        (root / id).mkdir()
        for number in range(4):
            frame = _people(chance, count=1)
            spoil = bad and number == 2
            data = damage.json_of(chance, frame) if spoil else json.dumps(frame).encode()
            damage.place(chance, root / id / f"{id}_{number:012}_keypoints.json", data)
    elif form == "csv":
        rows = _imigue_rows(chance, 4)
        data = damage.table_of(chance, rows) if bad else _csv(rows)
        data = formats.points(chance) if bad and theirs else data
        damage.place(chance, root / f"{id}_light_hand.csv", data)
    else:
        data = _sheet(chance, 3)
        data = damage.bytes_of(chance, data) if bad else data
        data = formats.sheet_file(chance) if bad and theirs else data
        damage.place(chance, root / f"{id}_openpose.xlsx", data)


def _sheets() -> bool:
    """Whether there is what writes and reads sheets."""
    return all(importlib.util.find_spec(name) for name in ("openpyxl", "python_calamine"))


def _sheet(chance, frames) -> bytes:
    """A workbook of some frames."""
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in _imigue_rows(chance, frames, 0, 137):
        cells = [float(cell) for cell in row]
        if chance.random() < 0.3:
            cells[chance.randrange(len(cells))] = chance.choice(
                ("", "text", "=1/0", -1, 1e300, True, None, "#N/A")
            )
        sheet.append(cells)
    written = io.BytesIO()
    book.save(written)
    return written.getvalue()
