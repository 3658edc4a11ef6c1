"""NTU RGB+D and NTU RGB+D 120, as the authors' .skeleton files, to a store.

    python data_prep/pack_ntu.py --input nturgb+d_skeletons/ --output ntu.h5 \\
        --missing NTU_RGBD_samples_with_missing_skeletons.txt

Each file is `SsssCcccPpppRrrrAaaa.skeleton` (setup, camera, subject, replication, action) with up
to six bodies of 25 joints a frame. The store has layout ntu25, metres, 30 fps, one video and one
clip a file, and the splits of `mgjax.protocols.ntu`. Subfolders are read too, so the folders of
both parts of NTU RGB+D 120 can lie in one.

A video is one person:

- A body whose extent from left to right is more than 0.8 of its height in more than 70 % of its
  frames is furniture, not a person.
- Kinect gives a person it has lost and found again another body id. A body that begins after a
  person was last seen, no further away than somebody walks in between, is that person.
- A person of fewer than 12 frames is left out.
- Of several, the main one has the largest sum of the variances of x, y and z over all joints and
  frames (in the frames that are not too wide), the rule of the dataset's authors.

Where a rule would leave nobody, it is not applied. The video runs from the first to the last
frame of its person; frames between in which the person was not found are unseen. With --bodies 2
the two-person actions (A050 to A060, A106 to A120) give their second person too, as another video
and clip with `_b2` behind its id and the same label. Such clips count as samples of their own in
every split, so figures from that store do not compare with published ones.

Kinect's tracking state is the score: tracked 1, inferred 0.5, not tracked 0. A joint at exactly
0, 0, 0, the camera's own place, was not seen.

--missing is the authors' list of samples that have no skeleton or an incomplete one (302, and 535
of NTU RGB+D 120); they are left out. A file in which there is no body is left out in any case and
counted. A damaged file stops the job, because a store that quietly lacks a clip gives figures
that compare with nothing; to go on without it, add its name to the list.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import pathlib
import tempfile
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import numpy as np

from data_prep import ntu_skeletons
from data_prep.ntu_skeletons import FPS, Sample
from data_prep.workers import start_workers
from mgjax import files, progress, protocols, skeleton, store
from mgjax.errors import InputError


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
        splits: split name to clips that train and that test; a split that has none on a side is
            not written.
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
        samples, missing, name = (
            (protocols.NTU_120_SAMPLES, protocols.NTU_120_MISSING, "NTU RGB+D 120")
            if self.large
            else (protocols.NTU_60_SAMPLES, protocols.NTU_60_MISSING, "NTU RGB+D")
        )
        lines = [
            f"files: {self.files} of the {samples} of {name}, of which its authors list "
            f"{missing} as missing",
            f"left out as listed: {self.listed}",
        ]
        if self.empty:
            lines.append(f"left out, no body in them: {len(self.empty)}, the first {self.empty[0]}")
        lines.append(
            f"clips: {self.clips}, frames {self.frames}; samples of more than one person "
            f"{self.several}, "
            f"second people written {self.second}"
        )
        lines += [
            f"  {split}: {train} clips train, {test} "
            f"test{'' if train and test else '; not written'}"
            for split, (train, test) in self.splits.items()
        ]
        return "\n".join([*lines, f"wrote {self.output}"])


def pack(input, output, *, missing=None, bodies: int = 1, workers: int = 1) -> NtuReport:
    """Pack a folder of .skeleton files into a store; the module's docstring says how.

    The frames pass through a temporary file beside the store, so that memory holds a few samples.
    A split that has no clip on one of its sides is left out.

    Args:
        input: the folder; files with another ending are left alone.
        output: the store to write.
        missing: path of the list of samples to leave out.
        bodies: 1 for the main person of each sample, 2 for the second person of two-person
            actions too.
        workers: processes that read; the store is the same for any number.

    Raises:
        InputError: the folder is missing or holds no .skeleton file, a file is damaged or not of
            the benchmark, the list cannot be read, or nothing is left to write.
    """
    folder, output = pathlib.Path(input), pathlib.Path(output)
    if bodies not in (1, 2) or workers < 1:
        raise InputError(f"bodies is {bodies}, workers {workers}; expected 1 or 2, and at least 1")
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of .skeleton files")
    files.writable(output)
    listed = ntu_skeletons.read_missing(missing) if missing is not None else set()
    found = sorted(folder.rglob("*.skeleton"), key=lambda path: path.name)
    if not found:
        raise InputError(
            f"{folder}: holds no .skeleton file, expected samples named "
            "SsssCcccPpppRrrrAaaa.skeleton"
        )
    paths = [path for path in found if path.stem not in listed]
    samples = [ntu_skeletons.read_name(path) for path in paths]
    tasks = [
        (path, bodies if sample.action in protocols.NTU_TWO_PEOPLE else 1)
        for path, sample in zip(paths, samples)
    ]
    videos, empty, several = [], [], 0
    with _spool(output.parent) as spool:
        with start_workers(min(workers, len(tasks))) as crew:
            answers = crew.in_order(ntu_skeletons.read_people, tasks, 4 * workers)
            for (count, people), sample in zip(
                progress.track(answers, len(tasks), "reading"), samples
            ):
                several += count > 1
                if not count:
                    empty.append(sample.id)
                for suffix, frames in zip(("", "_b2"), people):
                    spool.write(frames.tobytes())
                    videos.append((sample.id + suffix, sample, len(frames)))
        if not videos:
            raise InputError(f"{folder}: none of its {len(found)} .skeleton files is left to pack")
        spool.seek(0)
        splits = _write(output, videos, spool)
    return NtuReport(
        str(output),
        len(found),
        len(found) - len(paths),
        tuple(empty),
        several,
        sum(id != sample.id for id, sample, _ in videos),
        sum(length for *_, length in videos),
        len(videos),
        splits,
        _large(samples),
    )


@contextlib.contextmanager
def _spool(folder: pathlib.Path) -> Iterator[BinaryIO]:
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


def _next_frames(spool: BinaryIO, length: int) -> np.ndarray:
    """The next frames in a spool, float32 `[length, 25, 4]`."""
    shape = (length, len(skeleton.NTU_25), 4)
    return np.frombuffer(spool.read(4 * math.prod(shape)), np.float32).reshape(shape)


def _large(samples: Iterable[Sample]) -> bool:
    return any(
        sample.setup not in protocols.NTU_60_SETUPS or sample.action > protocols.NTU_60_ACTIONS
        for sample in samples
    )


def _write(output, videos: list[tuple[str, Sample, int]], spool) -> dict[str, tuple[int, int]]:
    """Write the store from (id, sample, length) of each video and their frames; clips on the
    sides of the splits.
    """
    samples = [sample for _, sample, _ in videos]
    large = _large(samples)
    writer = store.StoreWriter(
        output,
        skeleton.NTU_25,
        unit="metre",
        frames=sum(length for *_, length in videos),
        source=f"NTU RGB+D{' 120' if large else ''}, Kinect v2 skeletons",
        labels=protocols.NTU_ACTIONS
        if large
        else protocols.NTU_ACTIONS[: protocols.NTU_60_ACTIONS],
    )
    sizes = {}
    with writer:
        for id, sample, length in progress.track(videos, len(videos), "writing"):
            frames = _next_frames(spool, length)
            writer.add_video(
                id, frames[..., :3], frames[..., 3], fps=FPS, subject=f"P{sample.subject:03}"
            )
            writer.add_clip(id, 0, length, sample.action - 1)
        splits = protocols.ntu(
            *([getattr(s, field) for s in samples] for field in ("subject", "camera", "setup"))
        )
        for name, (train, test) in splits.items():
            sizes[name] = len(train), len(test)
            if all(sizes[name]):
                writer.add_split(name, train, test)
    return sizes
