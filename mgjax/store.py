"""The store: one HDF5 file that holds every frame, video, clip and split of a dataset.

    root attributes          format, version, layout (name), skeleton (the layout as JSON), joints, bones,
                             unit ("pixel" or "metre"), source, created, command
    frames/keypoints         float32 [F, V, C], all videos end to end, contiguous
    frames/score             float32 [F, V], 0 where a joint was not seen
    videos/                  id, start, length, fps, width, height, subject, emotion: one row a video
    clips/                   video (row), start (relative to its video), length, label: one row a clip
    labels                   class names, in label order
    splits/<name>/           train and test: rows of clips or of videos, as the attribute `of` says

Clips are ranges of frames, so untrimmed videos and trimmed clips are the same file and no frame is stored
twice. A joint that was not seen has score 0 and, by OpenPose's convention, keypoint (0, 0); nothing is NaN.
Repairing such joints is the transforms' work, not the store's. An unknown subject is "", an unknown emotion
"", an unknown fps, width or height 0, and a clip without a label has label -1.

This module needs NumPy and h5py only and never imports JAX.
"""

from __future__ import annotations

import dataclasses
import datetime
import os
import pathlib
import shlex
import sys
from collections.abc import Iterable, Sequence

import h5py
import numpy as np

from mgjax import skeleton
from mgjax.errors import InputError
from mgjax.files import writable

FORMAT = "mgjax-store"
VERSION = 1
UNITS = ("pixel", "metre")
ALL = "all"  # the split that every store has

_VIDEO_COLUMNS = {
    "id": str, "start": np.int64, "length": np.int64, "fps": np.float32, "width": np.int32, "height": np.int32,
    "subject": str, "emotion": str,
}
_CLIP_COLUMNS = {"video": np.int32, "start": np.int64, "length": np.int64, "label": np.int32}


@dataclasses.dataclass(frozen=True)
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


@dataclasses.dataclass(frozen=True)
class Clips:
    """One row a clip: int arrays of the same length. `start` counts from the first frame of the clip's video."""

    video: np.ndarray
    start: np.ndarray
    length: np.ndarray
    label: np.ndarray

    def __len__(self) -> int:
        return len(self.video)


@dataclasses.dataclass(frozen=True)
class Split:
    """Rows of clips or of videos (`of`) that train and that test, int64 arrays."""

    name: str
    of: str
    train: np.ndarray
    test: np.ndarray


class Store:
    """Reads a store. Frames are read when asked for; the tables are small and read on opening.

        with Store("nucla.h5") as store:
            keypoints, score = store.clip(0)        # [T, V, C], [T, V]

    Attributes:
        layout: the `skeleton.Layout` of the joints.
        unit: "pixel" or "metre".
        videos, clips: the tables.
        labels: class names, tuple of str.
        splits: split name to `Split`.
        attributes: source, created and command, as written.

    Raises:
        InputError: the file is missing, is not a store, has another version, or its parts do not fit together.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)
        if not self.path.is_file():
            raise InputError(f"{self.path}: no such store file")
        try:
            self._file = h5py.File(self.path, "r")
        except OSError:
            raise InputError(
                f"{self.path}: not a readable HDF5 file (damaged, cut short, or another format)"
            ) from None
        try:
            self._read_tables()
        except InputError:
            self.close()
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self.close()
            raise InputError(f"{self.path}: damaged store: {error.args[0]}") from None
        except OSError:
            self.close()
            raise InputError(f"{self.path}: damaged store: its tables cannot be read") from None

    def _read_tables(self):
        attributes = self._file.attrs
        if attributes.get("format") != FORMAT:
            raise InputError(f"{self.path}: an HDF5 file, but not a {FORMAT} (its format attribute is missing)")
        if attributes["version"] != VERSION:
            raise InputError(
                f"{self.path}: store version {attributes['version']}; this mgjax reads version {VERSION}, pack it again"
            )
        self.layout = skeleton.Layout.from_json(attributes["skeleton"], f"{self.path}: skeleton")
        self.unit = attributes["unit"]
        if self.unit not in UNITS:
            raise InputError(f"{self.path}: damaged store: unit is {self.unit!r}, expected one of {', '.join(UNITS)}")
        self.attributes = {name: attributes[name] for name in ("source", "created", "command")}
        self._keypoints, self._score = self._file["frames/keypoints"], self._file["frames/score"]
        for data in (self._keypoints, self._score):
            if data.dtype != np.float32:
                raise TypeError(f"{data.name} is {data.dtype}, expected float32")
        self.videos = Videos(**{name: self._column("videos", name, kind) for name, kind in _VIDEO_COLUMNS.items()})
        self.clips = Clips(**{name: self._column("clips", name, kind) for name, kind in _CLIP_COLUMNS.items()})
        self.labels = tuple(self._file["labels"].asstr()[:].tolist())
        self.splits = {}
        for name, group in self._file["splits"].items():
            self.splits[name] = Split(name, group.attrs["of"], group["train"][:], group["test"][:])
        self._check()

    def _column(self, table, name, kind):
        data = self._file[f"{table}/{name}"]
        if kind is str:
            return data.asstr()[:]
        if data.dtype != kind:
            raise TypeError(f"{table}/{name} is {data.dtype}, expected {np.dtype(kind)}")
        return data[:]

    def _check(self):
        problem = _inconsistency(
            self.layout, self._keypoints.shape, self._score.shape, self.videos, self.clips, self.labels, self.splits
        )
        if problem:
            raise InputError(f"{self.path}: damaged store: {problem}")

    @property
    def frame_count(self) -> int:
        """Number of frames F in all videos together."""
        return self._keypoints.shape[0]

    def frames(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Frames [start, stop) of the whole store: keypoints `[T, V, C]` and score `[T, V]`, float32."""
        try:
            return self._keypoints[start:stop], self._score[start:stop]
        except OSError:
            raise InputError(f"{self.path}: damaged store: frames {start} to {stop} cannot be read") from None

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
        """Clip rows that train and that test under a split; a split of videos gives the clips of its videos."""
        split = self.split(name)
        if split.of == "clips":
            return split.train, split.test
        return tuple(np.flatnonzero(np.isin(self.clips.video, rows)) for rows in (split.train, split.test))

    def close(self):
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_):
        self.close()


def _inconsistency(layout, keypoints_shape, score_shape, videos, clips, labels, splits) -> str | None:
    """What does not fit together in a store's parts, or None."""
    frames = keypoints_shape[0] if keypoints_shape else 0
    if tuple(keypoints_shape[1:]) != (len(layout), layout.dimensions):
        return (f"frames/keypoints has shape {tuple(keypoints_shape)}, expected "
                f"[F, {len(layout)}, {layout.dimensions}] for layout {layout.name!r}")
    if tuple(score_shape) != (frames, len(layout)):
        return f"frames/score has shape {tuple(score_shape)}, expected {(frames, len(layout))}"
    for table, rows in (("videos", videos), ("clips", clips)):
        lengths = {len(getattr(rows, field.name)) for field in dataclasses.fields(rows)}
        if len(lengths) > 1:
            return f"the columns of {table} differ in length: {sorted(lengths)}"
    if len(videos) and videos.length.min() < 0:
        return "a video has a negative length"
    if len(videos) and not np.array_equal(videos.start, np.cumsum(videos.length) - videos.length):
        return "videos/start is not the running sum of videos/length"
    if videos.length.sum() != frames:
        return f"the videos have {videos.length.sum()} frames together, frames/keypoints has {frames}"
    if len(set(videos.id)) != len(videos):
        return "two videos have the same id"
    if len(clips):
        if clips.video.min() < 0 or clips.video.max() >= len(videos):
            return "a clip names a video that is not there"
        bad = (clips.start < 0) | (clips.length < 1) | (clips.start + clips.length > videos.length[clips.video])
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            return (f"clip {row} (start {clips.start[row]}, length {clips.length[row]}) lies outside its video "
                    f"{videos.id[clips.video[row]]!r} of {videos.length[clips.video[row]]} frames")
        if clips.label.min() < -1 or clips.label.max() >= len(labels):
            return f"a clip's label lies outside the {len(labels)} class names"
    for name, split in splits.items():
        if split.of not in ("clips", "videos"):
            return f"split {name!r} is of {split.of!r}, expected clips or videos"
        count = len(clips) if split.of == "clips" else len(videos)
        rows = np.concatenate([split.train, split.test])
        if len(rows) and (rows.min() < 0 or rows.max() >= count):
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

    The frames go to `<path>.partial`, which is renamed to `<path>` when the block ends without an error and
    every check of the reader holds; otherwise it is deleted. A killed process leaves at most the .partial file,
    which the next writer of the same path replaces.

    Args:
        path: the store to write; an existing one is replaced at the end.
        layout: the layout of the joints.
        unit: "pixel" or "metre".
        frames: the number of frames of all videos together.
        source: where the data came from, a sentence.
        labels: class names in label order; None takes them from `add_clip` in order of first use.
        command: how the store was made; the running command line by default.

    Raises:
        InputError: the folder is missing, another process is writing the same path, `frames` is negative, or the parts
            do not fit.
    """

    def __init__(self, path, layout: skeleton.Layout, *, unit: str, frames: int, source: str,
                 labels: Sequence[str] | None = None, command: str | None = None):
        self.path = pathlib.Path(path)
        self.layout = layout
        if unit not in UNITS:
            raise InputError(f"unit is {unit!r}, expected one of {', '.join(UNITS)}")
        if frames < 0:
            raise InputError(f"{self.path}: frames is {frames}, expected 0 or more")
        writable(self.path)
        if self.path.is_dir():
            raise InputError(f"{self.path}: is a folder, expected the path of a store file to write")
        self._partial = self.path.with_name(self.path.name + ".partial")
        self._refuse_if_busy()
        try:
            self._file = h5py.File(self._partial, "w")
        except OSError as error:
            problem = f"cannot be written, or another process is writing it ({error})"
            raise InputError(f"{self._partial}: {problem}") from None
        self._file.attrs.update({
            "format": FORMAT, "version": VERSION, "layout": layout.name, "skeleton": layout.to_json(),
            "joints": list(layout.joints), "bones": layout.bone_indices, "unit": unit, "source": source,
            "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "command": command if command is not None else shlex.join(sys.argv),
        })
        shape = (frames, len(layout))
        self._keypoints = self._file.create_dataset("frames/keypoints", shape + (layout.dimensions,), np.float32)
        self._score = self._file.create_dataset("frames/score", shape, np.float32)
        self._written = 0
        self._videos: dict[str, dict] = {}
        self._clips: list[tuple[int, int, int, int]] = []
        self._splits: dict[str, Split] = {}
        self._labels = list(labels) if labels is not None else []
        self._fixed_labels = labels is not None

    def _refuse_if_busy(self):
        # Creating a file cuts it to nothing before HDF5 asks for its lock, and so would destroy the frames of
        # another process that is writing it. Opening it first only asks for the lock.
        if not self._partial.exists():
            return
        try:
            h5py.File(self._partial, "r+").close()
        except BlockingIOError:
            raise InputError(f"{self._partial}: another process is writing it") from None
        except OSError:
            pass  # what a killed process left is seldom readable, and is replaced

    def add_video(self, id: str, keypoints, score, *, fps: float = 0, width: int = 0, height: int = 0,
                  subject: str = "", emotion: str = "") -> int:
        """Append a video's frames, keypoints `[T, V, C]` and score `[T, V]`; returns its row."""
        keypoints, score = np.asarray(keypoints, np.float32), np.asarray(score, np.float32)
        expected = (len(keypoints), len(self.layout), self.layout.dimensions)
        if keypoints.shape != expected or score.shape != expected[:2]:
            raise InputError(
                f"video {id!r}: keypoints {keypoints.shape} and score {score.shape}, expected "
                f"[T, {len(self.layout)}, {self.layout.dimensions}] and [T, {len(self.layout)}]"
            )
        if not (np.isfinite(keypoints).all() and np.isfinite(score).all()):
            raise InputError(f"video {id!r}: keypoints or scores are not finite")
        if id in self._videos:
            raise InputError(f"video {id!r} is there twice")
        start, stop = self._written, self._written + len(keypoints)
        if stop > len(self._score):
            raise InputError(f"video {id!r}: the store was opened for {len(self._score)} frames, this needs {stop}")
        # A joint that was not seen has one spelling in the store, whatever its source left in its place.
        self._keypoints[start:stop] = np.where(score[..., None] > 0, keypoints, 0)
        self._score[start:stop] = np.maximum(score, 0)
        self._written = stop
        self._videos[id] = dict(
            id=id, start=start, length=len(keypoints), fps=fps, width=width, height=height, subject=subject,
            emotion=emotion, row=len(self._videos),
        )
        return self._videos[id]["row"]

    def add_clip(self, video: str, start: int, length: int, label: str | int | None = None) -> int:
        """Append a clip, frames [start, start + length) of a video; returns its row. Its label is a class name, a
        class number or None."""
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
            raise InputError(f"a split cannot be called {ALL!r}: every store has that one, of all its clips")
        if not name or "/" in name or name == ".":
            raise InputError(f"a split cannot be called {name!r}: give it a name without a slash")
        self._splits[name] = Split(name, of, *(np.array(sorted(rows), np.int64) for rows in (train, test)))

    def close(self):
        """Check everything, write the tables and give the file its name."""
        if self._written != len(self._score):
            raise InputError(f"{self.path}: opened for {len(self._score)} frames, {self._written} were added")
        rows = list(self._videos.values())
        videos = Videos(**{
            name: np.array([row[name] for row in rows], dtype=object if kind is str else kind)
            for name, kind in _VIDEO_COLUMNS.items()
        })
        columns = zip(*self._clips) if self._clips else [()] * len(_CLIP_COLUMNS)
        clips = Clips(**{name: np.array(c, kind) for (name, kind), c in zip(_CLIP_COLUMNS.items(), columns)})
        problem = _inconsistency(
            self.layout, self._keypoints.shape, self._score.shape, videos, clips, self._labels, self._splits
        )
        if problem:
            raise InputError(f"{self.path}: {problem}")
        for table, data in (("videos", videos), ("clips", clips)):
            for field in dataclasses.fields(data):
                column = getattr(data, field.name)
                kind = h5py.string_dtype() if column.dtype == object else column.dtype
                self._file.create_dataset(f"{table}/{field.name}", data=column, dtype=kind)
        self._file.create_dataset("labels", data=np.array(self._labels, dtype=object), dtype=h5py.string_dtype())
        splits = self._file.create_group("splits")
        for name, split in self._splits.items():
            group = splits.create_group(name)
            group.attrs["of"] = split.of
            group.create_dataset("train", data=split.train)
            group.create_dataset("test", data=split.test)
        self._file.close()
        with open(self._partial, "rb+") as written:
            os.fsync(written.fileno())
        os.replace(self._partial, self.path)

    def discard(self):
        """Give up: close and delete the partial file."""
        self._file.close()
        self._partial.unlink(missing_ok=True)

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self.discard()
            return
        try:
            self.close()
        except BaseException:
            self.discard()
            raise
