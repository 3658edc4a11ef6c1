"""LSTM and GRU recurrences over padded sequences of different lengths.

What every function here keeps to:

- Sequences are `[batch, time, features]` with `length [batch]`; frame t of a sequence is valid
  when t < length.
- A length below 0 or beyond the padded time T is refused where it is known. Under `jit`, where it
  is not, it counts as 0 or as T.
- Padding changes nothing. State is carried through it unchanged, outputs past the end are zero,
  and the backward direction starts at each sequence's own last frame. A sequence of length 0
  leaves the initial state.
- Only as many steps are made as the batch's longest sequence has, however long the padded arrays
  are.
- Inputs are multiplied by their weights for CHUNK steps at once, outside of the loop over steps,
  and so are the gradients of all weights and inputs. Inputs that are zero cost no product.
- The backward pass is written by hand. The forward pass leaves the local derivatives of its
  gates, so that a step back is a multiplication and a matrix product. Where that would be more
  than KEPT_BYTES for a sequence, only the states between chunks are kept, and each chunk is
  computed a second time when its turn comes.
- Weights in bfloat16 make the matrix products bfloat16; sums, gates and states stay float32.
- Derivatives are reverse-mode (`grad`, `vjp`, `jacrev`) and forward over reverse (`hessian`,
  `jvp` of a `grad`). JAX refuses forward mode alone (`jvp`, `jacfwd`, `linearize`) and reverse
  over reverse; for those write the loop plainly, with `jax.lax.scan` or `nnx.RNN`.

The kind of weights says which cell it is: `LSTMWeights` (gates in the order input, forget, cell,
output) or `GRUWeights` (reset, update, candidate; the reset gate multiplies the candidate's
recurrent product, as cuDNN, PyTorch and Flax have it).
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.custom_derivatives import SymbolicZero

from mgjax.errors import InputError
from mgjax.nn import cudnn
from mgjax.nn.masking import time_mask

# Of 8 to 32 steps a chunk, 8 is the fastest on a CPU, by a few per cent: its gates stay in the
# cache.
CHUNK = 8
KEPT_BYTES = 2**28


class LSTMWeights(NamedTuple):
    """Weights of one direction of one LSTM layer: `[D, 4H]`, `[H, 4H]`, `[4H]`."""

    input: jax.Array
    recurrent: jax.Array
    bias: jax.Array


class GRUWeights(NamedTuple):
    """Weights of one direction of one GRU layer: `[D, 3H]`, `[H, 3H]`, `[3H]`, and `[H]`.

    `candidate_bias` is added to the candidate's recurrent product, inside of what the reset gate
    multiplies.
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


def unroll(
    x: jax.Array,
    length: jax.Array,
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
        outputs `[batch, time, H]` in the weights' dtype, zero past each end, and the state after
        the last frame read.

    Raises:
        InputError: shapes do not fit together, lengths are not whole numbers, or a known one is
            not in 0 to `time`.
    """
    _check_shapes(x, 3, weights, initial)
    length = _checked_length(length, *x.shape[:2])
    steps = length.max(initial=0)
    by_time, initial = jnp.asarray(x).swapaxes(0, 1), _first_state(x.shape[0], weights, initial)
    if not reverse:
        trail, state = _loop(
            x.shape[1], _Job(by_time, steps, jnp.zeros_like(length), length, weights, initial)
        )
        return _outputs(trail[1:], length, weights), state
    # The loop sees the longest sequence's last frame first; a shorter one idles until its own
    # comes.
    job = _Job(
        _turned(by_time, steps),
        steps,
        steps - length,
        jnp.full_like(length, steps),
        weights,
        initial,
    )
    trail, state = _loop(x.shape[1], job)
    return _outputs(_turned(trail[1:], steps), length, weights), state


def unroll_both(
    x: jax.Array,
    length: jax.Array,
    forward: Weights,
    backward: Weights,
    initial: tuple[State | None, State | None] = (None, None),
) -> tuple[jax.Array, tuple[State, State]]:
    """Both directions of one layer.

    Returns:
        outputs of both directions side by side `[batch, time, 2H]`, and the two final states.
    """
    ahead, ahead_state = unroll(x, length, forward, initial[0])
    behind, behind_state = unroll(x, length, backward, initial[1], reverse=True)
    return jnp.concatenate([ahead, behind], axis=-1), (ahead_state, behind_state)


def unroll_first_input(
    first: jax.Array,
    length: jax.Array,
    steps: int,
    weights: Weights,
    initial: State | None = None,
    kernel: str = "xla",
) -> tuple[jax.Array, State]:
    """A layer that gets an input at its first step only and zeros at every later one.

    The zeros cost no product: later steps see the bias alone.

    Args:
        first: the input of step 0, `[batch, D]`.
        length: valid frames, int `[batch]`.
        steps: time steps T.
        kernel: as `LSTM`; a GRU has "xla" alone.

    Returns:
        outputs `[batch, T, H]`, zero past each end, and the final state.

    Raises:
        InputError: a kernel that cannot compute this here, or as `unroll`.
    """
    _check_shapes(first, 2, weights, initial)
    if kernel != "xla" and not isinstance(weights, LSTMWeights):
        raise InputError(
            f"GRU: kernel is {kernel!r}, expected 'xla', as cuDNN is here for LSTMs alone"
        )
    length = _checked_length(length, len(first), steps)
    initial = _first_state(first.shape[0], weights, initial)
    one = jnp.minimum(length, 1)
    start = jnp.zeros_like(length)
    _, state = _loop(
        1, _Job(jnp.asarray(first)[None], jnp.ones((), jnp.int32), start, one, weights, initial)
    )
    later = length - one
    if cudnn.taken(kernel, weights.recurrent.dtype) and steps > 1:
        # cuDNN cannot do without inputs, but one zero a step is little.
        silent = weights._replace(input=jnp.zeros((1, weights.input.shape[1])))
        outputs, ((final,),) = _cudnn(
            jnp.zeros((len(later), steps - 1, 1)), later, [(silent,)], [(state,)]
        )
        trail = jnp.concatenate([state.hidden[None], outputs.swapaxes(0, 1)])
        return _outputs(trail, length, weights), final
    # The state after the first step is the second run's initial one, with which its trail begins.
    trail, state = _loop(steps - 1, _Job(None, later.max(initial=0), start, later, weights, state))
    return _outputs(trail, length, weights), state


def _cudnn(x, length, weights, initial):
    """A stack by cuDNN, with every layer's weights and states before, one a direction; as
    `_Stack` returns it.
    """
    directions = len(weights[0])
    for of_layer, before in zip(weights[0], initial[0]):
        _check_shapes(x, 3, of_layer, before)
    length = _checked_length(length, *x.shape[:2])
    weights, initial = sum(map(tuple, weights), ()), sum(map(tuple, initial), ())
    before = zip(*(_first_state(len(x), w, state) for w, state in zip(weights, initial)))
    outputs, hidden, cell = cudnn.lstm(x, length, weights, *map(jnp.stack, before), directions == 2)
    states = [State(*state) for state in zip(hidden, cell)]
    return outputs, [tuple(states[i : i + directions]) for i in range(0, len(states), directions)]


def _check_shapes(x, axes, weights, initial):
    """Raise InputError where inputs `[B, ..., D]` of so many axes, weights and initial state do
    not fit together.
    """
    if not isinstance(weights, (LSTMWeights, GRUWeights)):
        raise InputError(
            f"recurrence: weights are {type(weights).__name__}, expected LSTMWeights or GRUWeights"
        )
    cell, gates = ("LSTM", 4) if isinstance(weights, LSTMWeights) else ("GRU", 3)
    if jnp.ndim(x) != axes:
        wanted = "[batch, time, features]" if axes == 3 else "[batch, features]"
        raise InputError(f"{cell}: inputs have shape {list(jnp.shape(x))}, expected {wanted}")
    rows, features, units = x.shape[0], x.shape[-1], weights.bias.size // gates
    expected = (features, gates * units), (units, gates * units), (gates * units,), (units,)
    for name, weight, shape in zip(weights._fields, weights, expected):
        if weight.shape != shape:
            raise InputError(
                f"{cell}: the {name} weights have shape {list(weight.shape)}, "
                f"expected {list(shape)} for "
                f"inputs of {features} features and {units} units"
            )
    states = () if initial is None else initial if cell == "LSTM" else initial[:1]
    for name, state in zip(State._fields, states):
        if state is None or state.shape != (rows, units):
            shape = None if state is None else list(state.shape)
            raise InputError(
                f"{cell}: the initial {name} state has shape {shape}, expected {[rows, units]}"
            )


def _checked_length(length, rows, steps):
    """Lengths as int32 `[rows]` in 0 to `steps`: a known one outside raises InputError, a traced
    one is moved there.
    """
    length = length if isinstance(length, jax.Array) else np.asarray(length)
    if not jnp.issubdtype(length.dtype, jnp.integer):
        raise InputError(f"recurrence: lengths are {length.dtype}, expected whole numbers")
    if length.shape != (rows,):
        raise InputError(
            f"recurrence: lengths have shape {list(length.shape)}, expected "
            f"[{rows}], one a sequence"
        )
    if isinstance(length, jax.Array) and (
        isinstance(length, jax.core.Tracer) or not length.is_fully_addressable
    ):
        return jnp.clip(length, 0, min(steps, jnp.iinfo(length.dtype).max)).astype(jnp.int32)
    wrong = [value for value in np.asarray(length).tolist() if not 0 <= value <= steps]
    if wrong:
        raise InputError(
            f"recurrence: a length is {wrong[0]}, expected 0 to {steps}, the padded time steps"
        )
    return jnp.asarray(length, jnp.int32)


def _first_state(batch, weights, state):
    """The given initial state in float32, or zeros."""
    if state is None:
        zeros = jnp.zeros((batch, weights.recurrent.shape[0]), jnp.float32)
        return State(zeros, zeros if isinstance(weights, LSTMWeights) else None)
    return State(*(None if s is None else s.astype(jnp.float32) for s in state))


def _outputs(trail, length, weights):
    """Hidden states `[T, B, H]` as outputs `[B, T, H]`, zero past each end."""
    mask = time_mask(length, len(trail))
    return jnp.where(mask[..., None], trail.swapaxes(0, 1), 0).astype(weights.recurrent.dtype)


def _turned(array, steps):
    """Of an array over time `[T, ...]`, the first `steps` (a traced number) in reverse order."""
    return jnp.roll(array[::-1], steps, axis=0)


def _product(x, weights):
    return jnp.matmul(x.astype(weights.dtype), weights, preferred_element_type=jnp.float32)


# Cells. A step gives the new state and what the backward pass will need of it: derivatives by the
# gates before their activation, as far as they do not depend on what comes later. They are zero
# where a row idles.


class _LSTMKept(NamedTuple):
    # [B, 4H]; of input, forget and cell gate by the cell, of the output gate by the hidden state
    slope: jax.Array
    output: jax.Array  # [B, H], derivative of the hidden state by the cell
    forget: jax.Array  # [B, H], derivative of the cell by the cell before


class _GRUKept(NamedTuple):
    slope: jax.Array  # [B, 3H], derivative of the hidden state by the recurrent product
    candidate: jax.Array  # [B, H], the same by the candidate's projected input
    # [B, H], derivative of the hidden state by the one before, the gates left alone
    update: jax.Array


# sigmoid(x) = tanh(x / 2) / 2 + 1 / 2: one tanh serves all gates of a cell at once. XLA's CPU
# code for each gate alone is several times slower; and so is a concatenation that it may compute
# element by element, hence the barriers.
_together = jax.lax.optimization_barrier


def _lstm_step(state, projected, valid, weights):
    units = weights.recurrent.shape[0]
    per_gate = lambda *values: jnp.repeat(jnp.array(values, jnp.float32), units)
    scale = per_gate(0.5, 0.5, 1, 0.5)
    gates = projected + _product(state.hidden, weights.recurrent)
    i, f, g, o = jnp.split(
        _together(jnp.tanh(gates * scale) * scale + per_gate(0.5, 0.5, 0, 0.5)), 4, axis=-1
    )
    cell = f * state.cell + i * g
    squashed = _together(jnp.tanh(cell))
    new = State(jnp.where(valid, o * squashed, state.hidden), jnp.where(valid, cell, state.cell))
    slopes = g * i * (1 - i), state.cell * f * (1 - f), i * (1 - g**2), squashed * o * (1 - o)
    slope = jnp.concatenate(_together(tuple(jnp.where(valid, s, 0) for s in slopes)), axis=-1)
    return new, _LSTMKept(slope, jnp.where(valid, o * (1 - squashed**2), 0), jnp.where(valid, f, 1))


def _lstm_step_back(d_state, kept, valid, weights):
    """Gradients of the state before, of the recurrent product, and of the projected input where
    that is another.
    """
    d_hidden = d_state.hidden
    d_cell = d_state.cell + d_hidden * kept.output
    d_gates = kept.slope * jnp.concatenate([d_cell, d_cell, d_cell, d_hidden], axis=-1)
    before = _product(d_gates, weights.recurrent.T) + jnp.where(valid, 0, d_hidden)
    return State(before, d_cell * kept.forget), d_gates, None


def _gru_step(state, projected, valid, weights):
    units, hidden = weights.recurrent.shape[0], state.hidden
    product = _product(hidden, weights.recurrent)
    r, z = jnp.split(
        _together(jnp.tanh((projected + product)[..., : 2 * units] / 2) / 2 + 0.5), 2, axis=-1
    )
    inner = product[:, 2 * units :] + weights.candidate_bias
    n = _together(jnp.tanh(projected[..., 2 * units :] + r * inner))
    new = State(jnp.where(valid, n + z * (hidden - n), hidden))
    candidate = jnp.where(valid, (1 - z) * (1 - n**2), 0)
    slopes = (
        candidate * inner * r * (1 - r),
        jnp.where(valid, (hidden - n) * z * (1 - z), 0),
        candidate * r,
    )
    return new, _GRUKept(
        jnp.concatenate(_together(slopes), axis=-1), candidate, jnp.where(valid, z, 1)
    )


def _gru_step_back(d_state, kept, valid, weights):
    units, d_hidden = weights.recurrent.shape[0], d_state.hidden
    d_product = kept.slope * jnp.concatenate([d_hidden] * 3, axis=-1)
    d_projected = jnp.concatenate([d_product[:, : 2 * units], kept.candidate * d_hidden], axis=-1)
    return (
        State(_product(d_product, weights.recurrent.T) + kept.update * d_hidden),
        d_product,
        d_projected,
    )


# The loop. It makes only as many steps as the batch's longest sequence needs, whatever its padded
# length, and it works chunk by chunk, so that projected inputs and gate gradients never exist for
# more than CHUNK steps at once.


class _Job(NamedTuple):
    """One recurrence to be computed.

    Attributes:
        x: inputs `[T, B, D]`; None where every input is zero.
        steps: how many steps to make, a traced int32.
        first, last: int32 `[B]`; a row moves in the steps first <= t < last and idles in the
            others.
        weights: its weights.
        initial: its first state.
    """

    x: jax.Array | None
    steps: jax.Array
    first: jax.Array
    last: jax.Array
    weights: Weights
    initial: State


class _Loop:
    """A job and how its steps are cut into chunks of `size`."""

    def __init__(self, total: int, job: _Job):
        self.job = job
        self.size = max(min(CHUNK, total), 1)
        self.room = max(math.ceil(total / self.size), 1) * self.size
        self.chunks = (job.steps + self.size - 1) // self.size
        # Padded to whole chunks here, not chunk by chunk.
        self.x = (
            None if job.x is None else jnp.pad(job.x, ((0, self.room - len(job.x)), (0, 0), (0, 0)))
        )

    def count(self, chunk):
        """Steps of a chunk."""
        return jnp.minimum(self.job.steps - chunk * self.size, self.size)

    def part(self, array, chunk):
        """A chunk's part of an array over all steps."""
        return jax.lax.dynamic_slice_in_dim(array, chunk * self.size, self.size)

    def moving(self, t):
        return ((self.job.first <= t) & (t < self.job.last))[:, None]

    def step(self, t, state, projected):
        cell = _lstm_step if isinstance(self.job.weights, LSTMWeights) else _gru_step
        return cell(state, projected, self.moving(t), self.job.weights)

    def step_back(self, t, d_state, kept):
        cell = _lstm_step_back if isinstance(self.job.weights, LSTMWeights) else _gru_step_back
        return cell(d_state, kept, self.moving(t), self.job.weights)

    def kept_room(self, count):
        """Empty room for what so many steps leave for the backward pass."""
        bias = self.job.weights.bias.astype(jnp.float32)
        return _room(
            count, jax.eval_shape(lambda state: self.step(0, state, bias)[1], self.job.initial)
        )

    def projected(self, chunk):
        """Inputs of a chunk times their weights, plus bias: a function of the step in the chunk."""
        bias = self.job.weights.bias.astype(jnp.float32)
        if self.x is None:
            return lambda k: bias
        rows = _product(self.part(self.x, chunk), self.job.weights.input) + bias
        return lambda k: rows[k]


def _put(arrays, values, index):
    """Write a value, or a tree of them, into the place `index` along the first axis."""
    return jax.tree.map(
        lambda a, v: jax.lax.dynamic_update_index_in_dim(a, v, index, 0), arrays, values
    )


def _room(count, like):
    return jax.tree.map(lambda a: jnp.zeros((count, *a.shape), a.dtype), like)


def _run_chunk(loop, chunk, state, trail, kept, at):
    """The steps of a chunk; `trail` and `kept`, where given, are filled from the index `at` on."""
    projected = loop.projected(chunk)

    def step(k, carry):
        state, trail, kept = carry
        state, needed = loop.step(chunk * loop.size + k, state, projected(k))
        trail = None if trail is None else _put(trail, state.hidden, at + k + 1)
        return state, trail, None if kept is None else _put(kept, needed, at + k)

    return jax.lax.fori_loop(0, loop.count(chunk), step, (state, trail, kept))


def _forward(loop, keep):
    """All hidden states `[T + 1, B, H]`, the first state before them, and the last state.

    With `keep`, also what every step leaves for the backward pass, or, where that is more than
    KEPT_BYTES, the state before every chunk.
    """
    initial = loop.job.initial
    kept = jax.eval_shape(lambda: loop.kept_room(loop.room))
    everything = sum(leaf.size * 4 for leaf in jax.tree.leaves(kept)) <= KEPT_BYTES
    kept = loop.kept_room(loop.room) if keep and everything else None
    marks = _room(loop.room // loop.size, initial) if keep and not everything else None
    trail = _put(jnp.zeros((loop.room + 1, *initial.hidden.shape)), initial.hidden, 0)

    def run(chunk, carry):
        state, trail, kept, marks = carry
        marks = None if marks is None else _put(marks, state, chunk)
        return *_run_chunk(loop, chunk, state, trail, kept, chunk * loop.size), marks

    state, trail, kept, marks = jax.lax.fori_loop(
        0, loop.chunks, run, (initial, trail, kept, marks)
    )
    return trail, state, kept, marks


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _loop(total, job):
    """A recurrence of at most `total` steps, as `_forward` gives it: T + 1 hidden states and the
    last state.
    """
    trail, state, *_ = _forward(_Loop(total, job), keep=False)
    return trail[: total + 1], state


def _loop_forward(total, primals):
    job = jax.tree.map(lambda p: p.value, primals, is_leaf=lambda p: hasattr(p, "perturbed"))
    loop = _Loop(total, job)
    trail, state, kept, marks = _forward(loop, keep=True)
    # A gradient of inputs that nobody asks for is not computed; a residual can say so by its
    # structure only.
    asked = () if job.x is not None and primals.x.perturbed else None
    return (trail[: total + 1], state), (job, trail, kept, marks, asked)


def _loop_backward(total, residuals, gradients):
    job, trail, kept, marks, asked = residuals
    loop, weights, absent = _Loop(total, job), job.weights, lambda g: isinstance(g, SymbolicZero)
    # The hidden states often matter only through the last one; nothing is then added a step.
    d_trail = None if absent(gradients[0]) else gradients[0]
    d_state = jax.tree.map(
        lambda d: jnp.zeros(d.shape, d.dtype) if absent(d) else d, gradients[1], is_leaf=absent
    )
    local = None if marks is None else loop.kept_room(loop.size)

    def run_back(i, carry):
        d_state, d_product, d_projected, d_weights, d_x = carry
        chunk = loop.chunks - 1 - i
        start = at = chunk * loop.size
        found = kept
        if marks is not None:
            at, found = (
                0,
                _run_chunk(loop, chunk, jax.tree.map(lambda m: m[chunk], marks), None, local, 0)[2],
            )

        def step_back(j, carry):
            d_state, d_product, d_projected = carry
            k = loop.count(chunk) - 1 - j
            if d_trail is not None:
                d_state = d_state._replace(hidden=d_state.hidden + d_trail[start + k + 1])
            d_state, product, projected = loop.step_back(
                start + k, d_state, jax.tree.map(lambda a: a[at + k], found)
            )
            return d_state, _put(d_product, product, k), _put(d_projected, projected, k)

        d_state, d_product, d_projected = jax.lax.fori_loop(
            0, loop.count(chunk), step_back, (d_state, d_product, d_projected)
        )
        d_weights = _add_weight_gradients(d_weights, loop, trail, chunk, d_product, d_projected)
        if d_x is not None:
            d_rows = _product(d_product if d_projected is None else d_projected, weights.input.T)
            d_x = jax.lax.dynamic_update_slice_in_dim(d_x, d_rows, start, 0)
        return d_state, d_product, d_projected, d_weights, d_x

    zeros = jnp.zeros((loop.size, len(job.first), weights.recurrent.shape[1]))
    # The last chunk comes first: the steps it does not have stay zero, and later chunks fill them.
    d_initial, _, _, d_weights, d_x = jax.lax.fori_loop(
        0,
        loop.chunks,
        run_back,
        (
            d_state,
            zeros,
            zeros if isinstance(weights, GRUWeights) else None,
            jax.tree.map(lambda w: jnp.zeros(w.shape, jnp.float32), weights),
            None if asked is None else jnp.zeros((loop.room, *job.x.shape[1:]), jnp.float32),
        ),
    )
    if d_trail is not None:
        d_initial = d_initial._replace(hidden=d_initial.hidden + d_trail[0])
    if job.x is not None:
        d_x = jnp.zeros_like(job.x) if d_x is None else d_x[:total].astype(job.x.dtype)
    d_weights = jax.tree.map(lambda d, w: d.astype(w.dtype), d_weights, weights)
    return (_Job(d_x, None, None, None, d_weights, d_initial),)


def _add_weight_gradients(d_weights, loop, trail, chunk, d_product, d_projected):
    """Add a chunk's gradients of the weights, each one product over all its steps and rows."""
    job = loop.job
    kind = job.weights.recurrent.dtype
    # Rows and steps stay two axes: rows may be shared out among devices, which then have only
    # sums to exchange.
    product = lambda a, b: jnp.einsum(
        "tbi,tbg->ig", a.astype(kind), b.astype(kind), preferred_element_type=jnp.float32
    )
    if isinstance(job.weights, GRUWeights):
        units = job.weights.recurrent.shape[0]
        d_candidate = d_product[..., 2 * units :].sum((0, 1))
        d_weights = d_weights._replace(candidate_bias=d_weights.candidate_bias + d_candidate)
    else:
        d_projected = d_product
    if loop.x is not None:
        d_weights = d_weights._replace(
            input=d_weights.input + product(loop.part(loop.x, chunk), d_projected)
        )
    return d_weights._replace(
        recurrent=d_weights.recurrent + product(loop.part(trail, chunk), d_product),
        bias=d_weights.bias + d_projected.sum((0, 1)),
    )


_loop.defvjp(_loop_forward, _loop_backward, symbolic_zeros=True)


class _Direction(nnx.Module):
    """The weights of one direction of one layer."""

    def __init__(self, draw, features, units, gates):
        self.input = nnx.Param(draw(features, gates * units))
        self.recurrent = nnx.Param(draw(units, gates * units))
        self.bias = nnx.Param(draw(gates * units))


class _Stack(nnx.Module):
    """Layers of one or both directions."""

    def __init__(
        self,
        features: int,
        units: int,
        *,
        layers: int = 1,
        bidirectional: bool = False,
        dtype: jax.typing.DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.features, self.units, self.layers, self.bidirectional = (
            features,
            units,
            layers,
            bidirectional,
        )
        self.dtype = dtype
        bound = 1 / math.sqrt(units)
        draw = lambda *shape: jax.random.uniform(rngs.params(), shape, jnp.float32, -bound, bound)
        for layer in range(layers):
            inputs = features if layer == 0 else units * len(self.directions)
            for direction in self.directions:
                setattr(self, f"{direction}{layer}", self._direction(draw, inputs))

    @property
    def directions(self) -> tuple[str, ...]:
        """Names of the directions, in the order of the outputs."""
        return ("forward", "backward") if self.bidirectional else ("forward",)

    def __call__(
        self, x: jax.Array, length: jax.Array, initial: list[tuple[State, ...]] | None = None
    ) -> tuple[jax.Array, list[tuple[State, ...]]]:
        """Run the stack.

        Args:
            x: `[batch, time, D]`.
            length: valid frames, int `[batch]`, as in `unroll`.
            initial: every layer's states before the first frame, one a direction; zeros when None.

        Returns:
            outputs of the last layer `[batch, time, directions · units]` in `dtype`, zero past
            each end, and every layer's final states, one a direction, as `initial` takes them.

        Raises:
            InputError: as `unroll`.
        """
        finals = []
        for layer in range(self.layers):
            weights = [self.direction_weights(layer, direction) for direction in self.directions]
            before = initial[layer] if initial else (None,) * len(weights)
            if self.bidirectional:
                x, states = unroll_both(x, length, *weights, before)
            else:
                x, state = unroll(x, length, weights[0], before[0])
                states = (state,)
            finals.append(states)
        return x, finals


class LSTM(_Stack):
    """One or both directions of a stack of LSTM layers.

    Weights and biases start uniform in ±1/√units. In a stack each layer reads the outputs of all
    directions of the layer below.

    Args:
        features: inputs D of the first layer.
        units: H of every direction.
        layers: how many layers.
        bidirectional: whether every layer also reads its sequence backwards.
        forget_bias: what the forget gates' biases start higher by, so that a fresh layer
            remembers for longer.
        dtype: of the matrix products and the outputs, float32 or bfloat16; weights and states are
            float32.
        kernel: what computes it: "xla", the loop of this file; "cudnn", NVIDIA's own, on its GPUs
            and in float32 alone, which has so far been checked against a CPU reference only and
            never run on a GPU (`mgjax.nn.cudnn` says more); or "auto": cudnn on a machine of one
            NVIDIA GPU in float32, else xla, so that a model of one machine runs on another.

    Raises:
        InputError: when called, for another kernel, or "cudnn" without an NVIDIA GPU or with
            another dtype.
    """

    def __init__(
        self,
        features: int,
        units: int,
        *,
        forget_bias: float = 0.0,
        kernel: str = "xla",
        rngs: nnx.Rngs,
        **how,
    ):
        self.forget_bias, self.kernel = forget_bias, kernel
        super().__init__(features, units, rngs=rngs, **how)

    def _direction(self, draw, inputs):
        direction = _Direction(draw, inputs, self.units, 4)
        bias = direction.bias[...]
        direction.bias = nnx.Param(bias.at[self.units : 2 * self.units].add(self.forget_bias))
        return direction

    def __call__(
        self, x: jax.Array, length: jax.Array, initial: list[tuple[State, ...]] | None = None
    ) -> tuple[jax.Array, list[tuple[State, ...]]]:
        """As `_Stack`."""
        if not cudnn.taken(self.kernel, self.dtype) or x.shape[1] == 0:
            return super().__call__(x, length, initial)
        weights = [
            [self.direction_weights(layer, d) for d in self.directions]
            for layer in range(self.layers)
        ]
        return _cudnn(x, length, weights, initial or [[None] * len(self.directions)] * self.layers)

    def direction_weights(self, layer: int, direction: str = "forward") -> LSTMWeights:
        """The weights of one direction of one layer, in `dtype`."""
        own = getattr(self, f"{direction}{layer}")
        return LSTMWeights(
            *(w[...].astype(self.dtype) for w in (own.input, own.recurrent, own.bias))
        )


class GRU(_Stack):
    """One or both directions of a stack of GRU layers.

    Weights and biases start uniform in ±1/√units. In a stack each layer reads the outputs of all
    directions of the layer below.

    Args:
        features, units, layers, bidirectional, dtype: as `LSTM`.
    """

    def _direction(self, draw, inputs):
        direction = _Direction(draw, inputs, self.units, 3)
        direction.candidate_bias = nnx.Param(draw(self.units))
        return direction

    def direction_weights(self, layer: int, direction: str = "forward") -> GRUWeights:
        """The weights of one direction of one layer, in `dtype`."""
        own = getattr(self, f"{direction}{layer}")
        return GRUWeights(
            *(
                w[...].astype(self.dtype)
                for w in (own.input, own.recurrent, own.bias, own.candidate_bias)
            )
        )
