"""A cell over padded sequences of different lengths.

`plain_unroll` comes first: it is the specification. `unroll` computes the same for all
sequences at once, `unroll_both` in both directions, and `unroll_first_input` where later
inputs are zero. What they keep to:

- Sequences are `[batch, time, features]` with `length [batch]`; frame t of a sequence
  is valid when t < length.
- A length below 0 or beyond the padded time T is refused where it is known. Under
  `jit`, where it is not, it counts as 0 or as T.
- Padding changes nothing. State is carried through it unchanged, outputs past the end
  are zero, and the backward direction starts at each sequence's own last frame. A
  sequence of length 0 leaves the initial state.
- Only as many steps are made as the batch's longest sequence has. `chunked_loop` has
  the picture of the loop, whose derivative is written by hand.
- Weights in bfloat16 make the matrix products bfloat16; sums, gates and states stay
  float32.
- Derivatives are reverse-mode (`grad`, `vjp`, `jacrev`) and forward over reverse
  (`hessian`, `jvp` of a `grad`). JAX refuses forward mode alone (`jvp`, `jacfwd`,
  `linearize`) and reverse over reverse; for those write the loop plainly, with
  `jax.lax.scan` and `plain_cell`, or use `nnx.RNN`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from mgjax.errors import InputError
from mgjax.nn import chunked_loop, cudnn
from mgjax.nn.arguments import check_shapes, checked_length, first_state
from mgjax.nn.cells import LSTMWeights, State, Weights, plain_cell
from mgjax.nn.chunks import Recurrence
from mgjax.nn.masking import time_mask


def plain_unroll(
    x: jax.Array | np.ndarray,
    length: ArrayLike,
    weights: Weights,
    initial: State,
    reverse: bool = False,
) -> tuple[np.ndarray, State]:
    """The specification: what `unroll` computes, sequence by sequence in float64 NumPy.

    For readers and tests. Arguments and results are as `unroll` has them, but it is
    slow, checks nothing, and wants the initial state.
    """
    weights, initial, frames = jax.tree.map(_float64, (weights, initial, x))
    outputs = np.zeros((*frames.shape[:2], initial.hidden.shape[1]))  # zero past each end
    finals = []
    for row, valid in enumerate(np.asarray(length)):
        state = _row(initial, row)
        steps = range(valid)
        for t in reversed(steps) if reverse else steps:
            state = plain_cell(frames[row, t], state, weights)
            outputs[row, t] = state.hidden
        finals.append(state)
    return outputs, jax.tree.map(lambda *rows: np.stack(rows), *finals)


def _float64(array):
    return np.asarray(array, np.float64)


def _row(state, row):
    return jax.tree.map(lambda array: array[row], state)


def unroll(
    x: jax.Array,
    length: ArrayLike,
    weights: Weights,
    initial: State | None = None,
    reverse: bool = False,
) -> tuple[jax.Array, State]:
    """One direction of one layer.

    Args:
        x: inputs `[batch, time, D]`.
        length: valid frames, int `[batch]`; traced ones are moved into 0 to `time`.
        weights: the layer's weights; their kind says whether it is an LSTM or a GRU.
        initial: the state before the first frame; zeros when None.
        reverse: read each sequence from its own last frame to its first.

    Returns:
        outputs `[batch, time, H]` in the weights' dtype, zero past each end, and the
        state after the last frame read.

    Raises:
        InputError: shapes do not fit together, lengths are not whole numbers, or a
            known one is not in 0 to `time`.

    >>> import jax.numpy as jnp
    >>> from mgjax.nn import LSTMWeights, unroll
    >>> weights = LSTMWeights(jnp.ones((3, 8)), jnp.ones((2, 8)), jnp.zeros(8))  # H is 2
    >>> x = jnp.ones((4, 5, 3))  # four sequences of at most five frames
    >>> outputs, final = unroll(x, jnp.array([5, 1, 0, 3]), weights)
    >>> outputs.shape, final.hidden.shape
    ((4, 5, 2), (4, 2))
    >>> bool((outputs[3, 2] == final.hidden[3]).all()), bool(outputs[3, 3:].any())
    (True, False)
    """
    check_shapes(x, 3, weights, initial)
    rows, total, _ = x.shape
    length = checked_length(length, rows, total)
    steps = length.max(initial=0)  # of the longest sequence; 0 where there is no sequence
    by_time = jnp.asarray(x).swapaxes(0, 1)
    initial = first_state(rows, weights, initial)
    if reverse:
        # The loop sees the longest sequence's last frame first; a shorter one idles
        # until its own comes.
        by_time = _reversed(by_time, steps)
        start, stop = steps - length, jnp.full_like(length, steps)
    else:
        start, stop = jnp.zeros_like(length), length
    recurrence = Recurrence(by_time, steps, start, stop, weights, initial)
    hidden_states, final = chunked_loop.run(total, recurrence)
    hidden_states = hidden_states[1:]  # without the initial one
    if reverse:
        hidden_states = _reversed(hidden_states, steps)
    return _outputs(hidden_states, length, weights), final


def unroll_both(
    x: jax.Array,
    length: ArrayLike,
    forward: Weights,
    backward: Weights,
    initial: tuple[State | None, State | None] = (None, None),
) -> tuple[jax.Array, tuple[State, State]]:
    """Both directions of one layer.

    Args:
        x: inputs `[batch, time, D]`.
        length: valid frames, int `[batch]`, as in `unroll`.
        forward: weights of the forward direction.
        backward: weights of the backward direction.
        initial: the states before each direction's first step; zeros where None.

    Returns:
        outputs of both directions side by side `[batch, time, 2H]`, and the two final
        states.

    Raises:
        InputError: as `unroll`.
    """
    ahead, ahead_state = unroll(x, length, forward, initial[0])
    behind, behind_state = unroll(x, length, backward, initial[1], reverse=True)
    return jnp.concatenate([ahead, behind], axis=-1), (ahead_state, behind_state)


def unroll_first_input(
    first: jax.Array,
    length: ArrayLike,
    steps: int,
    weights: Weights,
    initial: State | None = None,
    kernel: cudnn.Kernel = "xla",
) -> tuple[jax.Array, State]:
    """A layer that gets an input at its first step only and zeros at every later one.

    The zeros cost no product: later steps see the bias alone.

    Args:
        first: the input of step 0, `[batch, D]`.
        length: valid frames, int `[batch]`, as in `unroll`.
        steps: time steps T.
        weights: the layer's weights.
        initial: the state before step 0; zeros when None.
        kernel: as `LSTM`; a GRU has "xla" alone.

    Returns:
        outputs `[batch, T, H]`, zero past each end, and the final state.

    Raises:
        InputError: a kernel that cannot compute this here, or as `unroll`.
    """
    check_shapes(first, 2, weights, initial)
    if kernel != "xla" and not isinstance(weights, LSTMWeights):
        raise InputError(
            f"GRU: kernel is {kernel!r}, expected 'xla', as cuDNN is here for LSTMs alone"
        )
    rows = len(first)
    length = checked_length(length, rows, steps)
    state = first_state(rows, weights, initial)
    # First one step with its input, which an empty sequence idles through, ...
    one = jnp.minimum(length, 1)
    start = jnp.zeros_like(length)
    x = jnp.asarray(first)[None]
    recurrence = Recurrence(x, jnp.ones((), jnp.int32), start, one, weights, state)
    _, state = chunked_loop.run(1, recurrence)
    # ... then the others without inputs, from the state that it left.
    later = length - one
    if cudnn.taken(kernel, weights.recurrent.dtype) and steps > 1:
        hidden_states, final = _silent_by_cudnn(later, steps - 1, weights, state)
    else:
        recurrence = Recurrence(None, later.max(initial=0), start, later, weights, state)
        hidden_states, final = chunked_loop.run(steps - 1, recurrence)
    # The state after step 0 is the initial one of the later steps, and so already here.
    return _outputs(hidden_states, length, weights), final


def _silent_by_cudnn(length, steps, weights, state):
    """Steps without inputs, as `chunked_loop.run` gives them."""
    # cuDNN cannot do without inputs, but one zero a step is little.
    silence = jnp.zeros((len(length), steps, 1))
    weights = weights._replace(input=jnp.zeros((1, weights.input.shape[1])))
    outputs, [[final]] = cudnn.lstm(silence, length, [[weights]], [[state]])
    hidden_states = jnp.concatenate([state.hidden[None], outputs.swapaxes(0, 1)])
    return hidden_states, final


def _outputs(hidden_states, length, weights):
    """Hidden states `[T, B, H]` as outputs `[B, T, H]`, zero past each end."""
    mask = time_mask(length, len(hidden_states))[..., None]
    outputs = jnp.where(mask, hidden_states.swapaxes(0, 1), 0)
    return outputs.astype(weights.recurrent.dtype)


def _reversed(array, steps):
    """An array over time `[T, ...]` with its first `steps` in reverse order."""
    # `steps` is traced and no slice can end there; what rolls round to the end is padding.
    return jnp.roll(array[::-1], steps, axis=0)
