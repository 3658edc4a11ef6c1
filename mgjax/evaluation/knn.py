"""K-nearest-neighbour probe: blocked matrix products with a running top k, so memory stays
bounded.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from mgjax.errors import InputError

METRICS = ("cosine", "euclidean")
# Gallery rows that are compared by their nearest one first. Selecting among all rows costs as
# much as the product.
CHUNK = 32
# A block of products this large stays in a CPU's cache.
QUERY_BLOCK, GALLERY_BLOCK = 256, 8192


def neighbours(
    queries,
    gallery,
    k: int,
    metric: str = "cosine",
    query_block: int = QUERY_BLOCK,
    gallery_block: int = GALLERY_BLOCK,
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest gallery rows of every query.

    The queries lie on the device as a whole, the gallery passes through it in blocks.

    Args:
        queries: `[N, D]` float32.
        gallery: `[M, D]` float32.
        k: at most M.
        metric: "cosine" (1 - cosine similarity) or "euclidean".
        query_block, gallery_block: rows multiplied at a time; the latter is rounded up to a
            multiple of `CHUNK`.

    Returns:
        distances `[N, k]` float32 ascending, and rows of the gallery `[N, k]` int32. Rows at
        equal distance come in the order of the gallery.

    Raises:
        InputError: the arrays, k or the metric are none of these.
    """
    queries, gallery = _checked(queries, gallery, k, metric)
    distances, rows, _ = _search(
        queries, gallery, [np.arange(len(gallery))], k, metric, query_block, gallery_block
    )
    return distances, rows


def class_neighbours(
    queries,
    gallery,
    labels,
    classes: int,
    k: int,
    metric: str = "cosine",
    query_block: int = QUERY_BLOCK,
    gallery_block: int = GALLERY_BLOCK,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The k nearest gallery rows of every query and the distance to the nearest row of every
    class, in one pass.

    Args:
        labels: classes of the gallery's rows, int `[M]` in 0 ... classes - 1.
        queries, gallery, k, metric, query_block, gallery_block: as in `neighbours`.

    Returns:
        distances and rows as of `neighbours`, but rows at equal distance come by class first,
        then in the order of the gallery; and the distances `[N, classes]` float32, infinite where
        a class has no row.

    Raises:
        InputError: the arrays, k or the metric are none of these.
    """
    queries, gallery = _checked(queries, gallery, k, metric)
    labels = np.asarray(labels)
    if labels.shape != (len(gallery),) or labels.min() < 0 or labels.max() >= classes:
        raise InputError(
            f"labels of the gallery have shape {labels.shape}, expected one of 0 ... "
            f"{classes - 1} for "
            f"each of its {len(gallery)} clips"
        )
    groups = [np.flatnonzero(labels == i) for i in range(classes)]
    return _search(queries, gallery, groups, k, metric, query_block, gallery_block)


def rank_classes(distances, neighbour_labels, nearest, weighted: bool = False) -> np.ndarray:
    """Classes from most to least likely, int `[N, classes]`.

    Neighbours vote, each with 1 or, weighted, with 1 / distance. Classes with equal votes, among
    them all that no neighbour voted for, are ordered by their nearest gallery clip; so the
    ranking is complete even at k = 1.

    Args:
        distances: of the k neighbours, `[N, k]`.
        neighbour_labels: their classes, int `[N, k]`.
        nearest: distance to the nearest clip of every class, `[N, classes]`.
    """
    votes = np.zeros(nearest.shape)
    worth = 1 / np.maximum(distances, 1e-12) if weighted else np.ones_like(distances)
    np.add.at(votes, (np.arange(len(votes))[:, None], neighbour_labels), worth)
    return np.lexsort((nearest, -votes), axis=1)


def knn_ranking(
    queries,
    gallery,
    labels,
    classes: int,
    k: int = 1,
    metric: str = "cosine",
    weighted: bool = False,
) -> np.ndarray:
    """Classes ranked for every query by its k nearest labelled gallery clips, int `[N, classes]`.

    Of clips at equal distance, those of lower classes vote first.
    """
    distances, rows, nearest = class_neighbours(queries, gallery, labels, classes, k, metric)
    return rank_classes(distances, np.asarray(labels)[rows], nearest, weighted)


def _checked(queries, gallery, k, metric):
    if metric not in METRICS:
        raise InputError(f"metric is {metric!r}, expected one of {', '.join(METRICS)}")
    queries, gallery = np.asarray(queries, np.float32), np.asarray(gallery, np.float32)
    for x, what in ((queries, "queries"), (gallery, "gallery")):
        if x.ndim != 2 or not x.size:
            raise InputError(
                f"{what} have shape {x.shape}, expected [clips, features] with at least one clip"
            )
        # NaN is both; a mask of all values would cost memory
        if not np.isfinite([x.min(), x.max()]).all():
            raise InputError(f"{what} hold values that are not finite")
    if queries.shape[1] != gallery.shape[1]:
        raise InputError(
            f"queries have {queries.shape[1]} features, but the gallery has {gallery.shape[1]}"
        )
    if not 1 <= k <= len(gallery):
        raise InputError(f"k is {k}, but the gallery has {len(gallery)} clips")
    return queries, gallery


def _search(queries, gallery, groups, k, metric, query_block, gallery_block):
    """Distances and rows of the k nearest in the order of the groups, and distance to the
    nearest of each group.
    """
    count = len(queries)
    query_block = min(query_block, count)
    queries = np.pad(queries, ((0, -count % query_block), (0, 0))).reshape(
        -1, query_block, queries.shape[1]
    )
    queries = jnp.asarray(queries)
    rows, group = _chunks(groups, gallery_block)
    lead = queries.shape[:2]
    best = (
        jnp.full((*lead, k), jnp.inf),
        jnp.zeros((*lead, k), jnp.int32),
        jnp.full((*lead, len(groups)), jnp.inf),
    )
    for row, part_group in zip(rows, group):
        part = gallery[row.ravel()]
        jax.block_until_ready(best)  # one block of the gallery at a time on the device
        best = _search_block(best, queries, part, row, part_group, metric=metric)
    return tuple(np.asarray(x).reshape(-1, x.shape[-1])[:count] for x in best)


def _chunks(groups, block):
    """Rows of the groups one after the other, int32 `[blocks, chunks, CHUNK]`, and the group of
    every chunk.

    A chunk holds rows of one group, filled up with -1.
    """
    rows = np.concatenate(
        [np.pad(group, (0, -len(group) % CHUNK), constant_values=-1) for group in groups]
    )
    rows = rows.reshape(-1, CHUNK).astype(np.int32)
    group = np.repeat(
        np.arange(len(groups), dtype=np.int32), [-(-len(group) // CHUNK) for group in groups]
    )
    size = min(-(-block // CHUNK), len(rows))  # chunks in a block
    fill = -len(rows) % size
    rows = np.pad(rows, ((0, fill), (0, 0)), constant_values=-1)
    return rows.reshape(-1, size, CHUNK), np.pad(group, (0, fill)).reshape(-1, size)


@functools.partial(jax.jit, static_argnames="metric", donate_argnums=0)
def _search_block(best, queries, part, rows, group, *, metric):
    """Let every block of queries `[blocks, block, D]` look through one block of the gallery
    `[chunks * CHUNK, D]`.
    """
    if metric == "cosine":
        part, half = _unit(part), 0.0
    else:
        half = (part**2).sum(1) / 2
    half = jnp.where(rows.ravel() < 0, jnp.inf, half)

    def distance(query, closeness):
        if metric == "cosine":
            return 1 - closeness
        return jnp.sqrt(jnp.maximum((query**2).sum(1).reshape(-1, 1) - 2 * closeness, 0))

    def search(_, block):
        query, distances, found, nearest = block
        query = _unit(query) if metric == "cosine" else query
        k, n = distances.shape[1], len(query)
        # Distance falls as closeness grows, so it needs computing only of what is left after
        # comparing.
        closeness = (jnp.matmul(query, part.T, precision="highest") - half).reshape(n, -1, CHUNK)
        chunk = distance(query, closeness.max(2))
        nearest = jnp.minimum(
            nearest, jax.ops.segment_min(chunk.T, group, num_segments=nearest.shape[1]).T
        )
        # The k nearest rows lie in the k nearest chunks; top_k takes the first of equals, and so
        # the first rows.
        chosen = jnp.sort(jax.lax.top_k(-chunk, min(k, chunk.shape[1]))[1], axis=1)
        candidates = jnp.take_along_axis(closeness, chosen[:, :, None], axis=1).reshape(n, -1)
        distances = jnp.concatenate([distances, distance(query, candidates)], axis=1)
        found = jnp.concatenate([found, rows[chosen].reshape(n, -1)], axis=1)
        near, place = jax.lax.top_k(-distances, k)
        return None, (-near, jnp.take_along_axis(found, place, axis=1), nearest)

    return jax.lax.scan(search, None, (queries, *best))[1]


def _unit(x):
    """Rows of unit length; a zero vector stays zero and is at distance 1 from everything."""
    return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
