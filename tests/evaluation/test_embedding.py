"""Embedding a store: order, buckets and batches must not show."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from mgjax import evaluation
from mgjax.blocks import Frames
from mgjax.evaluation import embedding
from mgjax.evaluation.embedding import embed_clips, resampled_keypoints
from mgjax.models.usvae import USVAE
from mgjax.preparation import Preparation
from mgjax.skeleton import COCO_17

PREPARATION = Preparation(centre="frame", velocity=2.0)


@pytest.fixture(scope="module")
def frames():
    rng = np.random.default_rng(0)
    length = np.array([3, 9, 1, 6, 12, 5, 2, 12])
    start = np.concatenate([[0], np.cumsum(length)[:-1]])
    score = (rng.random((length.sum(), 17)) > 0.1).astype(np.float32)
    return Frames(
        jnp.asarray(rng.normal(size=(length.sum(), 17, 2)), jnp.float32),
        jnp.asarray(score),
        jnp.asarray(start),
        jnp.asarray(length),
        jnp.zeros(len(length), jnp.int32),
    )


def test_order_buckets_and_batches_do_not_show(frames):
    config = USVAE.Config(units=8, decoder_units=8)
    model = USVAE(config, COCO_17, PREPARATION.channels(COCO_17), 0, rngs=nnx.Rngs(0))

    def embed(clips, **how):
        return embed_clips(model, frames, clips, PREPARATION, COCO_17, **how)

    alone = np.concatenate([embed([clip], edges=(int(frames.length[clip]),)) for clip in range(8)])
    assert np.abs(alone[0] - alone[1]).max() > 1e-2
    for how in ({"edges": (12,)}, {"edges": (4, 40)}, {"batch_size": 3}, {}):
        np.testing.assert_allclose(embed(np.arange(8), **how), alone, atol=1e-5)
    order = np.array([5, 2, 7, 7, 0])
    np.testing.assert_allclose(embed(order, batch_size=2), alone[order], atol=1e-5)


def test_resampled_keypoints_are_linear_in_between(frames):
    clip, points = 3, 11  # 6 frames at 11 times: every second one is a frame
    got = resampled_keypoints(
        frames, [clip], Preparation(centre="none", scale="none", fill_unseen=False), COCO_17, points
    )
    start = int(frames.start[clip])
    x = np.asarray(jnp.where(frames.score[..., None] > 0, frames.keypoints, 0))[start : start + 6]
    got = got.reshape(points, 17, 2)
    np.testing.assert_allclose(got[::2], x, atol=1e-6)
    np.testing.assert_allclose(got[1::2], (x[1:] + x[:-1]) / 2, atol=1e-6)


def test_what_is_used_most_has_its_name_in_the_package():
    assert evaluation.embed is embedding.embed and evaluation.knn.nearest is evaluation.nearest
    with pytest.raises(AttributeError, match="'mgjax.evaluation' has no attribute 'nothing'"):
        evaluation.nothing  # noqa: B018
