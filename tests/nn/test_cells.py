"""A step forward and a step back against the equations."""

import jax
import jax.numpy as jnp
import numpy as np
from recurrences import (
    FEATURES,
    UNITS,
    assert_close,
    every_cell,
    normal,
    random_state,
    random_weights,
)

from mgjax.nn import LSTMWeights, cells, plain_cell

ROWS = 4
VALID = jnp.array([[True], [False], [True], [False]])


@every_cell
def test_the_plain_cell_is_the_same_for_numpy_and_jax_and_for_one_row(kind):
    x, state = normal(0, ROWS, FEATURES), random_state(kind, 1, ROWS)
    weights = random_weights(kind, 2)
    by_jax = plain_cell(x, state, weights, jnp)
    in_numpy = jax.tree.map(np.asarray, (x, state, weights))
    assert_close(plain_cell(*in_numpy), by_jax, 1e-6)
    for row in range(ROWS):
        one, before = jax.tree.map(lambda a, row=row: a[row], in_numpy[:2])
        after = plain_cell(one, before, in_numpy[2])
        assert_close(after, jax.tree.map(lambda a, row=row: a[row], by_jax), 1e-6)


@every_cell
def test_a_step_is_the_plain_cell_and_leaves_idle_rows_alone(kind):
    x, state = normal(0, ROWS, FEATURES), random_state(kind, 1, ROWS)
    weights = random_weights(kind, 2)
    after, _ = cells.step(state, x @ weights.input + weights.bias, VALID, weights)
    plain = plain_cell(x, state, weights, jnp)
    assert_close(after, jax.tree.map(lambda a, b: jnp.where(VALID, a, b), plain, state), 1e-6)


@every_cell
def test_a_step_back_is_the_derivative_of_the_step(kind):
    """By JAX's own differentiation of the plain cell: of the state, h U and x W + b."""
    x, state = normal(0, ROWS, FEATURES), random_state(kind, 1, ROWS)
    weights, d_after = random_weights(kind, 2), random_state(kind, 3, ROWS)
    projected = x @ weights.input + weights.bias

    def plain(state, product, projected):
        # What is added to h U and to x W + b, through biases of a row's own.
        added = weights._replace(input=jnp.eye(projected.shape[1]), bias=product)
        if kind is LSTMWeights:
            return plain_cell(projected, state, added, jnp)
        # In a GRU the candidate's part of h U goes where the candidate's bias does.
        bias = jnp.concatenate([product[:, : 2 * UNITS], jnp.zeros((ROWS, UNITS))], axis=-1)
        candidate_bias = weights.candidate_bias + product[:, 2 * UNITS :]
        added = added._replace(bias=bias, candidate_bias=candidate_bias)
        return plain_cell(projected, state, added, jnp)

    def idling(state, product, projected):
        after = plain(state, product, projected)
        return jax.tree.map(lambda a, b: jnp.where(VALID, a, b), after, state)

    _, back = jax.vjp(idling, state, jnp.zeros_like(projected), projected)
    d_state, d_product, d_projected = back(d_after)
    _, residuals = cells.step(state, projected, VALID, weights)
    ours = cells.step_back(d_after, residuals, VALID, weights)
    assert_close(ours[:2], (d_state, d_product), 1e-6)
    # Of an LSTM h U and x W + b are only ever added, and have one gradient.
    assert_close(d_product if ours[2] is None else ours[2], d_projected, 1e-6)
    assert (ours[2] is None) == (kind is LSTMWeights)
