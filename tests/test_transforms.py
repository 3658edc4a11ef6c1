"""Transforms by hand-computed values."""

import jax
import jax.numpy as jnp
import numpy as np
from walking import SOLID, walk

from mgjax import random_transforms, skeleton, transforms


def test_unseen_joints_are_filled_in_between_and_held_at_the_ends():
    x = jnp.array([0, 7, 0, 0, 13, 0], jnp.float32).reshape(1, 6, 1, 1)
    seen = (x > 0)[..., 0]
    filled = transforms.fill_unseen(x, seen, jnp.array([[-5.0]]))
    np.testing.assert_allclose(filled[0, :, 0, 0], [7, 7, 9, 11, 13, 13])
    never = transforms.fill_unseen(x, jnp.zeros_like(seen), jnp.array([[-5.0]]))
    np.testing.assert_allclose(never[0, :, 0, 0], -5)


def test_masked_median_is_numpys():
    rng = np.random.default_rng(0)
    values, mask = rng.normal(size=(6, 9)).astype(np.float32), rng.random((6, 9)) < 0.6
    mask[5] = False
    expected = [np.median(v[m]) if m.any() else 0 for v, m in zip(values, mask)]
    np.testing.assert_allclose(
        transforms.masked_median(jnp.asarray(values), jnp.asarray(mask)), expected, rtol=1e-6
    )


def test_mirroring_swaps_sides():
    keypoints = np.array([[[0, 0, 0], [-1, 2, 3], [4, 5, 6], [0, 9, 0]]], np.float32)[None]
    mirrored = random_transforms.random_mirror(
        jax.random.key(0), jnp.asarray(keypoints), SOLID, 1.0
    )
    np.testing.assert_allclose(mirrored[0, 0], [[0, 0, 0], [-4, 5, 6], [1, 2, 3], [0, 9, 0]])
    assert SOLID.mirror == (("L", "R"),)


def test_timing_keeps_the_course_of_a_clip():
    """A joint that moves evenly still does, at another speed, and reaches the ends when nothing
    is cut.
    """
    steps, length = 40, jnp.array([20, 1, 2])
    x = jnp.broadcast_to(
        jnp.arange(steps, dtype=jnp.float32)[None, :, None, None], (3, steps, 2, 2)
    )
    seen = jnp.ones((3, steps, 2), bool)
    lengths = set()
    timing = jax.jit(random_transforms.random_timing)
    for seed in range(8):
        moved, still_seen, new = timing(jax.random.key(seed), x, seen, length, 0.5, 0.0)
        n = int(new[0])
        lengths.add(n)
        np.testing.assert_allclose(moved[0, :n, 0, 0], np.linspace(0, 19, n), atol=1e-4)
        assert still_seen[0, :n].all() and not still_seen[0, n:].any()
        assert int(new[1]) >= 1 and (np.asarray(moved[1, : int(new[1]), 0, 0]) == 0).all()
        cut, _, short = timing(jax.random.key(seed), x, seen, length, 0.0, 0.5)
        m = int(short[0])
        assert 10 <= m <= 20
        pace = np.diff(cut[0, :m, 0, 0])
        np.testing.assert_allclose(pace, pace[0], atol=1e-4)
        assert cut[0, 0, 0, 0] >= 0 and cut[0, m - 1, 0, 0] <= 19
    assert (
        len(lengths) > 4
        and min(lengths) >= 20 * np.exp(-0.5) - 1
        and max(lengths) <= 20 * np.exp(0.5) + 1
    )


def test_the_mirror_image_of_a_left_hand_is_a_right_hand():
    keypoints = walk(skeleton.LEFT_HAND_21, 3)
    mirrored = transforms.mirror(jnp.asarray(keypoints), skeleton.LEFT_HAND_21)
    np.testing.assert_allclose(mirrored, keypoints * [-1, 1], rtol=1e-6)
