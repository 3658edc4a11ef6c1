"""Training steps and features lower for CPU, CUDA and TPU, whatever machine the tests run on.

`jax.export` refuses what a platform has no rule for; compiling needs the platform itself, and so
does cuDNN's LSTM even to be traced.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import export

from mgjax import models
from mgjax.batching import Frames
from mgjax.evaluation import emotion_training
from mgjax.models.emotion_lstm import EmotionLSTM
from mgjax.preparation import Augmentation, Batch, Preparation
from mgjax.skeleton import get
from mgjax.training import Run, TrainOptions
from mgjax.training.optimiser import make_optimiser
from mgjax.training.step import TrainStep

PLATFORMS = ("cpu", "cuda", "tpu")
LENGTH = 12
# Whatever preparation and augmentation may do.
PREPARATION_2D = Preparation(
    centre="frame", root_motion=0.5, fixed_frames=LENGTH, velocity=1.0, bones=True
)
PREPARATION_3D = Preparation(centre="frame", axes="all", max_frames=LENGTH, velocity=1.0)
CHANGES = Augmentation(
    rotation=0.1,
    scale=0.1,
    speed=0.1,
    crop=0.1,
    mirror=0.5,
    noise=0.1,
    joint_dropout=0.1,
    denoise=True,
)
SMALL = {"units": 4, "decoder_units": 4}
CASES = {
    "usvae, 2D": ("usvae", SMALL, "imigue22", PREPARATION_2D),
    "usvae, 3D": (
        "usvae",
        SMALL | {"layers": 2, "latent_size": 3, "loss": "absolute"},
        "kinect20",
        PREPARATION_3D,
    ),
}


def run_of(name, options, layout, preparation):
    config = models.get(name).Config(**options)
    training = TrainOptions(
        steps=4,
        batch_size=4,
        microbatch_frames=6,
        steps_per_call=2,
        schedule="cosine",
        weight_decay=0.1,
        gradient_clip_norm=1.0,
    )
    return Run(
        model=name,
        options=config,
        preparation=preparation,
        augmentation=CHANGES,
        training=training,
        layout=get(layout),
        split="all",
        classes=("a", "b"),
    )


def shape(dtype, *axes):
    return jax.ShapeDtypeStruct(axes, dtype)


def frames_of(run, count=40, clips=6):
    """Shapes of a block of frames."""
    joints, dimensions = len(run.layout), run.layout.dimensions
    of_clips = (shape(jnp.int32, clips) for _ in range(3))
    return Frames(
        shape(jnp.float32, count, joints, dimensions), shape(jnp.float32, count, joints), *of_clips
    )


def exported_step(run):
    """A training step of two microbatches, for all platforms."""
    step = TrainStep.of(run, make_optimiser(run.training, steps_per_epoch=2))
    frames = frames_of(run)
    state = step.initial_state(frames, LENGTH)
    rows = 2, 2, 2
    many = jax.jit(functools.partial(step.many, steps=LENGTH), donate_argnums=0)
    arguments = state, frames, shape(jnp.int32, *rows), shape(jnp.float32, *rows), shape(jnp.int32)
    return export.export(many, platforms=PLATFORMS)(*arguments)


def test_every_model_has_a_case():
    assert {name for name, *_ in CASES.values()} == set(models.MODELS)


@pytest.mark.parametrize("case", CASES)
def test_a_training_step_lowers_for_every_platform(case):
    lowered = exported_step(run_of(*CASES[case]))
    assert lowered.platforms == PLATFORMS
    state, losses = jax.tree.unflatten(lowered.out_tree, lowered.out_avals)
    assert losses.shape == (2,) and losses.dtype == jnp.float32
    assert state.step.shape == ()


@pytest.mark.parametrize("case", CASES)
def test_features_lower_for_every_platform(case):
    name, options, layout, preparation = CASES[case]
    run = run_of(name, options, layout, preparation)
    channels = preparation.channels(run.layout)
    model = models.get(name)(run.options, run.layout, channels, 2, rngs=nnx.Rngs(0))
    graph, state = nnx.split(model)
    inputs = shape(jnp.float32, 3, LENGTH, len(run.layout), channels)
    batch = Batch(inputs, inputs, shape(jnp.int32, 3), shape(jnp.int32, 3), shape(jnp.float32, 3))
    encode = jax.jit(lambda state, batch: nnx.merge(graph, state).encode(batch))
    lowered = export.export(encode, platforms=PLATFORMS)(state, batch)
    assert lowered.platforms == PLATFORMS and lowered.out_avals[0].shape[0] == 3


def test_the_emotion_lstm_s_training_lowers_for_every_platform():
    videos = emotion_training.pad_videos([np.ones((3, 5), np.float32)] * 2, 2, 3)
    fit = jax.jit(
        functools.partial(
            emotion_training._fit,
            config=EmotionLSTM.Config(units=4),
            options=emotion_training.train_options(4, 1e-2, 0.1),
        )
    )
    each = np.ones(2, np.float32)
    lowered = export.export(fit, platforms=PLATFORMS)(0, videos, each, each, videos)
    assert lowered.platforms == PLATFORMS
