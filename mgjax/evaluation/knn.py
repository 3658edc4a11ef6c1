"""K-nearest-neighbour probe: blocked matrix products with a running top k, so memory stays bounded."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from mgjax.errors import InputError

METRICS = ("cosine", "euclidean")


def neighbours(queries, gallery, k: int, metric: str = "cosine", query_block: int = 1024, gallery_block: int = 16384):
    """The k nearest gallery rows of every query.

    Args:
        queries: `[N, D]` float32.
        gallery: `[M, D]` float32.
        k: at most M.
        metric: "cosine" (1 - cosine similarity) or "euclidean".

    Returns:
        distances `[N, k]` float32 ascending, and rows of the gallery `[N, k]` int32. Rows at equal distance come in
        the order of the gallery.
    """
    queries, gallery = _ready(queries, metric, "queries"), _ready(gallery, metric, "gallery")
    if not 1 <= k <= len(gallery):
        raise InputError(f"k is {k}, but the gallery has {len(gallery)} clips")
    distances, rows = [], []
    gallery_blocks = _blocks(gallery, gallery_block)
    for block, count in _blocks(queries, query_block):
        best = jnp.full((len(block), k), jnp.inf), jnp.zeros((len(block), k), jnp.int32)
        for number, (part, valid) in enumerate(gallery_blocks):
            best = _merge_top(block, part, valid, number * gallery_block, *best, k=k, metric=metric)
        distances.append(np.asarray(best[0])[:count])
        rows.append(np.asarray(best[1])[:count])
    return np.concatenate(distances), np.concatenate(rows)


def class_distances(queries, gallery, labels, classes: int, metric: str = "cosine",
                    query_block: int = 1024, gallery_block: int = 16384) -> np.ndarray:
    """Distance of every query to its nearest gallery row of each class, float32 `[N, classes]`, infinite where none."""
    queries, gallery = _ready(queries, metric, "queries"), _ready(gallery, metric, "gallery")
    label_blocks = [block for block, _ in _blocks(np.asarray(labels, np.int32), gallery_block)]
    out = []
    gallery_blocks = _blocks(gallery, gallery_block)
    for block, count in _blocks(queries, query_block):
        best = jnp.full((classes, len(block)), jnp.inf)
        for (part, valid), label in zip(gallery_blocks, label_blocks):
            best = _merge_classes(block, part, valid, label, best, metric=metric)
        out.append(np.asarray(best.T)[:count])
    return np.concatenate(out)


def rank_classes(distances, neighbour_labels, nearest, weighted: bool = False) -> np.ndarray:
    """Classes from most to least likely, int `[N, classes]`.

    Neighbours vote, each with 1 or, weighted, with 1 / distance. Classes with equal votes, among them all that no
    neighbour voted for, are ordered by their nearest gallery clip; so the ranking is complete even at k = 1.

    Args:
        distances: of the k neighbours, `[N, k]`.
        neighbour_labels: their classes, int `[N, k]`.
        nearest: distance to the nearest clip of every class, `[N, classes]`.
    """
    votes = np.zeros(nearest.shape)
    worth = 1 / np.maximum(distances, 1e-12) if weighted else np.ones_like(distances)
    np.add.at(votes, (np.arange(len(votes))[:, None], neighbour_labels), worth)
    return np.lexsort((nearest, -votes), axis=1)


def knn_ranking(queries, gallery, labels, classes: int, k: int = 1, metric: str = "cosine",
                weighted: bool = False) -> np.ndarray:
    """Classes ranked for every query by its k nearest labelled gallery clips, int `[N, classes]`."""
    distances, rows = neighbours(queries, gallery, k, metric)
    nearest = class_distances(queries, gallery, labels, classes, metric)
    return rank_classes(distances, np.asarray(labels)[rows], nearest, weighted)


def _ready(x, metric, what):
    """Check, and for cosine scale to unit length; a zero vector stays zero and is at distance 1 from everything."""
    if metric not in METRICS:
        raise InputError(f"metric is {metric!r}, expected one of {', '.join(METRICS)}")
    x = np.asarray(x, np.float32)
    if x.ndim != 2 or not len(x):
        raise InputError(f"{what} have shape {x.shape}, expected [clips, features] with at least one clip")
    if not np.isfinite(x).all():
        raise InputError(f"{what} hold values that are not finite")
    if metric == "cosine":
        x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return x


def _blocks(x, size):
    """Blocks of equal shape with the number of rows that count; the last one is filled up with zeros."""
    size = min(size, len(x))
    blocks = []
    for i in range(0, len(x), size):
        part = x[i:i + size]
        fill = np.zeros((size - len(part),) + x.shape[1:], x.dtype)
        blocks.append((jnp.asarray(np.concatenate([part, fill])), len(part)))
    return blocks


def _distance(queries, gallery, valid, metric):
    product = jnp.matmul(queries, gallery.T, precision="highest")
    if metric == "cosine":
        distance = 1 - product
    else:
        squares = (queries**2).sum(1)[:, None] + (gallery**2).sum(1)[None] - 2 * product
        distance = jnp.sqrt(jnp.maximum(squares, 0))
    return jnp.where(jnp.arange(len(gallery)) < valid, distance, jnp.inf)


@functools.partial(jax.jit, static_argnames=("k", "metric"))
def _merge_top(queries, gallery, valid, offset, distances, rows, *, k, metric):
    distance = _distance(queries, gallery, valid, metric)
    near, place = jax.lax.top_k(-distance, min(k, len(gallery)))
    # Earlier rows come first, and top_k keeps the first of equals.
    both = jnp.concatenate([distances, -near], axis=1)
    both_rows = jnp.concatenate([rows, place + offset], axis=1)
    best, place = jax.lax.top_k(-both, k)
    return -best, jnp.take_along_axis(both_rows, place, axis=1)


@functools.partial(jax.jit, static_argnames="metric")
def _merge_classes(queries, gallery, valid, labels, best, *, metric):
    distance = _distance(queries, gallery, valid, metric)
    return jnp.minimum(best, jax.ops.segment_min(distance.T, labels, num_segments=len(best)))
