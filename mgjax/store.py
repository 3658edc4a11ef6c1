"""The store: one HDF5 file that holds every frame, video, clip and split of a dataset.

`Store` reads it and `StoreWriter` writes it; `Videos`, `Clips` and `Split` are what it is made of
besides frames, and `store_format` says how all of it lies in the file.

A store is a plain file: what HDF5 would fetch from elsewhere is refused, and so is what is damaged
(`hdf5`).

This module needs NumPy and h5py only and never imports JAX.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import pathlib
import re
from collections.abc import Sequence

import h5py
import numpy as np

from mgjax import hdf5, rehearsal, store_checks
from mgjax.errors import InputError
from mgjax.skeleton import Layout
from mgjax.store_format import (
    ALL,
    FORMAT,
    READ_VERSIONS,
    UNITS,
    Y_DIRECTIONS,
    Y_OF_UNIT,
    AnyTable,
    Clips,
    FramesDigest,
    Split,
    Videos,
)
from mgjax.store_writer import StoreWriter

__all__ = ["ALL", "Clips", "FramesDigest", "Split", "Store", "StoreWriter", "Videos", "rehearse"]

_BLOCK = 8192  # frames read at a time: 13 MB of the largest layout

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


class Store:
    """Reads a store. Frames are read when asked for; the tables are small and read on opening.

    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from mgjax import skeleton
    >>> from mgjax.store import Store, StoreWriter
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = pathlib.Path(folder.name) / "gestures.h5"
    >>> keypoints, score = np.ones((60, 17, 2)), np.ones((60, 17))
    >>> layout = skeleton.get("coco17")
    >>> with StoreWriter(path, layout, unit="pixel", frames=100, source="all ones") as writer:
    ...     row = writer.add_video("a", keypoints, score, fps=25, subject="s1")
    ...     row = writer.add_video("b", keypoints[:40], score[:40], fps=29.97)
    ...     row = writer.add_clip("a", start=10, length=30, label="rubbing hands")
    ...     row = writer.add_clip("b", start=0, length=20, label="touching neck")
    ...     writer.add_split("mine", train=[0], test=[1])
    >>> with Store(path) as store:
    ...     keypoints, score = store.clip(0)
    >>> keypoints.shape, score.shape
    ((30, 17, 2), (30, 17))
    >>> store
    <Store 'gestures.h5': coco17, 2 videos, 2 clips, 100 frames, 2 classes; splits all, mine>
    >>> store.clips
    Clips, 2 rows
    row  video  start  length  label
      0      0     10      30      0
      1      1      0      20      1
    >>> train, test = store.clip_split("mine")
    >>> store.labels[store.clips.label[test[0]]]
    'touching neck'
    >>> folder.cleanup()

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

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = pathlib.Path(path)
        hdf5.check_file(self.path, "store file")
        # Of before it is opened: what takes the file's place meanwhile is not trusted.
        identity = rehearsal.identity(self.path)
        if identity not in rehearsal.trusted:
            rehearsal.rehearse(self.path, "from mgjax import store; store.rehearse(sys.argv[1])")
        self._file = hdf5.opened(self.path)
        try:
            self._read_attributes()
            self._read_tables()
        except InputError:
            self.close()
            raise
        except _DAMAGE as error:
            self.close()
            # A ValueError is a sentence of ours, or of NumPy's about an odd table.
            what = "" if isinstance(error, ValueError) else "its tables cannot be read: "
            problem = f"{what}{str(error)[:300]}"
            raise InputError(f"{self.path}: damaged store: {problem}") from None
        rehearsal.trusted.add(identity)

    def _read_attributes(self) -> None:
        file = self._file
        if "format" not in file.attrs or hdf5.attribute(file, "format", str) != FORMAT:
            problem = f"not a {FORMAT} (its format attribute is missing)"
            raise InputError(f"{self.path}: an HDF5 file, but {problem}")
        self.version = hdf5.attribute(file, "version", int)
        if self.version not in READ_VERSIONS:
            read = " and ".join(map(str, READ_VERSIONS))
            problem = f"store version {self.version}; this mgjax reads versions {read}"
            raise InputError(f"{self.path}: {problem}, pack it again")
        self._skeleton = hdf5.attribute(file, "skeleton", str)
        self.layout = Layout.from_json(self._skeleton, f"{self.path}: skeleton")
        self.unit = self._one_of("unit", UNITS)
        is_first = self.version == 1  # which had neither y nor a digest
        self.y = Y_OF_UNIT[self.unit] if is_first else self._one_of("y", Y_DIRECTIONS)
        self.attributes = {"source": hdf5.attribute(file, "source", str)}
        self.frames_digest = None if is_first else self._read_digest()

    def _one_of(self, name: str, values: Sequence[str]):
        value = hdf5.attribute(self._file, name, str)
        if value not in values:
            raise ValueError(f"{name} is {value[:80]!r}, expected one of {', '.join(values)}")
        return value

    def _read_digest(self) -> str:
        digest = hdf5.attribute(self._file, "frames_digest", str)
        if not re.fullmatch("[0-9a-f]{64}", digest):
            raise ValueError(f"frames_digest is {digest[:80]!r}, expected 64 hexadecimal digits")
        return digest

    def _read_tables(self) -> None:
        file = self._file
        frames = hdf5.group(file, "frames")
        self._keypoints = hdf5.dataset(frames, "keypoints", np.float32)
        self._score = hdf5.dataset(frames, "score", np.float32)
        self.videos = _read_table(hdf5.group(file, "videos"), Videos)
        self.clips = _read_table(hdf5.group(file, "clips"), Clips)
        self.labels = tuple(hdf5.column(file, "labels", str).tolist())
        splits = hdf5.group(file, "splits")
        self.splits = {name: _read_split(splits, name) for name in splits}
        wrong = store_checks.problem(
            layout=self.layout,
            keypoints_shape=self._keypoints.shape,
            score_shape=self._score.shape,
            videos=self.videos,
            clips=self.clips,
            labels=self.labels,
            splits=self.splits,
            source=self.attributes["source"],
        )
        if wrong:
            raise ValueError(wrong)
        self._frame_count = self._keypoints.shape[0]  # of a closed file there is no shape

    def __repr__(self) -> str:
        # The folder is left out: it says whose machine this is, and a notebook keeps it.
        tables = f"{len(self.videos)} videos, {len(self.clips)} clips"
        counts = f"{tables}, {self.frame_count} frames, {len(self.labels)} classes"
        splits = ", ".join([ALL, *self.splits])
        return f"<Store {self.path.name!r}: {self.layout.name}, {counts}; splits {splits}>"

    @functools.cached_property
    def fingerprint(self) -> str:
        """What tells this store's contents from others', 32 hexadecimal digits.

        Stores have the same one exactly if their layout, unit, direction of y, videos, clips, class
        names, splits and frames are the same. The source does not matter, nor how the file came to
        be. Of a store of version 1 all frames are read for it; of others `frames_digest` is
        believed.
        """
        # Plain values by name, in an order that is no file's, so that how they are stored does not
        # matter. Runs note the sum of this very text: another spelling would disown all of them.
        splits = [_plain_split(self.splits[name]) for name in sorted(self.splits)]
        contents = {
            "skeleton": json.loads(self._skeleton),
            "unit": self.unit,
            "y": self.y,
            "labels": self.labels,
            "videos": self.videos.plain(),
            "clips": self.clips.plain(),
            "splits": splits,
            "frames": self.frames_digest or self._digest_frames(),
        }
        text = json.dumps(contents, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def _digest_frames(self) -> str:
        digest = FramesDigest()
        for start in range(0, self.frame_count, _BLOCK):
            stop = min(start + _BLOCK, self.frame_count)
            digest.update(*self.frames(start, stop))
        return digest.hexdigest()

    def described(self) -> dict[str, str | int]:
        """What a run notes about its store: fingerprint, layout's name, and how many videos, clips,
        frames and classes it has.
        """
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
        return self._frame_count

    def frames(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Frames [start, stop) of the whole store, float32: keypoints `[T, V, C]`, score `[T, V]`.

        Raises:
            InputError: they cannot be read, a number is not finite, or a score is negative.
        """
        # Frames are checked as they are read: all at once would take as long as reading all.
        try:
            keypoints, score = self._keypoints[start:stop], self._score[start:stop]
        except (OSError, RuntimeError):
            which = f"frames {start} to {stop}"
            raise InputError(f"{self.path}: damaged store: {which} cannot be read") from None
        wrong = store_checks.first_damaged_frame(keypoints, score)
        if wrong is not None:
            frame = range(self.frame_count)[start:stop][wrong]  # as a slice counts
            problem = "has a keypoint or score that is not finite, or a negative score"
            raise InputError(f"{self.path}: damaged store: frame {frame} {problem}")
        return keypoints, score

    def video(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """All frames of a video: keypoints `[T, V, C]` and score `[T, V]`, float32."""
        start = int(self.videos.start[row])
        return self.frames(start, start + int(self.videos.length[row]))

    def clip(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """The frames of a clip: keypoints `[T, V, C]` and score `[T, V]`, float32."""
        # Not from `clip_starts`, which are worked out for all clips.
        start = int(self.videos.start[self.clips.video[row]] + self.clips.start[row])
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
        """Clip rows that train and that test under a split, int64; a split of videos gives the
        clips of its videos.

        Raises:
            InputError: the store has no such split.
        """
        split = self.split(name)
        if split.of == "clips":
            return split.train, split.test
        train = np.flatnonzero(np.isin(self.clips.video, split.train))
        test = np.flatnonzero(np.isin(self.clips.video, split.test))
        return train, test

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError, RuntimeError):  # of a damaged one
            self._file.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_) -> None:
        self.close()


def _read_table(group: h5py.Group, kind: type[AnyTable]) -> AnyTable:
    columns = kind.columns().items()
    return kind(**{name: hdf5.column(group, name, column.kind) for name, column in columns})


def _read_split(splits: h5py.Group, name: str) -> Split:
    group = hdf5.group(splits, name)
    of = hdf5.attribute(group, "of", str)
    train = hdf5.column(group, "train", np.int64)
    test = hdf5.column(group, "test", np.int64)
    return Split(name, of, train, test)


def _plain_split(split: Split) -> list:
    return [split.name, split.of, split.train.tolist(), split.test.tolist()]


def rehearse(path: str) -> None:
    """Open a store and read its first and last frame; for a process of its own."""
    rehearsal.trusted.add(rehearsal.identity(path))  # else it would start a process again
    with Store(path) as store:
        store.frames(0, 1)
        store.frames(max(0, store.frame_count - 1), store.frame_count)
