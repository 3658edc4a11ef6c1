"""What a model reads: a `Batch`, made of raw keypoints by `Preparation` and `Augmentation`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from mgjax import options, random_transforms, transforms
from mgjax.errors import InputError
from mgjax.nn.masking import time_mask
from mgjax.options import option
from mgjax.skeleton import Layout

MOST_FRAMES = 10**6  # of a prepared clip

Lengths = TypeVar("Lengths", int, jax.Array, np.ndarray)


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
        return time_mask(self.length, self.inputs.shape[1])


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

    def lengths(self, lengths: Lengths) -> Lengths:
        """Frames that clips of so many frames have once prepared, int `[N]`, NumPy's or JAX's."""
        if self.fixed_frames:
            return lengths * 0 + self.fixed_frames
        if self.max_frames:
            # min(lengths, max_frames), said so that NumPy's arrays stay NumPy's and JAX's JAX's.
            return lengths - (lengths > self.max_frames) * (lengths - self.max_frames)
        return lengths

    @property
    def resampling(self) -> Callable | None:
        """`lengths` where the preparation changes any, else None: what `batching.gather` takes."""
        return self.lengths if self.max_frames or self.fixed_frames else None

    def channels(self, layout: Layout) -> int:
        """Channels a joint has after preparation."""
        return layout.dimensions * (1 + bool(self.velocity) + self.bones)

    def check(self, layout: Layout) -> None:
        """Raise InputError where the preparation does not fit the layout."""
        if self.axes != "none" and layout.dimensions != 3:
            raise InputError(
                f"preparation: axes {self.axes!r} needs 3D keypoints, layout "
                f"{layout.name!r} has 2D ones"
            )

    def normalise(
        self, keypoints: jax.Array, seen: jax.Array, length: jax.Array, layout: Layout
    ) -> jax.Array:
        """Fill, centre, turn and scale: keypoints `[B, T, V, C]` to the same shape.

        `seen`, bool `[B, T, V]`, says which joints were seen in a valid frame.
        """
        valid = time_mask(length, keypoints.shape[1])
        root = layout.index(*layout.root)
        # Measured before unseen joints are filled: a guess has no size.
        size = transforms.body_size(keypoints, seen, layout.index(*layout.scale), valid)
        if self.fill_unseen:
            origin = transforms.joint_mean(keypoints, seen, root)
            keypoints = transforms.fill_unseen(keypoints, seen, origin)
        root_place = keypoints[:, :, root].mean(2, keepdims=True)
        # The axes are the body's, so they are taken before the root joint is given another meaning.
        turn = None
        if self.axes != "none":
            turn = transforms.body_axes(keypoints, valid, layout, self.axes)
        keypoints = self._centred(keypoints, seen, root_place, root)
        if turn is not None:
            keypoints = transforms.rotate(keypoints, turn)
        if self.scale == "body":
            keypoints = keypoints / size[:, None, None, None]
        elif self.scale == "range":
            keypoints = transforms.clip_range(keypoints, valid)
        return jnp.where(valid[:, :, None, None], keypoints, 0)

    def _centred(
        self, keypoints: jax.Array, seen: jax.Array, root_place: jax.Array, root: np.ndarray
    ) -> jax.Array:
        """Move the origin to the root, whose places are `root_place [B, T, 1, C]`."""
        if self.centre == "first":
            keypoints = keypoints - root_place[:, :1]
        elif self.centre == "frame":
            keypoints = keypoints - root_place
        elif self.centre == "clip":
            origin = transforms.joint_mean(keypoints, seen, root)
            keypoints = keypoints - origin[:, None, None]
        if self.root_motion:
            # Centred on itself, the root would hold nothing but zeros.
            way = self.root_motion * (root_place - root_place[:, :1])
            moved = transforms.mean_at(keypoints[:, :, root], way)
            keypoints = keypoints.at[:, :, root].set(moved)
        if not self.fill_unseen:
            keypoints = jnp.where(seen[..., None], keypoints, 0)
        return keypoints

    def streams(self, keypoints: jax.Array, length: jax.Array, layout: Layout) -> jax.Array:
        """Append the chosen streams: `[B, T, V, C]` to `[B, T, V, channels]`.

        All of them are zero past each clip's end.
        """
        valid = time_mask(length, keypoints.shape[1])
        streams = [keypoints]
        if self.velocity:
            streams.append(self.velocity * transforms.velocity(keypoints, valid))
        if self.bones:
            streams.append(transforms.bones(keypoints, layout))
        return jnp.where(valid[:, :, None, None], jnp.concatenate(streams, axis=-1), 0)

    def drawable(self, prepared: jax.Array, layout: Layout) -> jax.Array:
        """Keypoints to draw, `[..., V, C]`, out of prepared or re-generated frames.

        Those have shape `[..., V, channels]`.
        """
        # The places are the first stream.
        keypoints = prepared[..., : layout.dimensions]
        if self.root_motion:
            # Puts everything where the root went.
            root = layout.index(*layout.root)
            joints = keypoints[..., root, :]
            way = joints.mean(-2, keepdims=True) / self.root_motion
            moved = transforms.mean_at(joints, way)
            keypoints = (keypoints + way).at[..., root, :].set(moved)
        return keypoints

    def __call__(
        self,
        keypoints: jax.Array,
        score: jax.Array,
        length: jax.Array,
        label: jax.Array,
        weight: jax.Array,
        layout: Layout,
        augmentation: Augmentation | None = None,
        key: jax.Array | None = None,
    ) -> Batch:
        """Prepare raw clips; with an augmentation and a key, augmented ones.

        Args:
            keypoints: `[B, T, V, C]` as stored.
            score: `[B, T, V]`; 0 means not seen.
            length: int `[B]`; label: int `[B]`; weight: float `[B]`.
            layout: the layout of the joints.
            augmentation: random changes, drawn with the key.
            key: a key of `jax.random`.

        Returns:
            a `Batch`; without augmentation inputs and target are the same array.

        A clip of three frames, padded to four:

        >>> from mgjax import skeleton
        >>> keypoints, score = jnp.ones((1, 4, 17, 2)), jnp.ones((1, 4, 17))
        >>> of_clip = (jnp.array([3]), jnp.array([0]), jnp.ones(1))  # length, label, weight
        >>> prepare = Preparation(velocity=1.0)
        >>> batch = prepare(keypoints, score, *of_clip, skeleton.get("coco17"))
        >>> batch.inputs.shape  # x, y and how far both moved
        (1, 4, 17, 4)
        >>> batch.valid.tolist()
        [[True, True, True, False]]
        """
        valid = time_mask(length, keypoints.shape[1])
        seen = (score > 0) & valid[..., None]
        if augmentation is None:
            clean = self.streams(self.normalise(keypoints, seen, length, layout), length, layout)
            return Batch(clean, clean, length, label, weight)
        if key is None:
            raise InputError("preparation: an augmentation needs a key to draw its changes with")
        # One key for each random change, used or not, so that none of them depends on the others.
        timing_key, *keys = jax.random.split(key, 6)
        if augmentation.speed or augmentation.crop:
            keypoints, seen, length = random_transforms.random_timing(
                timing_key, keypoints, seen, length, augmentation.speed, augmentation.crop
            )
        clean, changed = self._changed(keypoints, seen, length, layout, augmentation, keys)
        inputs = self.streams(changed, length, layout)
        target = self.streams(clean, length, layout) if augmentation.denoise else inputs
        return Batch(inputs, target, length, label, weight)

    def _changed(
        self,
        keypoints: jax.Array,
        seen: jax.Array,
        length: jax.Array,
        layout: Layout,
        augmentation: Augmentation,
        keys: list[jax.Array],
    ) -> tuple[jax.Array, jax.Array]:
        """Normalised keypoints without and with what an augmentation changes in each frame."""
        dropout_key, mirror_key, rotation_key, scale_key, noise_key = keys
        clean = changed = self.normalise(keypoints, seen, length, layout)
        if augmentation.joint_dropout:
            # Dropped before they are filled, as joints that a camera did not see are.
            dropout = augmentation.joint_dropout
            still_seen = random_transforms.random_joint_dropout(dropout_key, seen, dropout)
            changed = self.normalise(keypoints, still_seen, length, layout)
        if augmentation.mirror:
            changed = random_transforms.random_mirror(
                mirror_key, changed, layout, augmentation.mirror
            )
            clean = transforms.one_sided(clean, layout)
        if augmentation.rotation or augmentation.tilt:
            angles = (augmentation.rotation, augmentation.tilt)
            turns = random_transforms.random_rotation(
                rotation_key, len(length), layout.dimensions, *angles
            )
            changed = transforms.rotate(changed, turns)
        if augmentation.scale:
            changed = random_transforms.random_scale(scale_key, changed, augmentation.scale)
        if augmentation.noise:
            changed = random_transforms.random_noise(noise_key, changed, augmentation.noise)
        return clean, changed
