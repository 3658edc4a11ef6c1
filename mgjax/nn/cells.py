"""LSTM and GRU cells: the equations, one step forward, and one step back by hand.

Rows are sequences: inputs x `[B, D]`, hidden state h and cell state c `[B, H]`. W
multiplies inputs and U hidden states; σ is the logistic function, · goes element by
element, and a prime marks what comes after the step.

LSTM, with gates in the order input, forget, cell, output:

    i = σ(x Wi + h Ui + bi)
    f = σ(x Wf + h Uf + bf)                c' = f · c + i · g
    g = tanh(x Wg + h Ug + bg)             h' = o · tanh(c')
    o = σ(x Wo + h Uo + bo)

GRU, with gates in the order reset, update, candidate; the reset gate multiplies the
candidate's recurrent product with its own bias un, as cuDNN, PyTorch and Flax have it:

    r = σ(x Wr + h Ur + br)
    z = σ(x Wz + h Uz + bz)                h' = (1 - z) · n + z · h
    n = tanh(x Wn + bn + r · (h Un + un))

`plain_cell` is these equations and nothing else. `step` computes the same for the loop
in `chunked_loop`, which gives it x W + b ready-made and wants residuals: the local
derivatives of the gates, which `step_back` needs. The kind of weights says which cell
it is.
"""

from __future__ import annotations

from types import ModuleType
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class LSTMWeights(NamedTuple):
    """Weights of one direction of one LSTM layer: `[D, 4H]`, `[H, 4H]`, `[4H]`."""

    input: jax.Array
    recurrent: jax.Array
    bias: jax.Array


class GRUWeights(NamedTuple):
    """Weights of one direction of one GRU layer: `[D, 3H]`, `[H, 3H]`, `[3H]`, `[H]`.

    `candidate_bias` is added to the candidate's recurrent product, inside of what the
    reset gate multiplies.
    """

    input: jax.Array
    recurrent: jax.Array
    bias: jax.Array
    candidate_bias: jax.Array


Weights = LSTMWeights | GRUWeights


class State(NamedTuple):
    """Hidden and cell state, each float32 `[batch, H]`; a GRU has no cell state."""

    hidden: jax.Array
    cell: jax.Array | None = None


# The equations


def plain_cell(x: jax.Array, state: State, weights: Weights, xp: ModuleType = np) -> State:
    """The state after a step, by the equations above.

    Args:
        x: inputs of this step, `[D]` or `[batch, D]`.
        state: the state before it, with the same leading axes.
        weights: of an LSTM or a GRU.
        xp: `numpy`, or `jax.numpy` for what is to be traced.
    """
    if isinstance(weights, LSTMWeights):
        return _plain_lstm_cell(x, state, weights, xp)
    return _plain_gru_cell(x, state, weights, xp)


def _plain_lstm_cell(x, state, weights, xp):
    projected = x @ weights.input + weights.bias
    gates = projected + state.hidden @ weights.recurrent
    i, f, g, o = xp.split(gates, 4, axis=-1)
    i, f, g, o = _sigmoid(i, xp), _sigmoid(f, xp), xp.tanh(g), _sigmoid(o, xp)
    cell = f * state.cell + i * g
    return State(o * xp.tanh(cell), cell)


def _plain_gru_cell(x, state, weights, xp):
    projected = x @ weights.input + weights.bias
    recurrent = state.hidden @ weights.recurrent
    xr, xz, xn = xp.split(projected, 3, axis=-1)
    hr, hz, hn = xp.split(recurrent, 3, axis=-1)
    r = _sigmoid(xr + hr, xp)
    z = _sigmoid(xz + hz, xp)
    n = xp.tanh(xn + r * (hn + weights.candidate_bias))
    return State((1 - z) * n + z * state.hidden)


def _sigmoid(x, xp):
    return 1 / (1 + xp.exp(-x))


# The loop's steps. A row idles where `valid` (bool `[B, 1]`) is False: its state stays, and
# no gradient reaches its gates.


def product(x: jax.Array, weights: jax.Array) -> jax.Array:
    """x W in the weights' dtype, summed up in float32."""
    return jnp.matmul(x.astype(weights.dtype), weights, preferred_element_type=jnp.float32)


# XLA's CPU code for each gate alone is several times slower than for all gates of a cell
# at once, and so is a concatenation that it computes element by element. A barrier keeps
# it from both.
_together = jax.lax.optimization_barrier


# LSTM


class LSTMResiduals(NamedTuple):
    """What an LSTM's step leaves for its step back; an idle row copies its state.

    The slopes of all gates lie side by side, so that a step back is one multiplication
    and one matrix product.

    Attributes:
        slope: `[B, 4H]`, derivatives by the gates before their activation: of the cell
            state by input, forget and cell gate, of the hidden state by the output
            gate.
        output: `[B, H]`, derivative of the hidden state by the cell state.
        forget: `[B, H]`, derivative of the cell state by the one before.
    """

    slope: jax.Array
    output: jax.Array
    forget: jax.Array


def _lstm_step(state, projected, valid, weights):
    units = weights.recurrent.shape[0]
    # σ(x) = tanh(x / 2) / 2 + 1 / 2: one tanh serves the three σ and the cell gate.
    scale = _gates_of((0.5, 0.5, 1, 0.5), units)
    gates = projected + product(state.hidden, weights.recurrent)
    scaled = jnp.tanh(gates * scale) * scale
    activated = _together(scaled + _gates_of((0.5, 0.5, 0, 0.5), units))
    i, f, g, o = jnp.split(activated, 4, axis=-1)
    cell = f * state.cell + i * g
    squashed = _together(jnp.tanh(cell))
    new_hidden = jnp.where(valid, o * squashed, state.hidden)
    new_cell = jnp.where(valid, cell, state.cell)
    # What multiplies δc' and δh' in the equations below, and nothing where a row idles.
    of_i = g * i * (1 - i)
    of_f = state.cell * f * (1 - f)
    of_g = i * (1 - g**2)
    of_o = squashed * o * (1 - o)
    slopes = of_i, of_f, of_g, of_o
    slopes = tuple(jnp.where(valid, slope, 0) for slope in slopes)
    slope = jnp.concatenate(_together(slopes), axis=-1)
    output = jnp.where(valid, o * (1 - squashed**2), 0)
    forget = jnp.where(valid, f, 1)
    return State(new_hidden, new_cell), LSTMResiduals(slope, output, forget)


def _gates_of(values, units):
    """One value for each gate, side by side."""
    return jnp.repeat(jnp.array(values, jnp.float32), units)


# Back: δ marks a gradient of the loss, ^ a gate before its activation.
#
#     δc' grows by δh' · o (1 - tanh²(c'))
#     δî = δc' · g i (1 - i)                  δc = δc' · f
#     δf̂ = δc' · c f (1 - f)                  δh = [δî δf̂ δĝ δô] Uᵀ
#     δĝ = δc' · i (1 - g²)
#     δô = δh' · tanh(c') o (1 - o)
#
# What multiplies a δ is known in the step forward: these are the residuals.


def _lstm_step_back(d_state, residuals, valid, weights):
    d_hidden = d_state.hidden
    d_cell = d_state.cell + d_hidden * residuals.output
    per_gate = jnp.concatenate([d_cell, d_cell, d_cell, d_hidden], axis=-1)
    d_gates = residuals.slope * per_gate
    # An idle row's gates have no gradient: its state's own goes through.
    d_before = product(d_gates, weights.recurrent.T) + jnp.where(valid, 0, d_hidden)
    return State(d_before, d_cell * residuals.forget), d_gates, None


# GRU


class GRUResiduals(NamedTuple):
    """What a GRU's step leaves for its step back; an idle row copies its state.

    Attributes:
        slope: `[B, 3H]`, derivatives of the hidden state by the recurrent product h U.
        candidate: `[B, H]`, the same by the candidate's x Wn + bn.
        update: `[B, H]`, derivative of the hidden state by the one before, the gates
            left alone.
    """

    slope: jax.Array
    candidate: jax.Array
    update: jax.Array


def _gru_step(state, projected, valid, weights):
    units = weights.recurrent.shape[0]
    hidden = state.hidden
    recurrent = product(hidden, weights.recurrent)
    # σ(x) = tanh(x / 2) / 2 + 1 / 2, as in the LSTM.
    gates = (projected + recurrent)[..., : 2 * units]
    activated = _together(jnp.tanh(gates / 2) / 2 + 0.5)
    r, z = jnp.split(activated, 2, axis=-1)
    m = recurrent[:, 2 * units :] + weights.candidate_bias
    n = _together(jnp.tanh(projected[..., 2 * units :] + r * m))
    # (1 - z) · n + z · h with one multiplication less.
    new = n + z * (hidden - n)
    new = jnp.where(valid, new, hidden)
    # What multiplies δh' in the equations below, and nothing where a row idles.
    of_n = (1 - z) * (1 - n**2)
    of_n = jnp.where(valid, of_n, 0)
    of_r = of_n * m * r * (1 - r)
    of_z = (hidden - n) * z * (1 - z)
    of_z = jnp.where(valid, of_z, 0)
    slopes = of_r, of_z, of_n * r
    slope = jnp.concatenate(_together(slopes), axis=-1)
    update = jnp.where(valid, z, 1)
    return State(new), GRUResiduals(slope, of_n, update)


# Back, with m = h Un + un, what the reset gate multiplies.
#
#     δn̂ = δh' · (1 - z) (1 - n²)             by x Wn + bn
#     δr̂ = δn̂ · m r (1 - r)
#     δẑ = δh' · (h - n) z (1 - z)
#     δm = δn̂ · r                             δh = [δr̂ δẑ δm] Uᵀ + δh' · z


def _gru_step_back(d_state, residuals, valid, weights):
    units = weights.recurrent.shape[0]
    d_hidden = d_state.hidden
    per_gate = jnp.concatenate([d_hidden, d_hidden, d_hidden], axis=-1)
    d_product = residuals.slope * per_gate
    d_gates = d_product[:, : 2 * units]
    d_candidate = residuals.candidate * d_hidden
    d_projected = jnp.concatenate([d_gates, d_candidate], axis=-1)
    d_before = product(d_product, weights.recurrent.T) + residuals.update * d_hidden
    return State(d_before), d_product, d_projected


# Either


Residuals = LSTMResiduals | GRUResiduals


def step(
    state: State, projected: jax.Array, valid: jax.Array, weights: Weights
) -> tuple[State, Residuals]:
    """One step forward.

    Args:
        state: the state before it.
        projected: x W + b, float32 `[B, gates · H]` or `[gates · H]`.
        valid: bool `[B, 1]`, False where a row idles.
        weights: of an LSTM or a GRU.

    Returns:
        the state after the step and what its step back needs.
    """
    if isinstance(weights, LSTMWeights):
        return _lstm_step(state, projected, valid, weights)
    return _gru_step(state, projected, valid, weights)


def step_back(
    d_state: State, residuals: Residuals, valid: jax.Array, weights: Weights
) -> tuple[State, jax.Array, jax.Array | None]:
    """One step back.

    Args:
        d_state: gradient of the state after the step.
        residuals: what the step left.
        valid: as the step had it.
        weights: as the step had them.

    Returns:
        gradients of the state before, of h U `[B, gates · H]`, and of x W + b where
        that is another, as in a GRU; else None.
    """
    if isinstance(weights, LSTMWeights):
        return _lstm_step_back(d_state, residuals, valid, weights)
    return _gru_step_back(d_state, residuals, valid, weights)
