"""The KNN probe against scikit-learn, plain NumPy and hand-made cases."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from mgjax.errors import InputError
from mgjax.evaluation import knn


def sorted_distances(queries, gallery, metric):
    """All distances in float64 and the gallery's rows by distance, equal ones in the gallery's
    order.
    """
    queries, gallery = queries.astype(np.float64), gallery.astype(np.float64)
    if metric == "cosine":
        unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, gallery)]
        distances = 1 - unit[0] @ unit[1].T
    else:
        distances = np.sqrt(((queries[:, None] - gallery[None]) ** 2).sum(2))
    return distances, np.argsort(distances, axis=1, kind="stable")


# Queries and gallery: one block that is larger than both; blocks that divide neither; blocks of a
# single chunk.
BLOCKS = ((1024, 16384), (16, 96), (37, 1))


@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize("metric", knn.METRICS)
def test_neighbours_are_those_of_a_plain_sort(metric, blocks):
    rng = np.random.default_rng(0)
    queries, gallery = (
        rng.normal(size=(37, 6)).astype(np.float32),
        rng.normal(size=(333, 6)).astype(np.float32),
    )
    expected, order = sorted_distances(queries, gallery, metric)
    for k in (1, 5, len(gallery)):
        distances, rows = knn.neighbours(queries, gallery, k, metric, *blocks)
        assert (
            distances.shape == rows.shape == (37, k)
            and distances.dtype == np.float32
            and rows.dtype == np.int32
        )
        assert (np.diff(distances) >= 0).all()
        np.testing.assert_allclose(
            distances, np.take_along_axis(expected, order[:, :k], 1), atol=1e-5
        )
        # Where the sort found another row, float32 cannot tell the two apart.
        np.testing.assert_allclose(np.take_along_axis(expected, rows, 1), distances, atol=1e-5)
        assert (rows != order[:, :k]).mean() < 0.01
        assert all(len(set(row)) == k for row in rows.tolist())


@pytest.mark.parametrize("metric", knn.METRICS)
def test_neighbours_are_scikit_learns(metric):
    rng = np.random.default_rng(0)
    queries, gallery = (
        rng.normal(size=(37, 6)).astype(np.float32),
        rng.normal(size=(333, 6)).astype(np.float32),
    )
    expected, rows = (
        NearestNeighbors(n_neighbors=5, metric=metric, algorithm="brute")
        .fit(gallery)
        .kneighbors(queries)
    )
    distances, got = knn.neighbours(queries, gallery, 5, metric)
    np.testing.assert_array_equal(got, rows)
    np.testing.assert_allclose(distances, expected, atol=1e-5)


@pytest.mark.parametrize("gallery_block", [16384, 96])
@pytest.mark.parametrize("metric", knn.METRICS)
def test_ties_come_in_the_order_of_the_gallery(metric, gallery_block):
    rng = np.random.default_rng(2)
    # Few different rows, each many times over: chunks and blocks tie as wholes too. Distances are
    # exact in float32.
    kinds = np.concatenate([np.eye(5), -np.eye(5)]).astype(np.float32)
    kind = rng.integers(0, len(kinds), 300)
    queries, gallery = kinds[rng.integers(0, len(kinds), 20)], kinds[kind]
    _, order = sorted_distances(queries, gallery, metric)
    for k in (7, 45):
        _, rows = knn.neighbours(queries, gallery, k, metric, 8, gallery_block)
        np.testing.assert_array_equal(rows, order[:, :k])


@pytest.mark.parametrize("metric", knn.METRICS)
def test_duplicates_of_any_row_tie(metric):
    rng = np.random.default_rng(3)
    some = rng.normal(size=(50, 37)).astype(np.float32)
    kind = rng.permutation(np.repeat(np.arange(50), 6))
    gallery = some[kind]
    distances, rows = knn.neighbours(some, gallery, 6, metric, 16, 96)
    expected = np.stack([np.flatnonzero(kind == i) for i in range(50)])  # ascending
    np.testing.assert_array_equal(rows, expected)
    assert (distances == distances[:, :1]).all()


@pytest.mark.parametrize("metric", knn.METRICS)
def test_nearest_of_every_class(metric):
    rng = np.random.default_rng(4)
    queries, gallery = (
        rng.normal(size=(20, 6)).astype(np.float32),
        rng.normal(size=(150, 6)).astype(np.float32),
    )
    # some fill several chunks; there is no class 2
    labels = rng.choice([0, 1, 3, 4], 150, p=[0.6, 0.3, 0.06, 0.04])
    every, order = sorted_distances(queries, gallery, metric)
    expected = np.stack([every[:, labels == i].min(1, initial=np.inf) for i in range(5)], axis=1)
    for blocks in ((256, 8192), (8, 64)):
        distances, rows, nearest = knn.class_neighbours(
            queries, gallery, labels, 5, 3, metric, *blocks
        )
        np.testing.assert_allclose(nearest, expected, atol=1e-5)
        np.testing.assert_array_equal(rows, order[:, :3])
        np.testing.assert_allclose(distances, np.take_along_axis(every, order[:, :3], 1), atol=1e-5)


def test_clips_at_equal_distance_vote_in_the_order_of_their_classes():
    gallery, labels = np.array([[1, 0], [0, 1], [1, 0], [1, 0]], np.float32), [2, 0, 1, 1]
    _, rows, _ = knn.class_neighbours(gallery[:1], gallery, labels, 3, 3)
    assert rows.tolist() == [[2, 3, 0]]
    assert knn.knn_ranking(gallery[:1], gallery, labels, 3).tolist() == [[1, 2, 0]]


def test_a_zero_vector_is_at_cosine_distance_one_from_everything():
    distances, rows = knn.neighbours(np.zeros((1, 3), np.float32), np.eye(3, dtype=np.float32), 3)
    assert distances.tolist() == [[1, 1, 1]] and rows.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("weighted", [False, True])
def test_first_class_is_scikit_learns_vote(weighted):
    rng = np.random.default_rng(1)
    gallery, labels = rng.normal(size=(200, 4)).astype(np.float32), rng.integers(0, 3, 200)
    queries = rng.normal(size=(300, 4)).astype(np.float32)
    weights = "distance" if weighted else "uniform"
    model = KNeighborsClassifier(7, weights=weights, algorithm="brute").fit(gallery, labels)
    ranking = knn.knn_ranking(queries, gallery, labels, 3, 7, "euclidean", weighted)
    votes = model.predict_proba(queries)
    ordered = np.sort(votes, axis=1)
    # where votes tie, scikit-learn takes the lowest class
    clear = ordered[:, -1] - ordered[:, -2] > 1e-4
    assert clear.mean() > 0.5
    np.testing.assert_array_equal(ranking[clear, 0], model.predict(queries)[clear])


def test_classes_without_votes_follow_by_their_nearest_clip():
    gallery = np.array([[0.0], [1.0], [2.0], [10.0]], np.float32)
    labels = np.array([2, 0, 0, 1])
    ranking = knn.knn_ranking(np.array([[0.4]], np.float32), gallery, labels, 4, 1, "euclidean")
    assert ranking.tolist() == [[2, 0, 1, 3]]  # class 3 has no clip at all
    ranking = knn.knn_ranking(np.array([[0.4]], np.float32), gallery, labels, 4, 3, "euclidean")
    assert ranking.tolist() == [[0, 2, 1, 3]]  # two votes against one
    ranking = knn.knn_ranking(
        np.array([[0.4]], np.float32), gallery, labels, 4, 2, "euclidean", weighted=True
    )
    assert ranking.tolist() == [[2, 0, 1, 3]]


@pytest.mark.parametrize("metric", knn.METRICS)
def test_the_clips_nearest_to_a_clip(metric):
    vectors = np.random.default_rng(5).normal(size=(40, 6)).astype(np.float32)
    vectors[7] = vectors[3]
    distances, order = sorted_distances(vectors, vectors, metric)
    found = knn.nearest(vectors, 3, 39, metric)
    assert found[0].clip == 7 and found[0].distance == pytest.approx(0, abs=1e-3)
    assert [each.clip for each in found] == [row for row in order[3] if row != 3]
    np.testing.assert_allclose(
        [each.distance for each in found[1:]],
        [distances[3, each.clip] for each in found[1:]],
        atol=1e-5,
    )
    for clip, k, words in ((40, 1, "clip is 40"), (-1, 1, "clip is -1"), (0, 40, "k is 40")):
        with pytest.raises(InputError, match=words):
            knn.nearest(vectors, clip, k, metric)


def test_bad_arrays_are_refused():
    good = np.ones((3, 2), np.float32)
    infinite = good.copy()
    infinite[1, 1] = -np.inf
    for queries, gallery, k, metric, reason in (
        (good, good, 4, "cosine", "k is 4"),
        (good, good, 0, "cosine", "k is 0"),
        (good, good, 1, "manhattan", "'manhattan'"),
        (good * np.nan, good, 1, "cosine", "queries hold values"),
        (good, infinite, 1, "cosine", "gallery hold values"),
        (good[:0], good, 1, "cosine", "queries have shape"),
        (good[:, :1], good, 1, "cosine", "1 features, but the gallery has 2"),
    ):
        with pytest.raises(InputError, match=reason):
            knn.neighbours(queries, gallery, k, metric)
    for labels in ([0, 1], [0, 1, 2], [0, -1, 1]):
        with pytest.raises(InputError, match="expected one of 0 ... 1 for each of its 3 clips"):
            knn.class_neighbours(good, good, labels, 2, 1)
