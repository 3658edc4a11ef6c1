"""From raw keypoints to what a model reads: small pure functions, all jittable.

`preparation.Preparation` says which of them are applied, and in which order; `random_transforms`
has those that augment.

Shapes throughout: keypoints `[B, T, V, C]` float32, score `[B, T, V]` float32, valid `[B, T]`
bool (True means a frame of the clip, False means padding), seen `[B, T, V]` bool (True means the
joint was seen in a valid frame), length `[B]` int32. Functions that move keypoints leave padding
frames finite and meaningless; `Preparation` zeroes them at the end.
"""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from mgjax.nn.masking import time_mask
from mgjax.skeleton import Layout

AxesFrames = Literal["first", "all"]


# Short for what every function does


def _joints(array: jax.Array, joints: np.ndarray) -> jax.Array:
    """Some joints of `[B, T, V, ...]`."""
    return array[:, :, joints]


def _by_clip(values: jax.Array) -> jax.Array:
    """Values of clips, `[B]`, beside their keypoints: `[B, 1, 1, 1]`."""
    return values[:, None, None, None]


def _by_frame(values: jax.Array) -> jax.Array:
    """Values of frames, `[B, T]`, beside their keypoints: `[B, T, 1, 1]`."""
    return values[:, :, None, None]


# Between frames


def _at(array: jax.Array, frames: jax.Array) -> jax.Array:
    """Of every clip of `[B, T, ...]` its own frames, int `[B, N]` or `[B, N, V]`."""
    index = frames.reshape(frames.shape + (1,) * (array.ndim - frames.ndim))
    return jnp.take_along_axis(array, index, axis=1)


def _blend(before: jax.Array, after: jax.Array, share: jax.Array) -> jax.Array:
    """The place that lies a share of the way from one place to another."""
    return before * (1 - share) + after * share


def neighbours(place: jax.Array, length: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The two frames of a clip between which a fractional frame lies.

    Args:
        place: fractional frames, `[B, N]`, each 0 to its clip's length - 1.
        length: frames of every clip, `[B]`.

    Returns:
        the frame before and the frame after, int32 `[B, N]` each, and which share of the way from
        one to the other the place is, `[B, N]`.
    """
    before = jnp.floor(place).astype(jnp.int32)
    after = jnp.minimum(before + 1, length[:, None] - 1)
    return before, after, place - before


def interpolate_frames(
    keypoints: jax.Array,
    seen: jax.Array,
    place: jax.Array,
    length: jax.Array,
    new_length: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Keypoints and seen at fractional frames, linear between frames of the clip.

    Args:
        keypoints: `[B, T, V, C]`.
        seen: bool `[B, T, V]`.
        place: fractional frames, `[B, N]`.
        length: frames of every clip, `[B]`.
        new_length: how many of the N places are frames of the new clip, `[B]`.

    Returns:
        keypoints `[B, N, V, C]`, and seen `[B, N, V]`, where both neighbours were.
    """
    before, after, share = neighbours(place, length)
    moved = _blend(_at(keypoints, before), _at(keypoints, after), share[..., None, None])
    inside = time_mask(new_length, place.shape[1])[..., None]
    return moved, _at(seen, before) & _at(seen, after) & inside


# Repair and normalisation


def fill_unseen(keypoints: jax.Array, seen: jax.Array, origin: jax.Array) -> jax.Array:
    """Put joints that were not seen where they most likely were.

    Between two sightings of a joint its place is interpolated linearly in time; before the first
    and after the last it stays where it was seen; a joint never seen in the clip is put at
    `origin [B, C]`, and so adds nothing once the clip is centred there.
    """
    steps = keypoints.shape[1]
    time = jnp.arange(steps)[None, :, None]
    # The last sighting up to each frame and the next one from it on; -1 and T where there is none.
    before = jax.lax.cummax(jnp.where(seen, time, -1), axis=1)
    after = jax.lax.cummin(jnp.where(seen, time, steps), axis=1, reverse=True)
    first_seen = jnp.minimum(after[:, :1], steps - 1)
    last_seen = jnp.maximum(before[:, -1:], 0)
    left = jnp.where(before < 0, first_seen, before)
    right = jnp.where(after >= steps, last_seen, after)
    gap = jnp.maximum(right - left, 1)
    share = jnp.where(right > left, (time - left) / gap, 0)
    filled = _blend(_at(keypoints, left), _at(keypoints, right), share[..., None])
    # Where a joint was seen its place is kept to the bit.
    filled = jnp.where(seen[..., None], keypoints, filled)
    ever_seen = seen.any(1)[:, None, :, None]
    return jnp.where(ever_seen, filled, origin[:, None, None, :])


def joint_mean(keypoints: jax.Array, seen: jax.Array, joints: np.ndarray) -> jax.Array:
    """Mean place of some joints over the frames that saw all of them, `[B, C]`.

    Where no frame did, the mean of every joint seen; where nothing was seen at all, zero.
    """
    all_seen = _joints(seen, joints).all(-1)
    place = _joints(keypoints, joints).mean(2)
    frames = jnp.maximum(all_seen.sum(1), 1)
    mean = (place * all_seen[..., None]).sum(1) / frames[:, None]
    sightings = jnp.maximum(seen.sum((1, 2)), 1)
    total = (keypoints * seen[..., None]).sum((1, 2))
    anything = total / sightings[:, None]
    return jnp.where(all_seen.any(1)[:, None], mean, anything)


def masked_median(values: jax.Array, mask: jax.Array) -> jax.Array:
    """Median of `values [B, T]` where `mask [B, T]`, `[B]`; zero where the mask is empty.

    The lower and upper middle are averaged when their number is even, as NumPy does.
    """
    # What is masked out sorts to the end.
    ordered = jnp.sort(jnp.where(mask, values, jnp.inf), axis=1)
    count = mask.sum(1)

    def pick(index: jax.Array) -> jax.Array:
        within = jnp.clip(index, 0, values.shape[1] - 1)
        return jnp.take_along_axis(ordered, within[:, None], axis=1)[:, 0]

    middle = (pick((count - 1) // 2) + pick(count // 2)) / 2
    return jnp.where(count > 0, middle, 0)


def body_size(
    keypoints: jax.Array, seen: jax.Array, joints: np.ndarray, valid: jax.Array
) -> jax.Array:
    """The body's size in a clip, `[B]`, at least 1e-6.

    It is the median distance between two joints over the frames that saw both; where no frame
    did, the root mean square distance of all joints from their mean.
    """
    one, other = joints
    both = _joints(seen, one) & _joints(seen, other)
    apart = _joints(keypoints, one) - _joints(keypoints, other)
    distance = jnp.linalg.norm(apart, axis=-1)
    from_mean = keypoints - keypoints.mean(2, keepdims=True)
    spread = jnp.sqrt((from_mean**2).sum(-1).mean(2))
    spread = (spread * valid).sum(1) / jnp.maximum(valid.sum(1), 1)
    size = jnp.where(both.any(1), masked_median(distance, both), spread)
    return jnp.maximum(size, 1e-6)


def clip_range(keypoints: jax.Array, valid: jax.Array) -> jax.Array:
    """Scale every axis of every clip to [-1, 1] over its valid frames.

    An axis without extent becomes 0.
    """
    outside = ~_by_frame(valid)
    low = jnp.where(outside, jnp.inf, keypoints).min((1, 2), keepdims=True)
    high = jnp.where(outside, -jnp.inf, keypoints).max((1, 2), keepdims=True)
    extent = high - low
    extended = extent > 0
    # The inner `where` keeps the division, and so its gradient, finite where it is not used.
    scaled = 2 * (keypoints - low) / jnp.where(extended, extent, 1) - 1
    return jnp.where(extended, scaled, 0)


def _unit(vector: jax.Array, fallback: tuple[int, ...]) -> jax.Array:
    """The vector at length 1; the fallback where it has hardly any length."""
    norm = jnp.linalg.norm(vector, axis=-1, keepdims=True)
    scaled = vector / jnp.maximum(norm, 1e-6)
    return jnp.where(norm > 1e-6, scaled, jnp.asarray(fallback, vector.dtype))


def body_axes(
    keypoints: jax.Array, valid: jax.Array, layout: Layout, frames: AxesFrames = "first"
) -> jax.Array:
    """The body's own axes as rows (left, up, forward), a rotation `[B, 3, 3]`.

    Up runs along `layout.up`, left along `layout.across` made perpendicular to it. They are taken
    from the first frame, or as the mean direction over the clip (`frames="all"`), which a noisy
    first frame cannot tilt.
    """

    def direction(pair: tuple[str, str]) -> jax.Array:
        start, end = layout.index(*pair)
        vectors = _joints(keypoints, end) - _joints(keypoints, start)
        if frames == "first":
            return vectors[:, 0]
        # The mean turns with the body; a median taken axis by axis would not.
        return (vectors * valid[..., None]).sum(1)

    up = _unit(direction(layout.up), (0, 1, 0))
    across = direction(layout.across)
    # Gram and Schmidt: what of it runs along up is taken away.
    along_up = (across * up).sum(-1, keepdims=True) * up
    left = _unit(across - along_up, (1, 0, 0))
    return jnp.stack([left, up, jnp.cross(left, up)], axis=1)


def rotate(keypoints: jax.Array, matrix: jax.Array) -> jax.Array:
    """Rotate every clip by its own matrix `[B, C, C]`."""
    # The default precision of some accelerators is that of bfloat16, which would move joints.
    return jnp.einsum("btvc,bdc->btvd", keypoints, matrix, precision="highest")


def mean_at(joints: jax.Array, place: jax.Array) -> jax.Array:
    """Joints `[..., J, C]` moved so that their mean is at `place [..., 1, C]`.

    How they lie about their mean stays. A joint alone is at that place itself.
    """
    if joints.shape[-2] == 1:
        return place
    return joints - joints.mean(-2, keepdims=True) + place


# Streams


def velocity(keypoints: jax.Array, valid: jax.Array) -> jax.Array:
    """Difference from the frame before; zero in the first frame and in padding."""
    moved = jnp.diff(keypoints, axis=1, prepend=keypoints[:, :1])
    return jnp.where(_by_frame(valid), moved, 0)


def bones(keypoints: jax.Array, layout: Layout) -> jax.Array:
    """Every joint minus its parent; zero for a joint without one."""
    return keypoints - _joints(keypoints, layout.parent)


# Sides


def mirror(keypoints: jax.Array, layout: Layout) -> jax.Array:
    """The mirror image of `[..., V, channels]`: left joints become right ones.

    The first axis changes sign. Channels are one or several streams of the layout's dimensions
    each.

    >>> from mgjax import skeleton
    >>> layout = skeleton.get("coco17")
    >>> left, right = layout.index("LWrist", "RWrist")
    >>> keypoints = jnp.zeros((17, 2)).at[left].set(jnp.array([3.0, 1.0]))
    >>> mirror(keypoints, layout)[right]
    Array([-3.,  1.], dtype=float32)
    """
    sign = jnp.ones(keypoints.shape[-1]).at[:: layout.dimensions].set(-1)
    return keypoints[..., layout.mirror_permutation, :] * sign


def one_sided(keypoints: jax.Array, layout: Layout) -> jax.Array:
    """Of every clip and its mirror image, the one whose arms and hands lie to the left on average.

    Left is where the first axis is positive. A clip and its mirror image give the same. Padding
    must be zero. A layout that names no arms or hands among its parts is judged by all its joints.
    """
    limbs: list[str] = []
    for part, joints in layout.parts.items():
        if part.endswith(("arm", "hand")):
            limbs += joints
    judged = layout.index(*(limbs or layout.joints))
    # Zero padding makes the mean smaller, but leaves its sign, which is all that counts.
    place = keypoints[:, :, judged, 0].mean((1, 2))
    return jnp.where(_by_clip(place >= 0), keypoints, mirror(keypoints, layout))
