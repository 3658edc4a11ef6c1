"""The check that asks no label: what is found again, and what is said of a run that has unlearnt
something.
"""

import numpy as np
import pytest

from mgjax import training
from mgjax.evaluation.label_free import CHANGES, LabelFreeCheck, check_run, found_again
from mgjax.models.usvae import USVAE
from mgjax.preparation import Augmentation, Preparation
from mgjax.skeleton import COCO_17
from mgjax.store import Store, StoreWriter


def test_found_again_by_hand():
    first = np.array([[1, 0], [0, 1], [-1, 0.0]])
    second = np.array([[2, 0.1], [1, 0], [-3, 1.0]])
    # The second row's own view points where the first row does, and so is nearer to that one than
    # its own.
    assert found_again(first, second) == 1
    assert found_again(first, first) == 3


def test_a_tie_is_a_miss():
    assert found_again(np.ones((4, 3)), np.ones((4, 3))) == 0
    assert found_again(np.zeros((4, 3)), np.zeros((4, 3))) == 0


def test_it_equals_scikit_learns_nearest_neighbour():
    neighbors = pytest.importorskip("sklearn.neighbors")
    rng = np.random.default_rng(0)
    first = rng.normal(size=(50, 8))
    second = first + rng.normal(size=(50, 8))
    nearest = neighbors.NearestNeighbors(n_neighbors=1, metric="cosine").fit(second)
    own = nearest.kneighbors(first, return_distance=False)[:, 0] == np.arange(50)
    assert 0 < found_again(first, second) == own.sum() < 50


def check(trained, untrained=(98, 30), loss=0.2):
    return LabelFreeCheck(100, trained, untrained, (60, 10), loss, 0.5)


def test_what_is_said():
    better = check((96, 45))
    assert better.worse == [] and "WORSE" not in str(better)
    assert "changed a lot: trained 45.0 % (35.6 – 54.8), untrained 30.0 %" in str(better)
    assert check((95, 32)).worse == ["the clips it finds again"]
    assert check((96, 45), loss=float("nan")).worse == ["its training loss"]
    said = str(check((95, 32), loss=0.6))
    assert "WORSE THAN UNTRAINED by its training loss and by the clips" in said
    assert "found again" not in str(LabelFreeCheck(100, (), (), (), 0.2, 0.5))


@pytest.fixture(scope="module")
def store_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "a.h5"
    rng = np.random.default_rng(0)
    time = np.arange(10)[:, None, None]
    body = rng.uniform(100, 500, (17, 2))
    with StoreWriter(path, COCO_17, unit="pixel", frames=240, source="test") as writer:
        for i in range(24):
            sway = 50 * np.sin(time * rng.uniform(0.2, 1)) * rng.normal(size=(17, 2))
            writer.add_video(f"v{i}", body + sway, np.ones((10, 17)))
            writer.add_clip(f"v{i}", 0, 10)
    return path


def run_of(store, **options):
    return training.Run(
        model="usvae",
        options=USVAE.Config(units=16, decoder_units=16),
        preparation=Preparation(fixed_frames=8, velocity=1.0),
        augmentation=Augmentation(rotation=0.3, denoise=True),
        training=training.TrainOptions(
            batch_size=8, length_buckets=1, gradient_clip_norm=1.0, **options
        ),
        layout=store.layout,
        split="all",
        classes=store.labels,
    )


def test_a_run_that_learns_is_not_worse_and_one_that_breaks_is(store_path, tmp_path):
    with Store(store_path) as store:
        training.fit(
            run_of(store, epochs=40, learning_rate=1e-2), store, tmp_path / "good", log=str
        )
        good = check_run(tmp_path / "good", store)
        assert good.n == 24 and good.loss < good.first_loss and good.worse == []
        assert len(good.trained) == len(CHANGES)
        assert check_run(tmp_path / "good", store) == good
        training.fit(run_of(store, epochs=2, learning_rate=1.0), store, tmp_path / "bad", log=str)
        bad = check_run(tmp_path / "bad", store)
        assert bad.untrained == good.untrained and bad.first_loss == pytest.approx(good.first_loss)
        assert sum(bad.trained) < sum(bad.untrained) and "its training loss" in bad.worse
        assert check_run(tmp_path / "good", store, clips=10).n == 10
