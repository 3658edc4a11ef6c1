"""The KNN probe against scikit-learn, plain NumPy and hand-made cases."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from mgjax.errors import InputError
from mgjax.evaluation import knn


@pytest.mark.parametrize("metric", knn.METRICS)
def test_neighbours_are_scikit_learns_whatever_the_blocks(metric):
    rng = np.random.default_rng(0)
    queries, gallery = rng.normal(size=(37, 6)).astype(np.float32), rng.normal(size=(101, 6)).astype(np.float32)
    expected, rows = NearestNeighbors(n_neighbors=5, metric=metric, algorithm="brute").fit(gallery).kneighbors(queries)
    for blocks in ((1024, 16384), (8, 16), (37, 3)):
        distances, got = knn.neighbours(queries, gallery, 5, metric, *blocks)
        np.testing.assert_array_equal(got, rows)
        np.testing.assert_allclose(distances, expected, atol=1e-5)


def test_ties_come_in_the_order_of_the_gallery():
    gallery = np.array([[1, 0], [0, 1], [1, 0], [1, 0]], np.float32)
    for block in (4, 2, 1):
        _, rows = knn.neighbours(gallery[:1], gallery, 3, "euclidean", gallery_block=block)
        assert rows.tolist() == [[0, 2, 3]]


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
    clear = ordered[:, -1] - ordered[:, -2] > 1e-4  # where votes tie, scikit-learn takes the lowest class
    assert clear.mean() > 0.5
    np.testing.assert_array_equal(ranking[clear, 0], model.predict(queries)[clear])


def test_classes_without_votes_follow_by_their_nearest_clip():
    gallery = np.array([[0.0], [1.0], [2.0], [10.0]], np.float32)
    labels = np.array([2, 0, 0, 1])
    ranking = knn.knn_ranking(np.array([[0.4]], np.float32), gallery, labels, 4, 1, "euclidean")
    assert ranking.tolist() == [[2, 0, 1, 3]]  # class 3 has no clip at all
    ranking = knn.knn_ranking(np.array([[0.4]], np.float32), gallery, labels, 4, 3, "euclidean")
    assert ranking.tolist() == [[0, 2, 1, 3]]  # two votes against one
    ranking = knn.knn_ranking(np.array([[0.4]], np.float32), gallery, labels, 4, 2, "euclidean", weighted=True)
    assert ranking.tolist() == [[2, 0, 1, 3]]


def test_bad_arrays_are_refused():
    good = np.ones((3, 2), np.float32)
    for queries, gallery, k, metric in (
        (good, good, 4, "cosine"), (good, good, 0, "cosine"), (good, good, 1, "manhattan"),
        (good * np.nan, good, 1, "cosine"), (good[:0], good, 1, "cosine"),
    ):
        with pytest.raises(InputError):
            knn.neighbours(queries, gallery, k, metric)
