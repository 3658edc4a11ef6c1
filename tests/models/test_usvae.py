"""U-S-VAE: its loss against a NumPy one, and what must not change an embedding."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from mgjax.errors import InputError
from mgjax.models.usvae import FEATURES, USVAE
from mgjax.preparation import Batch
from mgjax.skeleton import COCO_17
from mgjax.transforms import mirror

CONFIG = USVAE.Config(units=6, decoder_units=5, latent_size=4, kl_weight=0.3)


def make(config=CONFIG):
    return USVAE(config, COCO_17, 2, 0, rngs=nnx.Rngs(0))


def batch_of(lengths, steps, weight=None, seed=0):
    inputs = np.zeros((len(lengths), steps, 17, 2), np.float32)
    for row, length in enumerate(lengths):
        inputs[row, :length] = np.random.default_rng([seed, row]).normal(size=(length, 17, 2))
    weight = np.ones(len(lengths), np.float32) if weight is None else np.asarray(weight, np.float32)
    return Batch(
        jnp.asarray(inputs),
        jnp.asarray(inputs),
        jnp.asarray(lengths),
        jnp.zeros(len(lengths), jnp.int32),
        jnp.asarray(weight),
    )


def test_the_loss_is_equation_2():
    model, batch, rng = make(), batch_of([5, 2, 7], 7), jax.random.key(3)
    loss, parts = model.loss(batch, rng)
    hidden, _ = model.states(batch)
    mean, log_variance = np.asarray(model.mean(hidden)), np.asarray(model.log_variance(hidden))
    latent = mean + np.exp(log_variance / 2) * np.asarray(jax.random.normal(rng, mean.shape))
    again = np.asarray(model.decode(jnp.asarray(latent), batch.length, 7))
    errors = [
        ((again[i, :n] - np.asarray(batch.target)[i, :n]) ** 2).mean()
        for i, n in enumerate([5, 2, 7])
    ]
    divergence = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).mean()
    assert parts["reconstruction"] == pytest.approx(np.mean(errors), rel=1e-5)
    assert parts["kl"] == pytest.approx(divergence, rel=1e-5)
    assert loss == pytest.approx(np.mean(errors) + 0.3 * divergence, rel=1e-5)


def test_absolute_error_and_no_divergence():
    model, batch = (
        make(USVAE.Config(units=6, decoder_units=5, latent_size=4, kl_weight=0, loss="absolute")),
        batch_of([3, 6], 6),
    )
    loss, parts = model.loss(batch, jax.random.key(0))
    again, target = np.asarray(model.reconstruct(batch)), np.asarray(batch.target)
    each = np.abs(again[0, :3] - target[0, :3]).mean(), np.abs(again[1] - target[1]).mean()
    assert loss == pytest.approx(np.mean(each))
    assert parts["kl"] == 0


def test_padding_order_and_filling_rows_change_nothing():
    model = make()
    plain = batch_of([4, 7, 1], 7)
    embeddings = {feature: np.asarray(model.encode(plain, feature)) for feature in FEATURES}
    longer = batch_of([4, 7, 1], 19)
    for feature in FEATURES:
        np.testing.assert_allclose(model.encode(longer, feature), embeddings[feature], atol=1e-5)
    order = jnp.array([2, 0, 1])
    mixed = Batch(*(field[order] for field in plain))
    np.testing.assert_allclose(model.encode(mixed), embeddings["hidden"][order], atol=1e-5)
    # The sample drawn for a row depends on its place, so the rows that fill the batch come last.
    filled = Batch(*(jnp.concatenate([field, field[:2]]) for field in plain))
    filled = filled._replace(weight=jnp.array([1, 1, 1, 0, 0.0]))
    auto = make(USVAE.Config(units=6, decoder_units=5, latent_size=4, kl_weight=0))
    expected = auto.loss(plain, jax.random.key(0))[0]
    np.testing.assert_allclose(auto.loss(filled, jax.random.key(0))[0], expected, rtol=1e-5)
    np.testing.assert_allclose(auto.loss(longer, jax.random.key(0))[0], expected, rtol=1e-5)


def test_the_decoder_sees_the_latent_vector_alone():
    """Two clips with the same latent vector are re-generated alike, whatever their frames."""
    model = make()
    latent = jnp.ones((2, 4))
    again = model.decode(latent, jnp.array([6, 3]), 6)
    np.testing.assert_allclose(again[0, :3], again[1, :3], atol=1e-6)
    assert not again[1, 3:].any() and again.shape == (2, 6, 17, 2)


def test_features():
    model, batch = make(), batch_of([4, 2], 4)
    hidden, cell = model.states(batch)
    outputs, _ = model.encoder(batch.inputs.reshape(2, 4, -1), batch.length)
    # Z_T: the forward direction after its last valid frame, the backward one after its first.
    np.testing.assert_allclose(
        hidden[1], np.concatenate([outputs[1, 1, :6], outputs[1, 0, 6:]]), atol=1e-6
    )
    assert model.encode(batch).shape == (2, 12) and model.encode(batch, "mean").shape == (2, 4)
    np.testing.assert_array_equal(model.encode(batch, "cell"), cell)


def test_symmetric_features_are_those_of_the_mirror_image():
    model, batch = make(USVAE.Config(units=6, decoder_units=5, symmetric=True)), batch_of([4, 2], 4)
    image = batch._replace(inputs=mirror(batch.inputs, COCO_17))
    plain = make(USVAE.Config(units=6, decoder_units=5))
    for feature in FEATURES:
        np.testing.assert_allclose(
            model.encode(batch, feature), model.encode(image, feature), atol=1e-6
        )
        both = (plain.encode(batch, feature) + plain.encode(image, feature)) / 2
        np.testing.assert_allclose(model.encode(batch, feature), both, atol=1e-6)
    assert np.abs(plain.encode(batch) - plain.encode(image)).max() > 1e-3


def test_impossible_options_are_refused():
    for options in (
        {"loss": "cubic"},
        {"feature": "output"},
        {"units": 0},
        {"latent_size": -1},
        {"kl_weight": -1.0},
        {"kl_weight": math.nan},
        {"kl_weight": math.inf},
        {"forget_bias": math.nan},
        {"forget_bias": -math.inf},
        {"units": 10**12},
        {"layers": 10**6},
        {"decoder_units": math.nan},
        {"latent_size": math.inf},
    ):
        with pytest.raises(InputError):
            USVAE.Config(**options)
