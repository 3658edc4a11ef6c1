"""NTU RGB+D and NTU RGB+D 120, as the authors' .skeleton files, packed into a store.

Each file is `SsssCcccPpppRrrrAaaa.skeleton` (setup, camera, subject, replication, action)
with up to six bodies of 25 joints a frame. The store has layout ntu25, metres, 30 fps,
one video and one clip a file, and the splits of `mgjax.protocols.ntu`. Subfolders are
read too, so the folders of both parts of NTU RGB+D 120 can lie in one.

A video is one person: `data_prep/ntu_skeletons.py` says which body of a file is one, and
who of several is the main one. The video runs from the first to the last frame of its
person; frames between in which the person was not found are unseen. With two bodies asked
for, the two-person actions (A050 to A060, A106 to A120) give their second person too, as
another video and clip with `_b2` behind its id and the same label. Such clips count as
samples of their own in every split, so figures from that store do not compare with
published ones.

The samples that the authors list as having no skeleton or an incomplete one are left out,
if the list is given. A file in which there is no body is left out in any case and
counted. A damaged file stops the job, because a store that quietly lacks a clip gives
figures that compare with nothing.

This module needs NumPy and h5py only and never imports JAX.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import pathlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import IO

import numpy as np

from data_prep import ntu_skeletons
from data_prep.ntu_skeletons import FPS, Sample
from data_prep.workers import start_workers
from mgjax import files, progress, protocols, skeleton, store
from mgjax.errors import InputError

_SECOND = "_b2"  # behind the id of a sample's second person


@dataclasses.dataclass(frozen=True)
class NtuReport:
    """What a job packed.

    Attributes:
        output: the store.
        files: .skeleton files found.
        listed: files left out because the list of missing skeletons names them.
        empty: ids of the samples left out because there is no body in them.
        several: samples of more than one person.
        second: second people written.
        frames, clips: frames and clips written.
        splits: split name to clips that train and that test; a split that has none on a
            side is not written.
        large: whether the samples are of NTU RGB+D 120.
    """

    output: str
    files: int
    listed: int
    empty: tuple[str, ...]
    several: int
    second: int
    frames: int
    clips: int
    splits: dict[str, tuple[int, int]]
    large: bool

    def __str__(self) -> str:
        if self.large:
            name = "NTU RGB+D 120"
            samples, missing = protocols.NTU_120_SAMPLES, protocols.NTU_120_MISSING
        else:
            name = "NTU RGB+D"
            samples, missing = protocols.NTU_60_SAMPLES, protocols.NTU_60_MISSING
        lines = [
            f"files: {self.files} of the {samples} of {name}, of which its authors list "
            f"{missing} as missing",
            f"left out as listed: {self.listed}",
        ]
        if self.empty:
            lines.append(f"left out, no body in them: {len(self.empty)}, the first {self.empty[0]}")
        lines.append(
            f"clips: {self.clips}, frames {self.frames}; samples of more than one person "
            f"{self.several}, second people written {self.second}"
        )
        for split, (train, test) in self.splits.items():
            written = "" if train and test else "; not written"
            lines.append(f"  {split}: {train} clips train, {test} test{written}")
        return "\n".join([*lines, f"wrote {self.output}"])


@dataclasses.dataclass(frozen=True)
class _Video:
    """A person who was read: the video's id, its sample and its number of frames."""

    id: str
    sample: Sample
    length: int


def pack(
    input: str | os.PathLike,
    output: str | os.PathLike,
    *,
    missing: str | os.PathLike | None = None,
    bodies: int = 1,
    workers: int = 1,
) -> NtuReport:
    """Pack a folder of .skeleton files into a store; the module's docstring says how.

    The frames pass through a temporary file beside the store, so that memory holds a few
    samples. A split that has no clip on one of its sides is left out.

    Args:
        input: the folder; files with another ending are left alone.
        output: the store to write.
        missing: path of the list of samples to leave out.
        bodies: 1 for the main person of each sample, 2 for the second person of
            two-person actions too.
        workers: processes that read; the store is the same for any number.

    Raises:
        InputError: the folder is missing or holds no .skeleton file, a file is damaged or
            not of the benchmark, the list cannot be read, or nothing is left to write.
    """
    folder, output = pathlib.Path(input), pathlib.Path(output)
    if bodies not in (1, 2) or workers < 1:
        raise InputError(f"bodies is {bodies}, workers {workers}; expected 1 or 2, and at least 1")
    found = _find(folder)
    files.writable(output)
    # The authors' list names samples of both parts, whichever is packed.
    listed = ntu_skeletons.read_missing(missing) if missing is not None else set()
    paths = [path for path in found if path.stem not in listed]
    samples = [ntu_skeletons.read_name(path) for path in paths]
    # How many frames there are is known only when all are read, and a store has to know
    # it before the first is written.
    with _spool(output.parent) as spool:
        videos, empty, several = _read(paths, samples, bodies, workers, spool)
        if not videos:
            raise InputError(f"{folder}: none of its {len(found)} .skeleton files is left to pack")
        spool.seek(0)
        splits = _write(output, videos, spool)
    listed_files = len(found) - len(paths)
    second = sum(video.id != video.sample.id for video in videos)
    frames = sum(video.length for video in videos)
    return NtuReport(
        str(output),
        files=len(found),
        listed=listed_files,
        empty=tuple(empty),
        several=several,
        second=second,
        frames=frames,
        clips=len(videos),
        splits=splits,
        large=_large(samples),
    )


def _find(folder: pathlib.Path) -> list[pathlib.Path]:
    """The .skeleton files below a folder, by name."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of .skeleton files")
    # By name, so that the store does not depend on how the files lie in folders.
    found = sorted(folder.rglob("*.skeleton"), key=lambda path: path.name)
    if not found:
        raise InputError(
            f"{folder}: holds no .skeleton file, expected samples named "
            "SsssCcccPpppRrrrAaaa.skeleton"
        )
    return found


def _read(
    paths: Sequence[pathlib.Path],
    samples: Sequence[Sample],
    bodies: int,
    workers: int,
    spool: IO[bytes],
) -> tuple[list[_Video], list[str], int]:
    """Read all files and put their people's frames into a spool, one after another.

    Returns:
        The videos in the order of their frames, the ids of samples without a body, and how
        many samples have more than one person.
    """
    tasks = []
    for path, sample in zip(paths, samples):
        # Who else walks through the picture of a one-person action is no sample of it.
        most = bodies if sample.action in protocols.NTU_TWO_PEOPLE else 1
        tasks.append((path, most))
    videos: list[_Video] = []
    empty: list[str] = []
    several = 0
    with start_workers(min(workers, len(tasks))) as crew:
        # Few answers wait, so that a slow file does not fill the memory with those behind
        # it.
        answers = crew.in_order(ntu_skeletons.read_people, tasks, 4 * workers)
        answers = progress.track(answers, len(tasks), "reading")
        for (count, people), sample in zip(answers, samples):
            several += count > 1
            # A benchmark's file without anybody is none of ours to repair.
            if not count:
                empty.append(sample.id)
            for suffix, frames in zip(("", _SECOND), people):
                spool.write(frames.tobytes())
                videos.append(_Video(sample.id + suffix, sample, len(frames)))
    return videos, empty, several


@contextlib.contextmanager
def _spool(folder: pathlib.Path) -> Iterator[IO[bytes]]:
    """A file without a name in a folder, which is gone when the block ends, however it ends."""
    try:
        with tempfile.TemporaryFile(dir=folder) as spool:
            yield spool
    except OSError as error:
        if error.errno not in files.DISK_ERRORS:
            raise
        raise InputError(
            f"{folder}: a temporary file for the frames cannot be written there ({error.strerror})"
        ) from None


def _next_frames(spool: IO[bytes], length: int) -> np.ndarray:
    """The next frames in a spool: x, y, z and score, float32 `[length, 25, 4]`."""
    shape = (length, len(skeleton.NTU_25), 4)
    size = math.prod(shape) * np.dtype(np.float32).itemsize
    return np.frombuffer(spool.read(size), np.float32).reshape(shape)


def _large(samples: Iterable[Sample]) -> bool:
    """Whether samples are of NTU RGB+D 120, which has NTU RGB+D in it."""
    return any(
        sample.setup not in protocols.NTU_60_SETUPS or sample.action > protocols.NTU_60_ACTIONS
        for sample in samples
    )


def _write(
    output: str | os.PathLike, videos: Sequence[_Video], spool: IO[bytes]
) -> dict[str, tuple[int, int]]:
    """Write the store from the videos and their frames; clips on the sides of the splits."""
    samples = [video.sample for video in videos]
    large = _large(samples)
    # The first 60 actions are those of NTU RGB+D.
    actions: tuple[str, ...] = protocols.NTU_ACTIONS
    if not large:
        actions = actions[: protocols.NTU_60_ACTIONS]
    frames = sum(video.length for video in videos)
    writer = store.StoreWriter(
        output,
        skeleton.NTU_25,
        unit="metre",
        frames=frames,
        source=f"NTU RGB+D{' 120' if large else ''}, Kinect v2 skeletons",
        labels=actions,
    )
    sizes = {}
    with writer:
        for video in progress.track(videos, len(videos), "writing"):
            joints = _next_frames(spool, video.length)
            keypoints, score = joints[..., :3], joints[..., 3]
            subject = f"P{video.sample.subject:03}"
            writer.add_video(video.id, keypoints, score, fps=FPS, subject=subject)
            # Actions count from 1, labels from 0.
            writer.add_clip(video.id, 0, video.length, video.sample.action - 1)
        splits = protocols.ntu(
            [sample.subject for sample in samples],
            [sample.camera for sample in samples],
            [sample.setup for sample in samples],
        )
        # A part of the benchmark may have nobody on a side; the report says so.
        for name, (train, test) in splits.items():
            sizes[name] = len(train), len(test)
            if all(sizes[name]):
                writer.add_split(name, train, test)
    return sizes
