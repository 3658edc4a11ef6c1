"""NVIDIA cuDNN's LSTM on padded sequences of different lengths, for `mgjax.nn.recurrent`.

Checked against JAX's CPU reference of the same weight layout. It has never run on a GPU so far,
and how fast it is there is not known; hence nothing takes it unasked.

- float32 only, with TF32 switched off. The matrix products of XLA's loop are as exact on a GPU
  only under `jax_default_matmul_precision=highest`.
- What the backward pass needs is kept for every step, however many there are.
- XLA cannot divide the call among devices: where rows are spread over several, each gets all of
  them and computes the same. The results are right, but more devices then gain nothing.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from mgjax.errors import InputError

KERNELS = ("xla", "cudnn", "auto")


def nvidia() -> bool:
    """Whether JAX computes on NVIDIA GPUs unless told otherwise."""
    return jax.default_backend() == "gpu" and "cuda" in jax.devices()[0].client.platform_version


def taken(kernel: str, dtype: jax.typing.DTypeLike) -> bool:
    """Whether cuDNN is to compute what is traced now.

    Args:
        kernel: "xla" never takes it, "cudnn" always does, "auto" does on a machine of one NVIDIA
            GPU for float32.
        dtype: of the weights.

    Raises:
        InputError: another kernel, or "cudnn" where there is no NVIDIA GPU or for another dtype.
    """
    if kernel not in KERNELS:
        raise InputError(f"LSTM: kernel is {kernel!r}, expected one of {', '.join(KERNELS)}")
    single = jnp.dtype(dtype) == jnp.float32
    if kernel != "cudnn":
        return kernel == "auto" and single and nvidia() and jax.device_count() == 1
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
    length: jax.Array,
    weights: Sequence[tuple[jax.Array, jax.Array, jax.Array]],
    hidden: jax.Array,
    cell: jax.Array,
    bidirectional: bool,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """A stack of LSTM layers in one call.

    Args:
        x: inputs `[batch, time, D]`, at least one step.
        length: valid frames, int `[batch]`.
        weights: input weights `[D, 4H]`, recurrent weights `[H, 4H]` and bias `[4H]` of every
            layer and direction, float32; a layer's backward direction follows its forward one.
        hidden, cell: states before the first frame, float32 `[layers · directions, batch, H]`, in
            the same order.
        bidirectional: whether there are two directions.

    Returns:
        outputs `[batch, time, directions · H]`, zero past each end, and the last hidden and cell
        states, as given.
    """
    # Here, because an experimental module may go, and most machines need none of it.
    from jax.experimental import rnn

    length = jnp.asarray(length, jnp.int32)
    valid = (jnp.arange(x.shape[1]) < length[:, None])[..., None]
    # Masked, so that nothing read from padding, nor a gradient that cuDNN may leave there, can
    # matter.
    x = jnp.where(valid, x, 0).astype(jnp.float32)
    # cuDNN has a second bias, for the recurrent product; all matrices come before all biases.
    matrices = [w.T.ravel() for of_input, of_state, _ in weights for w in (of_input, of_state)]
    biases = [b for _, _, bias in weights for b in (bias, jnp.zeros_like(bias))]
    # It refuses empty sequences: they are given one step, which is then forgotten.
    outputs, *finals = rnn.lstm(
        x,
        hidden,
        cell,
        jnp.concatenate(matrices + biases),
        jnp.maximum(length, 1),
        x.shape[2],
        hidden.shape[2],
        len(weights) // (1 + bidirectional),
        0.0,
        bidirectional,
        jax.lax.Precision.HIGHEST,
    )
    states = [
        jnp.where(length[:, None] > 0, last, first) for last, first in zip(finals, (hidden, cell))
    ]
    return jnp.where(valid, outputs, 0), *states
