"""The store: one HDF5 file that holds every frame, video, clip and split of a dataset.

    root attributes          format, version, layout (name), skeleton (the layout as JSON),
                             joints, bones, unit ("pixel" or "metre"), y ("down" or "up": which
                             way y points), source, frames_digest
    frames/keypoints         float32 [F, V, C], all videos end to end, contiguous
    frames/score             float32 [F, V], 0 where a joint was not seen
    videos/                  id, start, length, fps, width, height, subject, emotion: one row a
                             video
    clips/                   video (row), start (relative to its video), length, label: one row a
                             clip
    labels                   class names, in label order
    splits/<name>/           train and test: rows of clips or of videos, as the attribute `of` says

Clips are ranges of frames, so untrimmed videos and trimmed clips are the same file and no frame
is stored twice. A joint that was not seen has score 0 and, by OpenPose's convention, keypoint (0,
0); nothing is NaN. Repairing such joints is the transforms' work, not the store's. An unknown
subject is "", an unknown emotion "", an unknown fps, width or height 0, and a clip without a
label has label -1.

Nothing in a store says who made it, when or where. `frames_digest` is the SHA-256 of CRC-32 sums,
uint32 little endian: those of the keypoints and of the scores of every 1024 frames, the last ones
of the rest. Version 1 of the format, without `y` and `frames_digest`, is still read.

A store is a plain file: what HDF5 would fetch from elsewhere is refused, and so is what is damaged
(`mgjax/hdf5.py`).

This module needs NumPy and h5py only and never imports JAX.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import math
import os
import pathlib
import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence

import h5py
import numpy as np

from mgjax import files, hdf5, skeleton
from mgjax.errors import InputError

FORMAT = "mgjax-store"
VERSION = 2
READ_VERSIONS = (1, 2)
UNITS = ("pixel", "metre")
Y_POINTS = {"pixel": "down", "metre": "up"}  # which way y points where nobody says it
ALL = "all"  # the split that every store has

_VIDEO_COLUMNS = {
    "id": str,
    "start": np.int64,
    "length": np.int64,
    "fps": np.float32,
    "width": np.int32,
    "height": np.int32,
    "subject": str,
    "emotion": str,
}
_CLIP_COLUMNS = {"video": np.int32, "start": np.int64, "length": np.int64, "label": np.int32}

_BLOCK = 8192  # frames read at a time: 13 MB of the largest layout
_SUMMED = 1024  # frames of which a digest takes one sum

# Files that this process wrote or has tried out, as `_identity` says.
_known: set[tuple[int, ...]] = set()

# What NumPy, h5py and the HDF5 library raise over damaged files.
_DAMAGE = (
    OSError,
    RuntimeError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    MemoryError,
    ArithmeticError,
)


@dataclasses.dataclass(frozen=True, repr=False)
class Videos:
    """One row a video; every column is an array of the same length."""

    id: np.ndarray
    start: np.ndarray
    length: np.ndarray
    fps: np.ndarray
    width: np.ndarray
    height: np.ndarray
    subject: np.ndarray
    emotion: np.ndarray

    def __len__(self) -> int:
        return len(self.id)

    def __repr__(self) -> str:
        return f"<{len(self)} videos>"


@dataclasses.dataclass(frozen=True, repr=False)
class Clips:
    """One row a clip: int arrays of the same length. `start` counts from the first frame of the
    clip's video.
    """

    video: np.ndarray
    start: np.ndarray
    length: np.ndarray
    label: np.ndarray

    def __len__(self) -> int:
        return len(self.video)

    def __repr__(self) -> str:
        return f"<{len(self)} clips>"


@dataclasses.dataclass(frozen=True, repr=False)
class Split:
    """Rows of clips or of videos (`of`) that train and that test, int64 arrays."""

    name: str
    of: str
    train: np.ndarray
    test: np.ndarray

    def __repr__(self) -> str:
        return f"<split {self.name!r}: {len(self.train)} {self.of} train, {len(self.test)} test>"


class Store:
    """Reads a store. Frames are read when asked for; the tables are small and read on opening.

        with Store("nucla.h5") as store:
            keypoints, score = store.clip(0)        # [T, V, C], [T, V]

    A damaged file can keep the HDF5 library busy for ever, or crash it. So a file that this process
    did not write is opened in a process of its own first, once, which takes about 0.2 s.

    Attributes:
        path: of the file.
        version: of the format, 1 or 2.
        layout: the `skeleton.Layout` of the joints.
        unit: "pixel" or "metre".
        y: which way y points, "down" or "up".
        videos, clips: the tables.
        labels: class names, tuple of str.
        splits: split name to `Split`.
        attributes: source, as written.
        frames_digest: of all frames when they were written; None in version 1.

    Raises:
        InputError: the file is missing, is not a store, has another version, or its parts do not
            fit together.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)
        hdf5.check_file(self.path, "store file")
        identity = _identity(self.path)
        if identity not in _known:
            hdf5.rehearse(self.path, "from mgjax import store; store.rehearse(sys.argv[1])")
        self._file = hdf5.opened(self.path)
        try:
            self._read_tables()
        except InputError:
            self.close()
            raise
        except _DAMAGE as error:
            self.close()
            # A ValueError is a sentence of ours, or of NumPy's about an odd table.
            what = "" if isinstance(error, ValueError) else "its tables cannot be read: "
            raise InputError(f"{self.path}: damaged store: {what}{str(error)[:300]}") from None
        _known.add(identity)

    def _read_tables(self):
        file = self._file
        if "format" not in file.attrs or hdf5.attribute(file, "format", str) != FORMAT:
            problem = f"not a {FORMAT} (its format attribute is missing)"
            raise InputError(f"{self.path}: an HDF5 file, but {problem}")
        self.version = hdf5.attribute(file, "version", int)
        if self.version not in READ_VERSIONS:
            raise InputError(
                f"{self.path}: store version {self.version}; this mgjax reads versions "
                f"{' and '.join(map(str, READ_VERSIONS))}, pack it again"
            )
        self._skeleton = hdf5.attribute(file, "skeleton", str)
        self.layout = skeleton.Layout.from_json(self._skeleton, f"{self.path}: skeleton")
        self.unit = self._one_of("unit", UNITS)
        self.y = Y_POINTS[self.unit] if self.version == 1 else self._one_of("y", ("down", "up"))
        self.attributes = {"source": hdf5.attribute(file, "source", str)}
        self.frames_digest = None
        if self.version > 1:
            self.frames_digest = hdf5.attribute(file, "frames_digest", str)
            if not re.fullmatch("[0-9a-f]{64}", self.frames_digest):
                said = self.frames_digest[:80]
                raise ValueError(f"frames_digest is {said!r}, expected 64 hexadecimal digits")
        frames = hdf5.group(file, "frames")
        self._keypoints = hdf5.dataset(frames, "keypoints", np.float32)
        self._score = hdf5.dataset(frames, "score", np.float32)
        self.videos = Videos(**_columns(hdf5.group(file, "videos"), _VIDEO_COLUMNS))
        self.clips = Clips(**_columns(hdf5.group(file, "clips"), _CLIP_COLUMNS))
        self.labels = tuple(hdf5.column(file, "labels", str).tolist())
        self.splits = {}
        splits = hdf5.group(file, "splits")
        for name in splits:
            split = hdf5.group(splits, name)
            rows = (hdf5.column(split, side, np.int64) for side in ("train", "test"))
            self.splits[name] = Split(name, hdf5.attribute(split, "of", str), *rows)
        problem = _inconsistency(
            self.layout,
            self._keypoints.shape,
            self._score.shape,
            self.videos,
            self.clips,
            self.labels,
            self.splits,
            self.attributes["source"],
        )
        if problem:
            raise ValueError(problem)

    def _one_of(self, name, values):
        value = hdf5.attribute(self._file, name, str)
        if value not in values:
            raise ValueError(f"{name} is {value[:80]!r}, expected one of {', '.join(values)}")
        return value

    @functools.cached_property
    def fingerprint(self) -> str:
        """What tells this store's contents from others', 32 hexadecimal digits.

        Stores have the same one exactly if their layout, unit, direction of y, videos, clips, class
        names, splits and frames are the same. The source does not matter, nor how the file came to
        be. Of a store of version 1 all frames are read for it; of others `frames_digest` is
        believed.
        """
        contents = {
            "skeleton": json.loads(self._skeleton),
            "unit": self.unit,
            "y": self.y,
            "labels": self.labels,
            "videos": _plain(self.videos),
            "clips": _plain(self.clips),
            "splits": [
                [name, split.of, split.train.tolist(), split.test.tolist()]
                for name, split in sorted(self.splits.items())
            ],
            "frames": self.frames_digest or self._digest_frames(),
        }
        text = json.dumps(contents, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def _digest_frames(self):
        digest = FramesDigest()
        for start in range(0, self.frame_count, _BLOCK):
            digest.update(*self.frames(start, min(start + _BLOCK, self.frame_count)))
        return digest.hexdigest()

    def described(self) -> dict[str, str | int]:
        """What a run notes about its store: fingerprint, layout's name, and how many videos, clips,
        frames and classes it has."""
        return {
            "fingerprint": self.fingerprint,
            "layout": self.layout.name,
            "videos": len(self.videos),
            "clips": len(self.clips),
            "frames": self.frame_count,
            "classes": len(self.labels),
        }

    @property
    def frame_count(self) -> int:
        """Number of frames F in all videos together."""
        return self._keypoints.shape[0]

    def frames(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Frames [start, stop) of the whole store, float32: keypoints `[T, V, C]`, score `[T, V]`.

        Raises:
            InputError: they cannot be read, a number is not finite, or a score is negative.
        """
        try:
            keypoints, score = self._keypoints[start:stop], self._score[start:stop]
        except (OSError, RuntimeError):
            which = f"frames {start} to {stop}"
            raise InputError(f"{self.path}: damaged store: {which} cannot be read") from None
        if not _sound(keypoints, score):
            wrong = ~np.isfinite(keypoints).all((1, 2)) | ~((score >= 0) & (score < np.inf)).all(1)
            if wrong.any():
                frame = range(self.frame_count)[start:stop][int(np.flatnonzero(wrong)[0])]
                problem = "has a keypoint or score that is not finite, or a negative score"
                raise InputError(f"{self.path}: damaged store: frame {frame} {problem}")
        return keypoints, score

    def video(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """All frames of a video: keypoints `[T, V, C]` and score `[T, V]`, float32."""
        start = int(self.videos.start[row])
        return self.frames(start, start + int(self.videos.length[row]))

    def clip(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """The frames of a clip: keypoints `[T, V, C]` and score `[T, V]`, float32."""
        start = int(self.clip_starts[row])
        return self.frames(start, start + int(self.clips.length[row]))

    @property
    def clip_starts(self) -> np.ndarray:
        """First frame of every clip, counted over the whole store, int64 `[clips]`."""
        return self.videos.start[self.clips.video] + self.clips.start

    def split(self, name: str) -> Split:
        """A split by name. Every store has the split "all": all clips train and none tests.

        Raises:
            InputError: the store has no such split.
        """
        if name == ALL:
            return Split(ALL, "clips", np.arange(len(self.clips)), np.empty(0, np.int64))
        if name not in self.splits:
            known = ", ".join(sorted({*self.splits, ALL}))
            raise InputError(f"{self.path}: no split {name!r}; this store has: {known}")
        return self.splits[name]

    def clip_split(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Clip rows that train and that test under a split; a split of videos gives the clips of
        its videos.
        """
        split = self.split(name)
        if split.of == "clips":
            return split.train, split.test
        return tuple(
            np.flatnonzero(np.isin(self.clips.video, rows)) for rows in (split.train, split.test)
        )

    def close(self):
        """Close the file."""
        with contextlib.suppress(OSError, RuntimeError):  # of a damaged one
            self._file.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_):
        self.close()


def rehearse(path: str):
    """Open a store and read its first and last frame; for a process of its own."""
    _known.add(_identity(path))
    with Store(path) as store:
        store.frames(0, 1)
        store.frames(max(0, store.frame_count - 1), store.frame_count)


def _identity(path) -> tuple[int, ...]:
    status = os.stat(path)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _sound(keypoints, score) -> bool:
    """Whether frames are finite and scores not negative for certain, at next to no cost.

    As whole numbers, the bits of float32 are in the numbers' order up to those of infinity; NaN and
    the negative come after it. A sum with NaN or infinity in it is never finite again.
    """
    infinity = 0x7F800000
    highest = np.maximum.reduce(score.view(np.uint32), axis=None, initial=0)
    flat = keypoints.ravel()
    with np.errstate(over="ignore"):
        return highest < infinity and math.isfinite(flat.dot(flat))


def _columns(group, kinds):
    return {name: hdf5.column(group, name, kind) for name, kind in kinds.items()}


def _plain(table):
    """A table as plain lists, by column."""
    return {field.name: getattr(table, field.name).tolist() for field in dataclasses.fields(table)}


class FramesDigest:
    """The digest of frames that come in pieces, however cut; of all, it is `Store.frames_digest`.

    Writing frames takes hardly longer for it, as it would for a SHA-256 of them: that is taken of
    CRC-32 sums, those of the keypoints and of the scores of every 1024 frames. A single number that
    changes always changes a sum.
    """

    def __init__(self):
        self._sums = hashlib.sha256()
        self._frames, self._keypoints, self._score = 0, 0, 0

    def update(self, keypoints: np.ndarray, score: np.ndarray):
        """Take in further frames, keypoints `[T, V, C]` and score `[T, V]`."""
        start = 0
        while start < len(score):
            stop = min(len(score), start + _SUMMED - self._frames % _SUMMED)
            part = slice(start, stop)
            self._keypoints = zlib.crc32(
                np.ascontiguousarray(keypoints[part], "<f4"), self._keypoints
            )
            self._score = zlib.crc32(np.ascontiguousarray(score[part], "<f4"), self._score)
            self._frames += stop - start
            start = stop
            if self._frames % _SUMMED == 0:
                self._sums.update(self._last_sums())
                self._keypoints, self._score = 0, 0

    def _last_sums(self):
        return struct.pack("<II", self._keypoints, self._score)

    def hexdigest(self) -> str:
        """64 hexadecimal digits."""
        sums = self._sums.copy()
        if self._frames % _SUMMED:
            sums.update(self._last_sums())
        return sums.hexdigest()


def _text_problem(text) -> str | None:
    """Why a text cannot be stored, or None."""
    if not isinstance(text, str):
        return f"is {text!r}, expected text"
    if "\0" in text:
        return f"is {text!r}, with a NUL byte"
    try:
        text.encode()
    except UnicodeEncodeError:
        return f"is {text!r}, which is not UTF-8"
    return None


def _inconsistency(
    layout, keypoints_shape, score_shape, videos, clips, labels, splits, source
) -> str | None:
    """What is wrong in a store's parts or does not fit together, or None."""
    frames = keypoints_shape[0] if keypoints_shape else 0
    if tuple(keypoints_shape[1:]) != (len(layout), layout.dimensions):
        return (
            f"frames/keypoints has shape {tuple(keypoints_shape)}, expected "
            f"[F, {len(layout)}, {layout.dimensions}] for layout {layout.name!r}"
        )
    if tuple(score_shape) != (frames, len(layout)):
        return f"frames/score has shape {tuple(score_shape)}, expected {(frames, len(layout))}"
    for table, rows in (("videos", videos), ("clips", clips)):
        lengths = {len(getattr(rows, field.name)) for field in dataclasses.fields(rows)}
        if len(lengths) > 1:
            return f"the columns of {table} differ in length: {sorted(lengths)}"
    texts = [
        ("source", [source]),
        ("a video's id", videos.id),
        ("a video's subject", videos.subject),
        ("a video's emotion", videos.emotion),
        ("a class name", labels),
        ("a split's name", splits),
    ]
    for what, column in texts:
        for text in column:
            if problem := _text_problem(text):
                return f"{what} {problem}"
    counts = {"clips": len(clips), "videos": len(videos)}
    return (
        _videos_problem(videos, frames)
        or _clips_problem(clips, videos, labels)
        or _splits_problem(splits, counts)
    )


def _videos_problem(videos, frames):
    if len(videos) and videos.length.min() < 0:
        return "a video has a negative length"
    together = sum(videos.length.tolist())  # of Python's numbers, which do not overflow
    if together != frames:
        return f"the videos have {together} frames together, frames/keypoints has {frames}"
    if not np.array_equal(videos.start, videos.length.cumsum() - videos.length):
        return "videos/start is not the running sum of videos/length"
    if len(set(videos.id)) != len(videos):
        return "two videos have the same id"
    if not ((videos.fps >= 0) & (videos.fps < np.inf)).all():
        return "a video's fps is negative or not finite"
    if (videos.width < 0).any() or (videos.height < 0).any():
        return "a video's width or height is negative"
    return None


def _clips_problem(clips, videos, labels):
    if len(set(labels)) != len(labels):
        return "two classes have the same name"
    if not len(clips):
        return None
    if clips.video.min() < 0 or clips.video.max() >= len(videos):
        return "a clip names a video that is not there"
    # The last comparison cannot overflow where the first one holds.
    rest = videos.length[clips.video] - np.maximum(clips.start, 0)
    bad = (clips.start < 0) | (clips.length < 1) | (clips.length > rest)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        return (
            f"clip {row} (start {clips.start[row]}, length {clips.length[row]}) lies outside "
            "its video "
            f"{videos.id[clips.video[row]]!r} of {videos.length[clips.video[row]]} frames"
        )
    if clips.label.min() < -1 or clips.label.max() >= len(labels):
        return f"a clip's label lies outside the {len(labels)} class names"
    return None


def _splits_problem(splits, counts):
    for name, split in splits.items():
        if name == ALL:
            return f"a split cannot be called {ALL!r}: every store has that one, of all its clips"
        if split.of not in counts:
            return f"split {name!r} is of {split.of!r}, expected clips or videos"
        rows = np.concatenate([split.train, split.test])
        if len(rows) and (rows.min() < 0 or rows.max() >= counts[split.of]):
            return f"split {name!r} names {split.of} that are not there"
        if len(np.unique(rows)) != len(rows):
            return f"split {name!r} names a row of {split.of} twice"
    return None


class StoreWriter:
    """Writes a store video by video, under a temporary name until it is whole.

        with StoreWriter("out.h5", layout, unit="pixel", frames=1000, source="...") as writer:
            writer.add_video("interview01", keypoints, score, fps=25)
            writer.add_clip("interview01", start=10, length=40, label="rubbing hands")
            writer.add_split("mine", train=[0], test=[1])

    The frames go to `<path>.partial`, which is renamed to `<path>` when the block ends without an
    error and every check of the reader holds; otherwise it is deleted. Until then no second
    writer can start at the same path. A killed process leaves at most the .partial file, which
    the next writer of the same path replaces.

    Args:
        path: the store to write; an existing one is replaced at the end.
        layout: the layout of the joints.
        unit: "pixel" or "metre".
        frames: the number of frames of all videos together.
        source: where the data came from, a sentence.
        labels: class names in label order; None takes them from `add_clip` in order of first use.
        y_points: which way y points, "down" or "up"; None is down for pixels and up for metres.

    Raises:
        InputError: the folder is missing, another process is writing the same path, `frames` is
            negative, the parts do not fit, or the disk is full.
    """

    def __init__(
        self,
        path,
        layout: skeleton.Layout,
        *,
        unit: str,
        frames: int,
        source: str,
        labels: Sequence[str] | None = None,
        y_points: str | None = None,
    ):
        self.path = pathlib.Path(path)
        self.layout = layout
        if unit not in UNITS:
            raise InputError(f"unit is {unit!r}, expected one of {', '.join(UNITS)}")
        y_points = y_points or Y_POINTS[unit]
        if y_points not in Y_POINTS.values():
            raise InputError(f"y_points is {y_points!r}, expected down or up")
        if frames < 0:
            raise InputError(f"{self.path}: frames is {frames}, expected 0 or more")
        if problem := _text_problem(source):
            raise InputError(f"{self.path}: source {problem}")
        for label in labels or ():
            if problem := _text_problem(label):
                raise InputError(f"{self.path}: a class name {problem}")
        self._source = source
        self._frames, self._written = int(frames), 0
        self._videos: dict[str, dict] = {}
        self._clips: list[tuple[int, int, int, int]] = []
        self._splits: dict[str, Split] = {}
        self._labels = list(labels) if labels is not None else []
        self._fixed_labels = labels is not None
        self._digest = FramesDigest()
        with contextlib.ExitStack() as ends:
            partial = ends.enter_context(files.whole(self.path))
            self._disk = ends.enter_context(hdf5.Disk(partial, "wb+"))
            self._file = ends.enter_context(h5py.File(self._disk, "w"))
            self._file.attrs.update(
                {
                    "format": FORMAT,
                    "version": VERSION,
                    "layout": layout.name,
                    "skeleton": layout.to_json(),
                    "joints": list(layout.joints),
                    "bones": layout.bone_indices,
                    "unit": unit,
                    "y": y_points,
                    "source": source,
                }
            )
            make, shape = self._file.create_dataset, (frames, len(layout))
            try:
                self._keypoints = make("frames/keypoints", (*shape, layout.dimensions), np.float32)
                self._score = make("frames/score", shape, np.float32)
            except (ValueError, OverflowError):
                problem = f"frames is {frames}, more than a file can hold"
                raise InputError(f"{self.path}: {problem}") from None
            self._ends = ends.pop_all()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Raise what the disk says about all that was written here."""
        try:
            yield
        except (OSError, RuntimeError):  # of h5py, for which the disk has the reason
            if self._disk.error is None:
                raise
        error = self._disk.error
        if isinstance(error, OSError):
            raise InputError(f"{self.path}: cannot be written ({error.strerror})") from None
        if error is not None:
            raise error

    def add_video(
        self,
        id: str,
        keypoints,
        score,
        *,
        fps: float = 0,
        width: int = 0,
        height: int = 0,
        subject: str = "",
        emotion: str = "",
    ) -> int:
        """Append a video's frames; returns its row.

        Args:
            id: its name, no other video's.
            keypoints: `[T, V, C]`. A joint with a coordinate that is NaN or infinite was not seen.
            score: `[T, V]`. A joint whose score is NaN, negative or 0 was not seen.
            fps, width, height: frames a second and the picture's size, 0 for unknown.
            subject, emotion: "" for unknown.

        Raises:
            InputError: one of them is something else, or the disk is full.
        """
        try:
            keypoints = np.array(keypoints, np.float32, order="C")
            score = np.array(score, np.float32, order="C")
        except (TypeError, ValueError) as error:
            problem = f"keypoints or scores are not arrays of numbers ({error})"
            raise InputError(f"video {id!r}: {problem}") from None
        expected = (*keypoints.shape[:1], len(self.layout), self.layout.dimensions)
        if keypoints.shape != expected or score.shape != expected[:2]:
            raise InputError(
                f"video {id!r}: keypoints {keypoints.shape} and score {score.shape}, expected "
                f"[T, {len(self.layout)}, {self.layout.dimensions}] and [T, {len(self.layout)}]"
            )
        if np.isinf(score).any():
            raise InputError(f"video {id!r}: a score is infinite")
        for what, text in (("id", id), ("subject", subject), ("emotion", emotion)):
            if problem := _text_problem(text):
                raise InputError(f"video {id!r}: its {what} {problem}")
        if not 0 <= fps <= float(np.finfo(np.float32).max):
            raise InputError(f"video {id!r}: fps is {fps}, expected a finite number, 0 for unknown")
        for what, pixels in (("width", width), ("height", height)):
            if not (0 <= pixels <= np.iinfo(np.int32).max and pixels == int(pixels)):
                expected = "a whole number of pixels, 0 for unknown"
                raise InputError(f"video {id!r}: {what} is {pixels}, expected {expected}")
        if id in self._videos:
            raise InputError(f"video {id!r} is there twice")
        start, stop = self._written, self._written + len(keypoints)
        if stop > self._frames:
            raise InputError(
                f"video {id!r}: the store was opened for {self._frames} frames, this needs {stop}"
            )
        # A joint that was not seen has one spelling in the store, whatever its source left in its
        # place.
        unseen = ~(score > 0)
        if not np.isfinite(keypoints).all():
            unseen |= ~np.isfinite(keypoints).all(-1)
        # A joint's coordinates as one item: so they are put to zero in a third of the time.
        joints = keypoints.view(f"V{keypoints.itemsize * self.layout.dimensions}")[..., 0]
        joints[unseen] = np.zeros((), joints.dtype)
        score[unseen] = 0
        with self._writing():
            self._keypoints[start:stop] = keypoints
            self._score[start:stop] = score
        self._digest.update(keypoints, score)
        self._written = stop
        self._videos[id] = dict(
            id=id,
            start=start,
            length=len(keypoints),
            fps=fps,
            width=width,
            height=height,
            subject=subject,
            emotion=emotion,
            row=len(self._videos),
        )
        return self._videos[id]["row"]

    def add_clip(self, video: str, start: int, length: int, label: str | int | None = None) -> int:
        """Append a clip, frames [start, start + length) of a video; returns its row. Its label is
        a class name, a class number or None."""
        if video not in self._videos:
            raise InputError(f"clip of unknown video {video!r}")
        if start < 0 or length < 1 or start + length > self._videos[video]["length"]:
            raise InputError(
                f"clip of video {video!r}: frames {start} to {start + length} lie outside its "
                f"{self._videos[video]['length']} frames"
            )
        if label is None:
            number = -1
        elif isinstance(label, str):
            if label not in self._labels:
                if self._fixed_labels:
                    raise InputError(f"clip of video {video!r}: unknown class {label!r}")
                if problem := _text_problem(label):
                    raise InputError(f"clip of video {video!r}: its class name {problem}")
                self._labels.append(label)
            number = self._labels.index(label)
        else:
            number = int(label)
        self._clips.append((self._videos[video]["row"], start, length, number))
        return len(self._clips) - 1

    def add_split(self, name: str, train: Iterable[int], test: Iterable[int], of: str = "clips"):
        """Add a named split: rows of clips, or of videos, that train and that test."""
        if name in self._splits:
            raise InputError(f"split {name!r} is there twice")
        if name == ALL:
            raise InputError(
                f"a split cannot be called {ALL!r}: every store has that one, of all its clips"
            )
        if problem := _text_problem(name):
            raise InputError(f"a split's name {problem}")
        if not name or "/" in name or name == ".":
            raise InputError(f"a split cannot be called {name!r}: give it a name without a slash")
        self._splits[name] = Split(
            name, of, *(np.array(sorted(rows), np.int64) for rows in (train, test))
        )

    def close(self):
        """Check everything, write the tables and give the file its name.

        Raises:
            InputError: something does not fit, or the disk is full; the partial file is deleted.
        """
        try:
            if self._file.id.valid:
                with self._writing():
                    self._write_tables()
                    self._file.close()
                self._ends.close()
                _known.add(_identity(self.path))
        except BaseException:
            self.discard()
            raise

    def _write_tables(self):
        if self._written != self._frames:
            raise InputError(
                f"{self.path}: opened for {self._frames} frames, {self._written} were added"
            )
        rows = list(self._videos.values())
        videos = Videos(
            **{
                name: np.array([row[name] for row in rows], dtype=object if kind is str else kind)
                for name, kind in _VIDEO_COLUMNS.items()
            }
        )
        columns = zip(*self._clips) if self._clips else [()] * len(_CLIP_COLUMNS)
        clips = Clips(
            **{name: np.array(c, kind) for (name, kind), c in zip(_CLIP_COLUMNS.items(), columns)}
        )
        problem = _inconsistency(
            self.layout,
            self._keypoints.shape,
            self._score.shape,
            videos,
            clips,
            self._labels,
            self._splits,
            self._source,
        )
        if problem:
            raise InputError(f"{self.path}: {problem}")
        self._file.attrs["frames_digest"] = self._digest.hexdigest()
        for table, data in (("videos", videos), ("clips", clips)):
            for field in dataclasses.fields(data):
                column = getattr(data, field.name)
                kind = h5py.string_dtype() if column.dtype == object else column.dtype
                self._file.create_dataset(f"{table}/{field.name}", data=column, dtype=kind)
        names = np.array(self._labels, dtype=object)
        self._file.create_dataset("labels", data=names, dtype=h5py.string_dtype())
        splits = self._file.create_group("splits")
        for name, split in self._splits.items():
            group = splits.create_group(name)
            group.attrs["of"] = split.of
            group.create_dataset("train", data=split.train)
            group.create_dataset("test", data=split.test)

    def discard(self):
        """Give up: close and delete the partial file."""
        given_up = InputError(f"{self.path}: given up")
        self._ends.__exit__(InputError, given_up, None)

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self.discard()
        else:
            self.close()
