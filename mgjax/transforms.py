"""From raw keypoints to what a model reads: small pure functions, all jittable, and
`Preparation`, their order.

Shapes throughout: keypoints `[B, T, V, C]` float32, score `[B, T, V]` float32, valid `[B, T]`
bool (True means a frame of the clip, False means padding), seen `[B, T, V]` bool (True means the
joint was seen in a valid frame). Functions that move keypoints leave padding frames finite and
meaningless; `Preparation` zeroes them at the end.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from mgjax import options
from mgjax.errors import InputError
from mgjax.options import option
from mgjax.skeleton import Layout

MOST_FRAMES = 10**6  # of a prepared clip


class Batch(NamedTuple):
    """Clips ready for a model, padded to one length.

    Attributes:
        inputs: what an encoder reads, `[B, T, V, channels]` float32, zero past each clip's end.
        target: what a decoder should re-generate, same shape: the inputs without augmentation.
        length: valid frames, int32 `[B]`.
        label: class numbers, int32 `[B]`, -1 where unknown. Self-supervised losses do not read
            them.
        weight: 1 for a clip, 0 for a row that only fills the batch, float32 `[B]`.
    """

    inputs: jax.Array
    target: jax.Array
    length: jax.Array
    label: jax.Array
    weight: jax.Array

    @property
    def valid(self) -> jax.Array:
        """True where a frame belongs to its clip, bool `[B, T]`."""
        return jnp.arange(self.inputs.shape[1]) < self.length[:, None]


# Repair and normalisation


def fill_unseen(keypoints, seen, origin):
    """Put joints that were not seen where they most likely were.

    Between two sightings of a joint its place is interpolated linearly in time; before the first
    and after the last it stays where it was seen; a joint never seen in the clip is put at
    `origin [B, C]`, and so adds nothing once the clip is centred there.
    """
    steps = keypoints.shape[1]
    time = jnp.arange(steps)[None, :, None]
    before = jax.lax.cummax(jnp.where(seen, time, -1), axis=1)
    after = jax.lax.cummin(jnp.where(seen, time, steps), axis=1, reverse=True)
    first_seen, last_seen = jnp.minimum(after[:, :1], steps - 1), jnp.maximum(before[:, -1:], 0)
    left = jnp.where(before < 0, first_seen, before)
    right = jnp.where(after >= steps, last_seen, after)
    share = jnp.where(right > left, (time - left) / jnp.maximum(right - left, 1), 0)[..., None]
    at = lambda index: jnp.take_along_axis(keypoints, index[..., None], axis=1)
    filled = at(left) * (1 - share) + at(right) * share
    filled = jnp.where(seen[..., None], keypoints, filled)
    return jnp.where(seen.any(1)[:, None, :, None], filled, origin[:, None, None, :])


def joint_mean(keypoints, seen, joints):
    """Mean place of some joints over the frames that saw all of them, `[B, C]`.

    Where no frame did, the mean of every joint seen; where nothing was seen at all, zero.
    """
    all_seen = seen[:, :, joints].all(-1)
    place = keypoints[:, :, joints].mean(2)
    mean = (place * all_seen[..., None]).sum(1) / jnp.maximum(all_seen.sum(1), 1)[:, None]
    anything = (keypoints * seen[..., None]).sum((1, 2)) / jnp.maximum(seen.sum((1, 2)), 1)[:, None]
    return jnp.where(all_seen.any(1)[:, None], mean, anything)


def masked_median(values, mask):
    """Median of `values [B, T]` where `mask [B, T]`, `[B]`; zero where the mask is empty.

    The lower and upper middle are averaged when their number is even, as NumPy does.
    """
    ordered = jnp.sort(jnp.where(mask, values, jnp.inf), axis=1)
    count = mask.sum(1)
    pick = lambda index: jnp.take_along_axis(
        ordered, jnp.clip(index, 0, values.shape[1] - 1)[:, None], axis=1
    )[:, 0]
    middle = (pick((count - 1) // 2) + pick(count // 2)) / 2
    return jnp.where(count > 0, middle, 0)


def body_size(keypoints, seen, joints, valid):
    """The body's size in a clip `[B]`: the median distance between two joints over the frames
    that saw both.

    Where no frame did, the root mean square distance of all joints from their mean; at least 1e-6.
    """
    both = seen[:, :, joints[0]] & seen[:, :, joints[1]]
    distance = jnp.linalg.norm(keypoints[:, :, joints[0]] - keypoints[:, :, joints[1]], axis=-1)
    mean = keypoints.mean(2, keepdims=True)
    spread = jnp.sqrt(((keypoints - mean) ** 2).sum(-1).mean(2))
    spread = (spread * valid).sum(1) / jnp.maximum(valid.sum(1), 1)
    return jnp.maximum(jnp.where(both.any(1), masked_median(distance, both), spread), 1e-6)


def clip_range(keypoints, valid):
    """Scale every axis of every clip to [-1, 1] over its valid frames; an axis without extent
    becomes 0.
    """
    outside = ~valid[:, :, None, None]
    low = jnp.where(outside, jnp.inf, keypoints).min((1, 2), keepdims=True)
    high = jnp.where(outside, -jnp.inf, keypoints).max((1, 2), keepdims=True)
    extent = high - low
    return jnp.where(extent > 0, 2 * (keypoints - low) / jnp.where(extent > 0, extent, 1) - 1, 0)


def _unit(vector, fallback):
    norm = jnp.linalg.norm(vector, axis=-1, keepdims=True)
    return jnp.where(
        norm > 1e-6, vector / jnp.maximum(norm, 1e-6), jnp.asarray(fallback, vector.dtype)
    )


def body_axes(keypoints, valid, layout: Layout, frames: str = "first"):
    """The body's own axes as rows (left, up, forward), a rotation `[B, 3, 3]`.

    Up runs along `layout.up`, left along `layout.across` made perpendicular to it. They are taken
    from the first frame, or as the mean direction over the clip (`frames="all"`), which a noisy
    first frame cannot tilt.
    """

    def direction(pair):
        start, end = layout.index(*pair)
        vectors = keypoints[:, :, end] - keypoints[:, :, start]
        if frames == "first":
            return vectors[:, 0]
        # The mean turns with the body; a median taken axis by axis would not.
        return (vectors * valid[..., None]).sum(1)

    up = _unit(direction(layout.up), (0, 1, 0))
    across = direction(layout.across)
    left = _unit(across - (across * up).sum(-1, keepdims=True) * up, (1, 0, 0))
    return jnp.stack([left, up, jnp.cross(left, up)], axis=1)


def rotate(keypoints, matrix):
    """Rotate every clip by its own matrix `[B, C, C]`."""
    return jnp.einsum("btvc,bdc->btvd", keypoints, matrix, precision="highest")


# Streams


def velocity(keypoints, valid):
    """Difference from the frame before; zero in the first frame and in padding."""
    moved = jnp.diff(keypoints, axis=1, prepend=keypoints[:, :1])
    return jnp.where(valid[:, :, None, None], moved, 0)


def bones(keypoints, layout: Layout):
    """Every joint minus its parent; zero for a joint without one."""
    return keypoints - keypoints[:, :, layout.parent]


# Augmentation: each takes a key and leaves the shapes as they are


def random_rotation(key, clips: int, dimensions: int, angle: float, tilt: float = 0.0):
    """Rotations `[clips, C, C]`, angles uniform in ± the given radians.

    In 3D `angle` turns about the vertical (second) axis and `tilt` about the other two; in 2D
    `angle` turns in the picture's plane.
    """
    limits = jnp.array([[angle], [tilt], [tilt]] if dimensions == 3 else [[angle]])
    angles = limits * jax.random.uniform(key, (len(limits), clips), minval=-1, maxval=1)
    cos, sin, zero, one = jnp.cos(angles), jnp.sin(angles), jnp.zeros(clips), jnp.ones(clips)
    if dimensions == 2:
        return jnp.stack([cos[0], -sin[0], sin[0], cos[0]], -1).reshape(clips, 2, 2)
    about_y = jnp.stack([cos[0], zero, sin[0], zero, one, zero, -sin[0], zero, cos[0]], -1).reshape(
        clips, 3, 3
    )
    about_x = jnp.stack([one, zero, zero, zero, cos[1], -sin[1], zero, sin[1], cos[1]], -1).reshape(
        clips, 3, 3
    )
    about_z = jnp.stack([cos[2], -sin[2], zero, sin[2], cos[2], zero, zero, zero, one], -1).reshape(
        clips, 3, 3
    )
    return jnp.einsum("bij,bjk,bkl->bil", about_y, about_x, about_z, precision="highest")


def mirror(keypoints, layout: Layout):
    """The mirror image of `[..., V, channels]`: the first axis changes sign, left joints become
    right ones.

    Channels are one or several streams of the layout's dimensions each.
    """
    sign = jnp.ones(keypoints.shape[-1]).at[:: layout.dimensions].set(-1)
    return keypoints[..., layout.mirror_permutation, :] * sign


def random_mirror(key, keypoints, layout: Layout, probability: float):
    """Mirror a clip with some probability."""
    chosen = jax.random.bernoulli(key, probability, (keypoints.shape[0], 1, 1, 1))
    return jnp.where(chosen, mirror(keypoints, layout), keypoints)


def one_sided(keypoints, layout: Layout):
    """Of every clip `[B, T, V, C]` and its mirror image, the one whose arms and hands lie to the
    left on average.

    Left is where the first axis is positive. A clip and its mirror image give the same. Padding
    must be zero. A layout that names no arms or hands among its parts is judged by all its joints.
    """
    limbs = [
        joint
        for part, joints in layout.parts.items()
        if part.endswith(("arm", "hand"))
        for joint in joints
    ]
    place = keypoints[:, :, layout.index(*(limbs or layout.joints)), 0].mean((1, 2))
    return jnp.where((place >= 0)[:, None, None, None], keypoints, mirror(keypoints, layout))


def random_scale(key, keypoints, spread: float):
    """Multiply a clip by exp(u), u uniform in ± spread."""
    factor = jnp.exp(
        jax.random.uniform(key, (keypoints.shape[0], 1, 1, 1), minval=-spread, maxval=spread)
    )
    return keypoints * factor


def random_noise(key, keypoints, deviation: float):
    """Add independent Gaussian noise to every coordinate."""
    return keypoints + deviation * jax.random.normal(key, keypoints.shape)


def random_joint_drop(key, seen, probability: float):
    """Take joints of a clip for unseen, each for the whole clip with some probability; returns
    the new `seen`.
    """
    return seen & ~jax.random.bernoulli(key, probability, (seen.shape[0], 1, seen.shape[2]))


def random_timing(key, keypoints, seen, length, speed: float, crop: float):
    """Cut a clip's ends and play the rest at another speed.

    What is kept is a share uniform in [1 - crop, 1] of the clip, at a random place; its number of
    frames is then multiplied by exp(u), u uniform in ± speed, to at least 1 (3 where the clip has
    them) and at most the padded length. Places between two frames are interpolated; a joint
    counts as seen where both were. Returns keypoints, seen and the new length.
    """
    steps = keypoints.shape[1]
    share, where, pace = jax.random.uniform(key, (3, len(length)))
    share = 1 - crop * share
    first = where * (1 - share) * (length - 1)
    frames = ((length - 1) * share + 1) * jnp.exp(speed * (2 * pace - 1))
    new_length = jnp.clip(jnp.round(frames), jnp.minimum(length, 3), steps).astype(length.dtype)
    advance = share * (length - 1) / jnp.maximum(new_length - 1, 1)
    place = jnp.minimum(
        first[:, None] + jnp.arange(steps) * advance[:, None], (length - 1)[:, None]
    )
    return *interpolate_frames(keypoints, seen, place, length, new_length), new_length


def interpolate_frames(keypoints, seen, place, length, new_length):
    """Keypoints and seen at fractional frames `place [B, steps]`, linear between frames of the
    clip.
    """
    left = jnp.floor(place).astype(jnp.int32)
    right = jnp.minimum(left + 1, length[:, None] - 1)
    share = (place - left)[..., None, None]
    at = lambda array, index: jnp.take_along_axis(
        array, index.reshape(index.shape + (1,) * (array.ndim - 2)), axis=1
    )
    moved = at(keypoints, left) * (1 - share) + at(keypoints, right) * share
    inside = (jnp.arange(place.shape[1]) < new_length[:, None])[..., None]
    return moved, at(seen, left) & at(seen, right) & inside


def mean_at(joints, place):
    """Joints `[..., J, C]` moved so that their mean is at `place [..., 1, C]`; how they lie about
    it stays.

    A joint alone is at that place itself.
    """
    if joints.shape[-2] == 1:
        return place
    return joints - joints.mean(-2, keepdims=True) + place


# The whole way


@options.group("augmentation")
class Augmentation:
    """Random changes of a training clip. Zero switches one off."""

    rotation: float = option(
        0.0,
        "turn by an angle uniform in ± this many radians, in 3D about the vertical axis",
        least=0,
        most=10,
    )
    tilt: float = option(
        0.0,
        "3D only: turn about the other two axes too, uniform in ± this many radians",
        least=0,
        most=10,
    )
    scale: float = option(0.0, "multiply by exp(u), u uniform in ± this", least=0, most=10)
    speed: float = option(
        0.0, "multiply a clip's length by exp(u), u uniform in ± this", least=0, most=10
    )
    crop: float = option(0.0, "cut away up to this share of a clip at its ends", least=0, most=1)
    mirror: float = option(
        0.0,
        "probability of mirroring left to right; with denoise, the decoder then re-generates, "
        "of a clip and its mirror image, the one whose hands lie to the left",
        least=0,
        most=1,
    )
    noise: float = option(
        0.0,
        "deviation of Gaussian noise on every coordinate, in units of the prepared keypoints",
        least=0,
        most=10**6,
    )
    joint_dropout: float = option(
        0.0,
        "probability that a joint counts as unseen throughout a clip",
        least=0,
        most=1,
        formerly="drop",
    )
    denoise: bool = option(
        False,
        "the decoder re-generates the clip as it was before rotation, tilt, scale, mirroring, "
        "noise and joint_dropout; off, it re-generates what the encoder reads",
    )


@options.group("preparation")
class Preparation:
    """How raw keypoints become what a model reads; part of a trained model, saved with it.

    In order: clips are resampled where `max_frames` or `fixed_frames` asks for it
    (`batching.gather` does it); unseen joints are filled; the clip is moved so that the root is
    the origin; turned into the body's own axes; divided by the body's size; augmented (training
    only); streams are appended.
    """

    centre: Literal["first", "frame", "clip", "none"] = option(
        "first",
        "origin: the root in the 'first' frame, in every 'frame', over the 'clip', or 'none'",
    )
    axes: Literal["first", "all", "none"] = option(
        "none",
        "3D only: turn into the body's own axes, taken from the 'first' frame or over 'all'; "
        "'none' leaves the camera's",
    )
    scale: Literal["body", "range", "none"] = option(
        "body", "divide by the 'body' size, map every axis of a clip to ±1 ('range'), or 'none'"
    )
    root_motion: float = option(
        0.0,
        "with centre 'frame': the root (of several joints, their mean) holds the root's way from "
        "its first place times this, so that moving about is not lost",
        least=0,
        most=10**6,
        formerly="path",
    )
    fill_unseen: bool = option(
        True, "interpolate joints that were not seen; off, they stay at zero", formerly="fill"
    )
    max_frames: int = option(
        0,
        "play clips of more frames faster, so that they have this many; 0 leaves them",
        least=0,
        most=MOST_FRAMES,
        formerly="longest",
    )
    fixed_frames: int = option(
        0,
        "play every clip at the speed that gives it this many frames; 0 leaves every length",
        least=0,
        most=MOST_FRAMES,
        formerly="frames",
    )
    velocity: float = option(
        0.0, "append the velocity times this; 0 appends none", least=0, most=10**6
    )
    bones: bool = option(False, "append every joint's difference from its parent")

    def validate(self) -> None:
        """Check what options say together; raises InputError where two contradict."""
        if self.max_frames and self.fixed_frames:
            raise InputError(
                "preparation: max_frames and fixed_frames both say how long clips become; give one"
            )
        if self.root_motion and self.centre != "frame":
            raise InputError(
                "preparation: root_motion needs centre 'frame': otherwise the way of the root is "
                "still there"
            )

    def lengths(self, lengths):
        """Frames that clips of so many frames have once prepared, int `[N]`, NumPy's or JAX's."""
        if self.fixed_frames:
            return lengths * 0 + self.fixed_frames
        return (
            lengths - (lengths > self.max_frames) * (lengths - self.max_frames)
            if self.max_frames
            else lengths
        )

    @property
    def resampling(self):
        """`lengths` where the preparation changes any, else None: what `batching.gather` takes."""
        return self.lengths if self.max_frames or self.fixed_frames else None

    def channels(self, layout: Layout) -> int:
        """Channels a joint has after preparation."""
        return layout.dimensions * (1 + bool(self.velocity) + self.bones)

    def check(self, layout: Layout):
        """Raise InputError where the preparation does not fit the layout."""
        if self.axes != "none" and layout.dimensions != 3:
            raise InputError(
                f"preparation: axes {self.axes!r} needs 3D keypoints, layout "
                f"{layout.name!r} has 2D ones"
            )

    def normalise(self, keypoints, seen, length, layout: Layout):
        """Fill, centre, turn and scale: keypoints `[B, T, V, C]` to the same shape."""
        valid = jnp.arange(keypoints.shape[1]) < length[:, None]
        root = layout.index(*layout.root)
        size = body_size(keypoints, seen, layout.index(*layout.scale), valid)
        if self.fill_unseen:
            keypoints = fill_unseen(keypoints, seen, joint_mean(keypoints, seen, root))
        place = keypoints[:, :, root].mean(2, keepdims=True)
        origin = {
            "first": lambda: place[:, :1],
            "frame": lambda: place,
            "none": lambda: 0.0,
            "clip": lambda: joint_mean(keypoints, seen, root)[:, None, None],
        }[self.centre]()
        # The axes are the body's, so they are taken before the root joint is given another meaning.
        turn = body_axes(keypoints, valid, layout, self.axes) if self.axes != "none" else None
        keypoints = keypoints - origin
        if self.root_motion:
            way = self.root_motion * (place - place[:, :1])
            keypoints = keypoints.at[:, :, root].set(mean_at(keypoints[:, :, root], way))
        if not self.fill_unseen:
            keypoints = jnp.where(seen[..., None], keypoints, 0)
        if turn is not None:
            keypoints = rotate(keypoints, turn)
        if self.scale == "body":
            keypoints = keypoints / size[:, None, None, None]
        elif self.scale == "range":
            keypoints = clip_range(keypoints, valid)
        return jnp.where(valid[:, :, None, None], keypoints, 0)

    def streams(self, keypoints, length, layout: Layout):
        """Append the chosen streams: `[B, T, V, C]` to `[B, T, V, channels]`, zero past each
        end.
        """
        valid = jnp.arange(keypoints.shape[1]) < length[:, None]
        streams = [keypoints]
        if self.velocity:
            streams.append(self.velocity * velocity(keypoints, valid))
        if self.bones:
            streams.append(bones(keypoints, layout))
        return jnp.where(valid[:, :, None, None], jnp.concatenate(streams, axis=-1), 0)

    def drawable(self, prepared, layout: Layout):
        """Keypoints to draw, `[..., V, C]`, out of prepared or re-generated frames `[..., V,
        channels]`.
        """
        keypoints = prepared[..., : layout.dimensions]
        if self.root_motion:  # put everything where the root went
            root = layout.index(*layout.root)
            joints = keypoints[..., root, :]
            way = joints.mean(-2, keepdims=True) / self.root_motion
            keypoints = (keypoints + way).at[..., root, :].set(mean_at(joints, way))
        return keypoints

    def __call__(
        self,
        keypoints,
        score,
        length,
        label,
        weight,
        layout: Layout,
        augmentation: Augmentation | None = None,
        key=None,
    ) -> Batch:
        """Prepare raw clips; with an augmentation and a key, augmented ones.

        Args:
            keypoints: `[B, T, V, C]` as stored.
            score: `[B, T, V]`; 0 means not seen.
            length: int `[B]`; label: int `[B]`; weight: float `[B]`.

        Returns:
            a `Batch`; without augmentation inputs and target are the same array.
        """
        steps = keypoints.shape[1]
        seen = (score > 0) & (jnp.arange(steps) < length[:, None])[..., None]
        if augmentation is None:
            clean = self.streams(self.normalise(keypoints, seen, length, layout), length, layout)
            return Batch(clean, clean, length, label, weight)
        keys = jax.random.split(key, 6)
        if augmentation.speed or augmentation.crop:
            keypoints, seen, length = random_timing(
                keys[0], keypoints, seen, length, augmentation.speed, augmentation.crop
            )
        clean = changed = self.normalise(keypoints, seen, length, layout)
        if augmentation.joint_dropout:
            kept = random_joint_drop(keys[1], seen, augmentation.joint_dropout)
            changed = self.normalise(keypoints, kept, length, layout)
        if augmentation.mirror:
            changed = random_mirror(keys[2], changed, layout, augmentation.mirror)
            clean = one_sided(clean, layout)
        if augmentation.rotation or augmentation.tilt:
            turns = random_rotation(
                keys[3], len(length), layout.dimensions, augmentation.rotation, augmentation.tilt
            )
            changed = rotate(changed, turns)
        if augmentation.scale:
            changed = random_scale(keys[4], changed, augmentation.scale)
        if augmentation.noise:
            changed = random_noise(keys[5], changed, augmentation.noise)
        inputs = self.streams(changed, length, layout)
        target = self.streams(clean, length, layout) if augmentation.denoise else inputs
        return Batch(inputs, target, length, label, weight)
