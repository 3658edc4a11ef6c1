"""Vectors of clips out of files that were made elsewhere, read with suspicion.

Whatever a file holds, what comes is three arrays of like length, or one sentence.
"""

from __future__ import annotations

import csv
import io
import math
import os
import pathlib
import zipfile
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mgjax import files, hdf5, rehearsal
from mgjax.errors import InputError

COLUMNS = ("video", "clip", "vector")
MOST_BYTES = 2**30  # of one of them
_LISTED = ", ".join(COLUMNS)


class ClipVectors(NamedTuple):
    """The columns of such a file.

    Attributes:
        video: N ids.
        clip: numbers of clips in their videos, int64 `[N]`.
        vector: float32 `[N, D]`, finite.
    """

    video: list[str]
    clip: np.ndarray
    vector: np.ndarray


def read_vectors(path: str | os.PathLike) -> ClipVectors:
    """Read clips' vectors: columns video (the store's id, text), clip (its number in the video,
    in the order of time from 0) and vector.

    - HDF5 (.h5, .hdf5) and NPZ (.npz): arrays `video` `[N]`, `clip` int `[N]` and `vector` `[N,
      D]`, of at most a gibibyte each.
    - CSV (.csv): a header "video,clip," and D names, then a line a clip.

    Raises:
        InputError: the file is not there or not readable, a column is missing or another kind or
            length than expected, or a value is not a finite number.
    """
    path = pathlib.Path(path)
    reader = _READERS.get(path.suffix)
    if reader is None:
        raise InputError(f"{path}: is not called .csv, .npz, .h5 or .hdf5")
    # No system can be asked for a path with a zero byte in it, and no terminal should show it.
    if "\0" in str(path):
        raise InputError(f"{str(path)!r}: no such file")
    if not path.exists():
        raise InputError(f"{path}: no such file")
    video, clip, vector = reader(path)
    _check_columns(path, video, clip, vector)
    with np.errstate(over="ignore"):  # what is too large is told below
        vector = vector.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(vector).all(1))
    if len(bad):
        where = f"clip {clip[bad[0]]} of video {video[bad[0]]!r}"
        raise InputError(f"{path}: the vector of {where} is not finite")
    return ClipVectors(video, clip.astype(np.int64), vector)


def _check_columns(
    path: pathlib.Path, video: list[str], clip: np.ndarray, vector: np.ndarray
) -> None:
    """Raise InputError where columns are not of the shapes and kinds that they should be."""
    shaped = clip.ndim == 1 and vector.ndim == 2
    if not shaped or not len(video) == len(clip) == len(vector) or not vector.shape[1]:
        raise InputError(
            f"{path}: video is of length {len(video)}, clip of shape {list(clip.shape)} and vector "
            f"of shape {list(vector.shape)}, expected [N], [N] and [N, D]"
        )
    if clip.dtype.kind not in "iu" or vector.dtype.kind not in "fiu":
        raise InputError(
            f"{path}: clip is {clip.dtype} and vector {vector.dtype}, expected whole numbers and "
            "numbers"
        )


def _with_ids(
    path: pathlib.Path, ids: np.ndarray, clip: np.ndarray, vector: np.ndarray
) -> ClipVectors:
    """Arrays as columns, ids as text."""
    if ids.ndim != 1:
        raise InputError(
            f"{path}: video has shape {list(ids.shape)}, expected a list of the store's ids"
        )
    try:
        video = [id.decode() if isinstance(id, bytes) else id for id in ids.tolist()]
    except ValueError:  # UnicodeDecodeError too
        raise InputError(
            f"{path}: video holds something that is not text; give the store's ids, as text"
        ) from None
    # An id may begin with a zero, a number cannot.
    if not all(isinstance(id, str) for id in video):
        raise InputError(f"{path}: video is not a list of text; give the store's ids, as text")
    return ClipVectors(video, clip, vector)


def _read_hdf5(path: pathlib.Path) -> ClipVectors:
    names = f"{path.suffix} with the arrays {_LISTED}"
    # First in a process of its own, which a damaged file may keep busy for ever.
    rehearsal.rehearse(path, f"hdf5.arrays(sys.argv[1], {COLUMNS!r}, {names!r})")
    return _with_ids(path, *hdf5.arrays(path, COLUMNS, names))


def _read_npz(path: pathlib.Path) -> ClipVectors:
    data = files.read_bytes(path, "an .npz file")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            there = set(archive.namelist())
            absent = [name for name in COLUMNS if f"{name}.npy" not in there]
            if absent:
                raise InputError(f"{path}: has no array {absent[0]!r}; expected {_LISTED}")
            arrays = [_read_npy(archive, f"{name}.npy") for name in COLUMNS]
    except InputError:
        raise
    except Exception as error:  # a damaged archive makes the decoders raise whatever they like
        reason = str(error)[:200].replace("\n", " ")
        raise InputError(
            f"{path}: cannot be read as .npz: damaged, or another format ({reason})"
        ) from None
    return _with_ids(path, *arrays)


def _read_npy(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """An array out of an archive; what it declares is checked before anything of that size is
    made.

    Raises:
        ValueError: it is not such an array, or declares what it does not have.
    """
    info = archive.getinfo(name)
    if info.flag_bits & 1:
        raise ValueError(f"{name} is encrypted")
    if info.file_size > MOST_BYTES:
        raise ValueError(f"{name} has {info.file_size} bytes, expected at most {MOST_BYTES}")
    with archive.open(info) as member:
        # The size above is what the archive says, not what it has.
        data = member.read(MOST_BYTES + 1)
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    # Later versions are of arrays with fields, whose names need more room.
    if version == (1, 0):
        shape, columns_first, dtype = np.lib.format.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, columns_first, dtype = np.lib.format.read_array_header_2_0(file)
    else:
        raise ValueError(f"{name} is of another version, or not a plain array")
    declared = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or dtype.names or declared != len(data) - file.tell():
        raise ValueError(
            f"{name} is {dtype} of shape {list(shape)}, which its {len(data)} bytes are not"
        )
    values = np.frombuffer(data, dtype, offset=file.tell())
    return values.reshape(shape, order="F" if columns_first else "C")


def _read_csv(path: pathlib.Path) -> ClipVectors:
    lines = csv.reader(io.StringIO(files.read_text(path, "a CSV table"), newline=""))
    video, clip, vector, number = [], [], [], 1
    try:
        header = next(lines, [])
        _check_header(path, header)
        for number, line in enumerate(lines, 2):
            if len(line) != len(header):
                raise InputError(
                    f"{path}: line {number} has {len(line)} columns, its header {len(header)}"
                )
            video.append(line[0])
            # Through int, for NumPy would take "1.0" too.
            clip.append(np.int64(int(line[1])))
            with np.errstate(over="ignore"):
                vector.append(np.array(line[2:], np.float32))
    except InputError:
        raise
    except (ValueError, OverflowError):
        raise InputError(f"{path}: line {number} holds something that is not a number") from None
    except csv.Error as error:
        raise InputError(f"{path}: cannot be read as .csv after line {number}: {error}") from None
    # The shape holds where there is no line too.
    vectors = np.array(vector, np.float32).reshape(len(video), len(header) - 2)
    return ClipVectors(video, np.array(clip, np.int64), vectors)


def _check_header(path: pathlib.Path, header: list[str]) -> None:
    if header[:2] == ["video", "clip"] and len(header) > 2:
        return
    # As spreadsheets write them where the comma is the decimal one.
    semicolons = "; its columns are separated by semicolons" if ";" in "".join(header[:1]) else ""
    raise InputError(
        f"{path}: its first line is not 'video,clip,' and a name for every entry of the "
        f"vectors{semicolons}"
    )


_READERS: dict[str, Callable[[pathlib.Path], ClipVectors]] = {
    ".h5": _read_hdf5,
    ".hdf5": _read_hdf5,
    ".npz": _read_npz,
    ".csv": _read_csv,
}
