"""Training the emotion LSTM: all videos are one batch, and all of a training is one jitted call.

The learning rate's schedule and the optimiser are the training loop's.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from mgjax.models.emotion_lstm import EmotionLSTM
from mgjax.training.optimiser import make_optimiser
from mgjax.training.train_options import TrainOptions

WARMUP = 20  # epochs; half of a training that is shorter than twice that
CLIP_NORM = 1.0  # of the gradient over all weights


class Room(NamedTuple):
    """What arrays are padded to at least, so that like trainings are compiled once.

    Attributes:
        train, test: videos.
        clips: of the longest video.
    """

    train: int = 0
    test: int = 0
    clips: int = 0


NO_ROOM = Room()


class PaddedVideos(NamedTuple):
    """Videos of different numbers of clips as one array.

    Attributes:
        vectors: float32 `[B, T, D]`, zero past every video's end.
        length: clips of every video, int32 `[B]`; 0 for a row that only fills up.
    """

    vectors: np.ndarray
    length: np.ndarray


def pad_videos(videos: Sequence[np.ndarray], rows: int, clips: int) -> PaddedVideos:
    """Vectors of videos, `[clips, D]` each, padded to `rows` videos of `clips` clips."""
    vectors = np.zeros((rows, clips, videos[0].shape[1]), np.float32)
    length = np.zeros(rows, np.int32)
    for row, video in enumerate(videos):
        vectors[row, : len(video)] = video
        length[row] = len(video)
    return PaddedVideos(vectors, length)


def train_options(epochs: int, learning_rate: float, weight_decay: float) -> TrainOptions:
    """The training loop's options: AdamW, warm-up, cosine to zero, gradients clipped.

    An epoch is one step here. The cosine ends a step later than the training, whose last step
    would otherwise learn nothing.
    """
    warmup = min(WARMUP, max(epochs // 2, 1))
    return TrainOptions(
        steps=epochs + 1,
        learning_rate=learning_rate,
        schedule="cosine",
        warmup_steps=warmup,
        weight_decay=weight_decay,
        gradient_clip_norm=CLIP_NORM,
    )


@functools.partial(jax.jit, static_argnames=("config", "options"))
def _fit(seed, train, truth, weight, test, *, config: EmotionLSTM.Config, options: TrainOptions):
    """Probabilities of test videos by an LSTM trained on others, both `PaddedVideos`; `weight` is
    0 for rows that only fill up.
    """
    optimiser = make_optimiser(options, steps_per_epoch=1)
    weights_key, dropout_key = jax.random.split(jax.random.key(seed))
    features = train.vectors.shape[-1]
    graph, state = nnx.split(EmotionLSTM(config, features, rngs=nnx.Rngs(weights_key)))

    def loss(state, epoch):
        model, key = nnx.merge(graph, state), jax.random.fold_in(dropout_key, epoch)
        logit = model(train.vectors, train.length, key)
        each = optax.sigmoid_binary_cross_entropy(logit, truth)
        return (each * weight).sum() / weight.sum()

    def step(carry, epoch):
        state, moments = carry
        gradient = jax.grad(loss)(state, epoch)
        updates, moments = optimiser.update(gradient, moments, state)
        return (optax.apply_updates(state, updates), moments), None

    epochs = jnp.arange(options.steps - 1)  # see `train_options`
    (state, _), _ = jax.lax.scan(step, (state, optimiser.init(state)), epochs)
    return jax.nn.sigmoid(nnx.merge(graph, state)(test.vectors, test.length))


def lstm_probabilities(
    train: Sequence[np.ndarray],
    truth: np.ndarray,
    test: Sequence[np.ndarray],
    seed: int,
    config: EmotionLSTM.Config,
    options: TrainOptions,
    room: Room = NO_ROOM,
) -> np.ndarray:
    """Train an LSTM on some videos and judge others.

    Args:
        train, test: every video's vectors in the order of time, float32 `[clips, D]` each.
        truth: whether a training video's emotion is positive, bool.
        seed: of its weights and of what is dropped; the same gives the same result, to the bit,
            on the same machine.
        config: the LSTM's options.
        options: of its training, see `train_options`.
        room: what to pad to at least.

    Returns:
        probability of a positive emotion of every test video, float32.
    """
    clips = max(room.clips, *(len(video) for video in [*train, *test]))
    # Rows of weight 0 fill up to the room: they change no loss, and one compilation serves all.
    padded = pad_videos(train, max(len(train), room.train), clips)
    tested = pad_videos(test, max(len(test), room.test), clips)
    positive, weight = np.zeros((2, len(padded.length)), np.float32)
    positive[: len(train)] = truth
    weight[: len(train)] = 1
    judged = _fit(seed, padded, positive, weight, tested, config=config, options=options)
    return np.asarray(judged)[: len(test)]
