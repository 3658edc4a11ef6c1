"""LSTM recurrences over padded sequences of different lengths.

What every function here keeps to:

- Sequences are `[batch, time, features]` with `length [batch]`; frame t of a sequence is valid when t < length.
- Padding changes nothing. State is carried through it unchanged, outputs past the end are zero, and the
  backward direction starts at each sequence's own last frame. A sequence of length 0 leaves the initial state.
- The input projection is one matrix product over all frames, before the scan.
- The backward pass is written by hand: the scan over time only forms the gradients of the gates; the gradient
  of the recurrent weights is one product after it.

Gates lie in the order input, forget, cell, output.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx


class Weights(NamedTuple):
    """Weights of one direction of one LSTM layer: `[D, 4H]`, `[H, 4H]`, `[4H]`."""

    input: jax.Array
    recurrent: jax.Array
    bias: jax.Array


class State(NamedTuple):
    """Hidden and cell state, each `[batch, H]`."""

    hidden: jax.Array
    cell: jax.Array


def time_mask(length: jax.Array, steps: int) -> jax.Array:
    """True where a frame is valid, bool `[batch, steps]`."""
    return jnp.arange(steps) < length[:, None]


def lstm(x: jax.Array, length: jax.Array, weights: Weights, initial: State | None = None,
         reverse: bool = False) -> tuple[jax.Array, State]:
    """One direction of one LSTM layer.

    Args:
        x: inputs `[batch, time, D]`.
        length: valid frames, int `[batch]`.
        weights: the layer's weights.
        initial: the state before the first frame; zeros when None.
        reverse: read each sequence from its own last frame to its first.

    Returns:
        outputs `[batch, time, H]`, zero past each end, and the state after the last frame read.
    """
    outputs, (state,) = _directions(x, length, ((weights, reverse, initial),))
    return outputs[0], state


def bidirectional_lstm(x: jax.Array, length: jax.Array, forward: Weights, backward: Weights,
                       initial: tuple[State | None, State | None] = (None, None)
                       ) -> tuple[jax.Array, tuple[State, State]]:
    """Both directions of one LSTM layer in one scan.

    Returns:
        outputs of both directions side by side `[batch, time, 2H]`, and the two final states.
    """
    outputs, states = _directions(x, length, ((forward, False, initial[0]), (backward, True, initial[1])))
    return jnp.concatenate(outputs, axis=-1), states


def lstm_from_first_input(first: jax.Array, length: jax.Array, steps: int, weights: Weights,
                          initial: State | None = None) -> tuple[jax.Array, State]:
    """An LSTM that gets an input at its first step only and zeros at every later one.

    The zeros cost no product: later steps see the bias alone.

    Args:
        first: the input of step 0, `[batch, D]`.
        length: valid frames, int `[batch]`.
        steps: time steps T.

    Returns:
        outputs `[batch, T, H]`, zero past each end, and the final state.
    """
    initial = initial or _zeros(first, weights)
    mask = time_mask(length, steps).T
    gates = (first @ weights.input + weights.bias)[None]
    output, state = _scan((gates,), (mask[:1],), (weights.recurrent,), (initial,), (False,))
    if steps == 1:
        return output[0].swapaxes(0, 1), state[0]
    later, state = _scan((weights.bias,), (mask[1:],), (weights.recurrent,), state, (False,))
    return jnp.concatenate([output[0], later[0]]).swapaxes(0, 1), state[0]


def _zeros(x, weights):
    zeros = jnp.zeros((x.shape[0], weights.recurrent.shape[0]), x.dtype)
    return State(zeros, zeros)


def _directions(x, length, directions):
    mask = time_mask(length, x.shape[1]).T
    x_by_time = x.swapaxes(0, 1)
    outputs, states = _scan(
        tuple(x_by_time @ weights.input + weights.bias for weights, _, _ in directions),
        tuple(mask for _ in directions),
        tuple(weights.recurrent for weights, _, _ in directions),
        tuple(initial or _zeros(x, weights) for weights, _, initial in directions),
        tuple(reverse for _, reverse, _ in directions),
    )
    return tuple(output.swapaxes(0, 1) for output in outputs), states


# The scan below treats its directions as a tuple of independent recurrences over the same number of steps:
# projected inputs `[T, B, 4H]` (or `[4H]`: the same at every step for all), masks `[T, B]`, recurrent weights
# `[H, 4H]` and initial states. A reversed direction is stored and returned in the sequence's own order; only the
# step at which a frame is visited differs, so nothing is flipped sequence by sequence: the padding comes first
# and leaves the state alone.


def _ordered(array, reverse):
    return array[::-1] if reverse else array


def _split(gates):
    i, f, g, o = jnp.split(gates, 4, axis=-1)
    return jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)


def _cell(state, projected, valid, recurrent):
    """One step. Returns the new state, the output (zero where not valid) and the activated gates."""
    i, f, g, o = _split(projected + state.hidden @ recurrent)
    cell = f * state.cell + i * g
    hidden = o * jnp.tanh(cell)
    valid = valid[:, None]
    new = State(jnp.where(valid, hidden, state.hidden), jnp.where(valid, cell, state.cell))
    return new, jnp.where(valid, hidden, 0), jnp.concatenate([i, f, g, o], axis=-1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def _scan(projected, masks, recurrents, initials, reverse):
    return _scan_forward(projected, masks, recurrents, initials, reverse)[0]


def _scan_forward(projected, masks, recurrents, initials, reverse):
    moving = tuple(None if p.ndim == 1 else _ordered(p, r) for p, r in zip(projected, reverse))
    ordered_masks = tuple(_ordered(m, r) for m, r in zip(masks, reverse))

    def step(states, inputs):
        new_states, outputs, gates = [], [], []
        for state, p, fixed, valid, recurrent in zip(states, inputs[0], projected, inputs[1], recurrents):
            new, output, activated = _cell(state, fixed if p is None else p, valid, recurrent)
            new_states.append(new)
            outputs.append(output)
            gates.append(activated)
        return tuple(new_states), (tuple(outputs), tuple(gates), tuple(states))

    initials = tuple(State(*s) for s in initials)
    finals, (outputs, gates, before) = jax.lax.scan(step, initials, (moving, ordered_masks))
    outputs = tuple(_ordered(o, r) for o, r in zip(outputs, reverse))
    kept = (gates, before, ordered_masks, recurrents, tuple(p.ndim for p in projected))
    return (outputs, finals), kept


def _scan_backward(reverse, kept, gradients):
    gates, before, masks, recurrents, dimensions = kept
    d_outputs, d_finals = gradients
    d_outputs = tuple(_ordered(d, r) for d, r in zip(d_outputs, reverse))

    def step(d_states, inputs):
        new, d_gates = [], []
        for d_state, d_output, activated, state, valid, recurrent in zip(d_states, *inputs, recurrents):
            d_before, d_gate = _cell_backward(d_state, d_output, activated, state, valid, recurrent)
            new.append(d_before)
            d_gates.append(d_gate)
        return tuple(new), tuple(d_gates)

    d_initials, d_gates = jax.lax.scan(
        step, tuple(State(*d) for d in d_finals), (d_outputs, gates, before, masks), reverse=True
    )
    d_recurrents = tuple(jnp.einsum("tbh,tbk->hk", state.hidden, d) for state, d in zip(before, d_gates))
    d_projected = tuple(d.sum((0, 1)) if n == 1 else _ordered(d, r) for d, n, r in zip(d_gates, dimensions, reverse))
    return d_projected, (None,) * len(masks), d_recurrents, d_initials


def _cell_backward(d_state, d_output, activated, state, valid, recurrent):
    """Gradients of one step: of the state before it and of the gates before their activation."""
    i, f, g, o = jnp.split(activated, 4, axis=-1)
    cell = f * state.cell + i * g
    squashed = jnp.tanh(cell)
    d_hidden = d_state.hidden + d_output
    d_cell = d_state.cell + d_hidden * o * (1 - squashed**2)
    valid = valid[:, None]
    d_gates = jnp.where(valid, jnp.concatenate([
        d_cell * g * i * (1 - i),
        d_cell * state.cell * f * (1 - f),
        d_cell * i * (1 - g**2),
        d_hidden * squashed * o * (1 - o),
    ], axis=-1), 0)
    before = State(
        jnp.where(valid, d_gates @ recurrent.T, d_state.hidden),
        jnp.where(valid, d_cell * f, d_state.cell),
    )
    return before, d_gates


_scan.defvjp(_scan_forward, _scan_backward)


class _Direction(nnx.Module):
    """The weights of one direction of one layer."""

    def __init__(self, features, units, forget_bias, rngs):
        bound = 1 / math.sqrt(units)
        draw = lambda *shape: jax.random.uniform(rngs.params(), shape, jnp.float32, -bound, bound)
        self.input = nnx.Param(draw(features, 4 * units))
        self.recurrent = nnx.Param(draw(units, 4 * units))
        self.bias = nnx.Param(draw(4 * units).at[units:2 * units].add(forget_bias))


class LSTM(nnx.Module):
    """One or both directions of a stack of LSTM layers.

    Weights and biases start uniform in ±1/√units; `forget_bias` is added to the forget gates' biases, so that a fresh
    layer remembers for longer. In a stack each layer reads the outputs of all
    directions of the layer below.

    Args:
        features: inputs D of the first layer.
        units: H of every direction.
        layers: how many layers.
        bidirectional: whether every layer also reads its sequence backwards.
        forget_bias: what the forget gates' biases start higher by.
    """

    def __init__(self, features: int, units: int, *, layers: int = 1, bidirectional: bool = False,
                 forget_bias: float = 0.0, rngs: nnx.Rngs):
        self.features, self.units, self.layers, self.bidirectional = features, units, layers, bidirectional
        for layer in range(layers):
            inputs = features if layer == 0 else units * len(self.directions)
            for direction in self.directions:
                setattr(self, f"{direction}{layer}", _Direction(inputs, units, forget_bias, rngs))

    @property
    def directions(self) -> tuple[str, ...]:
        """Names of the directions, in the order of the outputs."""
        return ("forward", "backward") if self.bidirectional else ("forward",)

    def direction_weights(self, layer: int, direction: str = "forward") -> Weights:
        """The weights of one direction of one layer."""
        weights = getattr(self, f"{direction}{layer}")
        return Weights(weights.input[...], weights.recurrent[...], weights.bias[...])

    def __call__(self, x: jax.Array, length: jax.Array) -> tuple[jax.Array, list[tuple[State, ...]]]:
        """Run the stack.

        Args:
            x: `[batch, time, D]`.
            length: valid frames, int `[batch]`.

        Returns:
            outputs of the last layer `[batch, time, directions · units]`, zero past each end, and every layer's
            final states, one a direction.
        """
        finals = []
        for layer in range(self.layers):
            weights = [self.direction_weights(layer, direction) for direction in self.directions]
            if self.bidirectional:
                x, states = bidirectional_lstm(x, length, *weights)
            else:
                x, state = lstm(x, length, weights[0])
                states = (state,)
            finals.append(states)
        return x, finals
