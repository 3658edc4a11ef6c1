"""NVIDIA cuDNN's LSTM on padded sequences, behind `LSTM(kernel="cudnn")`.

Checked against JAX's CPU reference of the same weight layout. It has never run on a GPU
so far, and how fast it is there is not known; hence nothing takes it unasked.

- float32 only, with TF32 switched off. The matrix products of XLA's loop are as exact
  on a GPU only under `jax_default_matmul_precision=highest`.
- What the backward pass needs is kept for every step, however many there are.
- XLA cannot divide the call among devices: where rows are spread over several, each
  gets all of them and computes the same. The results are right, but more devices then
  gain nothing.
"""

import typing
from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike

from mgjax.errors import InputError
from mgjax.nn.arguments import check_shapes, checked_length, first_state
from mgjax.nn.cells import LSTMWeights, State
from mgjax.nn.masking import time_mask

# What computes an LSTM: XLA's loop, cuDNN, or cuDNN where it can be and else XLA.
Kernel = Literal["xla", "cudnn", "auto"]
KERNELS: tuple[Kernel, ...] = typing.get_args(Kernel)


def nvidia() -> bool:
    """Whether JAX computes on NVIDIA GPUs unless told otherwise."""
    if jax.default_backend() != "gpu":
        return False
    return "cuda" in jax.devices()[0].client.platform_version


def taken(kernel: str, dtype: DTypeLike) -> bool:
    """Whether cuDNN is to compute what is traced now.

    Args:
        kernel: "xla" never takes it, "cudnn" always does, "auto" does on a machine of
            one NVIDIA GPU for float32.
        dtype: of the weights.

    Raises:
        InputError: another kernel, or "cudnn" where there is no NVIDIA GPU or for
            another dtype.
    """
    if kernel not in KERNELS:
        raise InputError(f"LSTM: kernel is {kernel!r}, expected one of {', '.join(KERNELS)}")
    single = jnp.dtype(dtype) == jnp.float32
    if kernel == "xla":
        return False
    if kernel == "auto":
        # Over several devices it would gain nothing, as above.
        return single and nvidia() and jax.device_count() == 1
    if not nvidia():
        raise InputError(
            "LSTM: kernel 'cudnn' needs an NVIDIA GPU, but JAX runs on "
            f"{jax.default_backend()} here"
        )
    if not single:
        raise InputError(
            f"LSTM: kernel 'cudnn' computes in float32 only, not in {jnp.dtype(dtype).name}"
        )
    return True


def lstm(
    x: jax.Array,
    length: ArrayLike,
    weights: Sequence[Sequence[LSTMWeights]],
    initial: Sequence[Sequence[State | None]],
) -> tuple[jax.Array, list[tuple[State, ...]]]:
    """A stack of LSTM layers in one call.

    Args:
        x: inputs `[batch, time, D]`, at least one step.
        length: valid frames, int `[batch]`.
        weights: of every layer, those of its one or two directions, forward first;
            float32.
        initial: of every layer, the states before the first frame, one a direction;
            zeros where None.

    Returns:
        outputs `[batch, time, directions · H]`, zero past each end, and the final
        states, in the order of `initial`.

    Raises:
        InputError: shapes or lengths do not fit together, as `unroll` has it.
    """
    for of_direction, before in zip(weights[0], initial[0]):
        check_shapes(x, 3, of_direction, before)
    rows, steps, _ = x.shape
    length = checked_length(length, rows, steps)
    # cuDNN counts all directions of a layer before the next layer.
    flat = [of_direction for layer in weights for of_direction in layer]
    given = [before for layer in initial for before in layer]
    states = [first_state(rows, w, before) for w, before in zip(flat, given)]
    hidden, cell = (jnp.stack(parts) for parts in zip(*states))
    directions = len(weights[0])
    outputs, hidden, cell = _call(x, length, flat, hidden, cell, directions == 2)
    finals = [State(*last) for last in zip(hidden, cell)]
    firsts = range(0, len(finals), directions)
    return outputs, [tuple(finals[first : first + directions]) for first in firsts]


def _call(x, length, weights, hidden, cell, bidirectional):
    """cuDNN's call, with its states `[layers · directions, batch, H]`, before and after."""
    # Here, because an experimental module may go, and most machines need none of it.
    from jax.experimental import rnn

    valid = time_mask(length, x.shape[1])[..., None]
    # Masked, so that nothing read from padding, nor a gradient that cuDNN may leave
    # there, can matter.
    x = jnp.where(valid, x, 0).astype(jnp.float32)
    # It refuses empty sequences: they are given one step, which is then forgotten.
    steps = jnp.maximum(length, 1)
    outputs, last_hidden, last_cell = rnn.lstm(
        x,
        hidden,
        cell,
        _packed(weights),
        steps,
        input_size=x.shape[2],
        hidden_size=hidden.shape[2],
        num_layers=len(weights) // (1 + bidirectional),
        dropout=0.0,
        bidirectional=bidirectional,
        precision=jax.lax.Precision.HIGHEST,
    )
    moved = length[:, None] > 0
    hidden = jnp.where(moved, last_hidden, hidden)
    cell = jnp.where(moved, last_cell, cell)
    return jnp.where(valid, outputs, 0), hidden, cell


def _packed(weights):
    """All weights in one vector, as cuDNN reads them."""
    # All matrices come before all biases, and beside ours there is a second bias, for
    # the recurrent product.
    matrices, biases = [], []
    for of_input, of_state, bias in weights:
        matrices += [of_input.T.ravel(), of_state.T.ravel()]
        biases += [bias, jnp.zeros_like(bias)]
    return jnp.concatenate(matrices + biases)
