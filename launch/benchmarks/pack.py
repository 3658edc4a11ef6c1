"""Packing OpenPose's files, simulated ones, beside the least that it takes: to open, read and
parse each of them.

"Typed parsing" is msgspec's into declared types and one float32 array a frame, the
fastest of the JSON parsers. It stands here twice: after reading with file objects, and
with the system's calls only, which is what packing itself does. Packing also lists the
folders, follows one person and writes the store.

The files have just been written and lie in memory; a disk that has to be read first is slower
than all of this.
"""

from __future__ import annotations

import functools
import json
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.measure import Measurement, alternate, optional, row
from data_prep import openpose, openpose_folders, openpose_frames, openpose_source, simulation
from mgjax import skeleton

SUITE = "pack"
LAYOUT = skeleton.BODY_25_HANDS
PARTS = ("pose_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d")
# each recording so many times for several workers, so that their start does not count for much
REPEATS = 10


def run(runs: int, small: bool) -> Iterator[Measurement]:
    """The suite's rows, as they are measured."""
    videos, clips, repeats = (2, 1, 2) if small else (40, 10, REPEATS)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        simulation.write_openpose(
            simulation.simulate(videos=videos, subjects=2, clips_per_video=clips), folder / "made"
        )
        frames = folder / "made" / "openpose"
        yield from _one_core(frames, folder / "out.h5", runs)
        many = folder / "many"
        many.mkdir()
        for video in frames.iterdir():
            for i in range(repeats):
                (many / f"{video.name}_{i}").symlink_to(video)
        yield from _all_cores(many, folder / "out.h5", runs)


def _one_core(folder: pathlib.Path, output: pathlib.Path, runs: int) -> Iterator[Measurement]:
    recordings, _ = openpose_folders.find_recordings(folder)
    chunks = [chunk for recording in recordings for chunk in openpose_folders.chunks(recording)]
    paths = [os.path.join(video, name) for video, names in chunks for name in names.values()]
    source = openpose_source.source_of(LAYOUT)
    contestants = {
        "reading": lambda: [openpose_frames.read_frames(*chunk, source) for chunk in chunks],
        "packing": lambda: openpose.pack(folder, output, LAYOUT),
        "plain json": lambda: _read(paths, _through_a_file, _plain),
    }
    peers = {
        "typed parsing, files": _through_a_file,
        "typed parsing, system calls": _through_the_system,
    }
    typed = _typed()
    if typed is not None:
        contestants |= {
            peer: functools.partial(_read, paths, content, typed) for peer, content in peers.items()
        }
    seconds = alternate(contestants, runs)
    files = f"{len(paths):,} files"
    yield row(
        SUITE,
        f"reading {files}, 1 core",
        "frames/s",
        seconds["reading"],
        "plain json",
        seconds["plain json"],
        amount=len(paths),
    )
    for peer in peers:
        yield row(
            SUITE,
            f"packing {files}, 1 core",
            "frames/s",
            seconds["packing"],
            peer,
            seconds.get(peer),
            amount=len(paths),
        )


def _all_cores(folder: pathlib.Path, output: pathlib.Path, runs: int) -> Iterator[Measurement]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if cores == 1:
        return
    files = sum(recording.files for recording in openpose_folders.find_recordings(folder)[0])
    seconds = alternate(
        {
            workers: functools.partial(openpose.pack, folder, output, LAYOUT, workers=workers)
            for workers in (1, cores)
        },
        runs,
    )
    yield row(
        SUITE,
        f"packing {files:,} files, {cores} workers",
        "frames/s",
        seconds[cores],
        "1 worker",
        seconds[1],
        amount=files,
    )


def _read(
    paths: list[str], content: Callable[[str], bytes], parse: Callable[[bytes], list[np.ndarray]]
) -> None:
    for path in paths:
        parse(content(path))


def _through_a_file(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _through_the_system(path: str) -> bytes:
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, 1 << 16)
    finally:
        os.close(file)


def _plain(text: bytes) -> list[np.ndarray]:
    """Everybody in a frame, each float32 `[numbers]`."""
    return [
        np.array([number for part in PARTS for number in person[part]], np.float32)
        for person in json.loads(text)["people"]
    ]


def _typed() -> Callable[[bytes], list[np.ndarray]] | None:
    """As `_plain`, by msgspec; None where it is not installed."""
    msgspec = optional("msgspec", "msgspec")
    if msgspec is None:
        return None
    person = msgspec.defstruct("Person", [(part, list[float]) for part in PARTS])
    decode = msgspec.json.Decoder(msgspec.defstruct("Frame", [("people", list[person])])).decode

    def parse(text):
        return [
            np.array(
                p.pose_keypoints_2d + p.hand_left_keypoints_2d + p.hand_right_keypoints_2d,
                np.float32,
            )
            for p in decode(text).people
        ]

    return parse
