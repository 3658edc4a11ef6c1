"""Clips to vectors: by a model, or by resampling their keypoints."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import h5py
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from mgjax import files, hdf5, models
from mgjax.batching import batch_edges, gather, plan
from mgjax.blocks import Blocks, Frames
from mgjax.errors import InputError
from mgjax.preparation import Batch, Preparation
from mgjax.skeleton import Layout
from mgjax.store import Store
from mgjax.training import Run, load_model
from mgjax.transforms import interpolate_frames

# Keypoints as they are stored.
RAW = Preparation(centre="none", axes="none", scale="none", fill_unseen=False)
# Padded lengths at most that clips are embedded at; each is compiled once.
MOST_EDGES = 6


def embed(
    folder: str | os.PathLike,
    store: Store,
    clips: Sequence[int] | np.ndarray | None = None,
    *,
    feature: str | None = None,
    step: int | None = None,
) -> np.ndarray:
    """Vectors of a store's clips by a trained run.

        vectors = embed("runs/nucla", store)
        for clip, distance in nearest(vectors, clip=0, k=5):
            print(clip, store.labels[store.clips.label[clip]], distance)

    Args:
        folder: the run's working folder.
        store: an opened store of the run's layout; not necessarily the one trained on.
        clips: rows of clips, int `[N]`; None takes every clip of the store.
        feature: what to take from the encoder; None takes what the run was trained for.
        step: which checkpoint; None takes the newest.

    Returns:
        float32 `[N, D]`, in the order of the clips.

    Raises:
        InputError: run and store do not fit together, the store has no such clips, or the model
            encodes nothing.
    """
    model, run, _ = load_model(folder, step)
    return embed_by_run(model, run, store, clips, feature)


def embed_by_run(
    model: nnx.Module,
    run: Run,
    store: Store,
    clips: Sequence[int] | np.ndarray | None = None,
    feature: str | None = None,
) -> np.ndarray:
    """Vectors of a store's clips by the model of a run, as `embed` gives them."""
    run.check_store(store)
    count = len(store.clips)
    rows = np.arange(count) if clips is None else np.asarray(clips)
    # Also of a store of untrimmed videos, which has no clips yet.
    if not len(rows):
        raise InputError(f"{store.path}: has no clips to embed")
    # To NumPy, -1 would be the last one.
    wrong = rows[(rows < 0) | (rows >= count)]
    if len(wrong):
        raise InputError(f"{store.path}: has no clip {wrong[0]}; its {count} are counted from 0")
    return embed_clips(model, Blocks(store, rows), rows, run.preparation, run.layout, feature)


def map_clips(
    step: Callable[..., jax.Array],
    source: Blocks | Frames,
    clips: Sequence[int] | np.ndarray,
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
        batch_size: clips of one call of the step.
        edges: padded lengths; None chooses them from the clips.

    Returns:
        `[N, ...]`.
    """
    clips = np.asarray(clips)
    lengths = preparation.lengths(_stored_lengths(source)[clips])
    edges = edges or batch_edges(lengths, batch_size, MOST_EDGES)
    results = np.empty(0)  # until the first batch says shape and dtype
    for members, frames in _frames_of(source, clips):
        # Places among the clips, not their rows, are planned: so results can be put where they
        # belong.
        for batch in plan(members, lengths[members], edges, batch_size):
            rows = clips[batch.clips].astype(np.int32)
            values = np.asarray(step(frames, rows, steps=batch.padded_length))
            if not len(results):
                results = np.empty((len(clips), *values.shape[1:]), values.dtype)
            # What fills up the last batch comes last in it.
            count = int(batch.weight.sum())
            results[batch.clips[:count]] = values[:count]
    return results


def _stored_lengths(source: Blocks | Frames) -> np.ndarray:
    """Frames of every clip as it is stored, `[all clips]`."""
    if isinstance(source, Blocks):
        return source.store.clips.length
    return np.asarray(source.length)


def _frames_of(source: Blocks | Frames, clips: np.ndarray) -> Iterable[tuple[np.ndarray, Frames]]:
    """Frames on the device, one block after the other, and which places of `clips` each holds."""
    if isinstance(source, Frames):
        return [(np.arange(len(clips)), source)]
    block_of_clip = source.block_of(clips)
    blocks = np.unique(block_of_clip)
    members = (np.flatnonzero(block_of_clip == block) for block in blocks)
    return zip(members, source.prefetch(blocks, _on_device))


def _on_device(frames: Frames) -> Frames:
    return jax.tree.map(jnp.asarray, frames)


def prepared_batch(
    frames: Frames, rows: jax.Array, steps: int, preparation: Preparation, layout: Layout
) -> Batch:
    """Some clips, int32 `[B]`, prepared without augmentation and padded to `steps`; jittable
    with the rest static.
    """
    keypoints, score, length, label = gather(frames, rows, steps, preparation.resampling)
    return preparation(keypoints, score, length, label, jnp.ones(len(rows)), layout)


# The model's graph and all else that is static is compared by value: models of like options share
# what is compiled.
@functools.partial(jax.jit, static_argnames=("steps", "graph", "preparation", "layout", "feature"))
def _encode(state, frames, rows, *, steps, graph, preparation, layout, feature):
    batch = prepared_batch(frames, rows, steps, preparation, layout)
    model = nnx.merge(graph, state)
    return model.encode(batch, feature) if feature else model.encode(batch)


@functools.partial(jax.jit, static_argnames=("steps", "graph", "preparation", "layout"))
def _logits(state, frames, rows, *, steps, graph, preparation, layout):
    batch = prepared_batch(frames, rows, steps, preparation, layout)
    return nnx.merge(graph, state).logits(batch)


def embed_clips(
    model: nnx.Module,
    source: Blocks | Frames,
    clips: Sequence[int] | np.ndarray,
    preparation: Preparation,
    layout: Layout,
    feature: str | None = None,
    **how: Any,
) -> np.ndarray:
    """A model's features of some clips, float32 `[N, D]`.

    Args:
        model: what encodes them.
        source, clips, preparation: as of `map_clips`.
        layout: the skeleton of the clips.
        feature: what to take from the encoder; None takes the model's own choice.
        how: batch_size and edges, as of `map_clips`.

    Raises:
        InputError: the model has no `encode`, or none that takes a feature, or what it gives is
            not finite.
    """
    # Both are told before anything is traced, where an error would be a page long.
    models.need(model, "encode", "embedding clips")
    encode: Any = getattr(model, "encode")  # noqa: B009  # no attribute of every nnx.Module
    if feature and len(inspect.signature(encode).parameters) < 2:
        raise InputError(
            f"feature {feature!r} is asked for, but model {type(model).__name__} has one feature "
            "alone"
        )
    step = functools.partial(_encode, preparation=preparation, layout=layout, feature=feature)
    return _by_model(model, step, source, clips, preparation, **how)


def logits_of_clips(
    model: nnx.Module,
    source: Blocks | Frames,
    clips: Sequence[int] | np.ndarray,
    preparation: Preparation,
    layout: Layout,
    **how: Any,
) -> np.ndarray:
    """A classifier's logits of some clips, float32 `[N, classes]`; arguments as of `embed_clips`.

    Raises:
        InputError: the model has no `logits`, or what it gives is not finite.
    """
    models.need(model, "logits", "classifying clips")
    step = functools.partial(_logits, preparation=preparation, layout=layout)
    return _by_model(model, step, source, clips, preparation, **how)


def _by_model(model, step, source, clips, preparation, **how) -> np.ndarray:
    """`map_clips` of a step that takes a model's state first; what it gives must be finite."""
    # The state is an argument of what is jitted, so that another checkpoint compiles nothing.
    graph, state = nnx.split(model)
    step = functools.partial(step, state, graph=graph)
    values = map_clips(step, source, clips, preparation, **how)
    finite = np.isfinite(values).reshape(len(values), -1).all(1)
    if not finite.all():
        raise InputError(
            f"model {type(model).__name__} gives {(~finite).sum()} of {len(values)} clips values "
            "that are not finite: its weights may have become NaN in training; take an earlier "
            "checkpoint or train again"
        )
    return values


def at_even_times(batch: Batch, points: int = 32) -> jax.Array:
    """A batch's inputs at so many evenly spread times, interpolated, flattened: `[B,
    points·V·channels]`.
    """
    # From each clip's first frame to its last, whatever its length.
    place = jnp.linspace(0, 1, points) * (batch.length[:, None] - 1)
    # Unseen joints are as preparation left them, so they count as seen here.
    everything = jnp.ones(batch.inputs.shape[:3], bool)
    count = jnp.full(len(batch.length), points)
    keypoints, _ = interpolate_frames(batch.inputs, everything, place, batch.length, count)
    return keypoints.reshape(len(batch.length), -1)


@functools.partial(jax.jit, static_argnames=("steps", "preparation", "layout", "points"))
def _resample(frames, rows, *, steps, preparation, layout, points):
    return at_even_times(prepared_batch(frames, rows, steps, preparation, layout), points)


def resampled_keypoints(
    source: Blocks | Frames,
    clips: Sequence[int] | np.ndarray,
    preparation: Preparation,
    layout: Layout,
    points: int = 32,
    **how: Any,
) -> np.ndarray:
    """Keypoints of some clips at so many evenly spread times, interpolated, flattened: float32
    `[N, points·V·C]`.

    The control that no encoder is needed for. Arguments as of `embed_clips`.
    """
    # Velocity and bones follow from the keypoints: to a distance they would add nothing but weight.
    preparation = dataclasses.replace(preparation, velocity=0.0, bones=False)
    step = functools.partial(_resample, preparation=preparation, layout=layout, points=points)
    return map_clips(step, source, clips, preparation, **how)


def write_embeddings(
    folder: str | os.PathLike,
    store: Store,
    output: str | os.PathLike,
    feature: str | None = None,
    step: int | None = None,
) -> tuple[int, ...]:
    """Write a run's features of every clip of a store to an HDF5 file; returns their shape.

    The file names the run's model, feature and checkpoint and the store's fingerprint, and no path.

    Raises:
        InputError: run, store and output do not fit together.
    """
    # First, for embedding may take long.
    output = files.writable(output)
    model, run, step = load_model(folder, step)
    embeddings = embed_by_run(model, run, store, feature=feature)
    attributes = {
        "model": run.model,
        "step": step,
        "feature": feature or getattr(run.options, "feature", ""),
        "store": store.fingerprint,
        "labels": list(store.labels),
    }
    with files.whole(output) as partial, hdf5.Disk(partial, "wb+") as disk:
        _write(disk, embeddings, store, attributes)
        # h5py hides what the disk said, such as that it is full.
        if disk.error:
            raise disk.error
    return embeddings.shape


def _write(disk: hdf5.Disk, embeddings: np.ndarray, store: Store, attributes: dict) -> None:
    with h5py.File(disk, "w") as file:
        file["embedding"] = embeddings
        file["video"] = store.videos.id[store.clips.video]
        for column in ("start", "length", "label"):
            file[column] = getattr(store.clips, column)
        file.attrs.update(attributes)
