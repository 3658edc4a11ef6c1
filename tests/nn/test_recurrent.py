"""The recurrence against a plain loop over single sequences, and what padding and order must not change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from mgjax.nn import recurrent
from mgjax.nn.recurrent import LSTM, LSTMWeights, State

UNITS, FEATURES = 5, 3


def random_weights(seed, features=FEATURES):
    rng = np.random.default_rng(seed)
    shapes = (features, 4 * UNITS), (UNITS, 4 * UNITS), (4 * UNITS,)
    return LSTMWeights(*(jnp.asarray(rng.normal(0, 0.5, shape), jnp.float32) for shape in shapes))


def plain_lstm(x, weights, state, reverse=False):
    """One sequence `[time, features]`, step by step as a textbook has it."""
    hidden, cell = state
    outputs = [None] * len(x)
    for t in reversed(range(len(x))) if reverse else range(len(x)):
        gates = x[t] @ weights.input + hidden @ weights.recurrent + weights.bias
        i, f, g, o = gates[:UNITS], gates[UNITS:2 * UNITS], gates[2 * UNITS:3 * UNITS], gates[3 * UNITS:]
        cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
        hidden = jax.nn.sigmoid(o) * jnp.tanh(cell)
        outputs[t] = hidden
    return outputs, State(hidden, cell)


def plain_batch(x, length, weights, initial, reverse):
    outputs, hiddens, cells = [], [], []
    for row, frames in enumerate(length):
        out, state = plain_lstm(x[row, :frames], weights, State(initial.hidden[row], initial.cell[row]), reverse)
        outputs.append(jnp.stack(out + [jnp.zeros(UNITS)] * (x.shape[1] - frames)))
        hiddens.append(state.hidden)
        cells.append(state.cell)
    return jnp.stack(outputs), State(jnp.stack(hiddens), jnp.stack(cells))


def assert_close(a, b, tolerance=1e-5):
    jax.tree.map(lambda p, q: np.testing.assert_allclose(p, q, rtol=0, atol=tolerance), a, b)


@pytest.mark.parametrize("reverse", [False, True])
def test_equals_a_plain_loop_with_its_gradients_for_every_length(reverse):
    steps = 6
    length = np.arange(steps + 1)  # 0 to T, an empty sequence among them
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(len(length), steps, FEATURES)), jnp.float32)
    initial = State(*(jnp.asarray(rng.normal(size=(len(length), UNITS)), jnp.float32) for _ in range(2)))
    towards = [jnp.asarray(rng.normal(size=s), jnp.float32)
               for s in ((len(length), steps, UNITS), (len(length), UNITS), (len(length), UNITS))]

    def judged(run):
        def loss(x, weights, initial):
            outputs, state = run(x, weights, initial)
            value = (outputs * towards[0]).sum() + (state.hidden * towards[1]).sum() + (state.cell * towards[2]).sum()
            return value, (outputs, state)
        return jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True))(x, random_weights(1), initial)

    ours = judged(lambda x, w, s: recurrent.unroll(x, jnp.asarray(length), w, s, reverse))
    plain = judged(lambda x, w, s: plain_batch(x, length, w, s, reverse))
    assert_close(ours, plain)


def test_both_directions_in_one_scan_are_each_direction_alone():
    rng = np.random.default_rng(2)
    length = jnp.array([4, 1, 7])
    x = jnp.asarray(rng.normal(size=(3, 7, FEATURES)), jnp.float32)
    forward, backward = random_weights(3), random_weights(4)
    outputs, states = recurrent.unroll_both(x, length, forward, backward)
    ahead, ahead_state = recurrent.unroll(x, length, forward)
    behind, behind_state = recurrent.unroll(x, length, backward, reverse=True)
    assert_close(outputs, jnp.concatenate([ahead, behind], -1), 1e-6)
    assert_close(states, (ahead_state, behind_state), 1e-6)


@pytest.mark.parametrize("steps", [1, 2, 6])
def test_first_input_only_is_zeros_afterwards(steps):
    """With its gradients: what the decoder skips must be what a zero input would have given."""
    rng = np.random.default_rng(5)
    length = jnp.minimum(jnp.array([1, 3, 6, 0]), steps)
    first = jnp.asarray(rng.normal(size=(4, FEATURES)), jnp.float32)
    towards = jnp.asarray(rng.normal(size=(4, steps, UNITS)), jnp.float32)

    def fed(first, weights):
        x = jnp.zeros((4, steps, FEATURES)).at[:, 0].set(first)
        return recurrent.unroll(x, length, weights)

    def unfed(first, weights):
        return recurrent.unroll_first_input(first, length, steps, weights)

    def judged(run):
        loss = lambda first, weights: ((run(first, weights)[0] * towards).sum(), run(first, weights))
        return jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))(first, random_weights(6))

    assert_close(judged(unfed), judged(fed))


def test_padding_is_never_read():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(2, 5, FEATURES)).astype(np.float32)
    length = jnp.array([3, 5])
    module = LSTM(FEATURES, UNITS, layers=2, bidirectional=True, rngs=nnx.Rngs(0))
    outputs, finals = module(jnp.asarray(x), length)
    dirty = x.copy()
    dirty[0, 3:] = 1e6
    longer = np.concatenate([dirty, np.full((2, 4, FEATURES), -1e6, np.float32)], axis=1)
    outputs_longer, finals_longer = module(jnp.asarray(longer), length)
    assert_close(outputs_longer[:, :5], outputs, 1e-6)
    assert_close(finals_longer, finals, 1e-6)
    assert not outputs[0, 3:].any() and not outputs_longer[:, 5:].any()


def test_layers_stack_on_both_directions():
    rng = np.random.default_rng(8)
    x = jnp.asarray(rng.normal(size=(2, 4, FEATURES)), jnp.float32)
    length = np.array([4, 2])
    module = LSTM(FEATURES, UNITS, layers=2, bidirectional=True, rngs=nnx.Rngs(0))
    outputs, finals = module(x, jnp.asarray(length))
    zeros = State(jnp.zeros((2, UNITS)), jnp.zeros((2, UNITS)))
    below, states = x, []
    for layer in range(2):
        results = [
            plain_batch(below, length, module.direction_weights(layer, direction), zeros, direction == "backward")
            for direction in ("forward", "backward")
        ]
        below = jnp.concatenate([out for out, _ in results], -1)
        states.append(tuple(state for _, state in results))
    assert_close(outputs, below)
    assert_close(finals, states)


def test_forget_bias_raises_the_forget_gate_alone():
    plain = LSTM(FEATURES, UNITS, rngs=nnx.Rngs(0)).direction_weights(0).bias
    raised = LSTM(FEATURES, UNITS, forget_bias=2.0, rngs=nnx.Rngs(0)).direction_weights(0).bias
    np.testing.assert_allclose(raised - plain, np.repeat([0, 2, 0, 0], UNITS), atol=1e-6)
