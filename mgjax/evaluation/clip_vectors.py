"""Vectors of clips: by a trained run, by their true labels, or out of a file made elsewhere.

Each way is a function of a store and rows of its clips that gives their vectors and what they
are, as plain values.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import os
import pathlib
import zipfile

import jax
import numpy as np

from mgjax import files, hdf5, rehearsal
from mgjax.batching import Blocks
from mgjax.errors import InputError
from mgjax.evaluation.embedding import embed_clips, logits_of_clips
from mgjax.store import Store
from mgjax.training import load_model

COLUMNS = ("video", "clip", "vector")
MOST_BYTES = 2**30  # of one of them


def clips_in_time(store: Store) -> list[np.ndarray]:
    """Every video's clips, as rows, by their start; of clips that start together the shorter one
    comes first.
    """
    order = np.lexsort((store.clips.length, store.clips.start, store.clips.video))
    return np.split(
        order, np.searchsorted(store.clips.video[order], np.arange(1, len(store.videos)))
    )


def run_vectors(
    folder: str | os.PathLike,
    store: Store,
    clips,
    feature: str | None = None,
    step: int | None = None,
) -> tuple[np.ndarray, dict]:
    """Vectors of some clips by a trained run: class probabilities if it is a classifier's, else
    what it encodes.

    Args:
        folder: the run's working folder.
        store: an opened store of the run's layout.
        clips: rows of clips, int `[N]`.
        feature: what to take from an encoder; None takes the run's own choice.
        step: which checkpoint; None takes the newest.

    Returns:
        float32 `[N, D]`, and what they are, as plain values.

    Raises:
        InputError: run and store do not fit together, or `feature` is given for a classifier.
    """
    model, run, step = load_model(folder, step)
    run.check_store(store)
    what = {"model": run.model, "step": step}
    if not hasattr(model, "logits"):
        vectors = embed_clips(
            model, Blocks(store, clips), clips, run.preparation, run.layout, feature
        )
        return vectors, what | {"feature": feature or getattr(run.options, "feature", None)}
    if feature:
        raise InputError(
            f"feature {feature!r} is asked for, but of model {run.model!r} the class "
            "probabilities are "
            "taken"
        )
    logits = logits_of_clips(model, Blocks(store, clips), clips, run.preparation, run.layout)
    return np.asarray(jax.nn.softmax(logits)), what | {"feature": "class probabilities"}


def label_vectors(store: Store, clips) -> tuple[np.ndarray, dict]:
    """The true label of some clips, one-hot float32 `[N, classes]`, and what they are.

    Raises:
        InputError: a clip has no label.
    """
    labels = store.clips.label[clips]
    if (labels < 0).any():
        video = store.clips.video[clips][np.argmin(labels)]
        raise InputError(f"{store.path}: a clip of video {store.videos.id[video]!r} has no label")
    return np.eye(len(store.labels), dtype=np.float32)[labels], {"labels": "true"}


def file_vectors(path: str | os.PathLike, store: Store, clips) -> tuple[np.ndarray, dict]:
    """Vectors of some clips out of a file made elsewhere; `read_vectors` says what it holds.

    The file must have every one of these clips. It may also have others, as long as they are the
    store's.

    Returns:
        float32 `[N, D]`, and what they are: a digest of them all, which says which they are and
        not where.

    Raises:
        InputError: the file is not readable, names a video or clip that the store does not have
            or one twice, or lacks one of the clips.
    """
    path = pathlib.Path(path)
    video, number, vector = read_vectors(path)
    row_of_id = {id: row for row, id in enumerate(store.videos.id)}
    in_time = clips_in_time(store)
    place = np.full(len(store.clips), -1)
    for row, (id, clip) in enumerate(zip(video, number)):
        if id not in row_of_id:
            raise InputError(
                f"{path}: names video {id!r}, which {store.path} does not have; the "
                "first one there is "
                f"{store.videos.id[0]!r}"
            )
        own = in_time[row_of_id[id]]
        if not 0 <= clip < len(own):
            raise InputError(
                f"{path}: names clip {clip} of video {id!r}, which has {len(own)}, counted from 0"
            )
        if place[own[clip]] >= 0:
            raise InputError(f"{path}: clip {clip} of video {id!r} is there twice")
        place[own[clip]] = row
    missing = np.asarray(clips)[place[clips] < 0]
    if len(missing):
        own = store.clips.video[missing[0]]
        clip = int(np.flatnonzero(in_time[own] == missing[0])[0])
        raise InputError(
            f"{path}: clip {clip} of video {store.videos.id[own]!r} is missing; "
            f"{len(clips)} clips are "
            f"needed, {len(missing)} of them are not there"
        )
    chosen = vector[place[clips]]
    return chosen, {"probabilities": hashlib.blake2b(chosen.tobytes(), digest_size=16).hexdigest()}


def read_vectors(path: str | os.PathLike) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Read clips' vectors: columns video (the store's id, text), clip (its number in the video,
    in the order of time from 0) and vector.

    - HDF5 (.h5, .hdf5) and NPZ (.npz): arrays `video` `[N]`, `clip` int `[N]` and `vector` `[N,
      D]`, of at most a gibibyte each.
    - CSV (.csv): a header "video,clip," and D names, then a line a clip.

    Returns:
        N ids, int64 `[N]`, float32 `[N, D]`.

    Raises:
        InputError: the file is not there or not readable, a column is missing or another kind or
            length than expected, or a value is not a finite number.
    """
    path = pathlib.Path(path)
    readers = {".h5": _read_hdf5, ".hdf5": _read_hdf5, ".npz": _read_npz, ".csv": _read_csv}
    if path.suffix not in readers:
        raise InputError(f"{path}: is not called .csv, .npz, .h5 or .hdf5")
    if "\0" in str(path) or not path.exists():
        raise InputError(
            f"{str(path)!r}: no such file" if "\0" in str(path) else f"{path}: no such file"
        )
    video, clip, vector = readers[path.suffix](path)
    if (
        clip.ndim != 1
        or vector.ndim != 2
        or not len(video) == len(clip) == len(vector)
        or not vector.shape[1]
    ):
        raise InputError(
            f"{path}: video is of length {len(video)}, clip of shape "
            f"{list(clip.shape)} and vector of "
            f"shape {list(vector.shape)}, expected [N], [N] and [N, D]"
        )
    if clip.dtype.kind not in "iu" or vector.dtype.kind not in "fiu":
        raise InputError(
            f"{path}: clip is {clip.dtype} and vector {vector.dtype}, expected whole "
            "numbers and numbers"
        )
    with np.errstate(over="ignore"):
        vector = vector.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(vector).all(1))
    if len(bad):
        raise InputError(
            f"{path}: the vector of clip {clip[bad[0]]} of video {video[bad[0]]!r} is not finite"
        )
    return video, clip.astype(np.int64), vector


def _read_hdf5(path):
    names = f"{path.suffix} with the arrays {', '.join(COLUMNS)}"
    # First in a process of its own, which a damaged file may keep busy for ever.
    rehearsal.rehearse(path, f"hdf5.arrays(sys.argv[1], {COLUMNS!r}, {names!r})")
    return _columns(path, *hdf5.arrays(path, COLUMNS, names))


def _read_npz(path):
    data = files.read_bytes(path, "an .npz file")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            there = set(archive.namelist())
            absent = [name for name in COLUMNS if f"{name}.npy" not in there]
            if absent:
                raise InputError(
                    f"{path}: has no array {absent[0]!r}; expected {', '.join(COLUMNS)}"
                )
            arrays = [_read_npy(archive, f"{name}.npy") for name in COLUMNS]
    except InputError:
        raise
    except Exception as error:  # a damaged archive makes the decoders raise whatever they like
        reason = str(error)[:200].replace("\n", " ")
        raise InputError(
            f"{path}: cannot be read as .npz: damaged, or another format ({reason})"
        ) from None
    return _columns(path, *arrays)


def _read_npy(archive, name):
    """An array out of an archive; what it declares is checked before anything of that size is
    made.
    """
    info = archive.getinfo(name)
    if info.flag_bits & 1:
        raise ValueError(f"{name} is encrypted")
    if info.file_size > MOST_BYTES:
        raise ValueError(f"{name} has {info.file_size} bytes, expected at most {MOST_BYTES}")
    with archive.open(info) as member:
        data = member.read(MOST_BYTES + 1)
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"{name} is of another version, or not a plain array")
    read_header = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, columns_first, dtype = read_header(file)
    if (
        dtype.hasobject
        or dtype.names
        or math.prod(shape) * dtype.itemsize != len(data) - file.tell()
    ):
        raise ValueError(
            f"{name} is {dtype} of shape {list(shape)}, which its {len(data)} bytes are not"
        )
    return np.frombuffer(data, dtype, offset=file.tell()).reshape(
        shape, order="F" if columns_first else "C"
    )


def _columns(path, ids, clip, vector):
    if ids.ndim != 1:
        raise InputError(
            f"{path}: video has shape {list(ids.shape)}, expected a list of the store's ids"
        )
    try:
        ids = [id.decode() if isinstance(id, bytes) else id for id in ids.tolist()]
    except ValueError:  # UnicodeDecodeError too
        raise InputError(
            f"{path}: video holds something that is not text; give the store's ids, as text"
        ) from None
    # An id may begin with a zero, a number cannot.
    if not all(isinstance(id, str) for id in ids):
        raise InputError(f"{path}: video is not a list of text; give the store's ids, as text")
    return ids, clip, vector


def _read_csv(path):
    lines = csv.reader(io.StringIO(files.read_text(path, "a CSV table"), newline=""))
    video, clip, vector, number = [], [], [], 1
    try:
        header = next(lines, [])
        if header[:2] != ["video", "clip"] or len(header) < 3:
            between = (
                "; its columns are separated by semicolons" if ";" in "".join(header[:1]) else ""
            )
            raise InputError(
                f"{path}: its first line is not 'video,clip,' and a name for every "
                "entry of the vectors" + between
            )
        for number, line in enumerate(lines, 2):
            if len(line) != len(header):
                raise InputError(
                    f"{path}: line {number} has {len(line)} columns, its header {len(header)}"
                )
            video.append(line[0])
            clip.append(np.int64(int(line[1])))
            with np.errstate(over="ignore"):
                vector.append(np.array(line[2:], np.float32))
    except InputError:
        raise
    except (ValueError, OverflowError):
        raise InputError(f"{path}: line {number} holds something that is not a number") from None
    except csv.Error as error:
        raise InputError(f"{path}: cannot be read as .csv after line {number}: {error}") from None
    return (
        video,
        np.array(clip, np.int64),
        np.array(vector, np.float32).reshape(len(video), len(header) - 2),
    )
