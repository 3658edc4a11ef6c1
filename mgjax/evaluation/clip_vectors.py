"""Vectors of clips: by a trained run, by their true labels, or out of a file made elsewhere.

Each way is a function of a store and rows of its clips that gives their vectors and what they
are, as plain values.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from mgjax.blocks import Blocks
from mgjax.errors import InputError
from mgjax.evaluation.embedding import embed_clips, logits_of_clips
from mgjax.evaluation.vector_files import ClipVectors, read_vectors
from mgjax.store import Store
from mgjax.training import load_model

Rows = Sequence[int] | np.ndarray


def clips_in_time(store: Store) -> list[np.ndarray]:
    """Every video's clips, as rows, by their start; of clips that start together the shorter
    one comes first.
    """
    clips = store.clips
    # By video, then start, then length: lexsort's last key is its first.
    order = np.lexsort((clips.length, clips.start, clips.video))
    # Videos without clips get an empty part.
    ends = np.searchsorted(clips.video[order], np.arange(1, len(store.videos)))
    return np.split(order, ends)


def run_vectors(
    folder: str | os.PathLike,
    store: Store,
    clips: Rows,
    feature: str | None = None,
    step: int | None = None,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Vectors of some clips by a trained run: class probabilities if it is a classifier's,
    else what it encodes.

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
    what: dict[str, Any] = {"model": run.model, "step": step}
    clips = np.asarray(clips)
    blocks, how = Blocks(store, clips), (run.preparation, run.layout)
    # A model that has both is judged as a classifier.
    if not hasattr(model, "logits"):
        vectors = embed_clips(model, blocks, clips, *how, feature)
        return vectors, what | {"feature": feature or getattr(run.options, "feature", None)}
    if feature:
        raise InputError(
            f"feature {feature!r} is asked for, but of model {run.model!r} the class "
            "probabilities are taken"
        )
    logits = logits_of_clips(model, blocks, clips, *how)
    return np.asarray(jax.nn.softmax(logits)), what | {"feature": "class probabilities"}


def label_vectors(store: Store, clips: Rows) -> tuple[np.ndarray, dict[str, Any]]:
    """The true label of some clips, one-hot float32 `[N, classes]`, and what they are.

    Raises:
        InputError: a clip has no label.
    """
    labels = store.clips.label[clips]
    if (labels < 0).any():
        # The least label is -1, so its first place is of a clip without one.
        video = store.clips.video[clips][np.argmin(labels)]
        raise InputError(f"{store.path}: a clip of video {store.videos.id[video]!r} has no label")
    return np.eye(len(store.labels), dtype=np.float32)[labels], {"labels": "true"}


def file_vectors(
    path: str | os.PathLike, store: Store, clips: Rows
) -> tuple[np.ndarray, dict[str, Any]]:
    """Vectors of some clips out of a file made elsewhere; `vector_files.read_vectors` says
    what it holds.

    The file must have every one of these clips. It may also have others, as long as they are
    the store's.

    Returns:
        float32 `[N, D]`, and what they are: a digest of them all, which says which they are and
        not where.

    Raises:
        InputError: the file is not readable, names a video or clip that the store does not have
            or one twice, or lacks one of the clips.
    """
    path = pathlib.Path(path)
    read = read_vectors(path)
    in_time = clips_in_time(store)
    line_of_clip = _lines_of_clips(path, read, store, in_time)
    wanted = np.asarray(clips)
    missing = wanted[line_of_clip[wanted] < 0]
    if len(missing):
        video = store.clips.video[missing[0]]
        number = int(np.flatnonzero(in_time[video] == missing[0])[0])
        raise InputError(
            f"{path}: clip {number} of video {store.videos.id[video]!r} is missing; "
            f"{len(wanted)} clips are needed, {len(missing)} of them are not there"
        )
    chosen = read.vector[line_of_clip[wanted]]
    # In the order of the clips, so the same however the file is called and sorted.
    digest = hashlib.blake2b(chosen.tobytes(), digest_size=16).hexdigest()
    return chosen, {"probabilities": digest}


def _lines_of_clips(
    path: pathlib.Path, read: ClipVectors, store: Store, in_time: Sequence[np.ndarray]
) -> np.ndarray:
    """Where in a file each clip of the store is, int `[clips of the store]`; -1 where it is
    not.
    """
    row_of_id = {id: row for row, id in enumerate(store.videos.id)}
    line_of_clip = np.full(len(store.clips), -1)
    for line, (id, number) in enumerate(zip(read.video, read.clip)):
        if id not in row_of_id:
            raise InputError(
                f"{path}: names video {id!r}, which {store.path} does not have; the first one "
                f"there is {store.videos.id[0]!r}"
            )
        own = in_time[row_of_id[id]]
        if not 0 <= number < len(own):
            raise InputError(
                f"{path}: names clip {number} of video {id!r}, which has {len(own)}, counted from 0"
            )
        if line_of_clip[own[number]] >= 0:
            raise InputError(f"{path}: clip {number} of video {id!r} is there twice")
        line_of_clip[own[number]] = line
    return line_of_clip
