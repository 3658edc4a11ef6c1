"""The recurrence against its specification for every length, and what padding, chunks and order
must not change.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from recurrences import (
    FEATURES,
    LENGTHS,
    STEPS,
    assert_close,
    every_cell,
    judged,
    judged_scan,
    judged_unroll,
    normal,
    plain_scan,
    random_state,
    random_weights,
)

from mgjax.nn import (
    chunked_loop,
    plain_unroll,
    time_mask,
    unroll,
    unroll_both,
    unroll_first_input,
)


@every_cell
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("residual_bytes", [chunked_loop.RESIDUAL_BYTES, 0])
def test_equals_a_plain_loop_with_its_gradients_for_every_length(
    monkeypatch, kind, reverse, residual_bytes
):
    """Also where only the states between chunks are saved for the backward pass, and for shorter
    batches in the same padded time.
    """
    monkeypatch.setattr(chunked_loop, "RESIDUAL_BYTES", residual_bytes)
    x, weights = normal(0, len(LENGTHS), STEPS, FEATURES), random_weights(kind, 1)
    initial = random_state(kind, 2, len(LENGTHS))
    ours, scan = judged_unroll(reverse), judged_scan(reverse)
    for longest in (STEPS, 17, 16, 15, 9, 8, 7, 1, 0):
        length = np.minimum(LENGTHS, longest)
        gradients, results = ours(x, weights, initial, length)
        assert_close(results, plain_unroll(x, length, weights, initial, reverse))
        assert_close((gradients, results), scan(x, weights, initial, length))


@every_cell
@pytest.mark.parametrize("steps", [1, 8])
def test_equals_a_plain_loop_where_all_is_one_chunk(kind, steps):
    x, length = normal(0, 9, steps, FEATURES), np.minimum(np.arange(9), steps)
    arguments = x, random_weights(kind, 1), random_state(kind, 2, 9), length
    assert_close(judged_unroll()(*arguments), judged_scan(False)(*arguments))


@every_cell
def test_both_directions_are_each_direction_alone(kind):
    length, x = jnp.array([4, 1, 7]), normal(2, 3, 7, FEATURES)
    forward, backward = random_weights(kind, 3), random_weights(kind, 4)
    outputs, states = unroll_both(x, length, forward, backward)
    ahead, ahead_state = unroll(x, length, forward)
    behind, behind_state = unroll(x, length, backward, reverse=True)
    assert_close(outputs, jnp.concatenate([ahead, behind], -1), 1e-6)
    assert_close(states, (ahead_state, behind_state), 1e-6)


@every_cell
@pytest.mark.parametrize("steps", [1, 2, STEPS])
def test_first_input_only_is_zeros_afterwards(kind, steps):
    """With its gradients: what the decoder skips must be what a zero input would have given."""
    length = jnp.minimum(jnp.array([1, 3, 9, 0, STEPS]), steps)

    def fed(first, weights, initial):
        x = jnp.zeros((5, steps, FEATURES)).at[:, 0].set(first)
        return plain_scan(x, length, weights, initial)

    def unfed(first, weights, initial):
        return unroll_first_input(first, length, steps, weights, initial)

    arguments = normal(5, 5, FEATURES), random_weights(kind, 6), random_state(kind, 7, 5)
    assert_close(judged(unfed)(*arguments), judged(fed)(*arguments))


@every_cell
@pytest.mark.parametrize("reverse", [False, True])
def test_padding_that_is_no_number_stays_out_of_outputs_and_states(kind, reverse):
    x, length, weights = normal(7, 3, 11, FEATURES), jnp.array([3, 10, 0]), random_weights(kind, 1)
    dirty = jnp.where(time_mask(length, 11)[..., None], x, jnp.nan)
    clean = unroll(x, length, weights, None, reverse)
    assert_close(unroll(dirty, length, weights, None, reverse), clean, 1e-6)


@every_cell
@seed(0)
@settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(
    length=st.lists(st.integers(0, STEPS), min_size=4, max_size=4),
    beyond=st.integers(0, 3),
    reverse=st.booleans(),
    data_seed=st.integers(0, 99),
)
def test_any_lengths_equal_the_plain_unroll(kind, length, beyond, reverse, data_seed):
    """Known, traced, and traced beyond the padded time, where they count as all of it."""
    x, weights = normal(data_seed, 4, STEPS, FEATURES), random_weights(kind, data_seed)
    initial, known = random_state(kind, data_seed, 4), np.array(length)
    expected = plain_unroll(x, known, weights, initial, reverse)
    at_an_end = (known == STEPS) | (known == 0)
    traced = np.where(at_an_end, known + np.sign(known - 1) * beyond, known)
    assert_close(judged_any(reverse)(x, weights, initial, traced), expected)


@functools.cache
def judged_any(reverse):
    return jax.jit(lambda x, w, s, length: unroll(x, length, w, s, reverse))
