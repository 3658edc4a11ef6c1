"""Preparation by hand-computed values, and what it must not depend on."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from walking import SOLID, walk

from mgjax import random_transforms, skeleton, transforms
from mgjax.errors import InputError
from mgjax.models.usvae import USVAE
from mgjax.preparation import Augmentation, Preparation

# Two joints in 2D.
FLAT = skeleton.Layout(
    "flat", ("A", "B"), (("A", "B"),), ("A",), ("A", "B"), ("A", "B"), ("A", "B")
)


def one_clip(keypoints, score, preparation, layout=FLAT, pad=0, **augmented):
    """Prepare a single clip given as nested lists; returns the batch."""
    keypoints, score = np.asarray(keypoints, np.float32), np.asarray(score, np.float32)
    length = len(keypoints)
    keypoints = np.concatenate([keypoints, np.repeat(keypoints[-1:] + 99, pad, 0)])
    score = np.concatenate([score, np.zeros((pad, score.shape[1]), np.float32)])
    key = augmented.pop("key", None)

    def prepare(keypoints, score, key):
        return preparation(
            keypoints,
            score,
            jnp.array([length]),
            jnp.array([0]),
            jnp.ones(1),
            layout,
            key=key,
            **augmented,
        )

    return jax.jit(prepare)(keypoints[None], score[None], key)


def test_body_size_is_the_median_over_frames_that_saw_both_joints():
    # distances 5, 100 (B unseen), 13
    keypoints = [[[0, 0], [3, 4]], [[0, 0], [100, 0]], [[1, 1], [6, 13]]]
    batch = one_clip(
        keypoints, [[1, 1], [1, 0], [1, 1]], Preparation(centre="none", fill_unseen=False), pad=2
    )
    np.testing.assert_allclose(batch.inputs[0, 0, 1], np.array([3, 4]) / 9, rtol=1e-6)
    assert not batch.inputs[0, 3:].any()


def test_centring():
    keypoints = np.array([[[1, 1], [2, 3]], [[5, 1], [7, 7]]], float)
    score = np.ones((2, 2))
    for centre, expected in (
        ("none", keypoints),
        ("first", keypoints - [1, 1]),
        ("clip", keypoints - [3, 1]),
        ("frame", keypoints - keypoints[:, :1]),
    ):
        batch = one_clip(keypoints, score, Preparation(centre=centre, scale="none"))
        np.testing.assert_allclose(batch.inputs[0], expected, atol=1e-6)
    path = one_clip(keypoints, score, Preparation(centre="frame", root_motion=0.5, scale="none"))
    np.testing.assert_allclose(path.inputs[0], [[[0, 0], [1, 2]], [[2, 0], [2, 6]]], atol=1e-6)
    drawn = Preparation(centre="frame", root_motion=0.5).drawable(path.inputs[0], FLAT)
    np.testing.assert_allclose(drawn, keypoints - [1, 1], atol=1e-6)


def test_range_maps_every_axis_of_a_clip_to_one():
    batch = one_clip(
        [[[0, 5], [4, 5]], [[1, 5], [8, 5]]], np.ones((2, 2)), Preparation(scale="range"), pad=1
    )
    np.testing.assert_allclose(batch.inputs[0, :2, :, 0], [[-1, 0], [-0.75, 1]], atol=1e-6)
    assert not batch.inputs[0, :, :, 1].any()  # an axis without extent


@pytest.mark.parametrize(
    "axes, options", [("first", {}), ("all", {}), ("all", {"centre": "frame", "root_motion": 0.5})]
)
def test_own_axes_undo_any_turn(axes, options):
    rng = np.random.default_rng(1)
    keypoints = rng.normal(size=(5, 4, 3)) * 0.1 + [[0, 0, 0], [-1, 0, 0], [1, 0, 0], [0, 2, 0]]
    turn = np.asarray(random_transforms.random_rotation(jax.random.key(0), 1, 3, 3.0, 3.0)[0])
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-6)
    preparation = Preparation(axes=axes, **options)
    still = one_clip(keypoints, np.ones((5, 4)), preparation, SOLID, pad=1)
    turned = one_clip(keypoints @ turn.T + [3, -2, 8], np.ones((5, 4)), preparation, SOLID, pad=1)
    np.testing.assert_allclose(turned.inputs, still.inputs, atol=1e-5)


def test_the_mean_body_stands_upright_in_its_own_axes():
    rng = np.random.default_rng(2)
    keypoints = rng.normal(size=(9, 4, 3)) * 0.3 + [[0, 0, 0], [-1, 0, 0], [1, 0, 0], [0, 2, 0]]
    keypoints += np.linspace([0, 0, 0], [4, 1, 2], 9)[:, None]  # it walks

    def prepared(path):
        return one_clip(
            keypoints,
            np.ones((9, 4)),
            Preparation(axes="all", centre="frame", root_motion=path),
            SOLID,
        ).inputs[0]

    without = np.asarray(prepared(0.0))
    np.testing.assert_allclose(without[:, 3].mean(0)[[0, 2]], 0, atol=1e-5)
    # the path is the root's alone
    np.testing.assert_allclose(prepared(0.5)[:, 1:], without[:, 1:], atol=1e-6)


def test_own_axes_are_left_up_and_forward():
    keypoints = [[[0, 0, 0], [0, 0, -1], [0, 0, 1], [3, 0, 0]]]  # left is +z, up is +x
    prepared = one_clip(
        keypoints, np.ones((1, 4)), Preparation(axes="first", scale="none"), SOLID
    ).inputs[0, 0]
    np.testing.assert_allclose(prepared, [[0, 0, 0], [-1, 0, 0], [1, 0, 0], [0, 3, 0]], atol=1e-6)


def test_streams():
    keypoints = np.array([[[0, 0], [1, 0]], [[0, 0], [3, 1]]], float)
    batch = one_clip(
        keypoints, np.ones((2, 2)), Preparation(scale="none", velocity=5, bones=True), pad=2
    )
    assert batch.inputs.shape == (1, 4, 2, 6)
    np.testing.assert_allclose(batch.inputs[0, 1, 1], [3, 1, 10, 5, 3, 1])
    np.testing.assert_allclose(batch.inputs[0, 0, 1], [1, 0, 0, 0, 1, 0])
    assert not batch.inputs[0, 2:].any()
    assert Preparation(velocity=5, bones=True).channels(FLAT) == 6


def test_a_clip_and_its_mirror_image_share_a_target():
    rng = np.random.default_rng(6)
    keypoints = rng.normal(size=(5, 4, 3)).astype(np.float32)
    image = np.asarray(transforms.mirror(jnp.asarray(keypoints), SOLID))
    augmentation = Augmentation(mirror=0.5, denoise=True)
    targets, inputs = [], []
    for clip in (keypoints, image):
        for seed in range(6):
            batch = one_clip(
                clip,
                np.ones((5, 4)),
                Preparation(),
                SOLID,
                key=jax.random.key(seed),
                augmentation=augmentation,
            )
            targets.append(batch.target)
            inputs.append(np.asarray(batch.inputs))
    for target in targets:
        np.testing.assert_allclose(target, targets[0], atol=1e-5)
    assert targets[0][..., 0].mean() > 0
    assert len({round(float(x[..., 0].mean()), 5) for x in inputs}) == 2  # both images are read


def test_every_augmentation_changes_the_input_and_denoising_spares_the_target():
    rng = np.random.default_rng(3)
    keypoints, score = rng.normal(size=(8, 4, 3)), np.ones((8, 4))
    clean = one_clip(keypoints, score, Preparation(), SOLID)
    for field, value in (
        ("rotation", 0.5),
        ("tilt", 0.3),
        ("scale", 0.3),
        ("noise", 0.1),
        ("joint_dropout", 0.7),
    ):
        for denoise in (False, True):
            batch = one_clip(
                keypoints,
                score,
                Preparation(),
                SOLID,
                key=jax.random.key(1),
                augmentation=Augmentation(**{field: value}, denoise=denoise),
            )
            assert np.abs(batch.inputs - clean.inputs).max() > 1e-3, field
            np.testing.assert_allclose(
                batch.target, clean.target if denoise else batch.inputs, atol=1e-6
            )
    for field, value in (("speed", 0.9), ("crop", 0.9)):
        batch = one_clip(
            keypoints,
            score,
            Preparation(),
            SOLID,
            key=jax.random.key(0),
            pad=8,
            augmentation=Augmentation(**{field: value}, denoise=True),
        )
        assert np.abs(batch.inputs[:, :8] - clean.inputs).max() > 1e-3, field
        np.testing.assert_array_equal(batch.target, batch.inputs)


def test_padding_and_what_lies_in_it_change_nothing():
    rng = np.random.default_rng(4)
    keypoints, score = rng.normal(size=(6, 4, 3)), (rng.random((6, 4)) > 0.2).astype(float)
    preparation = Preparation(centre="frame", root_motion=1.0, axes="all", velocity=5, bones=True)
    short = one_clip(keypoints, score, preparation, SOLID).inputs
    long = one_clip(keypoints, score, preparation, SOLID, pad=7).inputs
    np.testing.assert_allclose(long[:, :6], short, atol=1e-6)
    assert not long[:, 6:].any()


def test_a_clip_in_which_nothing_was_seen_stays_finite():
    for preparation in (
        Preparation(),
        Preparation(scale="range"),
        Preparation(axes="all", centre="clip"),
    ):
        assert np.isfinite(
            one_clip(np.zeros((3, 4, 3)), np.zeros((3, 4)), preparation, SOLID).inputs
        ).all()


def test_impossible_preparations_are_refused():
    for options in (
        {"centre": "nose"},
        {"axes": "last"},
        {"scale": "big"},
        {"root_motion": 1.0},
        {"max_frames": -1},
    ):
        with pytest.raises(InputError):
            Preparation(**options)
    with pytest.raises(InputError, match="3D"):
        Preparation(axes="all").check(FLAT)


@pytest.mark.parametrize(
    "field, wrong",
    [
        *(
            (field, value)
            for field in (
                "rotation",
                "tilt",
                "scale",
                "speed",
                "crop",
                "mirror",
                "noise",
                "joint_dropout",
            )
            for value in (-0.1, math.nan, math.inf)
        ),
        *((field, 1.5) for field in ("crop", "mirror", "joint_dropout")),
        ("rotation", 90.0),
        ("mirror", 2),
    ],
)
def test_impossible_augmentations_are_refused(field, wrong):
    with pytest.raises(InputError, match=f"^augmentation: {field} is {wrong}, expected "):
        Augmentation(**{field: wrong})


@pytest.mark.parametrize("field", ["root_motion", "velocity", "max_frames", "fixed_frames"])
@pytest.mark.parametrize("wrong", [-1, math.nan, math.inf])
def test_numbers_of_a_preparation_are_finite(field, wrong):
    with pytest.raises(InputError, match=f"^preparation: {field} is {wrong}, expected "):
        Preparation(**{field: wrong}, centre="frame")


# A root of several joints.

SOLID_COCO = dataclasses.replace(skeleton.COCO_17, name="coco17_3d", dimensions=3)


@pytest.mark.parametrize(
    "layout", [skeleton.COCO_17, skeleton.BODY_25B, SOLID_COCO], ids=lambda layout: layout.name
)
def test_the_mean_of_several_root_joints_holds_the_way(layout):
    keypoints, root = walk(layout), layout.index(*layout.root)
    score = np.ones(keypoints.shape[:2])

    def prepare(path):
        return Preparation(centre="frame", root_motion=path, scale="none")

    still = np.asarray(one_clip(keypoints, score, prepare(0.0), layout).inputs[0])
    with_path = np.asarray(one_clip(keypoints, score, prepare(0.5), layout).inputs[0])
    place = keypoints[:, root].mean(1)
    np.testing.assert_allclose(with_path[:, root].mean(1), 0.5 * (place - place[0]), atol=1e-5)
    others = np.setdiff1d(np.arange(len(layout)), root)
    np.testing.assert_array_equal(with_path[:, others], still[:, others])

    def about_mean(joints):
        return joints - joints.mean(1, keepdims=True)

    np.testing.assert_allclose(
        about_mean(with_path[:, root]), about_mean(still[:, root]), atol=1e-5
    )
    drawn = prepare(0.5).drawable(jnp.asarray(with_path), layout)
    np.testing.assert_allclose(drawn, keypoints - place[0], atol=1e-5)


def recipe(path):
    """Preparation, augmentation and a small model of a recipe's file."""
    given = {"prepare": {}, "augment": {}, "usvae": {}, "train": {}}
    for line in path.read_text().splitlines():
        if line.startswith("--") and not line.startswith("--model"):
            name, _, value = line[2:].partition("=")
            group, field = name.split(".")
            given[group][field] = value or "true"

    def read(options, values):
        return options(
            **{
                field.name: values[field.name] == "true"
                if field.type == "bool"
                else type(field.default)(values[field.name])
                for field in dataclasses.fields(options)
                if field.name in values
            }
        )

    small = {"units": 4, "decoder_units": 4}
    return (
        read(Preparation, given["prepare"]),
        read(Augmentation, given["augment"]),
        read(USVAE.Config, given["usvae"] | small),
    )


@pytest.mark.parametrize(
    "name, layout",
    [
        *(
            (name, skeleton.COCO_17)
            for name in ("quickstart", "usvae_imigue", "usvae_nucla", "usvae_paper")
        ),
        ("usvae_imigue", skeleton.BODY_25B),
        ("usvae_nucla", skeleton.LEFT_HAND_21),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_every_recipe_works_on_every_kind_of_layout(root, name, layout):
    """Those for 3D keypoints on the same joints in 3D."""
    preparation, augmentation, config = recipe(root / "mgjax" / "recipes" / f"{name}.flags")
    if preparation.axes != "none":
        with pytest.raises(
            InputError, match=f"needs 3D keypoints, layout '{layout.name}' has 2D ones"
        ):
            preparation.check(layout)
        layout = dataclasses.replace(layout, dimensions=3)
    preparation.check(layout)
    if augmentation.mirror:
        layout.check_mirror("augmentation: mirror")
    model = USVAE(config, layout, preparation.channels(layout), 0, rngs=nnx.Rngs(0))

    @jax.jit
    def step(keypoints, key):
        batch = preparation(
            keypoints,
            jnp.ones(keypoints.shape[:3]),
            jnp.array([9]),
            jnp.array([0]),
            jnp.ones(1),
            layout,
            augmentation=augmentation,
            key=key,
        )
        return (
            model.loss(batch, key)[0],
            model.encode(batch),
            preparation.drawable(batch.target[0], layout),
        )

    loss, code, drawn = step(walk(layout, 9)[None].astype(np.float32), jax.random.key(0))
    assert np.isfinite(loss) and np.isfinite(code).all()
    assert drawn.shape == (9, len(layout), layout.dimensions) and np.isfinite(drawn).all()


def test_an_augmentation_without_a_key_is_refused():
    clip, score = jnp.ones((1, 2, 2, 2)), jnp.ones((1, 2, 2))
    of_clip = (jnp.array([2]), jnp.array([0]), jnp.ones(1))
    with pytest.raises(InputError, match="an augmentation needs a key"):
        Preparation()(clip, score, *of_clip, FLAT, Augmentation(scale=0.1))
