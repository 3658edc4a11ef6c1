"""Writing a store, video by video: `StoreWriter`.

`store_format` says what is written. This module needs NumPy and h5py only and never imports JAX.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike

from mgjax import files, hdf5, rehearsal, store_checks, store_format
from mgjax.errors import InputError
from mgjax.skeleton import Layout
from mgjax.store_format import Clips, FramesDigest, Split, StoreTable, Unit, Videos, YDirection

_VIDEO_COLUMNS = Videos.columns()


class StoreWriter:
    """Writes a store video by video, under a temporary name until it is whole.

        with StoreWriter("out.h5", layout, unit="pixel", frames=1000, source="...") as writer:
            writer.add_video("interview01", keypoints, score, fps=25)
            writer.add_clip("interview01", start=10, length=40, label="rubbing hands")
            writer.add_split("mine", train=[0], test=[1])

    `store.Store` has an example that runs. The frames go to `<path>.partial`, which is renamed to
    `<path>` when the block ends without an error and every check of the reader holds; otherwise
    it is deleted. Until then no second writer can start at the same path. A killed process leaves
    at most the .partial file, which the next writer of the same path replaces.

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
        path: str | os.PathLike,
        layout: Layout,
        *,
        unit: Unit,
        frames: int,
        source: str,
        labels: Sequence[str] | None = None,
        y_points: YDirection | None = None,
    ) -> None:
        self.path = pathlib.Path(path)
        self.layout = layout
        if unit not in store_format.UNITS:
            expected = ", ".join(store_format.UNITS)
            raise InputError(f"unit is {unit!r}, expected one of {expected}")
        y = y_points or store_format.Y_OF_UNIT[unit]
        if y not in store_format.Y_DIRECTIONS:
            raise InputError(f"y_points is {y!r}, expected down or up")
        if frames < 0:
            raise InputError(f"{self.path}: frames is {frames}, expected 0 or more")
        self._check_text("source", source)
        for label in labels or ():
            self._check_text("a class name", label)
        self._source = source
        self._frames = int(frames)
        self._written = 0  # of these frames
        # What the tables will be. They are kept here, and written and checked at the end.
        self._rows: dict[str, int] = {}  # of videos, by id
        self._videos: dict[str, list] = {name: [] for name in _VIDEO_COLUMNS}
        self._clips: dict[str, list] = {name: [] for name in Clips.columns()}
        self._splits: dict[str, Split] = {}
        self._labels = list(labels or ())
        self._fixed_labels = labels is not None
        self._digest = FramesDigest()
        with contextlib.ExitStack() as ends:
            partial = ends.enter_context(files.whole(self.path))
            self._disk = ends.enter_context(hdf5.Disk(partial, "wb+"))
            self._file = ends.enter_context(h5py.File(self._disk, "w"))
            self._file.attrs.update(self._attributes(unit, y))
            self._create_frames()
            # No error so far: it is for `close` or `discard` to end what was begun.
            self._ends = ends.pop_all()

    def _check_text(self, what: str, text: object) -> None:
        if wrong := store_checks.text_problem(text):
            raise InputError(f"{self.path}: {what} {wrong}")

    def _attributes(self, unit: Unit, y: YDirection) -> dict:
        return {
            "format": store_format.FORMAT,
            "version": store_format.VERSION,
            "layout": self.layout.name,
            "skeleton": self.layout.to_json(),
            "joints": list(self.layout.joints),
            "bones": self.layout.bone_indices,
            "unit": unit,
            "y": y,
            "source": self._source,
        }

    def _create_frames(self) -> None:
        """Give all frames their place in the file, in one piece."""
        shape = (self._frames, len(self.layout))
        create = self._file.create_dataset
        try:
            coordinates = (*shape, self.layout.dimensions)
            self._keypoints = create("frames/keypoints", coordinates, np.float32)
            self._score = create("frames/score", shape, np.float32)
        except (ValueError, OverflowError):
            problem = f"frames is {self._frames}, more than a file can hold"
            raise InputError(f"{self.path}: {problem}") from None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Raise what the disk says about all that was written here."""
        try:
            yield
        except (OSError, RuntimeError):  # of h5py, for which the disk has the reason
            if self._disk.error is None:
                raise
        # The disk never fails towards HDF5 and keeps its first error for us: see `hdf5.Disk`.
        error = self._disk.error
        if isinstance(error, OSError):
            raise InputError(f"{self.path}: cannot be written ({error.strerror})") from None
        if error is not None:
            raise error

    def add_video(
        self,
        id: str,
        keypoints: ArrayLike,
        score: ArrayLike,
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
        keypoints, score = self._as_frames(id, keypoints, score)
        row: dict[str, Any] = {"id": id, "subject": subject, "emotion": emotion}
        row |= {"fps": fps, "width": width, "height": height}
        self._check_video(id, row)
        row |= {"start": self._written, "length": len(keypoints)}
        self._append_frames(id, keypoints, score)
        _append(self._videos, row)
        self._rows[id] = len(self._rows)
        return self._rows[id]

    def _check_video(self, id: str, row: dict) -> None:
        for name, value in row.items():
            column = _VIDEO_COLUMNS[name]
            if wrong := store_checks.value_problem(value, column):
                what = f"its {name}" if column.kind is str else name
                raise InputError(f"video {id!r}: {what} {wrong}")
        if id in self._rows:
            raise InputError(f"video {id!r} is there twice")

    def _append_frames(self, id: str, keypoints: np.ndarray, score: np.ndarray) -> None:
        start, stop = self._written, self._written + len(keypoints)
        if stop > self._frames:
            problem = f"the store was opened for {self._frames} frames, this needs {stop}"
            raise InputError(f"video {id!r}: {problem}")
        store_format.blank_unseen(keypoints, score)
        with self._writing():
            self._keypoints[start:stop] = keypoints
            self._score[start:stop] = score
        # As they go by: to read them back for it would take as long again.
        self._digest.update(keypoints, score)
        self._written = stop

    def _as_frames(
        self, id: str, keypoints: ArrayLike, score: ArrayLike
    ) -> tuple[np.ndarray, np.ndarray]:
        """Copies of a video's frames, for they are changed before they are written."""
        try:
            keypoints = np.array(keypoints, np.float32, order="C")
            score = np.array(score, np.float32, order="C")
        except (TypeError, ValueError) as error:
            problem = f"keypoints or scores are not arrays of numbers ({error})"
            raise InputError(f"video {id!r}: {problem}") from None
        joints, dimensions = len(self.layout), self.layout.dimensions
        shape = (*keypoints.shape[:1], joints, dimensions)
        if keypoints.shape != shape or score.shape != shape[:2]:
            got = f"keypoints {keypoints.shape} and score {score.shape}"
            expected = f"[T, {joints}, {dimensions}] and [T, {joints}]"
            raise InputError(f"video {id!r}: {got}, expected {expected}")
        if np.isinf(score).any():
            raise InputError(f"video {id!r}: a score is infinite")
        return keypoints, score

    def add_clip(self, video: str, start: int, length: int, label: str | int | None = None) -> int:
        """Append a clip; returns its row.

        Args:
            video: the id of its video.
            start, length: its frames are [start, start + length) of its video's.
            label: a class name, a class number or None.

        Raises:
            InputError: the video or the class is unknown, or the frames are not all in the video.
        """
        if video not in self._rows:
            raise InputError(f"clip of unknown video {video!r}")
        row = self._rows[video]
        frames = self._videos["length"][row]
        if start < 0 or length < 1 or start + length > frames:
            problem = f"frames {start} to {start + length} lie outside its {frames} frames"
            raise InputError(f"clip of video {video!r}: {problem}")
        number = self._label_number(video, label)
        _append(self._clips, {"video": row, "start": start, "length": length, "label": number})
        return len(self._clips["video"]) - 1

    def _label_number(self, video: str, label: str | int | None) -> int:
        if label is None:
            return -1
        if not isinstance(label, str):
            return int(label)  # checked at the end, when the class names are known
        if label not in self._labels:
            if self._fixed_labels:  # a slip of the pen, not a new class
                raise InputError(f"clip of video {video!r}: unknown class {label!r}")
            if wrong := store_checks.text_problem(label):
                raise InputError(f"clip of video {video!r}: its class name {wrong}")
            self._labels.append(label)
        return self._labels.index(label)

    def add_split(
        self, name: str, train: Iterable[int], test: Iterable[int], of: str = "clips"
    ) -> None:
        """Add a named split: rows of clips, or of videos, that train and that test.

        Raises:
            InputError: the name is taken, or is none.
        """
        if name in self._splits:
            raise InputError(f"split {name!r} is there twice")
        if wrong := store_checks.split_name_problem(name):
            raise InputError(wrong)
        if wrong := store_checks.text_problem(name):
            raise InputError(f"a split's name {wrong}")
        if not name or "/" in name or name == ".":  # HDF5 takes it for a path
            raise InputError(f"a split cannot be called {name!r}: give it a name without a slash")
        train, test = (np.array(sorted(rows), np.int64) for rows in (train, test))
        self._splits[name] = Split(name, of, train, test)

    def close(self) -> None:
        """Check everything, write the tables and give the file its name.

        Raises:
            InputError: something does not fit, or the disk is full; the partial file is deleted.
        """
        try:
            if self._file.id.valid:  # else it was closed or given up before
                with self._writing():
                    self._finish()
                    self._file.close()
                self._ends.close()
                # What was written here need not be tried out before it is read here.
                rehearsal.trusted.add(rehearsal.identity(self.path))
        except BaseException:
            self.discard()
            raise

    def _finish(self) -> None:
        """Check everything and write the tables."""
        if self._written != self._frames:
            problem = f"opened for {self._frames} frames, {self._written} were added"
            raise InputError(f"{self.path}: {problem}")
        videos, clips = Videos.of(self._videos), Clips.of(self._clips)
        wrong = store_checks.problem(
            layout=self.layout,
            keypoints_shape=self._keypoints.shape,
            score_shape=self._score.shape,
            videos=videos,
            clips=clips,
            labels=self._labels,
            splits=self._splits,
            source=self._source,
        )
        if wrong:
            raise InputError(f"{self.path}: {wrong}")
        self._file.attrs["frames_digest"] = self._digest.hexdigest()
        self._write_table("videos", videos)
        self._write_table("clips", clips)
        self._write_column("labels", np.array(self._labels, dtype=object))
        splits = self._file.create_group("splits")
        for name, split in self._splits.items():
            group = splits.create_group(name)
            group.attrs["of"] = split.of
            group.create_dataset("train", data=split.train)
            group.create_dataset("test", data=split.test)

    def _write_table(self, name: str, table: StoreTable) -> None:
        for column, values in table.arrays().items():
            self._write_column(f"{name}/{column}", values)

    def _write_column(self, path: str, values: np.ndarray) -> None:
        kind = h5py.string_dtype() if values.dtype == object else values.dtype
        self._file.create_dataset(path, data=values, dtype=kind)

    def discard(self) -> None:
        """Give up: close and delete the partial file."""
        # As if the block had raised it: so the file is not given its name.
        given_up = InputError(f"{self.path}: given up")
        self._ends.__exit__(InputError, given_up, None)

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, kind, *_) -> None:
        if kind is not None:
            self.discard()
        else:
            self.close()


def _append(columns: dict[str, list], row: dict) -> None:
    """Append a row to lists by column."""
    for name, values in columns.items():
        values.append(row[name])
