"""Vectors of clips: by a trained run, by their true labels, or out of a file made elsewhere.

Each way is a function of a store and rows of its clips that gives their vectors and what they are, as plain values.
"""

from __future__ import annotations

import csv
import os
import pathlib
import zipfile

import h5py
import jax
import numpy as np

from mgjax.batching import Blocks
from mgjax.errors import InputError
from mgjax.evaluation.embed import embed_clips, logits_of_clips
from mgjax.store import Store
from mgjax.training import load_model

COLUMNS = ("video", "clip", "vector")


def clips_in_time(store: Store) -> list[np.ndarray]:
    """Every video's clips, as rows, by their start; of clips that start together the shorter one comes first."""
    order = np.lexsort((store.clips.length, store.clips.start, store.clips.video))
    return np.split(order, np.searchsorted(store.clips.video[order], np.arange(1, len(store.videos))))


def run_vectors(folder: str | os.PathLike, store: Store, clips, feature: str | None = None,
                step: int | None = None) -> tuple[np.ndarray, dict]:
    """Vectors of some clips by a trained run: class probabilities if it is a classifier's, else what it encodes.

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
    what = {"workdir": str(folder), "model": run.model, "step": step}
    if not hasattr(model, "logits"):
        vectors = embed_clips(model, Blocks(store, clips), clips, run.preparation, run.layout, feature)
        return vectors, what | {"feature": feature or getattr(run.options, "feature", None)}
    if feature:
        raise InputError(f"feature {feature!r} is asked for, but of model {run.model!r} the class probabilities are "
                         "taken")
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

    The file must have every one of these clips. It may also have others, as long as they are the store's.

    Returns:
        float32 `[N, D]`, and what they are.

    Raises:
        InputError: the file is not readable, names a video or clip that the store does not have or one twice, or lacks
            one of the clips.
    """
    path = pathlib.Path(path)
    video, number, vector = read_vectors(path)
    row_of_id = {id: row for row, id in enumerate(store.videos.id)}
    in_time = clips_in_time(store)
    place = np.full(len(store.clips), -1)
    for row, (id, clip) in enumerate(zip(video, number)):
        if id not in row_of_id:
            raise InputError(f"{path}: names video {id!r}, which {store.path} does not have; the first one there is "
                             f"{store.videos.id[0]!r}")
        own = in_time[row_of_id[id]]
        if not 0 <= clip < len(own):
            raise InputError(f"{path}: names clip {clip} of video {id!r}, which has {len(own)}, counted from 0")
        if place[own[clip]] >= 0:
            raise InputError(f"{path}: clip {clip} of video {id!r} is there twice")
        place[own[clip]] = row
    missing = np.asarray(clips)[place[clips] < 0]
    if len(missing):
        own = store.clips.video[missing[0]]
        clip = int(np.flatnonzero(in_time[own] == missing[0])[0])
        raise InputError(f"{path}: clip {clip} of video {store.videos.id[own]!r} is missing; {len(clips)} clips are "
                         f"needed, {len(missing)} of them are not there")
    return vector[place[clips]], {"probabilities": str(path)}


def read_vectors(path: str | os.PathLike) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Read clips' vectors: columns video (the store's id, text), clip (its number in the video, in the order of time
    from 0) and vector.

    - HDF5 (.h5, .hdf5) and NPZ (.npz): arrays `video` `[N]`, `clip` int `[N]` and `vector` `[N, D]`.
    - CSV (.csv): a header "video,clip," and D names, then a line a clip.

    Returns:
        N ids, int `[N]`, float32 `[N, D]`.

    Raises:
        InputError: the file is not there or not readable, a column is missing or another kind or length than expected,
            or a value is not a finite number.
    """
    path = pathlib.Path(path)
    readers = {".h5": _read_hdf5, ".hdf5": _read_hdf5, ".npz": _read_npz, ".csv": _read_csv}
    if path.suffix not in readers:
        raise InputError(f"{path}: is not called .csv, .npz, .h5 or .hdf5")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        video, clip, vector = readers[path.suffix](path)
    except (OSError, EOFError, zipfile.BadZipFile, UnicodeDecodeError, csv.Error):
        raise InputError(f"{path}: cannot be read as {path.suffix}: damaged, or another format") from None
    if clip.ndim != 1 or vector.ndim != 2 or not len(video) == len(clip) == len(vector) or not vector.shape[1]:
        raise InputError(f"{path}: video is of length {len(video)}, clip of shape {list(clip.shape)} and vector of "
                         f"shape {list(vector.shape)}, expected [N], [N] and [N, D]")
    if clip.dtype.kind not in "iu" or vector.dtype.kind not in "fiu":
        raise InputError(f"{path}: clip is {clip.dtype} and vector {vector.dtype}, expected whole numbers and numbers")
    vector = vector.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(vector).all(1))
    if len(bad):
        raise InputError(f"{path}: the vector of clip {clip[bad[0]]} of video {video[bad[0]]!r} is not finite")
    return video, clip, vector


def _read_hdf5(path):
    with h5py.File(path, "r") as file:
        return _arrays(file, path)


def _read_npz(path):
    if not zipfile.is_zipfile(path):
        raise zipfile.BadZipFile
    with np.load(path) as file:
        return _arrays(file, path)


def _arrays(file, path):
    absent = [name for name in COLUMNS if name not in file]
    if absent:
        raise InputError(f"{path}: has no array {absent[0]!r}; expected {', '.join(COLUMNS)}")
    try:
        ids, clip, vector = (np.asarray(file[name][()]) for name in COLUMNS)
    except (ValueError, TypeError):
        raise InputError(f"{path}: {', '.join(COLUMNS)} are not plain arrays of text and numbers") from None
    ids = [id.decode() if isinstance(id, bytes) else id for id in ids.tolist()] if ids.ndim == 1 else [None]
    # An id may begin with a zero, a number cannot.
    if not all(isinstance(id, str) for id in ids):
        raise InputError(f"{path}: video is not a list of text; give the store's ids, as text")
    return ids, clip, vector


def _read_csv(path):
    with open(path, newline="", encoding="utf-8-sig") as file:
        lines = csv.reader(file)
        header = next(lines, [])
        if header[:2] != ["video", "clip"] or len(header) < 3:
            raise InputError(f"{path}: its first line is not 'video,clip,' and a name for every entry of the vectors")
        video, clip, vector = [], [], []
        for number, line in enumerate(lines, 2):
            if len(line) != len(header):
                raise InputError(f"{path}: line {number} has {len(line)} columns, its header {len(header)}")
            try:
                video.append(line[0])
                clip.append(int(line[1]))
                vector.append(np.array(line[2:], np.float32))
            except ValueError:
                raise InputError(f"{path}: line {number} holds something that is not a number") from None
    return video, np.array(clip, int), np.array(vector, np.float32).reshape(len(video), len(header) - 2)
