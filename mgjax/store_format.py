"""The format of a store, said once: one HDF5 file that holds a dataset's frames and tables.

    root attributes          format, version, layout (name), skeleton (the layout as JSON),
                             joints, bones, unit ("pixel" or "metre"), y ("down" or
                             "up": which way y points), source, frames_digest
    frames/keypoints         float32 [F, V, C], all videos end to end, contiguous
    frames/score             float32 [F, V], 0 where a joint was not seen
    videos/                  the columns of `Videos`: one row a video
    clips/                   the columns of `Clips`: one row a clip
    labels                   class names, in label order
    splits/<name>/           train and test: rows of clips or of videos, as the attribute `of` says

Clips are ranges of frames, so untrimmed videos and trimmed clips are the same file and
no frame is stored twice. A joint that was not seen has score 0 and, by OpenPose's
convention, keypoint (0, 0); nothing is NaN. Repairing such joints is the transforms'
work, not the store's.

Nothing in a store says who made it, when or where. `frames_digest` is the SHA-256 of CRC-32 sums,
uint32 little endian: those of the keypoints and of the scores of every 1024 frames, the last ones
of the rest. Version 1 of the format, without `y` and `frames_digest`, is still read.

A column is declared here with its meaning, its type and its range. The reader reads and
checks, and the writer checks and writes, what is declared. `store_checks` says how the
parts must fit together.
"""

from __future__ import annotations

import dataclasses
import hashlib
import struct
import typing
import zlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

import numpy as np

FORMAT = "mgjax-store"
VERSION = 2
READ_VERSIONS = (1, 2)

Unit = Literal["pixel", "metre"]
YDirection = Literal["down", "up"]
UNITS = typing.get_args(Unit)
Y_DIRECTIONS = typing.get_args(YDirection)
Y_OF_UNIT: dict[Unit, YDirection] = {"pixel": "down", "metre": "up"}  # where nobody says it

ALL = "all"  # the split that every store has, of all its clips

_SHOWN_ROWS = 5  # of a table that is printed
_SHOWN_CHARACTERS = 24  # of a text in it
_SUMMED = 1024  # frames of which a digest takes one sum


@dataclasses.dataclass(frozen=True)
class Column:
    """What is known of a table's column.

    Attributes:
        kind: str, or a NumPy type of numbers.
        least: the smallest value, None where others than this column have a say.
        otherwise: what is wrong where a number is below it, or not finite.
    """

    kind: type
    least: int | None = None
    otherwise: str = ""

    def array(self, values: Sequence) -> np.ndarray:
        """Values as an array of this column's type; texts are objects, as h5py has them."""
        return np.array(values, dtype=object if self.kind is str else self.kind)

    def problem(self, values: np.ndarray) -> str | None:
        """What is wrong in values by themselves, or None."""
        if self.least is None:
            return None
        right = values >= self.least
        if self.kind is np.float32:
            right &= np.isfinite(values)
        return None if right.all() else self.otherwise


@dataclasses.dataclass(frozen=True, repr=False)
class StoreTable:
    """Columns of one length. It prints as its first rows."""

    @classmethod
    def columns(cls) -> dict[str, Column]:
        """What is known of the columns, by name and in order."""
        hints = typing.get_type_hints(cls, include_extras=True)
        return {name: hint.__metadata__[0] for name, hint in hints.items()}

    @classmethod
    def of(cls, values: Mapping[str, Sequence]) -> Self:
        """A table of values by column."""
        return cls(**{name: column.array(values[name]) for name, column in cls.columns().items()})

    def arrays(self) -> dict[str, np.ndarray]:
        """The columns by name."""
        return dict(vars(self))

    def plain(self) -> dict[str, list]:
        """The columns as lists of plain values."""
        return {name: values.tolist() for name, values in vars(self).items()}

    def __len__(self) -> int:
        return len(next(iter(vars(self).values())))

    def __repr__(self) -> str:
        shown = range(min(len(self), _SHOWN_ROWS))
        columns = [["row", *map(str, shown)]]
        for name, values in vars(self).items():
            columns.append([name, *map(_cell, values[: len(shown)].tolist())])
        widths = [max(map(len, column)) for column in columns]
        count = f"{len(self)} row" + ("" if len(self) == 1 else "s")
        lines = [f"{type(self).__name__}, {count}"]
        for row in zip(*columns):
            cells = [cell.rjust(width) for cell, width in zip(row, widths)]
            lines.append("  ".join(cells))
        if len(self) > len(shown):
            lines.append("...".rjust(widths[0]))
        return "\n".join(lines)


def _cell(value: str | float) -> str:
    """A value as a table shows it: six digits, or a text as Python writes it."""
    if not isinstance(value, str):
        return f"{value:.6g}" if isinstance(value, float) else str(value)
    if len(value) > _SHOWN_CHARACTERS:
        value = value[: _SHOWN_CHARACTERS - 1] + "…"
    return repr(value)


AnyTable = typing.TypeVar("AnyTable", bound=StoreTable)


_NEGATIVE_LENGTH = "a video has a negative length"
_NO_FPS = "a video's fps is negative or not finite"
_NEGATIVE_SIZE = "a video's width or height is negative"


@dataclasses.dataclass(frozen=True, repr=False)
class Videos(StoreTable):
    """One row a video; every column is an array of the same length.

    Attributes:
        id: its name, no other video's.
        start: its first frame among all of the store. Videos lie end to end, so this is the
            running sum of `length`.
        length: how many frames it has.
        fps: frames a second, 0 for unknown.
        width: of the picture in pixels, 0 for unknown.
        height: of the picture in pixels, 0 for unknown.
        subject: who is seen, "" for unknown.
        emotion: what the person feels, "" for unknown.
    """

    id: Annotated[np.ndarray, Column(str)]
    start: Annotated[np.ndarray, Column(np.int64)]
    length: Annotated[np.ndarray, Column(np.int64, 0, _NEGATIVE_LENGTH)]
    fps: Annotated[np.ndarray, Column(np.float32, 0, _NO_FPS)]
    width: Annotated[np.ndarray, Column(np.int32, 0, _NEGATIVE_SIZE)]
    height: Annotated[np.ndarray, Column(np.int32, 0, _NEGATIVE_SIZE)]
    subject: Annotated[np.ndarray, Column(str)]
    emotion: Annotated[np.ndarray, Column(str)]


@dataclasses.dataclass(frozen=True, repr=False)
class Clips(StoreTable):
    """One row a clip, a range of frames of one video; int arrays of the same length.

    Attributes:
        video: row of its video.
        start: its first frame, counted from its video's first.
        length: how many frames it has, 1 or more.
        label: number of its class name, -1 without one.
    """

    # Their ranges are those of the videos and class names that are there: see `store_checks`.
    video: Annotated[np.ndarray, Column(np.int32)]
    start: Annotated[np.ndarray, Column(np.int64)]
    length: Annotated[np.ndarray, Column(np.int64)]
    label: Annotated[np.ndarray, Column(np.int32)]


@dataclasses.dataclass(frozen=True, repr=False)
class Split:
    """Who trains and who tests.

    Attributes:
        name: what it is called.
        of: "clips" or "videos", whose rows it names.
        train, test: ascending rows, int64; no row is in both.
    """

    name: str
    of: str
    train: np.ndarray
    test: np.ndarray

    def __repr__(self) -> str:
        return f"<split {self.name!r}: {len(self.train)} {self.of} train, {len(self.test)} test>"


def blank_unseen(keypoints: np.ndarray, score: np.ndarray) -> None:
    """Put joints that were not seen to zero, in place.

    They have one spelling in a store, whatever its source left in their place.

    Args:
        keypoints: `[T, V, C]`, C-contiguous. A joint with a coordinate that is NaN or infinite was
            not seen.
        score: `[T, V]`. A joint whose score is NaN, negative or 0 was not seen.
    """
    unseen = ~(score > 0)  # NaN too
    if not np.isfinite(keypoints).all():
        unseen |= ~np.isfinite(keypoints).all(-1)
    # A joint's coordinates as one item: so they are put to zero in a third of the time.
    item = f"V{keypoints.itemsize * keypoints.shape[-1]}"
    joints = keypoints.view(item)[..., 0]
    joints[unseen] = np.zeros((), joints.dtype)
    score[unseen] = 0


class FramesDigest:
    """The digest of frames that come in pieces, however cut; of all, it is `Store.frames_digest`.

    Writing frames takes hardly longer for it, as it would for a SHA-256 of them: that
    is taken of CRC-32 sums, those of the keypoints and of the scores of every 1024
    frames. A single number that changes always changes a sum.
    """

    def __init__(self) -> None:
        self._sums = hashlib.sha256()
        self._frames = 0
        # Sums of the frames since the last 1024.
        self._keypoints, self._score = 0, 0

    def update(self, keypoints: np.ndarray, score: np.ndarray) -> None:
        """Take in further frames, keypoints `[T, V, C]` and score `[T, V]`."""
        start = 0
        while start < len(score):
            missing = _SUMMED - self._frames % _SUMMED
            stop = min(len(score), start + missing)
            self._keypoints = zlib.crc32(_as_stored(keypoints[start:stop]), self._keypoints)
            self._score = zlib.crc32(_as_stored(score[start:stop]), self._score)
            self._frames += stop - start
            start = stop
            if self._frames % _SUMMED == 0:
                self._sums.update(self._last_sums())
                self._keypoints, self._score = 0, 0

    def hexdigest(self) -> str:
        """64 hexadecimal digits."""
        sums = self._sums.copy()
        if self._frames % _SUMMED:
            sums.update(self._last_sums())
        return sums.hexdigest()

    def _last_sums(self) -> bytes:
        return struct.pack("<II", self._keypoints, self._score)


def _as_stored(values: np.ndarray) -> memoryview:
    """The bytes of numbers as the file has them, float32 little endian."""
    return np.ascontiguousarray(values, "<f4").data
