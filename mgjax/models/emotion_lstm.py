"""The emotion of a video from its micro-gestures: an LSTM over the vectors of its clips (the
iMiGUE paper, Sec. 5.4).

Every clip of a video, in the order of time, is one step: its class probabilities, or what
an encoder made of it. Three LSTM layers read them all, and the last hidden state says whether
the player has won or lost.

The paper gives no sizes. With a hundred videos to learn from the layers are small, they read
vectors through a linear map to as few units, and training drops what a layer reads at random,
and whole clips: half of a video's gestures should still tell its emotion.

It reads clips' vectors, not keypoints, and so is not one of `mgjax.models.MODELS`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from mgjax import options
from mgjax.nn import LSTM
from mgjax.options import option


class EmotionLSTM(nnx.Module):
    """Log odds of a positive emotion from the vectors of a video's clips.

    Args:
        config: the model's options.
        features: size D of a clip's vector.
    """

    @options.group("emotion")
    class Config:
        """Options of the emotion LSTM."""

        units: int = option(16, "units of every LSTM layer", least=1, most=2**16)
        layers: int = option(3, "LSTM layers; the paper's are three", least=1, most=100)
        dropout: float = option(
            0.3, "share of what every layer reads that training drops", least=0, below=1
        )
        clip_dropout: float = option(
            0.5, "share of a video's clips that training drops", least=0, below=1
        )

    def __init__(self, config: Config, features: int, *, rngs: nnx.Rngs):
        self.config = config
        # Without a bias, a clip that is dropped is zero for the first layer too.
        self.project = nnx.Linear(features, config.units, use_bias=False, rngs=rngs)
        # One layer each, and not an LSTM of several, for what a layer reads is dropped between.
        for layer in range(config.layers):
            # Forget gates that start open: a gesture at the beginning reaches the end.
            lstm = LSTM(config.units, config.units, forget_bias=1.0, rngs=rngs)
            setattr(self, f"lstm{layer}", lstm)
        self.readout = nnx.Linear(config.units, 1, rngs=rngs)

    def __call__(
        self, vectors: jax.Array, length: jax.Array, rng: jax.Array | None = None
    ) -> jax.Array:
        """The log odds.

        Args:
            vectors: of every video's clips in the order of time, `[B, T, D]` float32; what lies
                past its end counts for nothing.
            length: clips of every video, int `[B]`; one without any gets the same odds as
                every other such video.
            rng: of what is dropped; None drops nothing.

        Returns:
            float32 `[B]`, above 0 where a positive emotion is the likelier one.
        """
        layers, dropout = self.config.layers, self.config.dropout
        # One for the clips, one for what every layer reads, one for what the readout reads.
        count = layers + 2
        keys = [None] * count if rng is None else list(jax.random.split(rng, count))
        # A clip is dropped as a whole: one choice for all entries of its vector.
        whole_clips = (*vectors.shape[:2], 1)
        vectors = _drop(vectors, self.config.clip_dropout, keys[0], whole_clips)
        x = self.project(vectors)
        for layer in range(layers):
            lstm = getattr(self, f"lstm{layer}")
            x, finals = lstm(_drop(x, dropout, keys[layer + 1], x.shape), length)
        # Of the last layer and its only direction: the state after a video's last clip.
        hidden = finals[0][0].hidden
        hidden = _drop(hidden, dropout, keys[-1], hidden.shape)
        return self.readout(hidden)[:, 0]


def _drop(x: jax.Array, share: float, key: jax.Array | None, shape: tuple[int, ...]) -> jax.Array:
    """Zero a share of an array, by entries of `shape`, and scale the rest up to keep the mean."""
    if key is None or not share:
        return x
    kept = jax.random.bernoulli(key, 1 - share, shape)
    return jnp.where(kept, x / (1 - share), 0)
