"""What a recurrence is given, checked and completed before anything is computed."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from mgjax.errors import InputError
from mgjax.nn.cells import GRUWeights, LSTMWeights, State, Weights


def checked_length(length: ArrayLike, rows: int, steps: int) -> jax.Array:
    """Lengths as int32 `[rows]`, each in 0 to `steps`.

    A known length outside is refused. A traced one is not known yet, so it is moved
    inside.

    Raises:
        InputError: lengths are not whole numbers or not one a row, or a known one is
            outside.
    """
    if not isinstance(length, jax.Array):
        length = np.asarray(length)
    if not jnp.issubdtype(length.dtype, jnp.integer):
        raise InputError(f"recurrence: lengths are {length.dtype}, expected whole numbers")
    if length.shape != (rows,):
        raise InputError(
            f"recurrence: lengths have shape {list(length.shape)}, expected "
            f"[{rows}], one a sequence"
        )
    if isinstance(length, jax.Array) and not _is_known(length):
        # An int8 cannot say 300: the bound is cut to what the lengths' own type holds.
        most = min(steps, jnp.iinfo(length.dtype).max)
        return jnp.clip(length, 0, most).astype(jnp.int32)
    for value in np.asarray(length).tolist():
        if not 0 <= value <= steps:
            raise InputError(
                f"recurrence: a length is {value}, expected 0 to {steps}, the padded time steps"
            )
    return jnp.asarray(length, jnp.int32)


def _is_known(array: jax.Array) -> bool:
    """Whether this process can look at the numbers now."""
    # Under jit there are none yet; of an array over several hosts, each sees only its
    # own part.
    return not isinstance(array, jax.core.Tracer) and array.is_fully_addressable


def first_state(batch: int, weights: Weights, state: State | None) -> State:
    """The given initial state in float32, or zeros."""
    if state is None:
        zeros = jnp.zeros((batch, weights.recurrent.shape[0]), jnp.float32)
        return State(zeros, zeros if isinstance(weights, LSTMWeights) else None)
    hidden = state.hidden.astype(jnp.float32)
    cell = None if state.cell is None else state.cell.astype(jnp.float32)
    return State(hidden, cell)


def check_shapes(x: jax.Array, axes: int, weights: Weights, initial: State | None) -> None:
    """Refuse inputs `[B, ..., D]`, weights and an initial state that do not fit together.

    Args:
        x: inputs.
        axes: how many axes they are to have: 3 for sequences, 2 for a single step.
        weights: of an LSTM or a GRU.
        initial: the state before the first step; None fits always.

    Raises:
        InputError: they do not.
    """
    if not isinstance(weights, (LSTMWeights, GRUWeights)):
        raise InputError(
            f"recurrence: weights are {type(weights).__name__}, expected LSTMWeights or GRUWeights"
        )
    cell, gates = ("LSTM", 4) if isinstance(weights, LSTMWeights) else ("GRU", 3)
    if jnp.ndim(x) != axes:
        wanted = "[batch, time, features]" if axes == 3 else "[batch, features]"
        raise InputError(f"{cell}: inputs have shape {list(jnp.shape(x))}, expected {wanted}")
    rows, features = x.shape[0], x.shape[-1]
    units = weights.bias.size // gates
    _check_weights(cell, weights, gates, features, units)
    if initial is not None:
        _check_state(cell, initial, rows, units)


def _check_weights(cell, weights, gates, features, units):
    width = gates * units
    expected = (features, width), (units, width), (width,), (units,)
    for name, weight, shape in zip(weights._fields, weights, expected):
        if weight.shape != shape:
            raise InputError(
                f"{cell}: the {name} weights have shape {list(weight.shape)}, "
                f"expected {list(shape)} for inputs of {features} features and {units} units"
            )


def _check_state(cell, initial, rows, units):
    # What a GRU is given as a cell state is not looked at.
    states = initial if cell == "LSTM" else initial[:1]
    for name, state in zip(State._fields, states):
        if state is None or state.shape != (rows, units):
            shape = None if state is None else list(state.shape)
            raise InputError(
                f"{cell}: the initial {name} state has shape {shape}, expected {[rows, units]}"
            )
