"""The KNN probe's search against FAISS's flat index and scikit-learn's brute force, on random
features.

The peers' preparation is not timed: their indices are filled, and for FAISS rows are of unit
length, beforehand. Ours is. All must find the same neighbours. scikit-learn takes long whatever k
is, and is compared at k = 1 only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.measure import Measurement, alternate, optional, row
from mgjax.evaluation.knn import neighbours

SUITE = "knn"
CASES = (("cosine", 1), ("cosine", 5), ("euclidean", 1))
# How far, relatively, the distances of two rows may lie apart to count as a tie: what float32
# cannot tell.
TIE = 1e-5

Search = Callable[[], np.ndarray]


def run(runs: int, small: bool) -> Iterator[Measurement]:
    """The suite's rows, as they are measured; at full size a search takes seconds, and three runs
    tell enough.

    Raises:
        RuntimeError: a peer found other neighbours.
    """
    clips, gallery_clips, features = (64, 1000, 16) if small else (20_000, 100_000, 512)
    rng = np.random.default_rng(0)
    queries = rng.standard_normal((clips, features), np.float32)
    gallery = rng.standard_normal((gallery_clips, features), np.float32)
    for metric, k in CASES:
        case = f"{clips:,} queries, {gallery_clips:,} x {features}, {metric}, k = {k}"
        peers = {"FAISS flat": faiss_flat(queries, gallery, k, metric)}
        if k == 1:
            peers["scikit-learn brute"] = scikit_learn_brute(queries, gallery, k, metric)
        here = {peer: search for peer, search in peers.items() if search}
        found = {}
        contestants = {"ours": functools.partial(neighbours, queries, gallery, k, metric)} | here
        for name, search in contestants.items():
            contestants[name] = functools.partial(_keep, found, name, search)
        seconds = alternate(contestants, runs if small else min(runs, 3))
        for peer in here:
            check_same(queries, gallery, found["ours"][1], found[peer], metric, peer)
        for peer in peers:
            yield row(
                SUITE, case, "queries/s", seconds["ours"], peer, seconds.get(peer), amount=clips
            )


def faiss_flat(queries: np.ndarray, gallery: np.ndarray, k: int, metric: str) -> Search | None:
    """FAISS's exhaustive search for the rows of the k nearest, int `[N, k]`; None where it is
    not installed.
    """
    faiss = optional("faiss", "faiss-cpu")
    if faiss is None:
        return None
    if metric == "cosine":
        index, queries, gallery = (
            faiss.IndexFlatIP(gallery.shape[1]),
            _unit(queries),
            _unit(gallery),
        )
    else:
        index = faiss.IndexFlatL2(gallery.shape[1])
    index.add(gallery)
    return lambda: index.search(queries, k)[1]


def scikit_learn_brute(
    queries: np.ndarray, gallery: np.ndarray, k: int, metric: str
) -> Search | None:
    """scikit-learn's exhaustive search for the same; None where it is not installed."""
    module = optional("sklearn.neighbors", "scikit-learn")
    if module is None:
        return None
    model = module.NearestNeighbors(n_neighbors=k, metric=metric, algorithm="brute").fit(gallery)
    return lambda: model.kneighbors(queries, return_distance=False)


def check_same(
    queries: np.ndarray,
    gallery: np.ndarray,
    ours: np.ndarray,
    theirs: np.ndarray,
    metric: str,
    peer: str,
) -> None:
    """Raise RuntimeError unless the rows `[N, k]` are equal up to ties, whose distances are
    computed afresh.
    """
    query, place = np.nonzero(ours != theirs)
    mine, others = (
        _distance(queries[query], gallery[rows[query, place]], metric) for rows in (ours, theirs)
    )
    apart = np.abs(mine - others) > TIE * np.maximum(mine, others)
    if apart.any():
        raise RuntimeError(
            f"{apart.sum()} of {ours.size} neighbours by {metric} distance are not those of {peer}"
        )


def _keep(found, name, search):
    found[name] = search()


def _unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def _distance(a, b, metric):
    a, b = a.astype(np.float64), b.astype(np.float64)
    if metric == "cosine":
        return 1 - (_unit(a) * _unit(b)).sum(1)
    return np.linalg.norm(a - b, axis=1)
