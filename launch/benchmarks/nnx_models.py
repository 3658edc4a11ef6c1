"""The peer in flax: U-S-VAE as one writes it with `nnx.RNN`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from flax import nnx


def bidirectional(
    inputs: int, units: int, rngs: nnx.Rngs, return_carry: bool = False
) -> nnx.Bidirectional:
    """Both directions of an LSTM layer."""
    return nnx.Bidirectional(
        nnx.RNN(nnx.OptimizedLSTMCell(inputs, units, rngs=rngs)),
        nnx.RNN(nnx.OptimizedLSTMCell(inputs, units, rngs=rngs)),
        return_carry=return_carry,
    )


def merged(graph, weights, rest) -> nnx.Module:
    """A module out of its parts, inside a traced function; `rest` is copied, since `nnx.RNN`
    counts in it.
    """
    return nnx.merge(graph, weights, jax.tree.map(lambda leaf: leaf, rest))


class AutoEncoder(nnx.Module):
    """U-S-VAE; the arguments are those of the PyTorch one."""

    def __init__(self, inputs: int, units: int, decoder_units: int, kl: float, rngs: nnx.Rngs):
        self.kl = kl
        self.encoder = bidirectional(inputs, units, rngs, return_carry=True)
        self.log_variance = nnx.Linear(2 * units, 2 * units, rngs=rngs)
        self.decoder = nnx.RNN(nnx.OptimizedLSTMCell(2 * units, decoder_units, rngs=rngs))
        self.readout = nnx.Linear(decoder_units, inputs, rngs=rngs)

    def loss(
        self, x: jax.Array, length: jax.Array, weight: jax.Array, noise: jax.Array
    ) -> jax.Array:
        """Squared error of the re-generated clips + kl · divergence, as `USVAE.loss` means them.

        Args:
            x: `[B, T, inputs]`, zero in the padding; length int `[B]`; weight 1 for a clip and 0
                for filling `[B]`.
            noise: standard normal `[B, 2 · units]`.
        """
        ((_, left), (_, right)), _ = self.encoder(x, seq_lengths=length)
        mean = jnp.concatenate([left, right], -1)
        log_variance = self.log_variance(mean)
        latent = mean + jnp.exp(log_variance / 2) * noise
        divergence = 0.5 * (mean**2 + jnp.exp(log_variance) - 1 - log_variance).mean(-1)
        zeros = jnp.zeros((len(x), x.shape[1] - 1, latent.shape[-1]))
        error = self.readout(self.decoder(jnp.concatenate([latent[:, None], zeros], 1))) - x
        valid = jnp.arange(x.shape[1]) < length[:, None]
        per_clip = jnp.where(valid, (error**2).mean(-1), 0).sum(1) / length
        total = jnp.maximum(weight.sum(), 1)
        return (weight * (per_clip + self.kl * divergence)).sum() / total


def trainer(model: AutoEncoder, learning_rate: float = 2e-4):
    """A function `train(x, length, weight)` that takes one jitted Adam step and returns when it
    is done.
    """
    graph, weights, rest = nnx.split(model, nnx.Param, ...)
    adam = optax.adam(learning_rate)
    latent = model.log_variance.out_features

    def step(weights, state, key, x, length, weight):
        key, now = jax.random.split(key)
        noise = jax.random.normal(now, (len(x), latent))

        def loss(weights):
            return merged(graph, weights, rest).loss(x, length, weight, noise)

        updates, state = adam.update(jax.grad(loss)(weights), state, weights)
        return optax.apply_updates(weights, updates), state, key

    step = jax.jit(step, donate_argnums=(0, 1))
    held = [weights, adam.init(weights), jax.random.key(0)]

    def train(x, length, weight):
        held[:] = step(*held, x, length, weight)
        jax.block_until_ready(held)

    return train
