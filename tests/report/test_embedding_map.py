import numpy as np
import pytest

from mgjax.report import embedding_map

pytest.importorskip("matplotlib", reason="pictures need the extra `plots`")

NAMES = [f"class {i}" for i in range(32)]


def offsets(figure):
    return [points.get_offsets().tolist() for points in figure.axes[0].collections]


def test_map_of_embeddings(unwritten, monkeypatch):
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 2, -1], 12)
    embeddings = (rng.normal(size=(36, 4)) + 50 * labels[:, None]).astype(np.float32)
    figure = embedding_map.embedding_map("-", embeddings, labels, NAMES)
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert legend == ["no class (12)", "class 0 (12)", "class 2 (12)"]
    points = np.array(offsets(figure))
    assert points.shape == (3, 12, 2)
    centres = points.mean(1)
    assert (
        np.linalg.norm(points - centres[:, None], axis=-1).mean()
        < np.linalg.norm(centres[0] - centres[1]) / 2
    )
    assert offsets(embedding_map.embedding_map("-", embeddings, labels, NAMES)) == offsets(figure)
    monkeypatch.setattr(embedding_map, "MOST_MAPPED", 20)
    figure = embedding_map.embedding_map("-", embeddings, labels, NAMES)
    assert sum(map(len, offsets(figure))) == 20
    assert figure.axes[0].get_xlabel() == "t-SNE of 20 of 36 clips"


@pytest.mark.parametrize(
    "embeddings",
    [
        np.eye(40, 3) * 1e-30,
        np.eye(40, 3) * 1e30,
        5 + np.eye(40, 3) * 1e-3,
        np.repeat(np.eye(2), 20, 0),
        np.eye(40, 1),
        np.eye(5, 2),
    ],
    ids=["tiny", "huge", "close", "two places", "one axis and one other", "five"],
)
def test_a_map_of_whatever_is_finite_and_not_all_the_same(unwritten, embeddings):
    figure = embedding_map.embedding_map("-", embeddings, np.zeros(len(embeddings), int), NAMES)
    assert np.isfinite(np.concatenate(offsets(figure))).all()


def test_32_classes_look_different(unwritten):
    labels = np.arange(32)
    figure = embedding_map.embedding_map(
        "-", np.random.default_rng(0).normal(size=(32, 3)), labels, NAMES
    )
    looks = {
        (tuple(points.get_facecolor()[0]), points.get_paths()[0].vertices.tobytes())
        for points in figure.axes[0].collections
    }
    assert len(looks) == 32
