"""The derivative of the loop: what is saved, what is computed a second time or not at all, and
which derivatives there are.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recurrences import (
    FEATURES,
    STEPS,
    assert_close,
    every_cell,
    judged,
    judged_unroll,
    normal,
    plain_scan,
    random_state,
    random_weights,
    weighed,
)

from mgjax.nn import GRUWeights, chunked_loop, unroll, unroll_first_input


def two_sequences(kind):
    """Inputs, weights, initial state and lengths."""
    x, initial = normal(0, 2, STEPS, FEATURES), random_state(kind, 2, 2)
    return x, random_weights(kind, 1), initial, np.array([STEPS, 3])


@every_cell
def test_few_residual_bytes_compute_chunks_a_second_time(monkeypatch, kind):
    """Or else the tests of `unroll` would compare the same program twice."""
    arguments = two_sequences(kind)

    def activations():
        return str(jax.make_jaxpr(judged_unroll())(*arguments)).count(" tanh ")

    with_everything = activations()
    monkeypatch.setattr(chunked_loop, "RESIDUAL_BYTES", 0)
    assert activations() == 2 * with_everything == 4


@every_cell
def test_gradient_of_inputs_is_computed_only_where_it_is_asked_for(kind):
    arguments = two_sequences(kind)

    def products(run):
        return str(jax.make_jaxpr(run)(*arguments)).count(" dot_general[")

    asked, not_asked = judged_unroll(False, 0, 1), judged_unroll(False, 1)
    assert products(asked) == products(not_asked) + 1
    assert_close(not_asked(*arguments)[0][0], asked(*arguments)[0][1], 1e-6)


@pytest.mark.parametrize("reverse", [False, True])
def test_numpy_inputs_and_lengths_need_no_tracing(reverse):
    x, length = np.asarray(normal(0, 2, 9, FEATURES)), np.array([9, 4])
    weights = random_weights(GRUWeights, 1)

    def loss(weights, x, length):
        return weighed(unroll(x, length, weights, None, reverse))

    closed = jax.jit(jax.grad(lambda weights: loss(weights, x, length)))
    assert_close(closed(weights), jax.jit(jax.grad(loss))(weights, x, length), 1e-6)


@every_cell
@pytest.mark.parametrize("asked", ["outputs", "state"])
def test_gradients_of_outputs_alone_and_of_the_state_alone(kind, asked):
    """What a loss does not use reaches the backward pass as nothing rather than as zeros."""
    x, weights = normal(0, 3, STEPS, FEATURES), random_weights(kind, 1)
    initial, length = random_state(kind, 2, 3), np.array([STEPS, 0, 9])

    def gradients(recurrence):
        def chosen(x, weights, initial):
            outputs, state = recurrence(x, length, weights, initial)
            return state if asked == "state" else outputs

        return judged(chosen)(x, weights, initial)

    assert_close(gradients(unroll), gradients(plain_scan))


@every_cell
def test_first_input_only_without_room_for_residuals(monkeypatch, kind):
    length = jnp.array([1, 8, 9, 0, STEPS])
    arguments = normal(5, 5, FEATURES), random_weights(kind, 6), random_state(kind, 7, 5)

    def run(first, weights, initial):
        return unroll_first_input(first, length, STEPS, weights, initial)

    with_room = judged(run)(*arguments)
    monkeypatch.setattr(chunked_loop, "RESIDUAL_BYTES", 0)
    assert_close(judged(run)(*arguments), with_room, 1e-6)


@every_cell
@pytest.mark.parametrize("residual_bytes", [chunked_loop.RESIDUAL_BYTES, 0])
def test_second_derivatives_are_forward_over_reverse(monkeypatch, kind, residual_bytes):
    monkeypatch.setattr(chunked_loop, "RESIDUAL_BYTES", residual_bytes)
    arguments = normal(0, 3, 9, FEATURES), random_weights(kind, 1), random_state(kind, 2, 3)
    direction = jax.tree.map(lambda a: normal(3, *a.shape), arguments)
    length = np.array([9, 0, 4])

    def curvature(recurrence):
        """The product of the Hessian and a direction."""

        def loss(x, weights, initial):
            return weighed(recurrence(x, length, weights, initial)) ** 2

        gradient = jax.grad(loss, (0, 1, 2))
        return jax.jit(lambda: jax.jvp(gradient, arguments, direction)[1])()

    assert_close(curvature(unroll), curvature(plain_scan), 1e-4)


@every_cell
def test_derivatives_that_are_not_there_are_refused(kind):
    """By JAX, in its own words; what must not happen is a wrong number."""
    x, weights = normal(0, 2, 5, FEATURES), random_weights(kind, 1)

    def loss(x):
        return weighed(unroll(x, np.array([5, 3]), weights))

    for differentiate in (
        lambda: jax.jvp(loss, (x,), (x,)),
        lambda: jax.jit(jax.jacfwd(loss))(x),
        lambda: jax.linearize(loss, x)[1](x),
    ):
        with pytest.raises(TypeError, match="forward-mode .* custom_vjp"):
            differentiate()
    with pytest.raises(ValueError, match="Reverse-mode differentiation does not work"):
        jax.grad(lambda x: jax.grad(loss)(x).sum())(x)
