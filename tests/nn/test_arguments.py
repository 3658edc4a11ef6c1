"""Lengths, weights and states that do not fit together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from recurrences import (
    FEATURES,
    UNITS,
    assert_close,
    every_cell,
    normal,
    random_state,
    random_weights,
)

from mgjax.errors import InputError
from mgjax.nn import GRU, LSTM, GRUWeights, LSTMWeights, unroll, unroll_first_input


def calls(kind):
    """Every way in, as a function of lengths for inputs of three rows and seven steps."""
    x, weights = normal(0, 3, 7, FEATURES), random_weights(kind, 1)
    module = LSTM if kind is LSTMWeights else GRU
    stack = module(FEATURES, UNITS, bidirectional=True, rngs=nnx.Rngs(0))
    return {
        "ahead": lambda length: unroll(x, length, weights),
        "behind": lambda length: unroll(x, length, weights, reverse=True),
        "first input": lambda length: unroll_first_input(x[:, 0], length, 7, weights),
        "stack": lambda length: stack(x, length),
    }


@every_cell
@pytest.mark.parametrize("way", ["ahead", "behind", "first input", "stack"])
def test_lengths_outside_the_padded_time_are_refused_or_moved_into_it(kind, way):
    call = calls(kind)[way]
    for wrong in (8, -1, 2**40):
        lengths = [3, wrong, 0]
        # 2**40 does not fit into JAX's int32.
        forms = (list, np.array, jnp.array) if wrong < 9 else (list, np.array)
        for known in (form(lengths) for form in forms):
            with pytest.raises(InputError, match=f"a length is {wrong}, expected 0 to 7"):
                call(known)
    traced = jax.jit(call)(jnp.array([9, -4, 1000]))
    assert_close(traced, call(np.array([7, 0, 7])), 1e-6)


def test_traced_lengths_of_few_bits():
    """The padded time may be more than they can say."""
    x, weights = normal(0, 2, 300, FEATURES), random_weights(GRUWeights, 1)
    run = jax.jit(lambda length: unroll(x, length, weights))
    for kind in (np.uint8, np.int8, np.uint32):
        assert_close(run(jnp.array([127, 50], kind)), run(jnp.array([127, 50])), 1e-6)


@every_cell
def test_lengths_that_are_no_lengths_are_refused(kind):
    for call in calls(kind).values():
        for length, sentence in (
            (np.array([1.0, 2, 3]), "lengths are float"),
            (np.array([True, False, True]), "are bool"),
            (np.array([1, 2]), r"have shape \[2\], expected \[3\]"),
            (np.array([[1, 2, 3]]), r"have shape \[1, 3\]"),
            (3, r"have shape \[\]"),
        ):
            with pytest.raises(InputError, match=sentence):
                call(length)
            with pytest.raises(InputError, match=sentence):
                jax.jit(call)(length)


@every_cell
@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"x": (3, 7, 4)}, "input weights have shape .* for inputs of 4 features"),
        ({"x": (3, 7)}, r"inputs have shape \[3, 7\], expected \[batch, time, features\]"),
        ({"recurrent": (UNITS, 7)}, r"recurrent weights have shape \[5, 7\]"),
        ({"input": (FEATURES,)}, "input weights have shape"),
        ({"hidden": (2, UNITS)}, r"initial hidden state has shape \[2, 5\], expected \[3, 5\]"),
    ],
)
def test_shapes_that_do_not_fit_are_said(kind, change, sentence):
    ((name, shape),) = change.items()
    x, weights, state = normal(0, 3, 7, FEATURES), random_weights(kind, 1), random_state(kind, 2, 3)
    if name == "x":
        x = normal(0, *shape)
    elif name == "hidden":
        state = state._replace(hidden=normal(0, *shape))
    else:
        weights = weights._replace(**{name: normal(0, *shape)})
    with pytest.raises(InputError, match=sentence):
        unroll(x, np.array([1, 2, 3]), weights, state)
    with pytest.raises(InputError, match="expected LSTMWeights or GRUWeights"):
        unroll(x, np.array([1, 2, 3]), tuple(weights), state)


def test_an_lstm_needs_both_of_its_states():
    x, weights = normal(0, 3, 7, FEATURES), random_weights(LSTMWeights, 1)
    with pytest.raises(InputError, match="initial cell state has shape None"):
        unroll(x, np.array([1, 2, 3]), weights, random_state(GRUWeights, 2, 3))
