"""Clips to vectors: by a model, or by resampling their keypoints."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable

import h5py
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from mgjax import files, hdf5
from mgjax.batching import Blocks, Frames, batch_edges, gather, plan
from mgjax.errors import InputError
from mgjax.skeleton import Layout
from mgjax.store import Store
from mgjax.training import load_model
from mgjax.transforms import Batch, Preparation, interpolate_frames


def map_clips(
    step: Callable,
    source: Blocks | Frames,
    clips,
    preparation: Preparation,
    batch_size: int = 256,
    edges: tuple[int, ...] | None = None,
) -> np.ndarray:
    """Apply a jitted function to some clips, bucket by bucket and, where a store is streamed,
    block by block.

    Args:
        step: called as `step(frames, rows, steps=T)` with rows int32 `[B]`; gives an array whose
            first axis is B.
        source: blocks of a store that hold the clips, or frames that do.
        clips: rows of clips, int `[N]`; the results come in their order.
        preparation: what the step applies; here it says how long clips become.
        edges: padded lengths; None chooses them from the clips.

    Returns:
        `[N, ...]`.
    """
    clips = np.asarray(clips)
    streamed = isinstance(source, Blocks)
    lengths = preparation.lengths(
        np.asarray(source.store.clips.length if streamed else source.length)[clips]
    )
    edges = edges or batch_edges(lengths, batch_size, 6)
    results: np.ndarray | None = None
    numbers = source.block_of(clips) if streamed else np.zeros(len(clips), int)
    used = np.unique(numbers)
    place = lambda frames: jax.tree.map(jnp.asarray, frames)
    for number, frames in zip(used, source.stream(used, place) if streamed else [source]):
        members = np.flatnonzero(numbers == number)
        # Places, not clip rows, are planned, so that the results can be put where they belong.
        for batch in plan(members, lengths[members], edges, batch_size):
            values = np.asarray(
                step(frames, clips[batch.clips].astype(np.int32), steps=batch.steps)
            )
            if results is None:
                results = np.empty((len(clips),) + values.shape[1:], values.dtype)
            count = int(batch.weight.sum())
            results[batch.clips[:count]] = values[:count]
    return results


@functools.partial(jax.jit, static_argnames=("steps", "graph", "preparation", "layout", "feature"))
def _encode(state, frames, rows, *, steps, graph, preparation, layout, feature):
    batch = prepared_batch(frames, rows, steps, preparation, layout)
    return nnx.merge(graph, state).encode(batch, *([feature] if feature else []))


def prepared_batch(
    frames: Frames, rows, steps: int, preparation: Preparation, layout: Layout
) -> Batch:
    """Some clips, int32 `[B]`, prepared without augmentation and padded to `steps`; jittable
    with the rest static.
    """
    keypoints, score, length, label = gather(frames, rows, steps, preparation.resampling)
    return preparation(keypoints, score, length, label, jnp.ones(len(rows)), layout)


def embed_clips(
    model: nnx.Module,
    source: Blocks | Frames,
    clips,
    preparation: Preparation,
    layout: Layout,
    feature: str | None = None,
    **how,
) -> np.ndarray:
    """A model's features of some clips, float32 `[N, D]`; `how` goes to `map_clips`.

    Raises:
        InputError: the model has no `encode`, or what it gives is not finite.
    """
    step = functools.partial(_encode, preparation=preparation, layout=layout, feature=feature)
    return _by_model(model, "encode", step, source, clips, preparation, **how)


def _by_model(model, method, step, source, clips, preparation, **how) -> np.ndarray:
    """`map_clips` of a step that calls a method of a model; what it gives must be finite."""
    if not hasattr(model, method):
        raise InputError(f"model {type(model).__name__} has no {method}(), which is needed here")
    graph, state = nnx.split(model)
    values = map_clips(
        functools.partial(step, state, graph=graph), source, clips, preparation, **how
    )
    bad = len(values) - int(np.isfinite(values).reshape(len(values), -1).all(1).sum())
    if bad:
        raise InputError(
            f"model {type(model).__name__} gives {bad} of {len(values)} clips values "
            "that are not finite: "
            "its weights may have become NaN in training; take an earlier checkpoint "
            "or train again"
        )
    return values


@functools.partial(jax.jit, static_argnames=("steps", "graph", "preparation", "layout"))
def _logits(state, frames, rows, *, steps, graph, preparation, layout):
    return nnx.merge(graph, state).logits(prepared_batch(frames, rows, steps, preparation, layout))


def logits_of_clips(
    model: nnx.Module,
    source: Blocks | Frames,
    clips,
    preparation: Preparation,
    layout: Layout,
    **how,
) -> np.ndarray:
    """A classifier's logits of some clips, float32 `[N, classes]`; `how` goes to `map_clips`.

    Raises:
        InputError: the model has no `logits`, or what it gives is not finite.
    """
    step = functools.partial(_logits, preparation=preparation, layout=layout)
    return _by_model(model, "logits", step, source, clips, preparation, **how)


def at_even_times(batch: Batch, points: int = 32) -> jax.Array:
    """A batch's inputs at so many evenly spread times, interpolated, flattened: `[B,
    points·V·channels]`.
    """
    place = jnp.linspace(0, 1, points) * (batch.length[:, None] - 1)
    everything = jnp.ones(batch.inputs.shape[:3], bool)
    count = jnp.full(len(batch.length), points)
    keypoints, _ = interpolate_frames(batch.inputs, everything, place, batch.length, count)
    return keypoints.reshape(len(batch.length), -1)


@functools.partial(jax.jit, static_argnames=("steps", "preparation", "layout", "points"))
def _resample(frames, rows, *, steps, preparation, layout, points):
    return at_even_times(prepared_batch(frames, rows, steps, preparation, layout), points)


def resampled_keypoints(
    source: Blocks | Frames,
    clips,
    preparation: Preparation,
    layout: Layout,
    points: int = 32,
    **how,
) -> np.ndarray:
    """Keypoints of some clips at so many evenly spread times, interpolated, flattened: float32
    `[N, points·V·C]`.

    The control that no encoder is needed for.
    """
    preparation = dataclasses.replace(preparation, velocity=0.0, bones=False)
    step = functools.partial(_resample, preparation=preparation, layout=layout, points=points)
    return map_clips(step, source, clips, preparation, **how)


# Keypoints as they are stored.
RAW = Preparation(centre="none", axes="none", scale="none", fill_unseen=False)


def write_embeddings(
    folder: str | os.PathLike,
    store: Store,
    output: str | os.PathLike,
    feature: str | None = None,
    step: int | None = None,
) -> tuple[int, int]:
    """Write a run's features of every clip of a store to an HDF5 file; returns their shape.

    The file names the run's model, feature and checkpoint and the store's fingerprint, and no path.

    Raises:
        InputError: run, store and output do not fit together.
    """
    output = files.writable(output)
    model, run, step = load_model(folder, step)
    run.check_store(store)
    if not len(store.clips):
        raise InputError(f"{store.path}: has no clips to embed")
    rows = np.arange(len(store.clips))
    embeddings = embed_clips(model, Blocks(store, rows), rows, run.preparation, run.layout, feature)
    with files.whole(output) as partial, hdf5.Disk(partial, "wb+") as disk:
        _write(
            disk,
            embeddings,
            store,
            {
                "model": run.model,
                "step": step,
                "feature": feature or getattr(run.options, "feature", ""),
                "store": store.fingerprint,
                "labels": list(store.labels),
            },
        )
        if disk.error:
            raise disk.error
    return embeddings.shape


def _write(disk: hdf5.Disk, embeddings: np.ndarray, store: Store, attributes: dict):
    with h5py.File(disk, "w") as file:
        file["embedding"] = embeddings
        file["video"] = store.videos.id[store.clips.video]
        for column in ("start", "length", "label"):
            file[column] = getattr(store.clips, column)
        file.attrs.update(attributes)
