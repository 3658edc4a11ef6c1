"""Random changes of a training clip: each takes a key and leaves the shapes as they are.

Shapes are those of `transforms`. `preparation.Augmentation` says which are applied, and how much.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from mgjax.skeleton import Layout
from mgjax.transforms import interpolate_frames, mirror


def random_rotation(
    key: jax.Array, clips: int, dimensions: int, angle: float, tilt: float = 0.0
) -> jax.Array:
    """Rotations `[clips, C, C]`, angles uniform in ± the given radians.

    In 3D `angle` turns about the vertical (second) axis and `tilt` about the other two; in 2D
    `angle` turns in the picture's plane.
    """
    limits = jnp.array([[angle], [tilt], [tilt]] if dimensions == 3 else [[angle]])
    angles = limits * jax.random.uniform(key, (len(limits), clips), minval=-1, maxval=1)
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    if dimensions == 2:
        return _matrices([cos[0], -sin[0]], [sin[0], cos[0]])
    zero, one = jnp.zeros(clips), jnp.ones(clips)
    # The turn about the vertical comes last, so that its axis is not tilted.
    # fmt: off
    about_y = _matrices([cos[0], zero, sin[0]], [zero, one, zero], [-sin[0], zero, cos[0]])
    about_x = _matrices([one, zero, zero], [zero, cos[1], -sin[1]], [zero, sin[1], cos[1]])
    about_z = _matrices([cos[2], -sin[2], zero], [sin[2], cos[2], zero], [zero, zero, one])
    # fmt: on
    return jnp.einsum("bij,bjk,bkl->bil", about_y, about_x, about_z, precision="highest")


def _matrices(*rows: list[jax.Array]) -> jax.Array:
    """Matrices `[clips, rows, columns]` out of their entries, `[clips]` each."""
    entries = [entry for row in rows for entry in row]
    return jnp.stack(entries, -1).reshape(-1, len(rows), len(rows))


def random_mirror(
    key: jax.Array, keypoints: jax.Array, layout: Layout, probability: float
) -> jax.Array:
    """Mirror a clip with some probability."""
    chosen = jax.random.bernoulli(key, probability, (keypoints.shape[0], 1, 1, 1))
    return jnp.where(chosen, mirror(keypoints, layout), keypoints)


def random_scale(key: jax.Array, keypoints: jax.Array, spread: float) -> jax.Array:
    """Multiply a clip by exp(u), u uniform in ± spread."""
    shape = (keypoints.shape[0], 1, 1, 1)
    factor = jnp.exp(jax.random.uniform(key, shape, minval=-spread, maxval=spread))
    return keypoints * factor


def random_noise(key: jax.Array, keypoints: jax.Array, deviation: float) -> jax.Array:
    """Add independent Gaussian noise to every coordinate."""
    return keypoints + deviation * jax.random.normal(key, keypoints.shape)


def random_joint_dropout(key: jax.Array, seen: jax.Array, probability: float) -> jax.Array:
    """The new `seen` where joints of a clip, each with some probability, count as unseen.

    A joint is dropped for the whole clip.
    """
    dropped = jax.random.bernoulli(key, probability, (seen.shape[0], 1, seen.shape[2]))
    return seen & ~dropped


def random_timing(
    key: jax.Array,
    keypoints: jax.Array,
    seen: jax.Array,
    length: jax.Array,
    speed: float,
    crop: float,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Cut a clip's ends and play the rest at another speed.

    What is kept is a share uniform in [1 - crop, 1] of the clip, at a random place; its number of
    frames is then multiplied by exp(u), u uniform in ± speed, to at least 1 (3 where the clip has
    them) and at most the padded length. Places between two frames are interpolated; a joint
    counts as seen where both were.

    Returns:
        keypoints, seen and the new length.
    """
    steps = keypoints.shape[1]
    share, where, pace = jax.random.uniform(key, (3, len(length)))
    share = 1 - crop * share
    # In units of frames: n frames are n - 1 steps from the first to the last.
    first = where * (1 - share) * (length - 1)
    frames = ((length - 1) * share + 1) * jnp.exp(speed * (2 * pace - 1))
    # With fewer than 3 frames a clip has hardly a course left.
    least = jnp.minimum(length, 3)
    new_length = jnp.clip(jnp.round(frames), least, steps).astype(length.dtype)
    advance = share * (length - 1) / jnp.maximum(new_length - 1, 1)
    place = first[:, None] + jnp.arange(steps) * advance[:, None]
    # Past the new end, and by rounding at it, places would lie beyond the clip's last frame.
    place = jnp.minimum(place, (length - 1)[:, None])
    return *interpolate_frames(keypoints, seen, place, length, new_length), new_length
