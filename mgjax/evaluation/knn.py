"""K nearest neighbours: blocked matrix products with a running top k, so memory stays bounded."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from mgjax.errors import InputError

Metric = Literal["cosine", "euclidean"]
METRICS: tuple[Metric, ...] = get_args(Metric)
# Gallery rows that are compared by their nearest one first. Selecting among all rows costs as
# much as the product.
CHUNK = 32
# A block of products this large stays in a CPU's cache.
QUERY_BLOCK, GALLERY_BLOCK = 256, 8192


class Neighbour(NamedTuple):
    """One of the clips nearest to a clip.

    Attributes:
        clip: its row.
        distance: to the clip that was asked about.
    """

    clip: int
    distance: float


def nearest(vectors, clip: int, k: int = 5, metric: Metric = "cosine") -> list[Neighbour]:
    """The clips whose vectors are nearest to a clip's, the nearest first, itself left out.

        >>> vectors = np.array([[1, 0], [0, 1], [2, 0.5], [-1, 0]], np.float32)
        >>> [each.clip for each in nearest(vectors, clip=0, k=2)]
        [2, 1]

    Args:
        vectors: of all clips, `[N, D]` float32, as of `embedding.embed`.
        clip: the row of one of them.
        k: how many, at most N - 1.
        metric: "cosine" (1 - cosine similarity) or "euclidean".

    Raises:
        InputError: there is no such clip, or there are not so many others.
    """
    vectors = np.asarray(vectors)
    if not 0 <= clip < len(vectors):
        raise InputError(f"clip is {clip}, but the vectors are of {len(vectors)} clips, from 0")
    others = np.delete(np.arange(len(vectors)), clip)
    distances, rows = neighbours(vectors[[clip]], vectors[others], k, metric)
    clips = others[rows[0]]
    return [Neighbour(int(row), float(far)) for row, far in zip(clips, distances[0])]


def neighbours(
    queries,
    gallery,
    k: int,
    metric: Metric = "cosine",
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
    everything = [np.arange(len(gallery))]
    distances, rows, _ = _search(
        queries, gallery, everything, k, metric, query_block, gallery_block
    )
    return distances, rows


def class_neighbours(
    queries,
    gallery,
    labels,
    classes: int,
    k: int,
    metric: Metric = "cosine",
    query_block: int = QUERY_BLOCK,
    gallery_block: int = GALLERY_BLOCK,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The k nearest gallery rows of every query and the distance to the nearest row of every
    class, in one pass.

    Args:
        labels: classes of the gallery's rows, int `[M]` in 0 ... classes - 1.
        classes: how many there are.
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
            f"{classes - 1} for each of its {len(gallery)} clips"
        )
    groups = [np.flatnonzero(labels == i) for i in range(classes)]
    return _search(queries, gallery, groups, k, metric, query_block, gallery_block)


def rank_classes(
    distances, neighbour_labels, nearest_of_class, weighted: bool = False
) -> np.ndarray:
    """Classes from most to least likely, int `[N, classes]`.

    Neighbours vote, each with 1 or, weighted, with 1 / distance. Classes with equal votes, among
    them all that no neighbour voted for, are ordered by their nearest gallery clip; so the
    ranking is complete even at k = 1.

    Args:
        distances: of the k neighbours, `[N, k]`.
        neighbour_labels: their classes, int `[N, k]`.
        nearest_of_class: distance to the nearest clip of every class, `[N, classes]`.
        weighted: whether near neighbours have more to say.
    """
    votes = np.zeros(nearest_of_class.shape)
    # A neighbour at distance 0 decides, but by a finite number.
    worth = 1 / np.maximum(distances, 1e-12) if weighted else np.ones_like(distances)
    queries = np.arange(len(votes))[:, None]
    np.add.at(votes, (queries, neighbour_labels), worth)
    return np.lexsort((nearest_of_class, -votes), axis=1)


def knn_ranking(
    queries,
    gallery,
    labels,
    classes: int,
    k: int = 1,
    metric: Metric = "cosine",
    weighted: bool = False,
) -> np.ndarray:
    """Classes ranked for every query by its k nearest labelled gallery clips, int `[N, classes]`.

    Of clips at equal distance, those of lower classes vote first.

        >>> gallery = np.array([[1, 0], [0, 1], [-1, 0]], np.float32)
        >>> queries = np.array([[0.9, 0.1], [-0.1, 0.9]], np.float32)
        >>> knn_ranking(queries, gallery, labels=[2, 0, 1], classes=3)
        array([[2, 0, 1],
               [0, 1, 2]])

    Args:
        queries: `[N, D]` float32.
        gallery: `[M, D]` float32.
        labels: classes of the gallery's rows, int `[M]` in 0 ... classes - 1.
        classes: how many there are.
        k, metric: as of `neighbours`.
        weighted: as of `rank_classes`.

    Raises:
        InputError: the arrays, k or the metric are none of these.
    """
    distances, rows, nearest_of_class = class_neighbours(
        queries, gallery, labels, classes, k, metric
    )
    return rank_classes(distances, np.asarray(labels)[rows], nearest_of_class, weighted)


def _checked(queries, gallery, k, metric) -> tuple[np.ndarray, np.ndarray]:
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


def _search(
    queries: np.ndarray,
    gallery: np.ndarray,
    groups: Sequence[np.ndarray],
    k: int,
    metric: Metric,
    query_block: int,
    gallery_block: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distances and rows of the k nearest in the order of the groups, and distance to the
    nearest of each group.
    """
    count, features = queries.shape
    query_block = min(query_block, count)
    padded = np.pad(queries, ((0, -count % query_block), (0, 0)))
    blocks = jnp.asarray(padded.reshape(-1, query_block, features))
    rows, group = _chunks(groups, gallery_block)
    lead = blocks.shape[:2]
    # The best so far: distances and rows of the k nearest, and the distance to every group.
    best = (
        jnp.full((*lead, k), jnp.inf),
        jnp.zeros((*lead, k), jnp.int32),
        jnp.full((*lead, len(groups)), jnp.inf),
    )
    for row, part_group in zip(rows, group):
        part = gallery[row.ravel()]
        jax.block_until_ready(best)  # one block of the gallery at a time on the device
        best = _search_block(best, blocks, part, row, part_group, metric=metric)
    distances, found, to_group = (
        np.asarray(each).reshape(-1, each.shape[-1])[:count] for each in best
    )
    return distances, found, to_group


def _chunks(groups: Sequence[np.ndarray], block: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the groups one after the other, int32 `[blocks, chunks, CHUNK]`, and the group of
    every chunk.

    A chunk holds rows of one group, filled up with -1.
    """
    filled = [np.pad(group, (0, -len(group) % CHUNK), constant_values=-1) for group in groups]
    rows = np.concatenate(filled).reshape(-1, CHUNK).astype(np.int32)
    chunks = [len(each) // CHUNK for each in filled]
    group = np.repeat(np.arange(len(groups), dtype=np.int32), chunks)
    size = min(-(-block // CHUNK), len(rows))  # chunks in a block
    # Whole blocks only: chunks of nothing follow, which are infinitely far.
    fill = -len(rows) % size
    rows = np.pad(rows, ((0, fill), (0, 0)), constant_values=-1)
    return rows.reshape(-1, size, CHUNK), np.pad(group, (0, fill)).reshape(-1, size)


@functools.partial(jax.jit, static_argnames="metric", donate_argnums=0)
def _search_block(best, queries, part, rows, group, *, metric: Metric):
    """Let every block of queries `[blocks, block, D]` look through one block of the gallery
    `[chunks * CHUNK, D]`.

    Nearest is closest: what is compared is closeness q·g - h, with h = 0 for unit vectors and
    h = |g|²/2 otherwise, since |q - g|² = |q|² - 2 (q·g - |g|²/2).
    """
    if metric == "cosine":
        part, half = _unit(part), jnp.zeros(())
    else:
        half = (part**2).sum(1) / 2
    # Rows that only fill up are never close.
    half = jnp.where(rows.ravel() < 0, jnp.inf, half)

    def distance(query, closeness):
        if metric == "cosine":
            return 1 - closeness
        square = (query**2).sum(1).reshape(-1, 1) - 2 * closeness
        return jnp.sqrt(jnp.maximum(square, 0))

    def search(_, block):
        query, distances, found, nearest_of_group = block
        query = _unit(query) if metric == "cosine" else query
        k, n = distances.shape[1], len(query)
        # Distance falls as closeness grows, so it needs computing only of what is left after
        # comparing.
        product = jnp.matmul(query, part.T, precision="highest")
        closeness = (product - half).reshape(n, -1, CHUNK)
        chunk = distance(query, closeness.max(2))
        to_group = jax.ops.segment_min(chunk.T, group, num_segments=nearest_of_group.shape[1])
        nearest_of_group = jnp.minimum(nearest_of_group, to_group.T)
        # The k nearest rows lie in the k nearest chunks; top_k takes the first of equals, and so
        # the first rows.
        _, chosen = jax.lax.top_k(-chunk, min(k, chunk.shape[1]))
        chosen = jnp.sort(chosen, axis=1)
        candidates = jnp.take_along_axis(closeness, chosen[:, :, None], axis=1).reshape(n, -1)
        # The best so far come first, for they are earlier rows.
        distances = jnp.concatenate([distances, distance(query, candidates)], axis=1)
        found = jnp.concatenate([found, rows[chosen].reshape(n, -1)], axis=1)
        near, place = jax.lax.top_k(-distances, k)
        found = jnp.take_along_axis(found, place, axis=1)
        return None, (-near, found, nearest_of_group)

    _, best = jax.lax.scan(search, None, (queries, *best))
    return best


def _unit(x):
    """Rows of unit length; a zero vector stays zero and is at distance 1 from everything."""
    return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
