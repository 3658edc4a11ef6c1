"""U-S-VAE: the unsupervised sequential auto-encoder of the iMiGUE paper (Sec. 4).

A bidirectional LSTM reads the whole sequence of keypoints X = (x1, ..., xT), whatever its
length; the final hidden states of both directions, side by side, are Z_T. An LSTM decoder
gets the latent vector as its input at the first step only and zeros at every later one,
and re-generates the whole sequence, so that the latent vector alone must carry it. The
loss is Eq. 2, L = L_reg + λ L_KL: the squared error of the re-generated sequence and the
Kullback-Leibler divergence of the latent distribution from a standard normal prior.

The variational head, which the paper leaves open: the posterior is a diagonal normal
distribution around Z_T itself, whose log variance is linear in Z_T; or, with
`latent_size` set, around a linear image of Z_T of that size. Training draws one sample
from it by reparametrisation, evaluation decodes its mean. Z_T is the feature that the
paper's KNN judges; the final cell state C (Table 4) and the mean can be asked for. With
λ = 0 there is no prior to be near: the head then has no variance and no sample is drawn,
a plain auto-encoder.

Both terms are means, so that neither the number of joints nor the length of a clip
changes their balance: L_reg is the mean over the batch of each clip's mean over valid
frames and channels, L_KL the mean over the batch of the divergence divided by the latent
size.
"""

from __future__ import annotations

import typing
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx

from mgjax import options
from mgjax.errors import InputError
from mgjax.nn import LSTM, time_mask, unroll_first_input, weighted_mean
from mgjax.nn.cudnn import Kernel
from mgjax.options import option
from mgjax.preparation import Batch
from mgjax.skeleton import Layout
from mgjax.transforms import mirror

Feature = Literal["hidden", "cell", "mean"]
FEATURES: tuple[Feature, ...] = typing.get_args(Feature)
# Training starts with samples near their mean: a variance of 1 would drown the first ones.
FIRST_LOG_VARIANCE = -4.0


class USVAE(nnx.Module):
    """The model. `encode` gives the feature that the KNN probe judges.

    Args:
        config: `USVAE.Config`.
        layout: the skeleton of the input.
        channels: channels of a joint after preparation.
        classes: unused; the model reads no labels.
    """

    @options.group("usvae")
    class Config:
        """Options of U-S-VAE; the defaults are the paper's where it states them."""

        units: int = option(256, "units of the encoder, a direction", least=1, most=2**16)
        layers: int = option(1, "layers of the encoder", least=1, most=100)
        decoder_units: int = option(256, "units of the decoder", least=1, most=2**16)
        latent_size: int = option(
            0,
            "size of the latent vector, the posterior's mean then being linear in Z_T; 0 takes Z_T "
            "itself",
            least=0,
            most=2**16,
            formerly="latent",
        )
        kl_weight: float = option(
            1e-3,
            "λ, the weight of the KL divergence; 0 makes a plain auto-encoder",
            least=0,
            most=10**6,
            formerly="kl",
        )
        loss: Literal["squared", "absolute"] = option(
            "squared", "error of the re-generated sequence: 'squared' (the paper's) or 'absolute'"
        )
        forget_bias: float = option(
            0.0,
            "what the forget gates' biases of encoder and decoder start higher by",
            least=-100,
            most=100,
        )
        symmetric: bool = option(
            False, "encode() averages the feature over a clip and its mirror image"
        )
        feature: Feature = option(
            "hidden",
            "what encode() gives: Z_T ('hidden'), the 'cell' state C or the posterior 'mean'",
        )
        kernel: Kernel = option(
            "xla",
            "what computes the LSTMs: 'xla', 'cudnn' (one NVIDIA GPU; not yet run on one), or "
            "'auto', cudnn where it can be and xla elsewhere",
        )

    def __init__(
        self, config: Config, layout: Layout, channels: int, classes: int, *, rngs: nnx.Rngs
    ):
        if config.symmetric:
            layout.check_mirror("usvae: symmetric")
        self.config, self.layout = config, layout
        self.shape = (len(layout), channels)
        inputs = len(layout) * channels
        self.encoder = LSTM(
            inputs,
            config.units,
            layers=config.layers,
            bidirectional=True,
            forget_bias=config.forget_bias,
            kernel=config.kernel,
            rngs=rngs,
        )
        code = 2 * config.units  # of Z_T
        latent = config.latent_size or code
        if config.latent_size:
            self.project = nnx.Linear(code, latent, rngs=rngs)
        if config.kl_weight:
            self.log_variance = nnx.Linear(
                code, latent, bias_init=nnx.initializers.constant(FIRST_LOG_VARIANCE), rngs=rngs
            )
        self.decoder = LSTM(
            latent,
            config.decoder_units,
            forget_bias=config.forget_bias,
            kernel=config.kernel,
            rngs=rngs,
        )
        self.readout = nnx.Linear(config.decoder_units, inputs, rngs=rngs)

    def states(self, batch: Batch) -> tuple[jax.Array, jax.Array]:
        """Final hidden state Z_T and cell state C of the last layer, `[B, 2·units]` each.

        Both directions lie side by side.
        """
        clips, steps = batch.inputs.shape[:2]
        sequences = batch.inputs.reshape(clips, steps, -1)
        _, finals = self.encoder(sequences, batch.length)
        last = zip(*finals[-1])  # hidden states of both directions, then cell states
        hidden, cell = (jnp.concatenate(states, axis=-1) for states in last)
        return hidden, cell

    def encode(self, batch: Batch, feature: Feature | None = None) -> jax.Array:
        """The clips' features, float32 `[B, D]`: `config.feature`, or the one named."""
        feature = feature or self.config.feature
        if feature not in FEATURES:
            raise InputError(
                f"usvae: feature is {feature!r}, expected one of {', '.join(FEATURES)}"
            )
        hidden, cell = self.states(batch)
        if self.config.symmetric:
            # A gesture and its mirror image are to have one and the same feature.
            image = batch._replace(inputs=mirror(batch.inputs, self.layout))
            image_hidden, image_cell = self.states(image)
            hidden = (hidden + image_hidden) / 2
            cell = (cell + image_cell) / 2
        if feature == "cell":
            return cell
        return self.mean(hidden) if feature == "mean" else hidden

    def mean(self, hidden: jax.Array) -> jax.Array:
        """The posterior's mean `[B, latent]` out of Z_T."""
        return self.project(hidden) if self.config.latent_size else hidden

    def decode(self, latent: jax.Array, length: jax.Array, steps: int) -> jax.Array:
        """Re-generate sequences from latent vectors.

        Args:
            latent: `[B, latent]`.
            length: valid frames, int `[B]`.
            steps: time steps of what is re-generated.

        Returns:
            frames `[B, steps, V, channels]`, zero past each end.
        """
        weights = self.decoder.direction_weights(0)
        outputs, _ = unroll_first_input(latent, length, steps, weights, kernel=self.config.kernel)
        frames = self.readout(outputs)
        frames = frames.reshape(*outputs.shape[:2], *self.shape)
        # Past the end the readout's bias would be left.
        valid = time_mask(length, steps)[..., None, None]
        return jnp.where(valid, frames, 0)

    def reconstruct(self, batch: Batch) -> jax.Array:
        """Re-generate clips from their posterior means, `[B, T, V, channels]`."""
        hidden, _ = self.states(batch)
        steps = batch.inputs.shape[1]
        return self.decode(self.mean(hidden), batch.length, steps)

    def loss(self, batch: Batch, rng: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Eq. 2 and its parts, scalars; rows of weight 0 and padding count for nothing."""
        hidden, _ = self.states(batch)
        mean = self.mean(hidden)
        latent, divergence = mean, jnp.zeros(())
        if self.config.kl_weight:
            latent, of_clips = self._sample(hidden, mean, rng)
            divergence = weighted_mean(of_clips, batch.weight)
        steps = batch.inputs.shape[1]
        error = self.decode(latent, batch.length, steps) - batch.target
        squared = self.config.loss == "squared"
        error = error**2 if squared else jnp.abs(error)
        # Padding is zero in both: the sum over all frames is that over the valid ones.
        per_clip = error.mean((2, 3)).sum(1) / jnp.maximum(batch.length, 1)
        reconstruction = weighted_mean(per_clip, batch.weight)
        total = reconstruction + self.config.kl_weight * divergence
        return total, {"reconstruction": reconstruction, "kl": divergence}

    def _sample(self, hidden, mean, rng):
        """A sample of the posterior, and each clip's divergence of it from the prior."""
        # Reparametrised: the noise depends on no weight, so gradients reach the variance.
        log_variance = self.log_variance(hidden)
        deviation = jnp.exp(log_variance / 2)
        latent = mean + deviation * jax.random.normal(rng, mean.shape)
        divergence = mean**2 + jnp.exp(log_variance) - 1 - log_variance
        return latent, 0.5 * divergence.mean(-1)
