"""Recurrences for the tests beside: random weights, states and inputs, the plain cell as a scan
that JAX can differentiate, and gradients in which every result counts.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mgjax.nn import GRU, LSTM, GRUWeights, LSTMWeights, State, plain_cell, unroll

UNITS, FEATURES = 5, 3
STEPS = 19  # two whole chunks and a part of a third
LENGTHS = np.arange(STEPS + 1)  # every length from an empty sequence to all frames

every_cell = pytest.mark.parametrize("kind", [LSTMWeights, GRUWeights])
every_module = pytest.mark.parametrize("module", [LSTM, GRU])


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def random_weights(kind, seed):
    gates = 4 if kind is LSTMWeights else 3
    shapes = [(FEATURES, gates * UNITS), (UNITS, gates * UNITS), (gates * UNITS,), (UNITS,)]
    shapes = shapes[: len(kind._fields)]
    return kind(*(normal([seed, i], *shape) / 2 for i, shape in enumerate(shapes)))


def random_state(kind, seed, rows):
    hidden, cell = normal(seed, 2, rows, UNITS)
    return State(hidden, cell if kind in (LSTMWeights, LSTM) else None)


def random_states(module, rows, layers=2):
    """Initial states of a stack of both directions."""
    return [
        tuple(random_state(module, [layer, direction], rows) for direction in range(2))
        for layer in range(layers)
    ]


def plain_scan(x, length, weights, initial, reverse=False):
    """As `plain_unroll`, but all rows at once, so that JAX can differentiate it in little time."""

    def step(state, now):
        frame, t = now
        valid = (t < length)[:, None]
        after = plain_cell(frame, state, weights, jnp)
        new = jax.tree.map(lambda a, b: jnp.where(valid, a, b), after, state)
        return new, jnp.where(valid, new.hidden, 0)

    frames = x.swapaxes(0, 1), jnp.arange(x.shape[1])
    state, outputs = jax.lax.scan(step, initial, frames, reverse=reverse)
    return outputs.swapaxes(0, 1), state


def weighed(results):
    """A number in which every result has a weight of its own, small enough for gradients of the
    order of one.
    """
    leaves = jax.tree.leaves(results)
    return sum((normal(i, *leaf.shape) * leaf).sum() / 10 for i, leaf in enumerate(leaves))


def judged(run, *differentiated):
    """`run` compiled, with the gradients by the arguments of the given numbers; all by default."""

    def loss(*arguments):
        results = run(*arguments)
        return weighed(results), results

    def both(*arguments):
        numbers = differentiated or tuple(range(len(arguments)))
        return jax.grad(loss, numbers, has_aux=True)(*arguments)

    return jax.jit(both)


@functools.cache
def judged_scan(reverse):
    return judged(lambda x, w, s, length: plain_scan(x, length, w, s, reverse), 0, 1, 2)


def judged_unroll(reverse=False, *differentiated):
    numbers = differentiated or (0, 1, 2)
    return judged(lambda x, w, s, length: unroll(x, length, w, s, reverse), *numbers)


def assert_close(a, b, tolerance=1e-5):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(lambda p, q: np.testing.assert_allclose(p, q, rtol=0, atol=tolerance), a, b)
