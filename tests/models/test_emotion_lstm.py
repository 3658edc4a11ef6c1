import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from mgjax.errors import InputError
from mgjax.models.emotion_lstm import EmotionLSTM

CONFIG = EmotionLSTM.Config(units=4, layers=3)
LENGTH = jnp.array([5, 0, 2, 7])


@pytest.fixture(scope="module")
def model():
    return EmotionLSTM(CONFIG, 6, rngs=nnx.Rngs(0))


@pytest.fixture(scope="module")
def vectors():
    return jnp.asarray(np.random.default_rng(0).normal(size=(4, 7, 6)), jnp.float32)


def test_it_equals_a_plain_loop(model, vectors):
    def one(clips):
        sequence = [np.asarray(clip) @ np.asarray(model.project.kernel[...]) for clip in clips]
        for layer in range(3):
            weights = getattr(model, f"lstm{layer}").direction_weights(0)
            hidden = cell = np.zeros(4)
            outputs = []
            for x in sequence:
                gates = x @ weights.input + hidden @ weights.recurrent + weights.bias
                i, f, g, o = np.split(np.asarray(gates), 4)

                def sigmoid(z):
                    return 1 / (1 + np.exp(-z))

                cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
                hidden = sigmoid(o) * np.tanh(cell)
                outputs.append(hidden)
            sequence = outputs
        return (
            hidden @ np.asarray(model.readout.kernel[...])[:, 0]
            + np.asarray(model.readout.bias[...])[0]
        )

    expected = [one(np.asarray(vectors[row, :count])) for row, count in enumerate(LENGTH)]
    np.testing.assert_allclose(model(vectors, LENGTH), expected, atol=1e-5)


def test_what_lies_past_the_end_counts_for_nothing(model, vectors):
    there = (jnp.arange(7) < LENGTH[:, None])[..., None]
    np.testing.assert_array_equal(
        model(jnp.where(there, vectors, 9.0), LENGTH), model(vectors, LENGTH)
    )
    longer = jnp.pad(vectors, ((0, 0), (0, 5), (0, 0)))
    np.testing.assert_allclose(model(longer, LENGTH), model(vectors, LENGTH), atol=1e-6)


def test_dropping_is_random_and_only_with_a_key(model, vectors):
    one, two = (model(vectors, LENGTH, jax.random.key(seed)) for seed in (0, 1))
    assert not np.allclose(one, two) and np.array_equal(
        model(vectors, LENGTH, jax.random.key(0)), one
    )
    np.testing.assert_array_equal(model(vectors, LENGTH), model(vectors, LENGTH))


@pytest.mark.parametrize(
    "wrong",
    [
        {"units": 0},
        {"layers": 0},
        {"dropout": 1.0},
        {"clip_dropout": -0.1},
        {"dropout": float("nan")},
        {"units": float("inf")},
        {"layers": 10**9},
    ],
)
def test_options_out_of_range(wrong):
    with pytest.raises(InputError, match=f"emotion: {next(iter(wrong))} is"):
        EmotionLSTM.Config(**wrong)
