"""The loop over steps, chunk by chunk, and its derivative.

    step          0  1  2  3  4  5  6  7        8  9 .. 15         16 17
                [       chunk 0        ]      [   chunk 1  ]     [ chunk 2 ]
    forward
      x W + b     one product                  one product         one product
      states  h0 -o--o--o--o--o--o--o--o- h8 --o--o-..--o-- h16 ---o--o--- h18
      residuals   r0 r1 r2 r3 r4 r5 r6 r7      r8 r9 .. r15        r16 r17
    backward
      states δh0 -o--o--o--o--o--o--o--o- δh8 -o--o-..--o-- δh16 --o--o--- δh18
      δW δU δb δx  one product each            one product each    one product each

An o is a step, with the one product that cannot wait: h U, or its gradient times Uᵀ. All
else is one product over a chunk, so that gates and their gradients never exist for more
steps than that. No step is made beyond the batch's longest sequence, whatever the padded
length.

A step leaves residuals, the local derivatives of its gates, so that the step back is a
multiplication and a matrix product. Residuals of all steps are saved where they fit into
RESIDUAL_BYTES. Where they do not, the states between chunks are saved instead, here h0,
h8 and h16, and recomputation takes the place of saving: when a chunk's turn comes in the
backward pass, its steps are made a second time from the state before it. Hidden states
are saved in either case: they are the outputs, and δU needs them.

Derivatives are reverse-mode (`grad`, `vjp`, `jacrev`) and forward over reverse. JAX
refuses others of a function whose derivative is written by hand.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from mgjax.nn import cells
from mgjax.nn.cells import GRUWeights, Residuals, State, Weights
from mgjax.nn.chunks import Chunks, Recurrence, empty, read, write

# What the steps of one recurrence may leave for their derivative: 256 MiB.
RESIDUAL_BYTES = 2**28


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def run(total: int, recurrence: Recurrence) -> tuple[jax.Array, State]:
    """Compute a recurrence of at most `total` steps.

    Returns:
        hidden states float32 `[total + 1, B, H]`, the initial one first and zeros after
        the last step made, and the last state.
    """
    hidden_states, state, _, _ = _forward(Chunks(total, recurrence), save=False)
    return hidden_states[: total + 1], state


# Forward


def _forward(chunks, save):
    """All hidden states `[padded + 1, B, H]` from the initial one on, and the last state.

    With `save`, also the residuals of all steps, or, where these are more than
    RESIDUAL_BYTES, the state before every chunk; None in the other's place.
    """
    initial = chunks.recurrence.initial
    all_residuals = jax.eval_shape(lambda: chunks.empty_residuals(chunks.padded))
    # They are float32, 4 bytes a number.
    size = sum(leaf.size * 4 for leaf in jax.tree.leaves(all_residuals))
    fits = size <= RESIDUAL_BYTES
    residuals = chunks.empty_residuals(chunks.padded) if save and fits else None
    between = empty(chunks.padded // chunks.size, initial) if save and not fits else None
    hidden_states = jnp.zeros((chunks.padded + 1, *initial.hidden.shape))
    hidden_states = write(hidden_states, initial.hidden, 0)

    def run_chunk(chunk, carry):
        state, hidden_states, residuals, between = carry
        if between is not None:
            between = write(between, state, chunk)
        at = chunk * chunks.size
        state, hidden_states, residuals = _run_chunk(
            chunks, chunk, state, hidden_states, residuals, at
        )
        return state, hidden_states, residuals, between

    carry = initial, hidden_states, residuals, between
    state, hidden_states, residuals, between = jax.lax.fori_loop(0, chunks.count, run_chunk, carry)
    return hidden_states, state, residuals, between


def _run_chunk(chunks, chunk, state, hidden_states, residuals, at):
    """The steps of a chunk; hidden states and residuals, where not None, are written from
    the place `at` on.
    """
    projected = chunks.projected(chunk)

    def step(k, carry):
        state, hidden_states, residuals = carry
        t = chunk * chunks.size + k
        state, left = chunks.step(t, state, projected if chunks.x is None else projected[k])
        if hidden_states is not None:
            # The initial state takes the first place.
            hidden_states = write(hidden_states, state.hidden, at + k + 1)
        if residuals is not None:
            residuals = write(residuals, left, at + k)
        return state, hidden_states, residuals

    return jax.lax.fori_loop(0, chunks.steps(chunk), step, (state, hidden_states, residuals))


# Backward. Letters d_ mark gradients of the loss.


class _Saved(NamedTuple):
    """What the forward pass saves for the backward pass."""

    recurrence: Recurrence
    hidden_states: jax.Array
    residuals: Residuals | None
    between: State | None  # states before each chunk
    x_wanted: tuple[()] | None  # () where the gradient of the inputs is wanted


class _Gradients(NamedTuple):
    """Gradients that go from chunk to chunk, the last one first."""

    state: State
    product: jax.Array  # of h U in the steps of a chunk, [size, B, gates · H]
    projected: jax.Array | None  # of x W + b, where that is another
    weights: Weights  # sums over the chunks so far, float32
    x: jax.Array | None


def _run_forward(total, primals):
    recurrence = jax.tree.map(lambda p: p.value, primals, is_leaf=_is_primal)
    hidden_states, state, residuals, between = _forward(Chunks(total, recurrence), save=True)
    # A gradient of inputs that nobody wants is not computed. What is saved passes
    # through JAX as arrays; what the backward pass is to know while it is traced, only
    # their structure can say.
    x_wanted = () if recurrence.x is not None and primals.x.perturbed else None
    saved = _Saved(recurrence, hidden_states, residuals, between, x_wanted)
    return (hidden_states[: total + 1], state), saved


def _is_primal(leaf):
    """Whether a leaf is what JAX hands in for an argument: its value and if it is perturbed."""
    return hasattr(leaf, "perturbed")


def _run_backward(total, saved, d_results):
    recurrence = saved.recurrence
    chunks = Chunks(total, recurrence)
    d_hidden_states, d_state = d_results
    # A loss often reads the last state alone; nothing is then added at a step.
    if _is_absent(d_hidden_states):
        d_hidden_states = None
    d_state = jax.tree.map(_filled, d_state, is_leaf=_is_absent)
    # Recomputed chunks share these: each one's residuals are written over the last one's.
    scratch = None if saved.between is None else chunks.empty_residuals(chunks.size)

    def chunk_back(i, gradients):
        chunk = chunks.count - 1 - i
        start = at = chunk * chunks.size
        residuals = saved.residuals
        if saved.between is not None:
            before = read(saved.between, chunk)
            at = 0
            *_, residuals = _run_chunk(chunks, chunk, before, None, scratch, at)
        gradients = _steps_back(chunks, chunk, start, residuals, at, d_hidden_states, gradients)
        gradients = _add_weight_gradients(chunks, chunk, saved.hidden_states, gradients)
        return _add_input_gradients(chunks, start, gradients)

    gradients = _no_gradients(chunks, d_state, saved.x_wanted is not None)
    gradients = jax.lax.fori_loop(0, chunks.count, chunk_back, gradients)
    return (_as_given(total, recurrence, gradients, d_hidden_states),)


def _is_absent(gradient):
    return isinstance(gradient, SymbolicZero)


def _filled(gradient):
    return jnp.zeros(gradient.shape, gradient.dtype) if _is_absent(gradient) else gradient


def _no_gradients(chunks, d_state, x_wanted):
    """What the last chunk begins with."""
    recurrence = chunks.recurrence
    weights = recurrence.weights
    # Steps that the last chunk lacks stay zero; the chunks before it fill all.
    zeros = jnp.zeros((chunks.size, len(recurrence.start), weights.recurrent.shape[1]))
    return _Gradients(
        state=d_state,
        product=zeros,
        projected=zeros if isinstance(weights, GRUWeights) else None,
        weights=jax.tree.map(lambda w: jnp.zeros(w.shape, jnp.float32), weights),
        x=jnp.zeros((chunks.padded, *recurrence.x.shape[1:]), jnp.float32) if x_wanted else None,
    )


def _steps_back(chunks, chunk, start, residuals, at, d_hidden_states, gradients):
    """Step back through a chunk; its first step is `start`, its first residuals lie in the
    place `at`.
    """

    def step_back(j, carry):
        d_state, d_product, d_projected = carry
        k = chunks.steps(chunk) - 1 - j
        if d_hidden_states is not None:
            d_hidden = d_state.hidden + d_hidden_states[start + k + 1]
            d_state = d_state._replace(hidden=d_hidden)
        t = start + k
        left = read(residuals, at + k)
        d_state, of_product, of_projected = chunks.step_back(t, d_state, left)
        d_product = write(d_product, of_product, k)
        return d_state, d_product, write(d_projected, of_projected, k)

    d_state, d_product, d_projected = jax.lax.fori_loop(
        0, chunks.steps(chunk), step_back, gradients[:3]
    )
    return gradients._replace(state=d_state, product=d_product, projected=d_projected)


def _add_weight_gradients(chunks, chunk, hidden_states, gradients):
    """Add a chunk's gradients of the weights, each one product over all its steps and rows."""
    weights = chunks.recurrence.weights
    dtype = weights.recurrent.dtype
    d_weights = gradients.weights
    d_product = gradients.product
    d_projected = gradients.projected
    if isinstance(weights, GRUWeights):
        units = weights.recurrent.shape[0]
        d_candidate = d_product[..., 2 * units :].sum((0, 1))
        d_weights = d_weights._replace(candidate_bias=d_weights.candidate_bias + d_candidate)
    else:
        d_projected = d_product
    if chunks.x is not None:
        d_input = _summed_product(chunks.part(chunks.x, chunk), d_projected, dtype)
        d_weights = d_weights._replace(input=d_weights.input + d_input)
    d_recurrent = _summed_product(chunks.part(hidden_states, chunk), d_product, dtype)
    d_weights = d_weights._replace(
        recurrent=d_weights.recurrent + d_recurrent,
        bias=d_weights.bias + d_projected.sum((0, 1)),
    )
    return gradients._replace(weights=d_weights)


def _summed_product(a, b, dtype):
    """Sum over steps and rows of the outer products of `[t, B, i]` and `[t, B, g]`."""
    # Steps and rows stay two axes: rows may be shared out among devices, which then
    # have only sums to exchange.
    return jnp.einsum(
        "tbi,tbg->ig", a.astype(dtype), b.astype(dtype), preferred_element_type=jnp.float32
    )


def _add_input_gradients(chunks, start, gradients):
    """Write the gradients of a chunk's inputs, one product, where they are wanted."""
    if gradients.x is None:
        return gradients
    of_projected = gradients.product if gradients.projected is None else gradients.projected
    d_x = cells.product(of_projected, chunks.recurrence.weights.input.T)
    d_x = jax.lax.dynamic_update_slice_in_dim(gradients.x, d_x, start, 0)
    return gradients._replace(x=d_x)


def _as_given(total, recurrence, gradients, d_hidden_states):
    """The gradients in the shape and dtype of what was given; None for numbers of steps."""
    d_initial = gradients.state
    if d_hidden_states is not None:
        d_initial = d_initial._replace(hidden=d_initial.hidden + d_hidden_states[0])
    x = recurrence.x
    d_x = gradients.x
    if x is not None:
        d_x = jnp.zeros_like(x) if d_x is None else d_x[:total].astype(x.dtype)
    d_weights = jax.tree.map(lambda d, w: d.astype(w.dtype), gradients.weights, recurrence.weights)
    return Recurrence(d_x, None, None, None, d_weights, d_initial)


run.defvjp(_run_forward, _run_backward, symbolic_zeros=True)
